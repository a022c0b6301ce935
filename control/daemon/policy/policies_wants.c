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

static int id_compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Its directory changes for moments only, so older ones do as well. */
static void detached_read(struct daemon *d)
{
	const struct weir_client *client = dataplane_client(d->dataplane);
	uint64_t *ids;
	size_t count;

	if (!client ||
		snapshot_detached(weir_client_telemetry(client),
			weir_client_hello(client)->telemetry_size, &ids, &count))
		return;
	free(d->policies.detached);
	d->policies.detached = ids;
	d->policies.detached_count = count;
	qsort(ids, count, sizeof(*ids), id_compare);
}

/* At its service, as no other one has a policy of this id. */
static bool is_detached(const struct daemon *d, uint64_t id)
{
	return d->policies.detached_count &&
		bsearch(&id, d->policies.detached, d->policies.detached_count, sizeof(id),
			id_compare);
}

/* What stands in the way now; NULL: nothing does. */
static const char *objection(struct daemon *d, const struct model_service *s,
	const struct model_policy *p, struct policy_kept *k, struct port_judges *ports)
{
	if (p->mode == MODEL_POLICY_OBSERVE)
		return "it is only observed";
	if (is_detached(d, p->id))
		return "it has been detached";
	if (traces_has(d, s->name))
		return "packets of its service are being traced, which only the fast path can";
	/* What runs with them is asked for the arrays, before it may go. */
	if (policies_kernel_arrays(d, k, ports))
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
static size_t service_wants(struct daemon *d, const struct model_service *s,
	struct port_judges *ports, struct judge_want *wants)
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
			why = objection(d, s, p, k, ports);
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
	struct judge_want *wants = calloc(m->service_count + policies + 1, sizeof(*wants));
	struct port_judges ports = { 0 };

	if (!wants)
		return -ENOMEM;
	if (policies)
		detached_read(d);
	for (size_t i = 0; i < m->service_count; i++)
		count += service_wants(d, &m->services[i], &ports, wants + count);
	port_judges_close(&ports);
	*ret_wants = wants;
	*ret_count = count;
	return 0;
}
