/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/beside.h"

#include <event2/event.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

TAILQ_HEAD(jobs, beside_job);

struct beside {
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, up to the event */
	pthread_cond_t more;
	struct jobs waiting;
	struct jobs ended;
	bool stopping;
	int wake; /* owned; the thread has ended a job */
	struct event *event; /* owned */
};

static void *work(void *ctx)
{
	const uint64_t one = 1;
	struct beside *b = ctx;

	pthread_mutex_lock(&b->lock);
	for (;;) {
		struct beside_job *job = TAILQ_FIRST(&b->waiting);

		if (b->stopping)
			break;
		if (!job) {
			pthread_cond_wait(&b->more, &b->lock);
			continue;
		}
		TAILQ_REMOVE(&b->waiting, job, link);
		pthread_mutex_unlock(&b->lock);
		job->run(job);
		pthread_mutex_lock(&b->lock);
		TAILQ_INSERT_TAIL(&b->ended, job, link);
		/* It counts, and never blocks at one. */
		(void)!write(b->wake, &one, sizeof(one));
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static struct beside_job *take(struct beside *b, struct jobs *from)
{
	pthread_mutex_lock(&b->lock);
	struct beside_job *job = TAILQ_FIRST(from);

	if (job)
		TAILQ_REMOVE(from, job, link);
	pthread_mutex_unlock(&b->lock);
	return job;
}

static void ended(evutil_socket_t fd, short what, void *ctx)
{
	struct beside *b = ctx;
	struct beside_job *job;
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	while ((job = take(b, &b->ended)))
		job->done(job, true);
}

int beside_start(struct event_base *base, struct beside **ret_beside)
{
	struct beside *b = calloc(1, sizeof(*b));
	sigset_t all, before;
	int rc = -ENOMEM;

	if (!b)
		return -ENOMEM;
	TAILQ_INIT(&b->waiting);
	TAILQ_INIT(&b->ended);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->more, NULL);
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->wake >= 0)
		b->event = event_new(base, b->wake, EV_READ | EV_PERSIST, ended, b);
	if (b->event && event_add(b->event, NULL) == 0) {
		/* Signals are the loop's. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		rc = -pthread_create(&b->thread, NULL, work, b);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (rc) {
		if (b->event)
			event_free(b->event);
		if (b->wake >= 0)
			close(b->wake);
		free(b);
		return rc;
	}
	*ret_beside = b;
	return 0;
}

void beside_stop(struct beside *b)
{
	struct beside_job *job;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->stopping = true;
	pthread_cond_signal(&b->more);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	while ((job = take(b, &b->ended)))
		job->done(job, false);
	while ((job = take(b, &b->waiting)))
		job->done(job, false);
	event_free(b->event);
	close(b->wake);
	pthread_cond_destroy(&b->more);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void beside_do(struct beside *b, struct beside_job *job)
{
	pthread_mutex_lock(&b->lock);
	TAILQ_INSERT_TAIL(&b->waiting, job, link);
	pthread_cond_signal(&b->more);
	pthread_mutex_unlock(&b->lock);
}
