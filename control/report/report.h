/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Snapshots as the JSON documents of the interface. The daemon answers with them, replay prints them;
 * tables are made from the same documents. Pure functions: any thread, they allocate and never sleep.
 *
 * The model says what is listed and in which order; now fills in the figures, and may be NULL or not
 * know a service or backend yet: then its counters are 0, percentiles null and backends down.
 *
 * base, where given, is an older snapshot: percentiles are of what came since it, and where nothing
 * came, or base is NULL, of all since the start; null when there is nothing at all. Counters are always
 * since the start. Every function returns a new reference, or NULL when out of memory.
 */

#ifndef WEIR_REPORT_REPORT_H
#define WEIR_REPORT_REPORT_H

#include "control/config/model.h"
#include "control/telemetry/snapshot.h"

#include <jansson.h>

/* What a service has of the budget of tables, in bytes by table. */
json_t *report_service_memory(const struct snapshot_service *s);
json_t *report_service_list(
	const struct model *m, const struct snapshot *now, const struct snapshot *base);
/* The entry of the list plus limits in force, backends and rates since base. */
json_t *report_service(const struct model *m, const struct model_service *s,
	const struct snapshot *now, const struct snapshot *base);
/* service NULL: of all. `state` of backends without traffic still comes from the telemetry. */
json_t *report_backend_list(const struct model *m, const struct model_service *service,
	const struct snapshot *now, const struct snapshot *base);
/*
 * Drained or down backends have weight_in_force 0; those of a fallback pool while it is not used.
 *
 * Ports as the data plane has opened them; those of the model that it has not are link false and
 * driver null. Cores: busy share and cycles since base.
 */
json_t *report_port_list(
	const struct model *m, const struct snapshot *now, const struct snapshot *base);
json_t *report_core_list(
	const struct model *m, const struct snapshot *now, const struct snapshot *base);
/* The core of that number as in the list; NULL: there is none. */
json_t *report_core(const struct snapshot *now, const struct snapshot *base, uint32_t cpu);
/* {time, length, during, packets}: seconds since 1970, seconds, asleep|polling|packets, its round's. */
json_t *report_gap(const struct snapshot *s, const struct weir_gap *gap);
/* The longest of the last minute that ended after after_ns (CLOCK_MONOTONIC); NULL: none. In gaps. */
const struct weir_gap *report_gap_longest(
	const struct snapshot *s, const struct weir_core_gaps *gaps, uint64_t after_ns);
/* configured: those of the file, where others are in force by now. */
json_t *report_limits(const struct model_service *s, const struct model_limits *configured);
/*
 * A policy at its place (position, from 0) of a service, or of none (s: NULL, `service` is "-"). `cycles` are
 * those a packet since base; `state` is "waiting" while the data plane does not have it.
 */
json_t *report_policy(const struct model_service *s, const struct model_policy *p, size_t position,
	const struct snapshot *now, const struct snapshot *base);
/* All of a service's; and what its classes have let through and dropped (s may be NULL). */
json_t *report_policies(
	const struct model_service *s, const struct snapshot *now, const struct snapshot *base);
json_t *report_classes(const struct model_service *s, const struct snapshot *now);
/* Labels. */
const char *report_policy_action(unsigned int action);
const char *report_policy_state(const struct weir_policy_entry *e);
const char *report_policy_reason(unsigned int reason, char buf[8]);
uint64_t report_policy_judged(const struct weir_policy_cell *c);
/*
 * {service, backend, residence, connect, first_byte}, each {recent, total} of {count, mean, p50, p90, p99,
 * p999, p9999, buckets}, recent since base. buckets has [seconds, count] of those that are not empty, in order.
 *
 * backend  one of the service's; NULL: connect and first_byte are of all its backends together
 */
json_t *report_histograms(const struct model_service *s, const struct model_backend *backend,
	const struct snapshot *now, const struct snapshot *base);
json_t *report_dropped(
	const uint64_t dropped[WEIR_DROP_COUNT]); /* {reason: count}, non-zero only */
/*
 * {received, transmitted, passed_to_kernel, originated, dropped, services}; transmitted is without
 * the originated ones, so received = transmitted + passed_to_kernel + sum(dropped).
 */
json_t *report_replay(const struct model *m, const struct snapshot *now);

#endif
