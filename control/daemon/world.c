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
		kernel_link_by_name(d->kernel, m->ports[port_index].device) :
		NULL;

	return link ? link->ifindex : 0;
}

static bool port_of_link(
	const struct model *m, const struct kernel_link *link, size_t *ret_port_index)
{
	for (size_t i = 0; i < m->port_count; i++) {
		if (m->ports[i].kind == MODEL_DEVICE_INTERFACE &&
			!strcmp(m->ports[i].device, link->name)) {
			*ret_port_index = i;
			return true;
		}
	}
	return false;
}

static bool world_next_hop(
	void *ctx, const struct address *to, struct address *ret_via, size_t *ret_port_index)
{
	struct world *w = ctx;
	const struct model_neighbour *fixed = static_neighbour(w->m, to);
	struct kernel_route route;
	char text[80];

	if (fixed) {
		*ret_via = *to;
		*ret_port_index = fixed->port;
		return true;
	}
	address_print(to, text, sizeof(text));
	int rc = kernel_route_get(w->d->kernel, to, &route);

	if (rc) {
		warn(w, "no route to backend %s: %s", text, strerror(-rc));
		return false;
	}
	if (route.type == RTN_LOCAL) {
		warn(w, "backend %s is an address of this host, where Weir cannot send", text);
		return false;
	}
	const struct kernel_link *link = kernel_link_by_index(w->d->kernel, route.ifindex);

	if (route.type != RTN_UNICAST || !link) {
		warn(w, "no usable route to backend %s", text);
		return false;
	}
	if (!port_of_link(w->m, link, ret_port_index)) {
		warn(w, "backend %s is routed by way of interface %s, which is not one of `ports`",
			text, link->name);
		return false;
	}
	*ret_via = route.has_via ? route.via : *to;
	return true;
}

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
		.next_hop = world_next_hop,
		.link_address = world_link,
		.host_owns = world_host_owns };

	ephemeral_read(&asks.ephemeral_first, &asks.ephemeral_last);
	int rc = plan_build(m, &asks, ports, false, ret_body, ret_length, err, err_size);

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
