/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/service.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES_MOST 65536u /* when the configuration leaves it to us */

void per_source_release(struct service_per_source *p)
{
	if (!p || --p->references)
		return;
	source_table_destroy(p->table);
	free(p);
}

static void per_source_use(struct service_settings *s, struct service_per_source *p)
{
	s->per_source = p;
	s->source_table = p->table;
	s->source_epoch = p->epoch;
}

void per_source_share(struct service_settings *s, const struct service_settings *old)
{
	if (!old->per_source)
		return;
	old->per_source->references++;
	per_source_use(s, old->per_source);
}

/* A small part of what the service's flows have. */
static uint32_t entries_choose(const struct service *s)
{
	uint32_t entries = ENTRIES_MOST;

	while (entries > SOURCE_ENTRIES_MIN && source_table_bytes(entries) > s->flow_bytes / 8)
		entries /= 2;
	return entries;
}

static int per_source_create(struct service *s, const struct weir_config_service *config,
	uint32_t entries, const struct hash_seed *seed, struct service_per_source **ret_per_source)
{
	const struct source_table_params params = {
		.entries = entries,
		.ipv6 = !weir_address_is_v4(config->address),
		.prefix = config->per_source_prefix,
		/* Only here does a reply show that the client is where it says. */
		.by_time = config->mode != WEIR_MODE_NAT || config->protocol != IPPROTO_TCP,
		.seed = *seed,
		.node = SOCKET_ID_ANY,
		.memory = account_memory(&s->account, ACCOUNT_SOURCES),
	};
	struct service_per_source *p = calloc(1, sizeof(*p));
	int ret = p ? source_table_create(&params, &p->table) : -ENOMEM;

	if (ret) {
		free(p);
		return ret;
	}
	p->references = 1;
	p->epoch = ++s->source_epoch;
	p->entries = config->per_source_entries;
	p->prefix = config->per_source_prefix;
	*ret_per_source = p;
	return 0;
}

int per_source_attach(struct service_settings *s, const struct service_settings *old,
	const struct weir_config_service *config, uint64_t hz, const struct hash_seed *seed,
	char *err, size_t err_size)
{
	const struct service_per_source *before = old ? old->per_source : NULL;
	struct service_per_source *p;
	uint32_t entries;
	int ret;

	limiter_rate_init(&s->source_limits.packets, config->per_source_packets,
		config->per_source_burst_ns, hz);
	limiter_rate_init(&s->source_limits.connections, config->per_source_connections,
		config->per_source_burst_ns, hz);
	if (config->per_source_packets == WEIR_UNLIMITED &&
		config->per_source_connections == WEIR_UNLIMITED)
		return 0;
	if (before && before->entries == config->per_source_entries &&
		before->prefix == config->per_source_prefix) {
		per_source_share(s, old);
		return 0;
	}
	entries = config->per_source_entries ? config->per_source_entries :
					       entries_choose(s->service);
	ret = per_source_create(s->service, config, entries, seed, &p);
	if (ret) {
		snprintf(err, err_size,
			"service %s: no memory for %u sources with limits of their own (%zu KiB): "
			"give limits.per-source.entries a smaller number",
			config->name, entries, source_table_bytes(entries) >> 10);
		return ret;
	}
	per_source_use(s, p);
	return 0;
}
