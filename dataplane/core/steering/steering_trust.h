/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Does a device do with services' packets what it was told? Judged by where they arrive, for each service and
 * direction. What was found out is remembered as long as the device is open. Pure; main thread.
 */

#ifndef WEIR_CORE_STEERING_TRUST_H
#define WEIR_CORE_STEERING_TRUST_H

#include "dataplane/core/fastpath.h"
#include "dataplane/port/steering.h"

#include <stdbool.h>
#include <stddef.h>

#define STEERING_PROOF \
	64u /* packets that all have to come to the dispatcher before a rule is given up */

/* Of one service at one device, since its rules were set. Zeroed: nothing is judged. */
struct steering_trial {
	struct arrivals since; /* what had arrived when it began */
	bool open[2]; /* rules are set, and nothing is known yet: [0] clients, [1] replies */
};

/* The rules of this direction are set, all that there have to be. */
void steering_trial_expect(struct steering_trial *t, bool replies);
/* What was under way before the rules has arrived. */
void steering_trial_begin(struct steering_trial *t, const struct arrivals *now);
/* True when trust was lost with this look: then ret_failed says in which direction. */
bool steering_trial_look(struct steering_trial *t, const struct arrivals *now, bool ret_failed[2]);

/* Rules that one device takes and does not follow. Zeroed: none. */
struct steering_refuted {
	uint32_t count; /* goes on counting; the oldest make room */
	struct steering_rule rule[STEERING_RULES_MAX];
};

void steering_refute(struct steering_refuted *r, const struct steering_rule *rule);
/*
 * Would it be the same again? Of clients' rules that is the same address, protocol and port; of replies' the same
 * address and protocol, as ranges of ports change with every service that comes or goes.
 */
bool steering_is_refuted(const struct steering_refuted *r, const struct steering_rule *rule);

#endif
