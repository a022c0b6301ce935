/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How services come and go. Main thread.
 */

#ifndef WEIR_CORE_APPLY_H
#define WEIR_CORE_APPLY_H

#include <stddef.h>
#include <stdint.h>

struct fastpath;
struct generation;
struct service_settings;

/* Services that g has no more go, each now or when no fenced core may be at work for it any more. */
void services_leave(struct fastpath *fp, const struct generation *g);

/* Let go of the cells of removed services of which nothing is queued any more. */
void retired_reap(struct fastpath *fp);

/* Remove every service and the generation, when the cores have stopped and fastpath_drain() is done. */
void apply_nothing(struct fastpath *fp);

/* Drop all that is queued, as shutdown, when the cores have stopped. */
void fastpath_drain(struct fastpath *fp);

/*
 * Exchange the settings of some services: a generation like the one in force but for those.
 *
 * changed  by slot, NULL where nothing changes; emptied on success
 */
int apply_settings(
	struct fastpath *fp, struct service_settings **changed, char *err, size_t err_size);

/* Add how many services have buckets on each core, or get some; or CORE_PLAN_UNFIT. load is [WEIR_MAX_CORES]. */
void services_load(const struct fastpath *fp, uint32_t *load);

/* A generation like the one in force, for what it has of struct fastpath: the move. */
int apply_again(struct fastpath *fp, char *err, size_t err_size);

#endif
