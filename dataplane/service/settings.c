/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/directive.h"
#include "dataplane/service/police.h"
#include "dataplane/service/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int service_backend_find(const struct service_settings *s, const uint8_t address[16], uint16_t port)
{
	for (uint32_t i = 0; i < s->backend_slots; i++) {
		const struct service_backend *b = &s->backend[i];

		if (b->state != WEIR_BACKEND_UNUSED && b->port_be == htons(port) &&
			memcmp(b->address, address, sizeof(b->address)) == 0)
			return (int)i;
	}
	return -1;
}

struct service_settings *service_settings_hold(struct service_settings *s)
{
	s->references++;
	return s;
}

static void sources_release(struct service_settings *s)
{
	if (!s->sources || --s->sources->references)
		return;
	nat_view_destroy(s->service->ports, s->sources->view);
	free(s->sources);
}

void service_settings_release(struct service_settings *s)
{
	if (!s || --s->references)
		return;
	sources_release(s);
	service_tunnel_release(s->service, s->shared_tunnel);
	service_affinity_release(s->affinity);
	per_source_release(s->per_source);
	police_release(s->police);
	service_pools_release(s);
	policy_set_release(s->policy_set);
	account_free(&s->service->account, ACCOUNT_POOLS, s->backend);
	account_free(&s->service->account, ACCOUNT_POOLS, s);
}

void service_policies_set(struct service_settings *s, struct policy_set *set)
{
	s->policy_set = set;
	s->policies = set && set->place_count ? set : NULL;
	s->judged = s->policies != NULL;
}

/* Settings with `slots` backend slots, the first of them as in old, and no pool yet. */
static struct service_settings *settings_alloc(
	struct service *s, const struct service_settings *old, uint32_t slots)
{
	struct service_settings *n = account_alloc(&s->account, ACCOUNT_POOLS, sizeof(*n));

	if (!n)
		return NULL;
	if (old)
		*n = *old;
	n->nat = NULL;
	n->sources = NULL;
	n->affinity = NULL;
	n->tunnel = NULL;
	n->shared_tunnel = NULL;
	n->pool = NULL;
	n->pools = NULL;
	n->pool_count = 0;
	n->maglev = NULL;
	n->judged = false;
	n->policies = NULL;
	n->policy_set = NULL;
	n->per_source = NULL;
	n->source_table = NULL;
	n->source_epoch = 0;
	/* What directives say of sources holds until the next ones. */
	if (n->police)
		n->police->references++;
	n->references = 1;
	n->service = s;
	n->slot = s->slot;
	n->mode = s->identity.mode;
	n->protocol = s->identity.protocol;
	n->ipv6 = !weir_address_is_v4(s->identity.address);
	n->backend_slots = (uint16_t)slots;
	n->backend = account_alloc(&s->account, ACCOUNT_POOLS,
		(slots + 1) * (sizeof(n->backend[0]) + sizeof(n->weight_in_force[0])));
	if (!n->backend) {
		account_free(&s->account, ACCOUNT_POOLS, n);
		return NULL;
	}
	n->weight_in_force = (uint32_t *)(n->backend + slots + 1);
	if (old) {
		memcpy(n->backend, old->backend, old->backend_slots * sizeof(n->backend[0]));
		memcpy(n->weight_in_force, old->weight_in_force,
			old->backend_slots * sizeof(n->weight_in_force[0]));
	}
	return n;
}

/*
 * A backend that comes back gets the slot it had, so that the rotation of its translated ports goes on.
 * Else slots that were never used come first: the longer a slot rests, the fewer flows remember it.
 */
