/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/check_run.h"

#include "control/health/probe.h"

#include <event2/event.h>
#include <event2/util.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static struct {
	_Atomic uint64_t started;
	_Atomic uint64_t late;
	_Atomic uint64_t worst_ns;
} figures;

struct check_run {
	struct event_base *base; /* borrowed */
	struct model_health settings; /* path owned */
	struct address address;
	uint16_t port;
	struct health_state state;
	uint64_t started_ns; /* of the last check */
	uint64_t due_ns; /* when the next one should start */
	uint64_t random; /* never 0 */
	bool settled; /* its place in the interval is its own */
	struct event *timer; /* owned; pending between checks */
	struct probe *probe; /* owned; NULL between checks */
	check_run_cb cb;
	void *ctx;
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void timer_start(struct check_run *r, uint64_t due_ns)
{
	uint64_t now = clock_ns();
	uint64_t delay = due_ns > now ? due_ns - now : 0;
	struct timeval wait = { .tv_sec = (time_t)(delay / 1000000000),
		.tv_usec = (suseconds_t)(delay % 1000000000 / 1000) };

	r->due_ns = due_ns;
	evtimer_add(r->timer, &wait);
}

/* Places in an interval, not secrets: asking the kernel would cost two calls for each check. */
static uint32_t random_bits(struct check_run *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (uint32_t)(r->random >> 32);
}

/* By the second check chance gives each its place in the interval: the first ones are made in a hurry. */
static uint64_t next_due(struct check_run *r)
{
	uint64_t now = clock_ns();

	if (!r->settled) {
		r->settled = true;
		return now + health_random_part(r->settings.interval_ns, random_bits(r));
	}
	return health_next_due(
		r->due_ns, r->started_ns, r->settings.interval_ns, now, random_bits(r));
}

static void probe_done(void *ctx, enum probe_result result, const char *reason)
{
	struct check_run *r = ctx;
	bool good = result == PROBE_GOOD;

	r->probe = NULL;
	timer_start(r, next_due(r));
	if (result != PROBE_NOT_MADE)
		health_state_take(&r->state, good, r->settings.rise, r->settings.fall);
	r->cb(r->ctx, r->state.verdict, good, reason);
}

/* One thread writes. */
static void add(_Atomic uint64_t *figure, uint64_t more)
{
	atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more,
		memory_order_relaxed);
}

static void check_due(evutil_socket_t fd, short what, void *ctx)
{
	struct check_run *r = ctx;

	r->started_ns = clock_ns();
	uint64_t lateness = r->started_ns > r->due_ns ? r->started_ns - r->due_ns : 0;

	add(&figures.started, 1);
	add(&figures.late, health_is_late(r->due_ns, r->started_ns, r->settings.interval_ns));
	if (lateness > atomic_load_explicit(&figures.worst_ns, memory_order_relaxed))
		atomic_store_explicit(&figures.worst_ns, lateness, memory_order_relaxed);
	if (probe_start(r->base, &r->settings, &r->address, r->port, probe_done, r, &r->probe))
		timer_start(r, r->started_ns + r->settings.interval_ns);
}

int check_run_create(struct event_base *base, const struct address *address, uint16_t port,
	enum health_verdict initial, check_run_cb cb, void *ctx, struct check_run **ret_run)
{
	struct check_run *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->base = base;
	r->address = *address;
	r->port = port;
	r->state.verdict = initial;
	r->cb = cb;
	r->ctx = ctx;
	evutil_secure_rng_get_bytes(&r->random, sizeof(r->random));
	r->random |= 1;
	r->timer = evtimer_new(base, check_due, r);
	if (!r->timer) {
		free(r);
		return -ENOMEM;
	}
	*ret_run = r;
	return 0;
}

void check_run_destroy(struct check_run *r)
{
	if (!r)
		return;
	probe_cancel(r->probe);
	event_free(r->timer);
	free(r->settings.path);
	free(r);
}

void check_run_configure(struct check_run *r, const struct model_health *settings)
{
	bool sooner = settings->interval_ns < r->settings.interval_ns;

	free(r->settings.path);
	r->settings = *settings;
	/* A long wait that was right for the old interval is not for the new one. */
	if (sooner && evtimer_pending(r->timer, NULL))
		timer_start(
			r, clock_ns() + health_random_part(settings->interval_ns, random_bits(r)));
}

void check_run_begin(struct check_run *r, uint64_t spread_ns)
{
	timer_start(r, clock_ns() + health_random_part(spread_ns, random_bits(r)));
}

struct health_figures check_run_figures(void)
{
	return (struct health_figures){
		.started = atomic_load_explicit(&figures.started, memory_order_relaxed),
		.late = atomic_load_explicit(&figures.late, memory_order_relaxed),
		.worst_ns = atomic_load_explicit(&figures.worst_ns, memory_order_relaxed),
	};
}
