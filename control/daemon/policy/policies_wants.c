/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/policies_wants.h"

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies_copies.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/daemon/rpc/traces.h"
#include "ebpf/kernel/steering_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char policies_coming[] = "it is being put there";

static bool is_detached(const struct snapshot *now, const struct model_service *s, uint64_t id)
{
	const struct snapshot_service *found = snapshot_find_service(now, s->name);

	for (size_t i = 0; found && i < found->entry.policy_count; i++)
		if (found->policies[i].entry.id == id)
			return found->policies[i].entry.state == WEIR_POLICY_DETACHED;
	return false;
}

/* What stands in the way now; NULL: nothing does. */
static const char *objection(struct daemon *d, const struct snapshot *now,
	const struct model_service *s, const struct model_policy *p, struct policy_kept *k)
{
	if (p->mode == MODEL_POLICY_OBSERVE)
		return "it is only observed";
	if (is_detached(now, s, p->id))
		return "it has been detached";
	if (traces_has(d, s->name))
		return "packets of its service are being traced, which only the fast path can";
	/* What runs with them is asked for the arrays, before it may go. */
	if (policies_kernel_arrays(d, k))
		return "its arrays are of an earlier daemon; load it again to have it in the kernel";
	return policies_copies_why(k);
}

static struct judge_want want_of(const struct model_service *s)
{
	struct judge_want want = { .protocol = (uint8_t)s->protocol,
		.port = s->port,
		.prefix_length = (uint8_t)s->prefix_length };

	memcpy(want.address, s->address.bytes, sizeof(want.address));
	return want;
}

/* A service's first policies, as far as they can; one that judges nothing where that is none. */
static size_t service_wants(struct daemon *d, const struct snapshot *now,
	const struct model_service *s, struct judge_want *wants)
{
	struct judge_want want = want_of(s);
	const char *stop = NULL;
	size_t count = 0;

	for (size_t i = 0; i < s->policy_count; i++) {
		const struct model_policy *p = &s->policies[i];
		struct policy_kept *k = p->id ? policies_find(d, p->id) : NULL;
		const char *why = stop;

		if (!k)
			continue;
		stop = "a policy in front of it is not in the kernel";
		if (!k->place)
			continue;
		if (!why)
			why = objection(d, now, s, p, k);
		snprintf(k->kernel_why, sizeof(k->kernel_why), "%s",
			why			? why :
				k->kernel_ports ? "" :
						  policies_coming);
		if (why) {
			k->kernel_ports = 0;
			continue;
		}
		stop = NULL;
		want.before = want.id;
		want.id = k->id;
		want.chain = steering_chain(want.chain, k->id);
		wants[count++] = want;
	}
	if (!count)
		wants[count++] = want;
	return count;
}

int policies_wants_build(
	struct daemon *d, const struct model *m, struct judge_want **ret_wants, size_t *ret_count)
{
	size_t policies = 0, count = 0;

	for (size_t i = 0; i < m->service_count; i++)
		policies += m->services[i].policy_count;
	const struct snapshot *now = policies ? daemon_snapshot(d, 0) : NULL;
	struct judge_want *wants = calloc(m->service_count + policies + 1, sizeof(*wants));

	if (!wants)
		return -ENOMEM;
	for (size_t i = 0; i < m->service_count; i++)
		count += service_wants(d, now, &m->services[i], wants + count);
	*ret_wants = wants;
	*ret_count = count;
	return 0;
}