static uint32_t slot_take(
	struct service_settings *s, uint32_t slots_max, const struct weir_config_backend *config)
{
	for (uint32_t i = 0; i < s->backend_slots; i++)
		if (s->backend[i].state == WEIR_BACKEND_UNUSED &&
			s->backend[i].port_be == htons(config->port) &&
			memcmp(s->backend[i].address, config->address, 16) == 0)
			return i;
	if (s->backend_slots < slots_max)
		return s->backend_slots++;
	for (uint32_t i = 0; i < s->backend_slots; i++)
		if (s->backend[i].state == WEIR_BACKEND_UNUSED)
			return i;
	return UINT32_MAX;
}

static void backend_set(struct service_backend *b, const struct weir_config_backend *config)
{
	b->weight = config->weight;
	b->state = config->state;
	b->fallback = config->fallback;
	b->pool = config->pool;
	b->neighbour = config->neighbour;
}

/* Known backends keep their slots, others are gone, new ones get slots with a new epoch. */
static int backends_place(struct service_settings *s, const struct service_settings *old,
	const struct weir_config_backend *backends, uint32_t count)
{
	bool *placed = calloc(count + 1, sizeof(*placed));

	if (!placed)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->backend_slots; i++)
		s->backend[i].state = WEIR_BACKEND_UNUSED;
	for (uint32_t i = 0; old && i < count; i++) {
		int slot = service_backend_find(old, backends[i].address, backends[i].port);

		if (slot < 0)
			continue;
		backend_set(&s->backend[slot], &backends[i]);
		placed[i] = true;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot;

		if (placed[i])
			continue;
		slot = slot_take(s, s->service->cells.slots, &backends[i]);
		if (slot == UINT32_MAX) {
			free(placed);
			return -ENOSPC;
		}
		memcpy(s->backend[slot].address, backends[i].address, 16);
		s->backend[slot].port_be = htons(backends[i].port);
		s->backend[slot].epoch++;
		backend_set(&s->backend[slot], &backends[i]);
	}
	free(placed);
	return 0;
}

static bool no_block(const uint64_t usable[4])
{
	return (usable[0] | usable[1] | usable[2] | usable[3]) == 0;
}

static int ports_configure(
	struct service_settings *s, const struct weir_config_source *sources, uint32_t source_count)
{
	struct nat_source_config *config = calloc(source_count + 1, sizeof(*config));
	bool *used = calloc(s->backend_slots + 1, sizeof(*used));
	struct service_sources *shared = calloc(1, sizeof(*shared));
	int ret = -ENOMEM;

	if (!config || !used || !shared)
		goto out;
	for (uint32_t i = 0; i < source_count; i++) {
		memcpy(config[i].address, sources[i].address, sizeof(config[i].address));
		memcpy(config[i].blocks, sources[i].blocks, sizeof(config[i].blocks));
	}
	for (uint32_t i = 0; i < s->backend_slots; i++)
		used[i] = s->backend[i].state != WEIR_BACKEND_UNUSED;
	ret = nat_ports_configure(
		s->service->ports, used, s->backend_slots, config, source_count, &shared->view);
	if (ret)
		goto out;
	shared->references = 1;
	s->sources = shared;
	s->nat = shared->view;
	shared = NULL;
	s->source_leaving = false;
	for (uint32_t i = 0; i < s->nat->source_count; i++)
		s->source_leaving |= no_block(s->nat->source[i].usable);
out:
	free(shared);
	free(config);
	free(used);
	return ret;
}

static int tunnel_configure(struct service_settings *s, const struct weir_config_service *config,
	const struct weir_config_source *sources)
{
	int ret = service_tunnel_create(s->service, config, sources, &s->shared_tunnel);

	s->tunnel = s->shared_tunnel;
	return ret;
}

