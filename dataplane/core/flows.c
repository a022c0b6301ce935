/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Flows for people to look at, read beside the workers without stopping them. Main thread.
 */

#include "dataplane/core/core.h"
#include "dataplane/stage/flow/flow_stage.h"
#include "dataplane/table/service_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint32_t clock_ms(const struct fastpath *fp)
{
	const struct stage_core *c = &fp->core[0]->stage;

	return (uint32_t)(stage_ns(c, stage_clock(c)) / 1000000);
}

static void record_fill(const struct fastpath *fp, const struct service *s,
	const struct flow_view *view, struct weir_flow_record *r)
{
	int32_t idle = (int32_t)(clock_ms(fp) - view->last_seen_ms);

	memset(r, 0, sizeof(*r));
	memcpy(r->service, s->identity.name, sizeof(r->service));
	memcpy(r->client_address, view->client_address, 16);
	memcpy(r->service_address, view->service_address, 16);
	memcpy(r->source_address, view->source_address, 16);
	memcpy(r->backend_address, view->backend_address, 16);
	r->client_port = view->client_port;
	r->service_port = view->service_port;
	r->source_port = view->source_port;
	r->backend_port = view->backend_port;
	r->protocol = s->identity.protocol;
	r->state = flow_public_state(view->state);
	r->bucket = view->bucket;
	r->has_backend = 1;
	r->idle_ms = idle > 0 ? (uint32_t)idle : 0;
}

int fastpath_flow_list(struct fastpath *fp, const struct weir_flow_query *query,
	struct weir_flow_record *ret_records, uint32_t *ret_count, char *err, size_t err_size)
{
	const struct service *s = fastpath_service(fp, query->service);
	uint32_t count = 0;

	if (!s) {
		snprintf(err, err_size, "there is no service %s", query->service);
		return -ENOENT;
	}
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		const struct flow_partition *part = s->part[i];
		uint32_t extent = flow_partition_extent(part);

		for (uint32_t record = 0; record < extent && count < query->limit; record++) {
			struct flow_view view;

			if (flow_read(part, record, &view))
				record_fill(fp, s, &view, &ret_records[count++]);
		}
	}
	*ret_count = count;
	return 0;
}

/* A tuple as it lies in a packet, so that it is hashed and found as one. */
struct tuple {
	uint8_t addrs[32];
	uint32_t ports;
	uint64_t hash;
	bool ipv6;
};

static void tuple_make(
	const struct fastpath *fp, const struct weir_flow_query *query, struct tuple *t)
{
	union {
		uint16_t half[2];
		uint32_t both;
	} ports = { .half = { htons(query->client_port), htons(query->service_port) } };
	uint64_t addrs;

	t->ports = ports.both;
	t->ipv6 = !weir_address_is_v4(query->service_address);
	if (t->ipv6) {
		memcpy(t->addrs, query->client_address, 16);
		memcpy(t->addrs + 16, query->service_address, 16);
		t->hash = hash_tuple6(&fp->seed, t->addrs, t->ports, query->protocol);
		return;
	}
	memcpy(t->addrs, query->client_address + 12, 4);
	memcpy(t->addrs + 4, query->service_address + 12, 4);
	memcpy(&addrs, t->addrs, sizeof(addrs));
	t->hash = hash_tuple4(&fp->seed, addrs, t->ports, query->protocol);
}

static uint16_t service_of(
	const struct generation *g, const struct weir_flow_query *query, const struct tuple *t)
{
	uint32_t dst;

	if (t->ipv6)
		return service_table_find6(
			g->table, t->addrs + 16, query->protocol, htons(query->service_port));
	memcpy(&dst, t->addrs + 4, sizeof(dst));
	return service_table_find4(g->table, dst, query->protocol, htons(query->service_port));
}

/* What a new flow would get: the backend that its source or hashing chooses now. */
static void record_foretell(const struct fastpath *fp, const struct service_settings *s,
	const struct weir_flow_query *query, const struct tuple *t, struct weir_flow_record *r)
{
	const struct stage_core *c = &fp->core[0]->stage;
	memset(r, 0, sizeof(*r));
	memcpy(r->service, s->service->identity.name, sizeof(r->service));
	memcpy(r->client_address, query->client_address, 16);
	memcpy(r->service_address, query->service_address, 16);
	r->client_port = query->client_port;
	r->service_port = query->service_port;
	r->protocol = query->protocol;
	r->state = WEIR_FLOW_NONE;
	r->bucket = hash_bucket(t->hash);
	if (s->maglev) {
		const struct service_backend *b = &s->backend[service_choose(
			s, t->hash, t->addrs, stage_ns(c, stage_clock(c)), false)];

		r->has_backend = 1;
		memcpy(r->backend_address, b->address, 16);
		r->backend_port = b->port_be ? ntohs(b->port_be) : query->service_port;
	}
}

int fastpath_flow_find(struct fastpath *fp, const struct weir_flow_query *query,
	struct weir_flow_record *ret_record, char *err, size_t err_size)
{
	const struct generation *g = fp->generation;
	struct flow_view view;
	struct tuple t;
	uint16_t slot;

	if (weir_address_is_v4(query->client_address) !=
		weir_address_is_v4(query->service_address)) {
		snprintf(err, err_size, "client and service are of different address families");
		return -EINVAL;
	}
	tuple_make(fp, query, &t);
	slot = g ? service_of(g, query, &t) : SERVICE_NONE;
	if (slot == SERVICE_NONE) {
		snprintf(err, err_size, "no service has this address, port and protocol");
		return -ENOENT;
	}
	if (query->service[0] && strcmp(query->service, g->service[slot]->identity.name) != 0) {
		snprintf(err, err_size, "the address and port belong to service %s, not %s",
			g->service[slot]->identity.name, query->service);
		return -EINVAL;
	}
	if (flow_peek(g->service[slot]->part[hash_bucket(t.hash)], t.hash, t.addrs, t.ports, &view))
		record_fill(fp, g->service[slot], &view, ret_record);
	else
		record_foretell(fp, g->settings[slot], query, &t, ret_record);
	return 0;
}
