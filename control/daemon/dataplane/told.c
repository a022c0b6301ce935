/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/told.h"

#include "dataplane/api/validate.h"

#include <stdlib.h>
#include <string.h>

#define STATE_UNKNOWN	 WEIR_BACKEND_UNUSED
#define RESOLVED_UNKNOWN 2

/* The arrays behind a header, writable. */
static void told_point(struct told *t)
{
	char *at = t->body;

	t->header = t->body;
	at += sizeof(*t->header);
	t->ports = (void *)at;
	at += t->header->port_count * sizeof(*t->ports);
	t->services = (void *)at;
	at += t->header->service_count * sizeof(*t->services);
	t->backends = (void *)at;
	at += t->header->backend_count * sizeof(*t->backends);
	t->sources = (void *)at;
	at += t->header->source_count * sizeof(*t->sources);
	t->neighbours = (void *)at;
}

void told_set(struct told *t, void *body, size_t length)
{
	told_clear(t);
	t->body = body;
	t->length = length;
	told_point(t);
}

void told_clear(struct told *t)
{
	free(t->body);
	memset(t, 0, sizeof(*t));
}

void told_forget_states(struct told *t)
{
	for (uint32_t i = 0; i < t->header->backend_count; i++)
		t->backends[i].state = STATE_UNKNOWN;
	for (uint32_t i = 0; i < t->header->neighbour_count; i++)
		t->neighbours[i].resolved = RESOLVED_UNKNOWN;
}

/* FNV-1a, 64 bits (draft-eastlake-fnv): spread is all that is wanted here. */
static uint64_t hash_add(uint64_t h, const void *data, size_t length)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < length; i++)
		h = (h ^ at[i]) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t told_digest(const void *body, size_t length)
{
	struct weir_config_view v;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	weir_config_view(body, &v);
	struct weir_config header = *v.header;

	header.digest = 0;
	h = hash_add(h, &header, sizeof(header));
	h = hash_add(h, v.ports, header.port_count * sizeof(*v.ports));
	h = hash_add(h, v.services, header.service_count * sizeof(*v.services));
	h = hash_add(h, v.sources, header.source_count * sizeof(*v.sources));
	for (uint32_t i = 0; i < header.backend_count; i++) {
		struct weir_config_backend b = v.backends[i];

		b.state = 0;
		h = hash_add(h, &b, sizeof(b));
	}
	for (uint32_t i = 0; i < header.neighbour_count; i++) {
		struct weir_config_neighbour n = v.neighbours[i];

		memset(n.mac, 0, sizeof(n.mac));
		n.resolved = 0;
		h = hash_add(h, &n, sizeof(n));
	}
	h = hash_add(h, v.hop_groups, header.hop_group_count * sizeof(*v.hop_groups));
	h = hash_add(h, v.policies, header.policy_count * sizeof(*v.policies));
	h = hash_add(h, v.classes, header.class_count * sizeof(*v.classes));
	return h ? h : 1;
}
