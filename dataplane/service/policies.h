/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The policies of a service and what their verdicts mean, in parts by how long they live:
 *
 * struct policy_seat    one program at one service, with its maps and counters: as long as some
 *                       generation has its id there
 * struct policy_class   a class of LIMIT(n), with its limiters and counters: the same, by its name
 * struct policy_set     one generation's list of both. Immutable, shared by all generations in which it
 *                       is the same
 *
 * The main thread makes and frees all of them; references are counted by it alone. Counters and limiters
 * are the workers'.
 */

#ifndef WEIR_SERVICE_POLICIES_H
#define WEIR_SERVICE_POLICIES_H

#include "dataplane/api/messages.h"
#include "dataplane/table/limiter.h"

#include <rte_common.h>

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

struct fastpath;
struct policy_program;
struct policy_stocked;

struct policy_seat {
	/* workers */
	struct policy_program *program; /* owned */
	bool detached; /* atomic; set by the main thread: judges nothing any more */
	struct weir_policy_cell *cell[WEIR_MAX_CORES]; /* owned memory of the telemetry region */
	/* main thread */
	uint32_t references;
	uint64_t id;
	struct policy_stocked *image; /* held */
	/* of the time that the budget is watched over: sums of all cells when it began */
	bool watched; /* it has begun */
	uint64_t watched_ms; /* when that was */
	uint64_t watched_cycles;
	uint64_t watched_packets;
};

struct policy_class {
	/* workers */
	alignas(RTE_CACHE_LINE_SIZE) struct limiter packets;
	struct limiter bits;
	struct limiter connections;
	struct weir_class_cell *cell[WEIR_MAX_CORES]; /* owned memory of the telemetry region */
	/* main thread */
	uint32_t references;
	char name[WEIR_NAME_SIZE];
};

/* A seat as one generation has it. */
struct policy_place {
	struct policy_seat *seat; /* held */
	bool observe;
	bool drop_on_error;
	bool offload; /* the kernel may have judged already, as those before it */
	uint64_t chain; /* steering_chain() up to here */
	uint32_t budget_cycles; /* 0: no bound */
	char name[WEIR_NAME_SIZE];
};

struct policy_class_limits {
	struct policy_class *class; /* held */
	bool limits_packets;
	bool limits_bits;
	bool limits_connections;
	struct limiter_rate packets;
	struct limiter_rate bits;
	struct limiter_rate connections;
	uint64_t connections_in_force; /* per second: what directives leave */
	struct weir_config_class configured;
};

struct policy_set {
	uint32_t references;
	void (*destroy)(struct policy_set *set);
	struct fastpath *fastpath; /* whose memory its parts are of */
	uint32_t place_count;
	uint32_t class_count;
	struct policy_place place[WEIR_MAX_POLICIES_PER_SERVICE];
	struct policy_class_limits class[]; /* [class_count]; LIMIT(n) is class[n - 1] */
};

struct service_directives;
struct service_settings;

/* What directives leave of the new flows of each class, in a set that no worker has yet. hz: of the workers' clock */
void policy_classes_limit(
	struct policy_set *set, const struct service_directives *directives, uint64_t hz);
/* True when rates in force are no more those that were told: a set has to be made anew. */
bool service_classes_differ(const struct service_settings *s);
/* A set like that of new settings, but as was told. Returns 0 or -ENOMEM; then they are as before. */
int service_classes_follow(struct service_settings *s);

static inline struct policy_set *policy_set_hold(struct policy_set *set)
{
	if (set)
		set->references++;
	return set;
}

static inline void policy_set_release(struct policy_set *set)
{
	if (set && --set->references == 0)
		set->destroy(set);
}

#endif
