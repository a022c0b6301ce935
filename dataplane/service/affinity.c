/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/service.h"
#include "dataplane/table/maglev.h"

#include <errno.h>
#include <stdlib.h>

static_assert(WEIR_MAX_BACKENDS_PER_SERVICE <= AFFINITY_MAX_SLOTS, "every slot fits into a place");
static_assert(WEIR_AFFINITY_MIN_PLACES == AFFINITY_MIN, "what is valid can be made");
static_assert(WEIR_AFFINITY_MAX_PLACES == AFFINITY_MAX, "what is valid can be made");

void service_affinity_release(struct service_affinity *a)
{
	if (!a || --a->references)
		return;
	affinity_destroy(a->table);
	free(a);
}

/* Rounded up: a shorter time than was asked for would surprise. */
static uint32_t timeout_units(uint64_t timeout_ns)
{
	return (uint32_t)((timeout_ns + (UINT64_C(1) << AFFINITY_TIME_SHIFT) - 1) >>
		AFFINITY_TIME_SHIFT);
}

int service_affinity_attach(struct service_settings *s, const struct service_settings *old,
	const struct weir_config_service *config, const struct hash_seed *seed)
{
	struct service_affinity *of_old = old ? old->affinity : NULL;
	struct table_memory memory = account_memory(&s->service->account, ACCOUNT_POOLS);
	struct service_affinity *a;

	if (config->affinity_places == 0)
		return 0;
	s->affinity_timeout = timeout_units(config->affinity_timeout_ns);
	if (of_old && of_old->places == config->affinity_places &&
		of_old->prefix == config->affinity_prefix) {
		of_old->references++;
		s->affinity = of_old;
		return 0;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	if (affinity_create(config->affinity_places, &memory, -1, &a->table)) {
		free(a);
		return -ENOMEM;
	}
	a->references = 1;
	a->places = config->affinity_places;
	a->prefix = config->affinity_prefix;
	a->seed = *seed;
	s->affinity = a;
	return 0;
}

uint16_t service_choose(const struct service_settings *s, uint64_t hash, const uint8_t *address,
	uint64_t now_ns, bool remember)
{
	const struct service_affinity *a = s->affinity;
	uint16_t epoch = 0;
	uint16_t slot;

	if (!a)
		return maglev_slot(s->maglev, hash);
	hash = affinity_hash(&a->seed, address, a->prefix, s->ipv6);
	slot = affinity_find(a->table, hash, now_ns, s->affinity_timeout, &epoch);
	if (slot >= s->backend_slots || !s->backend[slot].takes_flows ||
		!affinity_same_epoch(epoch, s->backend[slot].epoch))
		slot = maglev_slot(s->maglev, hash);
	if (remember)
		affinity_set(a->table, hash, now_ns, slot, s->backend[slot].epoch);
	return slot;
}
