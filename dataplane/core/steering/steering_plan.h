/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which rules a device should have so that packets arrive at the core that works for them. Pure; main thread.
 *
 * A service with one worker: its address, protocol and port, and in nat its source addresses, or its ports on them where
 * other cores' services have some of the same address. A service with several: only Weir's hash knows on which of them a
 * client's flow is, so those packets are dispatched; a reply's port names its bucket by the low bits, so
 * replies go to the right one where the workers are a power of two. A service whose buckets were moved has none.
 */

#ifndef WEIR_CORE_STEERING_PLAN_H
#define WEIR_CORE_STEERING_PLAN_H

#include "dataplane/api/validate.h"
#include "dataplane/port/steering.h"

#include <stddef.h>
#include <stdint.h>

/* Ranges of ports that one source address of one service is asked for, at most. */
#define STEERING_RANGES_MAX 32u

/* Rules for replies beyond what fits: those replies are dispatched. */
struct steering_left {
	uint32_t rules; /* left out */
	uint32_t of; /* so many that would help */
	uint32_t services; /* that have some of them */
};

struct steering_workers {
	bool moved; /* buckets were moved by hand or by load: no rule can follow */
	uint8_t count;
	uint8_t core[WEIR_MAX_CORES]; /* by number of the worker: bucket b is worker b % count's */
};

/*
 * workers    of each service of the configuration, by its order
 * ret_rules  [STEERING_RULES_MAX]; those of clients come first
 * ret_left   how many rules for replies there are not, for want of room
 * ret_why    which services' clients have no rule, and why, and how many replies'; "" when all have theirs
 *
 * Returns how many rules there are.
 */
uint32_t steering_plan(const struct weir_config_view *view, const struct steering_workers *workers,
	struct steering_rule *ret_rules, struct steering_left *ret_left, char *ret_why,
	size_t why_size);

#endif
