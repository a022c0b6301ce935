/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Between the loop and the thread that checks: wishes one way, news the other. Each check has a place for one of both,
 * so neither queue grows with time: a newer wish joins the one that waits, newer news take the place of older ones.
 */

#include "control/health/health_check.h"

#include "control/health/check_run.h"

#include <event2/event.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#define NEWS_AT_A_TIME 64 /* then the loop gets on with other things */
#define CHECKS_NICE    (-10)

struct wish {
	bool waits;
	bool begin;
	bool configure;
	bool end; /* the thread frees the check */
	struct model_health settings; /* path owned; with configure */
	uint64_t spread_ns; /* with begin */
};

struct news {
	bool waits;
	enum health_verdict verdict;
	char reason[128];
};

struct health_check {
	struct health_checks *of; /* borrowed */
	/* The loop's. */
	struct model_health settings; /* wished for last; path owned */
	enum health_verdict verdict;
	char reason[128];
	health_changed_cb cb;
	void *ctx;
	/* The thread's, from its first wish on. */
	struct check_run *run; /* owned */
	_Atomic uint64_t passed;
	/* Under the lock. The thread alone writes news, but for `waits`, and may read them without it. */
	TAILQ_ENTRY(health_check) wishing, telling;
	struct wish wish;
	struct news news;
};

TAILQ_HEAD(checks, health_check);

struct health_checks {
	pthread_t thread;
	struct event_base *base; /* owned; the thread's */
	struct event *wished; /* owned; of the thread's base */
	struct event *told; /* owned; of the loop's base */
	int wish_fd, news_fd; /* owned; eventfds */
	pthread_mutex_t lock; /* of what follows */
	struct checks wishing;
	struct checks telling;
	bool stopping;
	bool asked; /* whether the thread is alive; it takes it back */
};

static void wake(int fd)
{
	const uint64_t one = 1;

	/* It counts, and never blocks at one. */
	(void)!write(fd, &one, sizeof(one));
}

/* ---- the thread ---- */

static void run_ended(void *ctx, enum health_verdict verdict, bool good, const char *reason)
{
	struct health_check *c = ctx;
	struct health_checks *of = c->of;

	atomic_fetch_add_explicit(&c->passed, good, memory_order_relaxed);
	if (verdict == c->news.verdict && !strcmp(reason, c->news.reason))
		return;
	pthread_mutex_lock(&of->lock);
	c->news.verdict = verdict;
	snprintf(c->news.reason, sizeof(c->news.reason), "%s", reason);
	bool first = TAILQ_EMPTY(&of->telling);

	if (!c->news.waits && !c->wish.end) {
		c->news.waits = true;
		TAILQ_INSERT_TAIL(&of->telling, c, telling);
	}
	pthread_mutex_unlock(&of->lock);
	if (first)
		wake(of->news_fd);
}

/* The path goes to the caller. */
static struct health_check *wish_take(struct health_checks *of, struct wish *ret_wish)
{
	pthread_mutex_lock(&of->lock);
	struct health_check *c = TAILQ_FIRST(&of->wishing);

	if (c) {
		TAILQ_REMOVE(&of->wishing, c, wishing);
		*ret_wish = c->wish;
		c->wish = (struct wish){ .end = c->wish.end };
	}
	pthread_mutex_unlock(&of->lock);
	return c;
}

static void check_free(struct health_check *c)
{
	check_run_destroy(c->run);
	free(c->settings.path);
	free(c);
}

static void wishes_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct health_checks *of = ctx;
	struct health_check *c;
	struct wish wish;
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	while ((c = wish_take(of, &wish))) {
		if (wish.end) {
			free(wish.settings.path);
			check_free(c);
			continue;
		}
		if (wish.configure)
			check_run_configure(c->run, &wish.settings);
		if (wish.begin)
			check_run_begin(c->run, wish.spread_ns);
	}
	pthread_mutex_lock(&of->lock);
	bool stopping = of->stopping;

	of->asked = false;
	pthread_mutex_unlock(&of->lock);
	if (stopping)
		event_base_loopbreak(of->base);
}

static void *checks_run(void *ctx)
{
	struct health_checks *of = ctx;

	/*
	 * For thousands of checks it needs a third of a CPU, and in time, also where everybody else has much to do, as
	 * when a big configuration comes into force. Where it may not, it goes on as it is.
	 */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), CHECKS_NICE);
	(void)pthread_setname_np(pthread_self(), "checks");
	event_base_dispatch(of->base);
	return NULL;
}

/* ---- the loop ---- */

/* The news of one check; returns NULL when there are none. */
static struct health_check *news_take(struct health_checks *of, enum health_verdict *ret_verdict)
{
	pthread_mutex_lock(&of->lock);
	struct health_check *c = TAILQ_FIRST(&of->telling);

	if (c) {
		TAILQ_REMOVE(&of->telling, c, telling);
		c->news.waits = false;
		*ret_verdict = c->news.verdict;
		memcpy(c->reason, c->news.reason, sizeof(c->reason));
	}
	pthread_mutex_unlock(&of->lock);
	return c;
}

static void news_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct health_checks *of = ctx;
	enum health_verdict verdict;
	struct health_check *c;
	uint64_t count;
	int taken = 0;

	(void)!read(fd, &count, sizeof(count));
	while (taken < NEWS_AT_A_TIME && (c = news_take(of, &verdict))) {
		taken++;
		if (verdict == c->verdict)
			continue;
		c->verdict = verdict;
		/* Last: the callback may destroy the check. */
		c->cb(c->ctx, verdict, c->reason);
	}
	if (taken == NEWS_AT_A_TIME)
		wake(of->news_fd);
}

