/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/plan/plan.h"

#include "control/plan/next_hops.h"
#include "control/plan/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What of the message comes behind the next hops. */
struct policies {
	struct weir_config_policy *items;
	struct weir_config_class *classes;
	uint32_t count;
	uint32_t class_count;
	uint32_t outside_count;
};

struct planner {
	const struct model *m;
	const struct plan_world *world;
	const struct plan_ports *ports;
	struct next_hops hops;
	struct next_hops known; /* the model's static neighbours */
	struct hop_groups groups;
	struct policies policies;
};

/* A next hop's index among those of the message; static neighbours are asked first. */
static uint32_t plan_neighbour(struct planner *p, const struct plan_hop *hop)
{
	const struct plan_world *w = p->world;
	struct weir_config_neighbour n = { .port = (uint8_t)hop->port_index };
	const struct weir_config_neighbour *known =
		next_hops_find(&p->known, hop->via.bytes, (int)hop->port_index);
	if (known != NULL)
		return next_hops_add(&p->hops, known);
	memcpy(n.address, hop->via.bytes, sizeof(n.address));
	n.resolved = w->link_address != NULL &&
		w->link_address(w->ctx, &hop->via, hop->port_index, n.mac);
	if (!n.resolved)
		memset(n.mac, 0, sizeof(n.mac));
	return next_hops_add(&p->hops, &n);
}

/* The next hop, or hops, towards a backend: what the file says, else what the world says. */
static uint32_t plan_hop(struct planner *p, const struct address *to)
{
	const struct plan_world *w = p->world;
	struct plan_hop found[WEIR_MAX_HOPS];
	struct weir_config_hop_group group = { 0 };
	const struct weir_config_neighbour *known = next_hops_find(&p->known, to->bytes, -1);
	if (known != NULL)
		return next_hops_add(&p->hops, known);
	size_t count = w != NULL && w->next_hops != NULL ? w->next_hops(w->ctx, to, found) : 0;
	for (size_t i = 0; i < count; i++) {
		if (found[i].port_index >= p->m->port_count)
			continue;
		uint32_t index = plan_neighbour(p, &found[i]);
		if (index != WEIR_NO_NEIGHBOUR)
			group_add(&group, index, found[i].weight);
	}
	if (group.hop_count <= 1)
		return group.hop_count ? group.neighbour[0] : WEIR_NO_NEIGHBOUR;
	uint32_t index = groups_add(&p->groups, &group, &p->hops);
	return index == WEIR_NO_NEIGHBOUR ? group.neighbour[0] : WEIR_HOP_GROUP | index;
}

static void plan_service(const struct model_service *s, struct weir_config_service *to)
{
	*to = (struct weir_config_service){
		.prefix_length = s->prefix_length,
		.protocol = (uint8_t)s->protocol,
		.mode = (uint8_t)s->mode,
		.port = s->port,
		.cores = s->cores.min,
		.cores_max = s->cores.max,
		.limit_packets = s->limits.packets,
		.limit_bits = s->limits.bits,
		.limit_connections = s->limits.connections,
		.burst_ns = s->limits.burst_ns,
		.per_source_packets = s->limits.per_source.packets,
		.per_source_connections = s->limits.per_source.connections,
		.per_source_burst_ns = s->limits.per_source.burst_ns,
		.per_source_entries = s->limits.per_source.entries,
		.per_source_prefix = (uint8_t)(s->ipv6 ? s->limits.per_source.prefix6 :
							 s->limits.per_source.prefix4),
		.backend_count = (uint32_t)model_backend_total(s),
		.proxy_protocol = (uint8_t)s->proxy_protocol,
		.silent = s->no_backend == MODEL_NO_BACKEND_DROP,
		.source_count = (uint32_t)s->source_count,
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
		.pool = (uint8_t)model_backend_pool(s, index),
	};
	memcpy(to->address, b->address.bytes, sizeof(to->address));
	if (p->world != NULL && p->world->backend != NULL)
		p->world->backend(p->world->ctx, s, b, &to->state, &to->weight);
	to->neighbour = plan_hop(p, &b->address);
}

/* Those without an image do not run; somebody has said so. */
static uint32_t plan_list(struct policies *to, const struct model_policy *policies, size_t count)
{
	uint32_t before = to->count;
	bool offloads = true;
	for (size_t i = 0; i < count; i++) {
		const struct model_policy *p = &policies[i];
		if (p->id == 0)
			continue;
		struct weir_config_policy *at = &to->items[to->count++];
		/* One behind another in the kernel; only what is in force. */
		offloads = offloads && p->offloads && p->mode == MODEL_POLICY_ENFORCE;
		*at = (struct weir_config_policy){
			.id = p->id,
			.budget_cycles = p->budget,
			.mode = p->mode == MODEL_POLICY_OBSERVE ? WEIR_POLICY_OBSERVE :
								  WEIR_POLICY_ENFORCE,
			.on_error = p->on_error == MODEL_POLICY_ERROR_DROP ?
				WEIR_POLICY_ERROR_DROP :
				WEIR_POLICY_ERROR_PASS,
			.offload = offloads ? WEIR_POLICY_OFFLOAD_AUTO : WEIR_POLICY_OFFLOAD_NEVER,
		};
		memcpy(at->name, p->name, sizeof(at->name));
	}
	return to->count - before;
}

static void plan_policies(
	struct policies *p, const struct model_service *s, struct weir_config_service *to)
{
	to->first_policy = p->count;
	to->policy_count = (uint16_t)plan_list(p, s->policies, s->policy_count);
	to->first_class = p->class_count;
	to->class_count = (uint16_t)s->class_count;
	to->pool_count = (uint16_t)s->pool_count;
	for (size_t i = 0; i < s->class_count; i++) {
		const struct model_class *c = &s->classes[i];
		struct weir_config_class *at = &p->classes[p->class_count++];
		*at = (struct weir_config_class){
			.packets = c->packets,
			.bits = c->bits,
			.connections = c->connections,
			.burst_ns = c->burst_ns,
		};
		memcpy(at->name, c->name, sizeof(at->name));
	}
}

