/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/steering/steering_trust.h"

#include <string.h>

void steering_trial_expect(struct steering_trial *t, bool replies)
{
	t->open[replies] = true;
}

void steering_trial_begin(struct steering_trial *t, const struct arrivals *now)
{
	t->since = *now;
}

static bool direction_look(bool *open, const uint64_t *since, const uint64_t *now)
{
	bool arrived = now[1] > since[1];
	bool failed = *open && !arrived && now[0] >= since[0] + STEERING_PROOF;

	*open = *open && !arrived && !failed;
	return failed;
}

bool steering_trial_look(struct steering_trial *t, const struct arrivals *now, bool ret_failed[2])
{
	ret_failed[0] = direction_look(&t->open[0], t->since.clients, now->clients);
	ret_failed[1] = direction_look(&t->open[1], t->since.replies, now->replies);
	return ret_failed[0] || ret_failed[1];
}

void steering_refute(struct steering_refuted *r, const struct steering_rule *rule)
{
	if (!steering_is_refuted(r, rule))
		r->rule[r->count++ % STEERING_RULES_MAX] = *rule;
}

static bool rules_alike(const struct steering_rule *a, const struct steering_rule *b)
{
	return a->replies == b->replies && a->protocol == b->protocol &&
		a->prefix_length == b->prefix_length &&
		memcmp(a->address, b->address, sizeof(a->address)) == 0 &&
		(a->replies || (a->port == b->port && a->port_mask == b->port_mask));
}

bool steering_is_refuted(const struct steering_refuted *r, const struct steering_rule *rule)
{
	for (uint32_t i = 0; i < r->count && i < STEERING_RULES_MAX; i++)
		if (rules_alike(&r->rule[i], rule))
			return true;
	return false;
}