/* What directives leave of the configured limits. */
static void limits_set(struct service_settings *s)
{
	const struct weir_directives *told = &s->service->directives->header;
	const struct service_limits *c = &s->configured;
	struct service_limits *l = &s->in_force;

	*l = *c;
	l->packets = service_limit_in_force(c->packets, told->limit_packets);
	l->bits = service_limit_in_force(c->bits, told->limit_bits);
	l->connections = service_limit_in_force(c->connections, told->limit_connections);
	limiter_rate_init(&s->packets, l->packets, l->burst_ns, l->hz);
	limiter_rate_init(&s->bits, l->bits, l->burst_ns, l->hz);
	limiter_rate_init(&s->connections, l->connections, l->burst_ns, l->hz);
	limiter_rate_init_half(&s->others_packets, &s->packets);
	limiter_rate_init_half(&s->others_bits, &s->bits);
	limiter_rate_init_half(&s->others_connections, &s->connections);
	s->limits_packets = l->packets != WEIR_UNLIMITED;
	s->limits_bits = l->bits != WEIR_UNLIMITED;
	s->limits_connections = l->connections != WEIR_UNLIMITED;
}

int service_settings_create(struct service *s, const struct service_settings *old,
	const struct weir_config_service *config, const struct weir_config_backend *backends,
	const struct weir_config_source *sources, uint64_t hz, const struct hash_seed *seed,
	struct service_settings **ret_settings, char *err, size_t err_size)
{
	uint32_t slots = old ? old->backend_slots : 0;
	struct service_settings *n = settings_alloc(s, old, s->cells.slots);
	int ret = -ENOMEM;

	if (n) {
		n->backend_slots = (uint16_t)slots;
		ret = backends_place(n, old, backends, config->backend_count);
	}
	if (ret == 0 && config->mode == WEIR_MODE_NAT)
		ret = ports_configure(n, sources, config->source_count);
	if (ret == 0 && config->mode > WEIR_MODE_DSR)
		ret = tunnel_configure(n, config, sources);
	if (ret == 0) {
		service_weights_follow(n);
		ret = service_pools_attach(n, old, config->pool_count, seed);
	}
	if (ret == 0)
		ret = service_affinity_attach(n, old, config, seed);
	if (ret == -ENOSPC)
		snprintf(err, err_size,
			"service %s: while it runs there is room for %u backends and %u source "
			"addresses; for more, remove the service first and add it again",
			config->name, s->cells.slots, NAT_MAX_SOURCES);
	else if (ret)
		snprintf(err, err_size, "service %s: no memory for its backends and sources",
			config->name);
	if (ret == 0)
		ret = per_source_attach(n, old, config, hz, seed, err, err_size);
	if (ret) {
		service_settings_release(n);
		return ret;
	}
	n->configured = (struct service_limits){
		.packets = config->limit_packets,
		.bits = config->limit_bits,
		.connections = config->limit_connections,
		.burst_ns = config->burst_ns,
		.hz = hz,
	};
	limits_set(n);
	n->proxy_protocol = config->proxy_protocol != 0;
	n->proxied |= n->proxy_protocol;
	n->silent = config->silent;
	*ret_settings = n;
	return 0;
}

static int backends_update(struct service_settings *s, const struct weir_backend_update *updates,
	uint32_t count, char *err, size_t err_size)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_backend_update *u = &updates[i];
		int slot = service_backend_find(s, u->address, u->port);
		char text[INET6_ADDRSTRLEN] = "?";

		if (strcmp(u->service, s->service->identity.name) != 0)
			continue;
		if (slot < 0) {
			inet_ntop(AF_INET6, u->address, text, sizeof(text));
			snprintf(err, err_size, "service %s has no backend %s port %u", u->service,
				text, u->port);
			return -ENOENT;
		}
		s->backend[slot].state = u->state;
		s->backend[slot].weight = u->weight;
	}
	return 0;
}

/* Like old in all, to be varied; no pool yet. */
static struct service_settings *settings_copy(const struct service_settings *old)
{
	struct service_settings *n = settings_alloc(old->service, old, old->backend_slots);

