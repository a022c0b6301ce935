/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What changed and why: the daemon's one list of events, and those who follow it. Event loop's thread.
 */

#ifndef WEIR_DAEMON_EVENTS_H
#define WEIR_DAEMON_EVENTS_H

#include "control/daemon/events/event_ring.h"

struct event_base;
struct rpc_call;

/*
 * Tell of an event; the one function for all who have one. Never waits, never fails; works before
 * events_start() too. The parameters are those of event_ring_add(); inputs is taken over.
 */
void event_emit(enum event_kind kind, const char *object, const char *text, json_t *inputs);

/* Followers are served from this loop. Returns 0 or -ENOMEM. */
int events_start(struct event_base *base);
/* Forgets everything; who still waits is answered with nothing. */
void events_stop(void);

/*
 * Answer with the events after number `since`; when there are none yet, as soon as there is one, or with
 * an empty list after wait_ms.
 */
void events_answer(struct rpc_call *call, uint64_t since, size_t limit, unsigned int wait_ms);

/* Who is given every event at once, as event_ring_since() has it; NULL: nobody. */
typedef void (*events_tap)(void *ctx, json_t *event);
void events_tap_set(events_tap tap, void *ctx);

/* The last events of a kind about an object, newest first, at most so many: a new reference. */
json_t *events_last(enum event_kind kind, const char *object, size_t most);

/* How many of a kind since the start. */
uint64_t events_count(enum event_kind kind);

#endif
