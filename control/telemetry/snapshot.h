/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One reading of the data plane's telemetry, summed over cores, with the directory it belongs to. A
 * snapshot is plain memory: it can be kept, compared and freed after the data plane has gone.
 */

#ifndef WEIR_TELEMETRY_SNAPSHOT_H
#define WEIR_TELEMETRY_SNAPSHOT_H

#include "dataplane/api/telemetry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_backend {
	uint32_t slot; /* in the service; with entry.epoch it tells whose counters these are */
	struct weir_backend_entry entry;
	struct weir_backend_cell sum;
};

/* A policy at its place; entry.id tells whose counters these are. */
struct snapshot_policy {
	struct weir_policy_entry entry;
	struct weir_policy_cell sum;
};

struct snapshot_class {
	struct weir_class_entry entry;
	struct weir_class_cell sum;
};

struct snapshot_service {
	uint32_t slot; /* in the directory; with entry.epoch it tells whose counters these are */
	struct weir_service_entry entry;
	struct weir_service_cell sum;
	uint64_t busy_cycles[WEIR_MAX_CORES]; /* of the sum's, by core */
	struct snapshot_backend *backends; /* only used slots, ascending; owned */
	size_t backend_count;
	struct snapshot_policy *policies; /* entry.policy_count, in their order; owned */
	struct snapshot_class *classes; /* entry.class_count; owned */
	bool falls_back; /* none but the fallback pool can get new flows */
};

struct snapshot_port {
	struct weir_port_entry entry;
	struct weir_port_cell sum;
};

struct snapshot_core {
	struct weir_core_entry entry;
	struct weir_core_cell cell;
};

struct snapshot {
	uint64_t taken_ns; /* CLOCK_MONOTONIC, as given */
	uint64_t start_ns;
	uint64_t start_time_ns;
	uint64_t heartbeat_ns;
	uint64_t tsc_hz;
	uint64_t generation;
	uint64_t config_digest;
	uint32_t pid;
	uint32_t flags;
	struct weir_node_memory node[WEIR_MAX_NODES];
	size_t node_count;
	uint8_t node_distance[WEIR_MAX_NODES][WEIR_MAX_NODES];
	uint64_t memory_budget;
	uint64_t memory_used;
	uint32_t placement_areas;
	uint32_t placement_elsewhere;
	struct snapshot_core *cores;
	size_t core_count;
	struct snapshot_port *ports; /* only used ones */
	size_t port_count;
	struct snapshot_service *services; /* only used ones, in slot order */
	size_t service_count;
	struct snapshot_policy *outside_policies; /* for packets that are no service's */
	size_t outside_policy_count;
};

/*
 * Take one. The region is not trusted: offsets and counts are checked against its size, and the size
 * that it claims against that of the mapping (the data plane can write it at any time).
 *
 * size    bytes mapped at t: weir_client_hello(c)->telemetry_size
 * now_ns  CLOCK_MONOTONIC, becomes taken_ns
 *
 * Any thread. Allocates; sleeps for some milliseconds at most while the directory changes.
 * Returns 0, -EAGAIN (the directory kept changing), -EPROTO (it contradicts itself) or -ENOMEM.
 */
int snapshot_take(const struct weir_telemetry *t, size_t size, uint64_t now_ns,
	struct snapshot **ret_snapshot);
void snapshot_destroy(struct snapshot *s); /* NULL is fine */

/*
 * Nothing but the ids of services' policies that the data plane has detached, as a list that is the caller's to free(): a
 * snapshot has it too, but of a thousand services that takes long. Returns as snapshot_take().
 */
int snapshot_detached(
	const struct weir_telemetry *t, size_t size, uint64_t **ret_ids, size_t *ret_count);

const struct snapshot_service *snapshot_find_service(const struct snapshot *s, const char *name);
const struct snapshot_backend *snapshot_find_backend(
	const struct snapshot_service *s, const uint8_t address[16], uint16_t port);

/* True when both snapshots are of the same run of the data plane, so that counters only went up. */
bool snapshot_same_run(const struct snapshot *now, const struct snapshot *before);

/*
 * The same service or backend in an older snapshot; NULL when its slot has had another owner since. Found by
 * slot, in logarithmic time: thousands are asked for in a row.
 */
const struct snapshot_service *snapshot_before_service(const struct snapshot *now,
	const struct snapshot *before, const struct snapshot_service *s);
const struct snapshot_backend *snapshot_before_backend(
	const struct snapshot_service *before, const struct snapshot_backend *b);

/*
 * The weight by which a backend gets new flows, in units of the configured one; 0: it gets none. Both
 * NULL: 0.
 */
double snapshot_weight_in_force(const struct snapshot_service *s, const struct snapshot_backend *b);

#endif
