/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/plan/plan.h"

#include "control/plan/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Next hops in the order in which they were first needed. */
struct hops {
	struct weir_config_neighbour *items;
	size_t count;
	uint32_t *slots; /* open addressing: index + 1, or 0 */
	size_t mask;
};

struct planner {
	const struct model *m;
	const struct plan_world *world;
	const struct plan_ports *ports;
	struct hops hops;
	struct hops known; /* the model's static neighbours */
};

static int hops_init(struct hops *h, size_t most)
{
	size_t size = 16;
	while (size < 2 * most)
		size *= 2;
	h->items = calloc(most + 1, sizeof(*h->items));
	h->slots = calloc(size, sizeof(*h->slots));
	h->mask = size - 1;
	return h->items != NULL && h->slots != NULL ? 0 : -ENOMEM;
}

static void hops_fini(struct hops *h)
{
	free(h->items);
	free(h->slots);
}

/* The slot of an address on a port; port -1 is any: the first that was added. */
static uint32_t *hops_slot(const struct hops *h, const uint8_t *address, int port)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < 16; i++)
		hash = (hash ^ address[i]) * UINT64_C(0x100000001b3);
	size_t at = (size_t)(hash ^ hash >> 32) & h->mask;
	for (; h->slots[at] != 0; at = (at + 1) & h->mask) {
		const struct weir_config_neighbour *n = &h->items[h->slots[at] - 1];
		if (memcmp(n->address, address, 16) == 0 && (port < 0 || n->port == port))
			break;
	}
	return &h->slots[at];
}

static uint32_t hops_add(struct hops *h, const struct weir_config_neighbour *n)
{
	uint32_t *slot = hops_slot(h, n->address, n->port);
	if (*slot == 0) {
		h->items[h->count++] = *n;
		*slot = (uint32_t)h->count;
	}
	return *slot - 1;
}

static const struct weir_config_neighbour *hops_find(
	const struct hops *h, const uint8_t *address, int port)
{
	uint32_t index = *hops_slot(h, address, port);
	return index ? &h->items[index - 1] : NULL;
}

/* The next hop towards a backend: what the file says, else what the world says. */
static uint32_t plan_hop(struct planner *p, const struct address *to)
{
	const struct plan_world *w = p->world;
	struct weir_config_neighbour n = { 0 };
	const struct weir_config_neighbour *known = hops_find(&p->known, to->bytes, -1);
	if (known != NULL)
		return hops_add(&p->hops, known);
	struct address via;
	size_t port;
	if (w == NULL || w->next_hop == NULL || !w->next_hop(w->ctx, to, &via, &port) ||
		port >= p->m->port_count)
		return WEIR_NO_NEIGHBOUR;
	known = hops_find(&p->known, via.bytes, (int)port);
	if (known != NULL)
		return hops_add(&p->hops, known);
	memcpy(n.address, via.bytes, sizeof(n.address));
	n.port = (uint8_t)port;
	n.resolved = w->link_address != NULL && w->link_address(w->ctx, &via, port, n.mac);
	if (!n.resolved)
		memset(n.mac, 0, sizeof(n.mac));
	return hops_add(&p->hops, &n);
}

static void plan_service(const struct model_service *s, struct weir_config_service *to)
{
	*to = (struct weir_config_service){
		.prefix_length = s->prefix_length,
		.protocol = (uint8_t)s->protocol,
		.mode = s->mode == MODEL_NAT ? WEIR_MODE_NAT : WEIR_MODE_DSR,
		.port = s->port,
		.cores = s->cores,
		.limit_packets = s->limits.packets,
		.limit_bits = s->limits.bits,
		.limit_connections = s->limits.connections,
		.burst_ns = s->limits.burst_ns,
		.backend_count = (uint32_t)model_backend_total(s),
		.source_count = s->mode == MODEL_NAT ? (uint32_t)s->source_count : 0,
	};
	if (s->affinity.type == MODEL_AFFINITY_SOURCE) {
		to->affinity_places = s->affinity.places;
		to->affinity_prefix =
			(uint8_t)(s->ipv6 ? s->affinity.prefix6 : s->affinity.prefix4);
		to->affinity_timeout_ns = s->affinity.timeout_ns;
	}
	memcpy(to->name, s->name, sizeof(to->name));
	memcpy(to->address, s->address.bytes, sizeof(to->address));
}

static void plan_backend(struct planner *p, const struct model_service *s, size_t index,
	struct weir_config_backend *to)
{
	const struct model_backend *b = model_backend_at(s, index);
	*to = (struct weir_config_backend){
		.port = b->port,
		.weight = b->weight,
		.state = WEIR_BACKEND_UP,
		.fallback = model_backend_is_fallback(s, index),
	};
	memcpy(to->address, b->address.bytes, sizeof(to->address));
	if (p->world != NULL && p->world->backend != NULL)
		p->world->backend(p->world->ctx, s, b, &to->state, &to->weight);
	to->neighbour = plan_hop(p, &b->address);
}