static int thread_start(struct health_checks *of)
{
	sigset_t all, before;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = -pthread_create(&of->thread, NULL, checks_run, of);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static void checks_free(struct health_checks *of)
{
	if (of->told)
		event_free(of->told);
	if (of->wished)
		event_free(of->wished);
	if (of->base)
		event_base_free(of->base);
	if (of->wish_fd >= 0)
		close(of->wish_fd);
	if (of->news_fd >= 0)
		close(of->news_fd);
	pthread_mutex_destroy(&of->lock);
	free(of);
}

int health_checks_start(struct event_base *loop, struct health_checks **ret_checks)
{
	struct health_checks *of = calloc(1, sizeof(*of));
	int rc = -ENOMEM;

	if (!of)
		return -ENOMEM;
	TAILQ_INIT(&of->wishing);
	TAILQ_INIT(&of->telling);
	pthread_mutex_init(&of->lock, NULL);
	of->wish_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	of->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	of->base = event_base_new();
	if (of->wish_fd < 0 || of->news_fd < 0 || !of->base)
		goto fail;
	of->wished = event_new(of->base, of->wish_fd, EV_READ | EV_PERSIST, wishes_ready, of);
	of->told = event_new(loop, of->news_fd, EV_READ | EV_PERSIST, news_ready, of);
	if (!of->wished || !of->told || event_add(of->wished, NULL) || event_add(of->told, NULL))
		goto fail;
	rc = thread_start(of);
	if (rc)
		goto fail;
	*ret_checks = of;
	return 0;
fail:
	checks_free(of);
	return rc;
}

void health_checks_stop(struct health_checks *of)
{
	if (!of)
		return;
	pthread_mutex_lock(&of->lock);
	of->stopping = true;
	pthread_mutex_unlock(&of->lock);
	wake(of->wish_fd);
	pthread_join(of->thread, NULL);
	checks_free(of);
}

bool health_checks_alive(struct health_checks *of)
{
	pthread_mutex_lock(&of->lock);
	bool alive = !of->asked;

	of->asked = true;
	pthread_mutex_unlock(&of->lock);
	if (alive)
		wake(of->wish_fd);
	return alive;
}

/* Under the lock; returns true when the thread has to be woken for it. */
static bool wish_queue(struct health_check *c)
{
	struct health_checks *of = c->of;
	bool first = TAILQ_EMPTY(&of->wishing);

	if (!c->wish.waits)
		TAILQ_INSERT_TAIL(&of->wishing, c, wishing);
	c->wish.waits = true;
	return first;
}

/* spread_ns: with the first settings, the time in which checks begin; NULL: they go on. */
static int settings_wish(
	struct health_check *c, const struct model_health *settings, const uint64_t *spread_ns)
{
	char *ours = settings->path ? strdup(settings->path) : NULL;
	char *theirs = settings->path ? strdup(settings->path) : NULL;

	if (settings->path && (!ours || !theirs)) {
		free(ours);
		free(theirs);
		return -ENOMEM;
	}
	free(c->settings.path);
	c->settings = *settings;
	c->settings.path = ours;
	pthread_mutex_lock(&c->of->lock);
	free(c->wish.settings.path);
	c->wish.settings = *settings;
	c->wish.settings.path = theirs;
	c->wish.configure = true;
	if (spread_ns) {
		c->wish.begin = true;
		c->wish.spread_ns = *spread_ns;
	}
	bool first = wish_queue(c);

	pthread_mutex_unlock(&c->of->lock);
	if (first)
		wake(c->of->wish_fd);
	return 0;
}

int health_check_create(struct health_checks *of, const struct model_health *settings,
	const struct address *address, uint16_t port, enum health_verdict initial,
	uint64_t spread_ns, health_changed_cb cb, void *ctx, struct health_check **ret_check)
{
	struct health_check *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->of = of;
	c->verdict = c->news.verdict = initial;
	c->cb = cb;
	c->ctx = ctx;
	if (check_run_create(of->base, address, port, initial, run_ended, c, &c->run) ||
		settings_wish(c, settings, &spread_ns)) {
		check_free(c);
		return -ENOMEM;
	}
	*ret_check = c;
	return 0;
}

void health_check_destroy(struct health_check *c)
{
	if (!c)
		return;
	struct health_checks *of = c->of;

	pthread_mutex_lock(&of->lock);
	if (c->news.waits)
		TAILQ_REMOVE(&of->telling, c, telling);
	c->news.waits = false;
	c->wish.end = true;
	bool first = wish_queue(c);

	pthread_mutex_unlock(&of->lock);
	if (first)
		wake(of->wish_fd);
}

static bool settings_equal(const struct model_health *a, const struct model_health *b)
{
	return a->type == b->type && a->interval_ns == b->interval_ns &&
		a->timeout_ns == b->timeout_ns && a->rise == b->rise && a->fall == b->fall &&
		a->proxy_header == b->proxy_header && !a->path == !b->path &&
		(!a->path || !strcmp(a->path, b->path));
}

int health_check_configure(struct health_check *c, const struct model_health *settings)
{
	return settings_equal(&c->settings, settings) ? 0 : settings_wish(c, settings, NULL);
}

enum health_verdict health_check_verdict(const struct health_check *c)
{
	return c->verdict;
}

uint64_t health_check_passed(const struct health_check *c)
{
	return atomic_load_explicit(&c->passed, memory_order_relaxed);
}

const char *health_check_reason(const struct health_check *c)
{
	return c->reason;
}

struct health_figures health_check_figures(void)
{
	return check_run_figures();
}
