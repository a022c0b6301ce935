/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/top/top_poll.h"

#include "control/cli/rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 2000

struct top_poll {
	const struct cli *cli; /* borrowed */
	int fd; /* an eventfd: there is an answer */
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct top_ask ask;
	struct top_answer answer; /* not taken yet; owned */
	bool answered;
	bool at_once;
	bool stop;
};

static void explain(int err, const json_t *error, const char *path, char *buf, size_t size)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	if (json_integer_value(json_object_get(error, "code")) == -32601)
		snprintf(buf, size, "the running weir-controld is older than weirctl: restart it");
	else if (message != NULL)
		snprintf(buf, size, "%s", message);
	else if (err == -ENOENT || err == -ECONNREFUSED)
		snprintf(buf, size, "no weir-controld on %.256s", path);
	else if (err == -EACCES)
		snprintf(buf, size, "may not open %.256s", path);
	else
		snprintf(buf, size, "weir-controld on %.256s does not answer: %.128s", path,
			strerror(-err));
}

/* The result, or NULL with the reason in error. */
static json_t *ask_for(
	const struct cli *cli, const char *method, json_t *params, char *error, size_t size)
{
	char path[RPC_PATH_SIZE];
	json_t *reply = NULL;
	int err = rpc_ask(cli, method, params, ANSWER_TIMEOUT_MS, path, sizeof(path), &reply);
	json_t *result = err == 0 ? json_incref(json_object_get(reply, "result")) : NULL;
	if (result == NULL)
		explain(err, json_object_get(reply, "error"), path, error, size);
	json_decref(reply);
	return result;
}

static void fetch(const struct cli *cli, const struct top_ask *ask, struct top_answer *ret)
{
	char nobody[512];
	*ret = (struct top_answer){ 0 };
	json_t *params = json_pack("{s:b, s:s?}", "backends", (int)ask->backends, "service",
		ask->of_service[0] != '\0' ? ask->of_service : NULL);
	ret->live = ask_for(cli, "live.show", params, ret->error, sizeof(ret->error));
	if (ret->live == NULL || ask->service[0] == '\0')
		return;
	/* A service or backend that has just been removed has none; the lists show that. */
	params = json_pack("{s:s, s:s?}", "service", ask->service, "backend",
		ask->backend[0] != '\0' ? ask->backend : NULL);
	ret->histogram = ask_for(cli, "histogram.show", params, nobody, sizeof(nobody));
}

static void answer_free(struct top_answer *a)
{
	json_decref(a->live);
	json_decref(a->histogram);
	a->live = a->histogram = NULL;
}

/* Wait for the next turn, with the lock held; false when it is over. */
static bool wait_turn(struct top_poll *p, const struct timespec *last)
{
	while (!p->stop && !p->at_once) {
		if (p->ask.interval_s <= 0) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		struct timespec end = *last;
		double whole = p->ask.interval_s + (double)end.tv_nsec / 1e9;
		end.tv_sec += (time_t)whole;
		end.tv_nsec = (long)((whole - (double)(time_t)whole) * 1e9);
		if (pthread_cond_timedwait(&p->changed, &p->lock, &end) == ETIMEDOUT)
			break;
	}
	p->at_once = false;
	return !p->stop;
}

static void *run(void *arg)
{
	struct top_poll *p = arg;
	struct timespec last = { 0 };
	pthread_mutex_lock(&p->lock);
	while (wait_turn(p, &last)) {
		struct top_ask ask = p->ask;
		struct top_answer answer;
		pthread_mutex_unlock(&p->lock);
		clock_gettime(CLOCK_MONOTONIC, &last);
		fetch(p->cli, &ask, &answer);
		pthread_mutex_lock(&p->lock);
		answer_free(&p->answer);
		p->answer = answer;
		p->answered = true;
		eventfd_write(p->fd, 1);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int top_poll_start(const struct cli *cli, const struct top_ask *ask, struct top_poll **ret_poll)
{
	struct top_poll *p = calloc(1, sizeof(*p));
	pthread_condattr_t attributes;
	if (p == NULL)
		return -ENOMEM;
	p->cli = cli;
	p->ask = *ask;
	p->at_once = true;
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fd < 0) {
		int err = -errno;
		free(p);
		return err;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	int err = pthread_create(&p->thread, NULL, run, p);
	if (err != 0) {
		close(p->fd);
		free(p);
		return -err;
	}
	*ret_poll = p;
	return 0;
}

void top_poll_stop(struct top_poll *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	answer_free(&p->answer);
	close(p->fd);
	free(p);
}

int top_poll_fd(const struct top_poll *p)
{
	return p->fd;
}

bool top_poll_take(struct top_poll *p, struct top_answer *ret_answer)
{
	eventfd_t count;
	pthread_mutex_lock(&p->lock);
	bool answered = p->answered;
	if (answered)
		*ret_answer = p->answer;
	p->answer = (struct top_answer){ 0 };
	p->answered = false;
	(void)eventfd_read(p->fd, &count);
	pthread_mutex_unlock(&p->lock);
	return answered;
}

void top_poll_ask(struct top_poll *p, const struct top_ask *ask, bool at_once)
{
	pthread_mutex_lock(&p->lock);
	p->ask = *ask;
	p->at_once |= at_once;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}
