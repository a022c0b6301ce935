/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What adaptation reads of the telemetry ten times a second: the counters of services and backends, and
 * of a few services in turn the first-byte histograms and the tables of heavy sources. A snapshot has all
 * of it and much more; reading that much so often would cost more than adaptation may.
 */

#ifndef WEIR_TELEMETRY_READING_H
#define WEIR_TELEMETRY_READING_H

#include "dataplane/api/telemetry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Half of the steps of struct weir_histogram are enough here. */
#define READING_TAIL_SHIFT   1
#define READING_TAIL_BUCKETS ((WEIR_HIST_BUCKETS >> READING_TAIL_SHIFT) + 1)

struct reading_tail {
	uint64_t count;
	uint32_t bucket[READING_TAIL_BUCKETS]; /* they wrap, which differences do not see */
	struct weir_found found;
};

/* Summed over cores, cumulative but for in_flight and its peak. */
struct reading_backend {
	uint32_t slot; /* in the service; with entry.epoch it tells whose counters these are */
	struct weir_backend_entry entry;
	int64_t in_flight;
	int64_t in_flight_peak;
	uint64_t requests;
	uint64_t new_flows;
	uint64_t syn_sent;
	uint64_t resets;
	uint64_t connects; /* SYN-ACKs */
	uint64_t packets_from; /* nat */
	uint64_t answered;
	uint64_t answered_ns; /* sum of first-byte times */
};

struct reading_class {
	char name[WEIR_NAME_SIZE];
	uint64_t configured; /* new flows per second; WEIR_UNLIMITED */
	uint64_t new_flows; /* asked for */
};

struct reading_service {
	uint32_t slot;
	uint16_t epoch;
	bool falls_back; /* none but the fallback pool can get new flows */
	char name[WEIR_NAME_SIZE];
	uint64_t packets; /* from clients */
	uint64_t bytes;
	uint64_t offered;
	uint64_t new_flows;
	uint64_t dropped[WEIR_DROP_COUNT];
	uint64_t worker_mask;
	uint64_t busy_cycles[WEIR_MAX_CORES]; /* by its packets, on each core */
	uint16_t cores_wanted;
	uint16_t cores_short;
	uint32_t directed;
	struct reading_backend *backends; /* only used slots; owned */
	size_t backend_count;
	struct reading_class *classes; /* that its policies put packets into; owned; NULL */
	size_t class_count;
	struct reading_tail *tails; /* one for each backend; owned; NULL: not read this time */
	struct weir_heavy *heavy; /* of each core that has or had buckets; owned; NULL */
	size_t heavy_count;
};

struct reading_core {
	uint64_t busy_cycles;
	uint64_t idle_cycles;
	uint32_t services; /* that have buckets there, or get some */
};

struct reading {
	uint64_t taken_ns; /* CLOCK_MONOTONIC, as given */
	uint64_t start_ns;
	uint64_t heartbeat_ns;
	uint32_t pid;
	struct reading_core core[WEIR_MAX_CORES];
	uint64_t cores_short; /* that all services together lack */
	struct reading_service *services; /* only those that were wanted, in slot order */
	size_t service_count;
};

enum reading_wish {
	READING_NOT = 0,
	READING_COUNTERS = 1u << 0,
	READING_TAILS = 1u << 1, /* with counters */
	READING_HEAVY = 1u << 2, /* with counters */
};

/*
 * Take one.
 *
 * wish    asked for each service in use: a set of enum reading_wish
 * Otherwise as snapshot_take(), also what it returns.
 */
int reading_take(const struct weir_telemetry *t, size_t size, uint64_t now_ns,
	unsigned int (*wish)(void *ctx, const char *service), void *ctx,
	struct reading **ret_reading);
void reading_destroy(struct reading *r); /* NULL is fine */

struct reading_service *reading_find(const struct reading *r, const char *service, size_t guess);

#endif
