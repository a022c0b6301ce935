/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/daemon.h"

#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARNINGS_MAX 32

/* A plan under way. */
struct world {
	struct daemon *d;
	const struct model *m;
	json_t *warnings; /* owned */
	size_t warnings_left_out;
};

__attribute__((format(printf, 2, 3))) static void warn(struct world *w, const char *format, ...)
{
	char text[256];
	va_list args;
	json_t *item;
	size_t i;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Many backends behind one bad route say the same. */
	json_array_foreach(w->warnings, i, item) if (!strcmp(json_string_value(item), text)) return;
	if (json_array_size(w->warnings) < WARNINGS_MAX)
		json_array_append_new(w->warnings, json_string(text));
	else
		w->warnings_left_out++;
}

static void world_backend(void *ctx, const struct model_service *s, const struct model_backend *b,
	uint8_t *ret_state, uint16_t *ret_weight)
{
	struct world *w = ctx;

	bool fallback = s->fallback && b >= s->fallback && b < s->fallback + s->fallback_count;

	*ret_state = fallback ?
		pool_fallback_state(w->d->pool, s, &b->address, b->port) :
		pool_state(w->d->pool, s->name, &b->address, b->port, s->health.type);
	*ret_weight = b->weight;
}

static const struct model_neighbour *static_neighbour(
	const struct model *m, const struct address *a)
{
	for (size_t i = 0; i < m->neighbour_count; i++)
		if (!memcmp(&m->neighbours[i].address, a, sizeof(*a)))
			return &m->neighbours[i];
	return NULL;
}

uint32_t world_port_ifindex(struct daemon *d, const struct model *m, size_t port_index)
{
	const struct kernel_link *link = port_index < m->port_count ?
		kernel_link_by_name(d->kernel, model_port_interface(&m->ports[port_index])) :
		NULL;

	return link ? link->ifindex : 0;
}

static bool port_of_link(
	const struct model *m, const struct kernel_link *link, size_t *ret_port_index)
{
	for (size_t i = 0; i < m->port_count; i++) {
		if (!strcmp(model_port_interface(&m->ports[i]), link->name)) {
			*ret_port_index = i;
			return true;
		}
	}
	return false;
}

/* The hops of a route that Weir can use: those that leave by its ports. */
static size_t hops_of_route(struct world *w, const struct address *to,
	const struct kernel_route *route, bool dead, struct plan_hop *ret_hops)
{
	size_t count = 0;
	char text[80];

	for (uint32_t i = 0; i < route->hop_count && count < WEIR_MAX_HOPS; i++) {
		const struct kernel_hop *hop = &route->hops[i];
		const struct kernel_link *link = kernel_link_by_index(w->d->kernel, hop->ifindex);
		size_t port;

		if (hop->dead != dead || !link)
			continue;
		if (!port_of_link(w->m, link, &port)) {
			warn(w,
				"backend %s is routed by way of interface %s, which is not one of "
				"`ports`",
				address_print(to, text, sizeof(text)), link->name);
			continue;
		}
		ret_hops[count++] = (struct plan_hop){ .via = hop->has_via ? hop->via : *to,
			.port_index = port,
			.weight = hop->weight };
	}
	return count;
}

static size_t world_next_hops(
	void *ctx, const struct address *to, struct plan_hop ret_hops[WEIR_MAX_HOPS])
{
	struct world *w = ctx;
	const struct model_neighbour *fixed = static_neighbour(w->m, to);
	struct kernel_route route;
	char text[80];

	if (fixed) {
		ret_hops[0] =
			(struct plan_hop){ .via = *to, .port_index = fixed->port, .weight = 1 };
		return 1;
	}
	address_print(to, text, sizeof(text));
	int rc = kernel_route_get(w->d->kernel, to, &route);

	if (rc) {
		warn(w, "no route to backend %s: %s", text, strerror(-rc));
		return 0;
	}
	if (route.type == RTN_LOCAL) {
		warn(w, "backend %s is an address of this host, where Weir cannot send", text);
		return 0;
	}
	if (route.type != RTN_UNICAST || !route.hop_count) {
		warn(w, "no usable route to backend %s", text);
		return 0;
	}
	if (route.hops_left_out)
		warn(w, "backend %s has %u next hops, of which Weir uses the first %u", text,
			route.hop_count + route.hops_left_out, route.hop_count);
	size_t count = hops_of_route(w, to, &route, false, ret_hops);

	/* All without a carrier: as good a guess as any, until the route goes. */
	return count ? count : hops_of_route(w, to, &route, true, ret_hops);
}
static_assert(KERNEL_HOPS_MAX <= WEIR_MAX_HOPS, "a route's next hops fit into a group");

bool world_link_address(struct daemon *d, const struct model *m, const struct address *via,
	size_t port_index, uint8_t ret_mac[6], bool *ret_static)
{
	const struct model_neighbour *fixed = static_neighbour(m, via);

	*ret_static = fixed != NULL && fixed->port == port_index;
	if (*ret_static) {
		memcpy(ret_mac, fixed->mac, 6);
		return true;
	}
	uint32_t ifindex = world_port_ifindex(d, m, port_index);
	const struct kernel_neighbour *n =
		ifindex ? kernel_neighbour_find(d->kernel, ifindex, via) : NULL;

	if (!kernel_neighbour_is_valid(n))
		return false;
	memcpy(ret_mac, n->mac, 6);
	return true;
}

static bool world_link(void *ctx, const struct address *via, size_t port_index, uint8_t ret_mac[6])
{
	struct world *w = ctx;
	bool fixed;

	return world_link_address(w->d, w->m, via, port_index, ret_mac, &fixed);
}

static bool world_host_owns(void *ctx, const struct address *a)
{
	struct world *w = ctx;

	return host_addresses_is_native(&w->d->addresses, a);
}

/* The ports that the kernel gives to its own connections; one setting serves both families. */
static void ephemeral_read(uint16_t *ret_first, uint16_t *ret_last)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int first = 0, last = 0;

	if (!f || fscanf(f, "%u %u", &first, &last) != 2 || first > 65535 || last > 65535) {
		first = 32768; /* the kernel's default */
		last = 60999;
	}
	if (f)
		fclose(f);
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
}

int world_plan(struct daemon *d, const struct model *m, struct plan_ports *ports, void **ret_body,
	size_t *ret_length, json_t **ret_warnings, char *err, size_t err_size)
{
	struct world w = { .d = d, .m = m, .warnings = json_array() };
	struct plan_world asks = { .ctx = &w,
		.backend = world_backend,
		.next_hops = world_next_hops,
		.link_address = world_link,
		.host_owns = world_host_owns };

	ephemeral_read(&asks.ephemeral_first, &asks.ephemeral_last);
	int rc = plan_build(m, &asks, ports, false, ret_body, ret_length, err, err_size);

	kernel_routes_sweep(d->kernel);
	if (rc) {
		json_decref(w.warnings);
		return rc;
	}
	((struct weir_config *)*ret_body)->digest = told_digest(*ret_body, *ret_length);
	if (w.warnings_left_out)
		json_array_append_new(w.warnings,
			json_sprintf("and %zu more warnings of this kind", w.warnings_left_out));
	*ret_warnings = w.warnings;
	return 0;
}
