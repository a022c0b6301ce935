/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/events/events.h"

#include "control/daemon/clock.h"
#include "control/daemon/rpc/rpc_server.h"

#include <event2/event.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

/* A follower whose question has no answer yet. It holds nothing but its place in the list. */
struct follower {
	TAILQ_ENTRY(follower) link;
	struct rpc_call *call;
	uint64_t since;
	size_t limit;
	struct event *patience; /* owned */
};

static struct event_ring ring;
static struct event_base *loop; /* borrowed; NULL before the start */
static struct event *news; /* owned */
static events_tap tap_cb;
static void *tap_ctx;
static TAILQ_HEAD(, follower) followers = TAILQ_HEAD_INITIALIZER(followers);

static void follower_answer(struct follower *f)
{
	TAILQ_REMOVE(&followers, f, link);
	rpc_call_result(f->call, event_ring_since(&ring, f->since, f->limit));
	event_free(f->patience);
	free(f);
}

static void patience_ends(evutil_socket_t fd, short what, void *ctx)
{
	follower_answer(ctx);
}

/* From the next turn of the loop, so that events that come together go out together. */
static void followers_serve(evutil_socket_t fd, short what, void *ctx)
{
	struct follower *f, *next;

	for (f = TAILQ_FIRST(&followers); f; f = next) {
		next = TAILQ_NEXT(f, link);
		if (f->since != ring.last)
			follower_answer(f);
	}
}

void event_emit(enum event_kind kind, const char *object, const char *text, json_t *inputs)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	event_ring_add(
		&ring, (double)now.tv_sec + (double)now.tv_nsec / 1e9, kind, object, text, inputs);
	if (tap_cb && ring.items[ring.last % EVENT_RING_SIZE])
		tap_cb(tap_ctx, ring.items[ring.last % EVENT_RING_SIZE]);
	if (!TAILQ_EMPTY(&followers))
		event_active(news, EV_TIMEOUT, 0);
}

void events_tap_set(events_tap tap, void *ctx)
{
	tap_cb = tap;
	tap_ctx = ctx;
}

int events_start(struct event_base *base)
{
	news = event_new(base, -1, 0, followers_serve, NULL);
	loop = base;
	return news ? 0 : -ENOMEM;
}

void events_stop(void)
{
	struct follower *f;

	event_ring_clear(&ring);
	while ((f = TAILQ_FIRST(&followers)))
		follower_answer(f);
	if (news)
		event_free(news);
	news = NULL;
	loop = NULL;
}

static struct follower *follower_add(
	struct rpc_call *call, uint64_t since, size_t limit, unsigned int wait_ms)
{
	struct timeval wait = clock_timeval_ms(wait_ms);
	struct follower *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->call = call;
	f->since = since;
	f->limit = limit;
	f->patience = evtimer_new(loop, patience_ends, f);
	if (!f->patience || evtimer_add(f->patience, &wait)) {
		if (f->patience)
			event_free(f->patience);
		free(f);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&followers, f, link);
	return f;
}

void events_answer(struct rpc_call *call, uint64_t since, size_t limit, unsigned int wait_ms)
{
	/* A number from a daemon before this one says nothing: begin with what is here. */
	if (since > ring.last)
		since = 0;
	if (since != ring.last || !wait_ms || !loop || !follower_add(call, since, limit, wait_ms))
		rpc_call_result(call, event_ring_since(&ring, since, limit));
}

json_t *events_last(enum event_kind kind, const char *object, size_t most)
{
	return event_ring_last(&ring, kind, object, most);
}

uint64_t events_count(enum event_kind kind)
{
	return ring.counts[kind];
}
