/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/steering_trust.h"

#include <stdio.h>

void steering_trust_begin(struct steering_trust *t, const struct arrivals *now)
{
	t->since = *now;
}

void steering_trust_expect(struct steering_trust *t, bool replies)
{
	t->expected[replies] = true;
}

bool steering_trusts(const struct steering_trust *t, bool replies)
{
	return !t->failed[replies];
}

static bool direction_look(
	struct steering_trust *t, bool replies, const uint64_t *since, const uint64_t *now)
{
	if (!t->expected[replies] || t->failed[replies] || t->proved[replies])
		return false;
	if (now[1] > since[1])
		t->proved[replies] = true;
	else if (now[0] >= since[0] + STEERING_PROOF)
		t->failed[replies] = true;
	return t->failed[replies];
}

bool steering_trust_look(
	struct steering_trust *t, const struct arrivals *now, char *ret_text, size_t text_size)
{
	bool clients = direction_look(t, false, t->since.clients, now->clients);
	bool replies = direction_look(t, true, t->since.replies, now->replies);

	if (!clients && !replies)
		return false;
	snprintf(ret_text, text_size,
		"the device was told to send %s to the core of its worker, and %u in a row came to the "
		"dispatcher: they are dispatched from now on, which costs a hand-over and nothing else",
		clients && replies ? "its packets and their replies" :
			clients	   ? "its clients' packets" :
				     "its backends' replies",
		STEERING_PROOF);
	return true;
}
