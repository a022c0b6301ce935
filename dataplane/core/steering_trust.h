/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Does a device do with a service's packets what it was told? Judged by where they arrive, per direction. Pure.
 */

#ifndef WEIR_CORE_STEERING_TRUST_H
#define WEIR_CORE_STEERING_TRUST_H

#include "dataplane/core/fastpath.h"

#include <stdbool.h>
#include <stddef.h>

#define STEERING_PROOF \
	64u /* packets that all have to come to the dispatcher before a rule is given up */

struct steering_trust {
	struct arrivals since; /* what had arrived when judging began */
	bool expected[2]; /* there is a rule: [0] clients, [1] replies */
	bool proved[2]; /* some arrived as they should */
	bool failed[2];
};

/* There is a rule. t is zeroed at first. */
void steering_trust_expect(struct steering_trust *t, bool replies);
/* The rules are set, and what was under way before has arrived. */
void steering_trust_begin(struct steering_trust *t, const struct arrivals *now);
/* Should its rules of this direction be set? */
bool steering_trusts(const struct steering_trust *t, bool replies);
/* True when trust was lost with this look: then ret_text says it. */
bool steering_trust_look(
	struct steering_trust *t, const struct arrivals *now, char *ret_text, size_t text_size);

#endif
