/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/health_check.h"

#include "control/health/probe.h"

#include <event2/event.h>
#include <event2/util.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct health_figures figures;

struct health_check {
	struct event_base *base; /* borrowed */
	struct model_health settings; /* path owned */
	struct address address;
	uint16_t port;
	struct health_state state;
	uint64_t passed;
	uint64_t started_ns; /* of the last check */
	uint64_t due_ns; /* when the next one should start */
	bool settled; /* its place in the interval is its own */
	struct event *timer; /* owned; pending between checks */
	struct probe *probe; /* owned; NULL between checks */
	char reason[128];
	health_changed_cb cb;
	void *ctx;
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void timer_start(struct health_check *c, uint64_t due_ns)
{
	uint64_t now = clock_ns();
	uint64_t delay = due_ns > now ? due_ns - now : 0;
	struct timeval wait = { .tv_sec = (time_t)(delay / 1000000000),
		.tv_usec = (suseconds_t)(delay % 1000000000 / 1000) };

	c->due_ns = due_ns;
	evtimer_add(c->timer, &wait);
}

static uint32_t random_bits(void)
{
	uint32_t bits;

	evutil_secure_rng_get_bytes(&bits, sizeof(bits));
	return bits;
}

/* By the second check chance gives each its place in the interval: the first ones are made in a hurry. */
static uint64_t next_due(struct health_check *c)
{
	uint64_t now = clock_ns();

	if (!c->settled) {
		c->settled = true;
		return now + health_random_part(c->settings.interval_ns, random_bits());
	}
	return health_next_due(
		c->due_ns, c->started_ns, c->settings.interval_ns, now, random_bits());
}

static void probe_done(void *ctx, enum probe_result result, const char *reason)
{
	struct health_check *c = ctx;

	c->probe = NULL;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
	timer_start(c, next_due(c));
	if (result == PROBE_NOT_MADE)
		return;
	c->passed += result == PROBE_GOOD;
	/* Last: the callback may destroy the check. */
	if (health_state_take(&c->state, result == PROBE_GOOD, c->settings.rise, c->settings.fall))
		c->cb(c->ctx, c->state.verdict, c->reason);
}

static void check_due(evutil_socket_t fd, short what, void *ctx)
{
	struct health_check *c = ctx;

	c->started_ns = clock_ns();
	uint64_t lateness = c->started_ns > c->due_ns ? c->started_ns - c->due_ns : 0;

	figures.started++;
	figures.late += health_is_late(c->due_ns, c->started_ns, c->settings.interval_ns);
	if (lateness > figures.worst_ns)
		figures.worst_ns = lateness;
	if (probe_start(c->base, &c->settings, &c->address, c->port, probe_done, c, &c->probe))
		timer_start(c, c->started_ns + c->settings.interval_ns);
}

int health_check_create(struct event_base *base, const struct model_health *settings,
	const struct address *address, uint16_t port, enum health_verdict initial,
	uint64_t spread_ns, health_changed_cb cb, void *ctx, struct health_check **ret_check)
{
	struct health_check *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->base = base;
	c->address = *address;
	c->port = port;
	c->state.verdict = initial;
	c->cb = cb;
	c->ctx = ctx;
	c->timer = evtimer_new(base, check_due, c);
	if (!c->timer || health_check_configure(c, settings)) {
		health_check_destroy(c);
		return -ENOMEM;
	}
	event_priority_set(c->timer, PROBE_PRIORITY);
	timer_start(c, clock_ns() + health_random_part(spread_ns, random_bits()));
	*ret_check = c;
	return 0;
}

void health_check_destroy(struct health_check *c)
{
	if (!c)
		return;
	probe_cancel(c->probe);
	if (c->timer)
		event_free(c->timer);
	free(c->settings.path);
	free(c);
}

int health_check_configure(struct health_check *c, const struct model_health *settings)
{
	char *path = settings->path ? strdup(settings->path) : NULL;

	if (settings->path && !path)
		return -ENOMEM;
	bool sooner = settings->interval_ns < c->settings.interval_ns;

	free(c->settings.path);
	c->settings = *settings;
	c->settings.path = path;
	/* A long wait that was right for the old interval is not for the new one. */
	if (sooner && evtimer_pending(c->timer, NULL))
		timer_start(c, clock_ns() + health_random_part(settings->interval_ns, random_bits()));
	return 0;
}

enum health_verdict health_check_verdict(const struct health_check *c)
{
	return c->state.verdict;
}

uint64_t health_check_passed(const struct health_check *c)
{
	return c->passed;
}

const char *health_check_reason(const struct health_check *c)
{
	return c->reason;
}

const struct health_figures *health_check_figures(void)
{
	return &figures;
}
