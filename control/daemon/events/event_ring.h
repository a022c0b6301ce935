/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The last events, numbered, in bounded memory: what is older makes room. A reader comes with the number
 * of the last one it has, so nobody's slowness costs anything here; who comes too late is told how many
 * it lost. Pure memory, with the caller's clock.
 */

#ifndef WEIR_DAEMON_EVENT_RING_H
#define WEIR_DAEMON_EVENT_RING_H

#include <jansson.h>

#include <stddef.h>
#include <stdint.h>

/* Name in JSON and metrics, and what it is about; the page docs/operators/json.md repeats them. */
#define EVENT_KINDS(X)                                                                 \
	X(HEALTH, "health", "a backend's checks changed their verdict")                \
	X(BACKEND, "backend", "an operator drained or enabled a backend")              \
	X(POOL, "pool", "backends, a fallback pool or nobody serve a service")         \
	X(LIMIT, "limit", "a limit in force changed")                                  \
	X(WEIGHT, "weight", "a weight in force changed")                               \
	X(CORE, "core", "a service's cores changed")                                   \
	X(POLICY, "policy", "a policy was loaded, changed or taken away")              \
	X(CONFIG, "config", "a configuration was applied, confirmed, undone, refused") \
	X(DATAPLANE, "dataplane", "the data plane started, was adopted, ended")        \
	X(PORT, "port", "a port came up or went down")                                 \
	X(NEXT_HOP, "next_hop", "a next hop was found, moved or lost")                 \
	X(WARNING, "warning", "something an operator should look at")

enum event_kind {
#define X(name, label, help) EVENT_##name,
	EVENT_KINDS(X)
#undef X
	EVENT_KIND_COUNT,
};

#define EVENT_RING_SIZE 4096

struct event_ring {
	json_t *items[EVENT_RING_SIZE]; /* owned; NULL: nothing yet, or no memory for it then */
	uint64_t last; /* number of the newest; they begin with 1 */
	uint64_t counts[EVENT_KIND_COUNT]; /* since the start */
};

const char *event_kind_name(enum event_kind kind);

void event_ring_clear(struct event_ring *r);

/*
 * Keep an event, numbered one higher than the last.
 *
 * time_s  seconds since 1970
 * object  what it happened to, as the command line names it: "web 10.0.0.11:8080"; may be ""
 * text    a short sentence without it: "is down: connection refused"
 * inputs  the figures or facts behind it, an object; taken over; NULL: none
 */
void event_ring_add(struct event_ring *r, double time_s, enum event_kind kind, const char *object,
	const char *text, json_t *inputs);

/*
 * The events after number `since`, oldest first, at most `limit`: a list of {sequence, time, kind, object,
 * text, inputs}. When some of them are no longer there, the first entry has the kind "lost", the number
 * of the last that is gone, and their count in inputs. since 0, or one that has not been given yet (by a
 * daemon before this one): all that is kept, with nothing lost.
 *
 * Returns a new reference; NULL when out of memory.
 */
json_t *event_ring_since(const struct event_ring *r, uint64_t since, size_t limit);

/* The last events of a kind about an object, newest first, at most so many: a new reference. */
json_t *event_ring_last(
	const struct event_ring *r, enum event_kind kind, const char *object, size_t most);

#endif