	if (!n)
		return NULL;
	per_source_share(n, old);
	n->sources = old->sources;
	if (n->sources) {
		n->sources->references++;
		n->nat = n->sources->view;
	}
	n->shared_tunnel = old->shared_tunnel;
	n->tunnel = n->shared_tunnel;
	if (n->shared_tunnel)
		n->shared_tunnel->references++;
	n->affinity = old->affinity;
	if (n->affinity)
		n->affinity->references++;
	service_policies_set(n, policy_set_hold(old->policy_set));
	return n;
}

int service_settings_update(const struct service_settings *old,
	const struct weir_backend_update *updates, uint32_t count, const struct hash_seed *seed,
	struct service_settings **ret_settings, char *err, size_t err_size)
{
	struct service_settings *n;
	uint32_t mine = 0;
	int ret;

	for (uint32_t i = 0; i < count; i++)
		mine += strcmp(updates[i].service, old->service->identity.name) == 0;
	if (mine == 0) {
		*ret_settings = NULL;
		return 0;
	}
	n = settings_copy(old);
	if (!n)
		return -ENOMEM;
	ret = backends_update(n, updates, count, err, err_size);
	if (ret == 0) {
		service_weights_follow(n);
		ret = service_pools_attach(n, old, old->pool_count, seed);
	}
	if (ret) {
		service_settings_release(n);
		return ret;
	}
	*ret_settings = n;
	return 0;
}

int service_settings_shift(const struct service_settings *old, const bool *shifted,
	const struct hash_seed *seed, uint8_t *ret_lane, struct service_settings **ret_settings)
{
	struct service_sources *shared;
	struct service_settings *n;
	int ret = -ENOMEM;

	*ret_settings = NULL;
	if (!old->nat)
		return 0;
	shared = calloc(1, sizeof(*shared));
	n = shared ? settings_copy(old) : NULL;
	if (n)
		ret = service_pools_attach(n, old, old->pool_count, seed);
	if (ret == 0)
		ret = nat_ports_shift(old->service->ports, shifted, ret_lane, &shared->view);
	if (ret) {
		service_settings_release(n);
		free(shared);
		return ret;
	}
	sources_release(n);
	shared->references = 1;
	n->sources = shared;
	n->nat = shared->view;
	*ret_settings = n;
	return 0;
}

static bool limits_differ(const struct service_settings *s)
{
	const struct weir_directives *told = &s->service->directives->header;
	const struct service_limits *c = &s->configured;
	const struct service_limits *l = &s->in_force;

	return l->packets != service_limit_in_force(c->packets, told->limit_packets) ||
		l->bits != service_limit_in_force(c->bits, told->limit_bits) ||
		l->connections != service_limit_in_force(c->connections, told->limit_connections);
}

static int police_renew(struct service_settings *n, const struct service_settings *old,
	const struct hash_seed *seed, uint64_t clock_ns)
{
	struct service_police *police;
	int ret = police_create(n, old->police, seed, clock_ns, &police);

	if (ret)
		return ret;
	police_release(n->police);
	n->police = police;
	n->directs_sources = police != NULL;
	n->police_serial = n->service->directives->police_serial;
	return 0;
}

int service_settings_direct(const struct service_settings *old, const struct hash_seed *seed,
	uint64_t clock_ns, struct service_settings **ret_settings)
{
	bool weights = service_weights_differ(old);
	bool police = old->police_serial != old->service->directives->police_serial;
	bool classes = service_classes_differ(old);
	struct service_settings *n;
	int ret;

	*ret_settings = NULL;
	if (!weights && !police && !classes && !limits_differ(old))
		return 0;
	n = settings_copy(old);
	if (!n)
		return -ENOMEM;
	if (weights)
		service_weights_follow(n);
	ret = service_pools_attach(n, old, old->pool_count, seed);
	if (ret == 0 && police)
		ret = police_renew(n, old, seed, clock_ns);
	if (ret == 0 && classes)
		ret = service_classes_follow(n);
	if (ret) {
		service_settings_release(n);
		return ret;
	}
	limits_set(n);
	*ret_settings = n;
	return 0;
}