static void plan_source(struct planner *p, const struct model_service *s,
	const struct address *source, struct weir_config_source *to)
{
	const struct plan_share *share =
		plan_ports_find(p->ports, s->name, source, (uint8_t)s->protocol);
	memcpy(to->address, source->bytes, sizeof(to->address));
	memcpy(to->blocks, share->blocks, sizeof(to->blocks));
}

static void plan_port(const struct model_port *port, bool replay, struct weir_config_port *to)
{
	*to = (struct weir_config_port){ 0 };
	memcpy(to->name, port->name, sizeof(to->name));
	if (replay) {
		to->kind = WEIR_PORT_CAPTURE;
		return;
	}
	to->kind = port->kind == MODEL_DEVICE_PCI ? WEIR_PORT_PCI : WEIR_PORT_KERNEL;
	memcpy(to->device, port->device, sizeof(to->device));
}

/* Sizes of the message's arrays, and room for them with all next hops that there could be. */
static size_t plan_size(const struct model *m, struct weir_config *header)
{
	*header = (struct weir_config){
		.digest = model_digest(m),
		.port_count = (uint32_t)m->port_count,
		.service_count = (uint32_t)m->service_count,
	};
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		header->backend_count += (uint32_t)model_backend_total(s);
		header->source_count += s->mode == MODEL_NAT ? (uint32_t)s->source_count : 0;
	}
	return sizeof(*header) + m->port_count * sizeof(struct weir_config_port) +
		m->service_count * sizeof(struct weir_config_service) +
		header->backend_count * sizeof(struct weir_config_backend) +
		header->source_count * sizeof(struct weir_config_source) +
		header->backend_count * sizeof(struct weir_config_neighbour);
}

static int planner_init(struct planner *p, size_t backend_count)
{
	int r = hops_init(&p->hops, backend_count);
	if (r == 0)
		r = hops_init(&p->known, p->m->neighbour_count);
	for (size_t i = 0; r == 0 && i < p->m->neighbour_count; i++) {
		const struct model_neighbour *from = &p->m->neighbours[i];
		struct weir_config_neighbour n = { .port = (uint8_t)from->port, .resolved = 1 };
		memcpy(n.address, from->address.bytes, sizeof(n.address));
		memcpy(n.mac, from->mac, sizeof(n.mac));
		hops_add(&p->known, &n);
	}
	return r;
}

/* Fill the message behind `body`, which has room; returns its length. */
static size_t plan_fill(struct planner *p, struct weir_config *header, bool replay, char *body)
{
	const struct model *m = p->m;
	char *at = body + sizeof(*header);
	struct weir_config_port *ports = (void *)at;
	struct weir_config_service *services = (void *)(ports + m->port_count);
	struct weir_config_backend *backends = (void *)(services + m->service_count);
	struct weir_config_source *sources = (void *)(backends + header->backend_count);
	struct weir_config_neighbour *neighbours = (void *)(sources + header->source_count);
	uint32_t backend = 0;
	uint32_t source = 0;
	for (size_t i = 0; i < m->port_count; i++)
		plan_port(&m->ports[i], replay, &ports[i]);
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		plan_service(s, &services[i]);
		services[i].first_backend = backend;
		services[i].first_source = source;
		for (size_t j = 0; j < model_backend_total(s); j++)
			plan_backend(p, s, j, &backends[backend++]);
		for (size_t j = 0; j < services[i].source_count; j++)
			plan_source(p, s, &s->sources[j], &sources[source++]);
	}
	header->neighbour_count = (uint32_t)p->hops.count;
	memcpy(body, header, sizeof(*header));
	memcpy(neighbours, p->hops.items, p->hops.count * sizeof(*neighbours));
	return (size_t)((char *)(neighbours + p->hops.count) - body);
}

int plan_build(const struct model *m, const struct plan_world *world, struct plan_ports *ports,
	bool replay, void **ret_body, size_t *ret_length, char *err, size_t err_size)
{
	struct weir_config header;
	struct planner p = { .m = m, .world = world };
	char *body = NULL;
	struct plan_ports *next = plan_ports_copy(ports);
	int r = -ENOMEM;
	if (next == NULL)
		goto out;
	r = plan_ports_assign(next, m, world, err, err_size);
	if (r < 0)
		goto out;
	p.ports = next;
	size_t size = plan_size(m, &header);
	r = planner_init(&p, header.backend_count);
	if (r < 0)
		goto out;
	body = calloc(1, size);
	if (body == NULL) {
		r = -ENOMEM;
		goto out;
	}
	*ret_length = plan_fill(&p, &header, replay, body);
	*ret_body = body;
	/* The caller's object stays, its content becomes that of this plan. */
	struct plan_ports old = *ports;
	*ports = *next;
	*next = old;
out:
	hops_fini(&p.hops);
	hops_fini(&p.known);
	plan_ports_destroy(next);
	return r;
}