static int policies_init(struct policies *p, const struct model *m)
{
	size_t count = m->policy_count;
	size_t class_count = 0;
	for (size_t i = 0; i < m->service_count; i++) {
		count += m->services[i].policy_count;
		class_count += m->services[i].class_count;
	}
	p->items = calloc(count + 1, sizeof(*p->items));
	p->classes = calloc(class_count + 1, sizeof(*p->classes));
	if (p->items == NULL || p->classes == NULL)
		return -ENOMEM;
	p->outside_count = plan_list(p, m->policies, m->policy_count);
	return 0;
}

static void plan_source(struct planner *p, const struct model_service *s,
	const struct address *source, struct weir_config_source *to)
{
	const struct plan_share *share =
		plan_ports_find(p->ports, s->name, source, (uint8_t)s->protocol);
	*to = (struct weir_config_source){ 0 };
	memcpy(to->address, source->bytes, sizeof(to->address));
	/* Of a tunnel's source addresses the ports are nobody's. */
	if (share != NULL)
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

/* Sizes of the message's arrays, and of what comes before the next hops. */
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
		header->source_count += (uint32_t)s->source_count;
	}
	return sizeof(*header) + m->port_count * sizeof(struct weir_config_port) +
		m->service_count * sizeof(struct weir_config_service) +
		header->backend_count * sizeof(struct weir_config_backend) +
		header->source_count * sizeof(struct weir_config_source);
}

static int planner_init(struct planner *p)
{
	int r = policies_init(&p->policies, p->m);
	if (r == 0)
		r = next_hops_init(&p->hops, WEIR_MAX_NEIGHBOURS);
	if (r == 0)
		r = next_hops_init(&p->known, SIZE_MAX);
	for (size_t i = 0; r == 0 && i < p->m->neighbour_count; i++) {
		const struct model_neighbour *from = &p->m->neighbours[i];
		struct weir_config_neighbour n = { .port = (uint8_t)from->port, .resolved = 1 };
		memcpy(n.address, from->address.bytes, sizeof(n.address));
		memcpy(n.mac, from->mac, sizeof(n.mac));
		if (next_hops_add(&p->known, &n) == WEIR_NO_NEIGHBOUR)
			r = -ENOMEM;
	}
	return r;
}

/* Fill the message behind `body`, which has room for all but the next hops. */
static void plan_fill(struct planner *p, const struct weir_config *header, bool replay, char *body)
{
	const struct model *m = p->m;
	char *at = body + sizeof(*header);
	struct weir_config_port *ports = (void *)at;
	struct weir_config_service *services = (void *)(ports + m->port_count);
	struct weir_config_backend *backends = (void *)(services + m->service_count);
	struct weir_config_source *sources = (void *)(backends + header->backend_count);
	uint32_t backend = 0;
	uint32_t source = 0;
	for (size_t i = 0; i < m->port_count; i++)
		plan_port(&m->ports[i], replay, &ports[i]);
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		plan_service(s, &services[i]);
		plan_policies(&p->policies, s, &services[i]);
		services[i].first_backend = backend;
		services[i].first_source = source;
		for (size_t j = 0; j < model_backend_total(s); j++)
			plan_backend(p, s, j, &backends[backend++]);
		for (size_t j = 0; j < services[i].source_count; j++)
			plan_source(p, s, &s->sources[j], &sources[source++]);
	}
}

static char *append(char *at, const void *items, size_t size)
{
	if (size > 0)
		memcpy(at, items, size);
	return at + size;
}

/* Put the next hops and policies, which are known now, behind the rest; the body moves. */
static int plan_append(struct planner *p, struct weir_config *header, char **body,
	size_t *ret_length, size_t length)
{
	size_t hops = p->hops.count * sizeof(*p->hops.items);
	size_t groups = p->groups.count * sizeof(*p->groups.items);
	size_t policies = p->policies.count * sizeof(*p->policies.items);
	size_t classes = p->policies.class_count * sizeof(*p->policies.classes);
	char *grown = realloc(*body, length + hops + groups + policies + classes);
	if (grown == NULL)
		return -ENOMEM;
	header->neighbour_count = (uint32_t)p->hops.count;
	header->hop_group_count = (uint32_t)p->groups.count;
	header->policy_count = p->policies.count;
	header->class_count = p->policies.class_count;
	header->outside_policy_count = p->policies.outside_count;
	memcpy(grown, header, sizeof(*header));
	char *at = append(grown + length, p->hops.items, hops);
	at = append(at, p->groups.items, groups);
	at = append(at, p->policies.items, policies);
	at = append(at, p->policies.classes, classes);
	*body = grown;
	*ret_length = (size_t)(at - grown);
	return 0;
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
	r = planner_init(&p);
	if (r < 0)
		goto out;
	body = calloc(1, size);
	if (body == NULL) {
		r = -ENOMEM;
		goto out;
	}
	plan_fill(&p, &header, replay, body);
	r = plan_append(&p, &header, &body, ret_length, size);
	if (r < 0) {
		free(body);
		goto out;
	}
	*ret_body = body;
	/* The caller's object stays, its content becomes that of this plan. */
	struct plan_ports old = *ports;
	*ports = *next;
	*next = old;
out:
	next_hops_fini(&p.hops);
	next_hops_fini(&p.known);
	groups_fini(&p.groups);
	free(p.policies.items);
	free(p.policies.classes);
	plan_ports_destroy(next);
	return r;
}
