/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Pools: which backends take new flows. The main one, with its fallback, is where flows go that nobody
 * says anything about; named ones get those that a policy routes to them.
 */

#include "dataplane/service/service.h"
#include "dataplane/table/maglev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void pool_release(struct service_pool *p)
{
	if (!p || --p->references)
		return;
	free(p->backend);
	account_free(p->account, ACCOUNT_POOLS, p->table);
	free(p);
}

void service_pools_release(struct service_settings *s)
{
	pool_release(s->pool);
	for (uint32_t i = 0; s->pools && i < s->pool_count; i++)
		pool_release(s->pools[i]);
	free(s->pools);
}

/* Which backends are in the main pool's table. */
static void pool_mark(struct service_settings *s)
{
	for (uint32_t i = 0; i < s->backend_slots; i++)
		s->backend[i].takes_flows = false;
	for (uint32_t i = 0; i < s->pool->count; i++)
		s->backend[s->pool->backend[i].slot].takes_flows = true;
}

static bool pool_has(const struct service_pool *p, uint32_t slot)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->backend[i].slot == slot)
			return true;
	return false;
}

static uint8_t stay_of(const struct service_settings *s, uint32_t slot)
{
	const struct service_backend *b = &s->backend[slot];
	const struct service_pool *pool = b->pool ? s->pools[b->pool - 1] : s->pool;

	if (b->state == WEIR_BACKEND_DOWN || b->state == WEIR_BACKEND_UNUSED)
		return SERVICE_STAY_NONE;
	if (b->state != WEIR_BACKEND_UP || b->weight == 0 || s->weight_in_force[slot] != 0)
		return SERVICE_STAY;
	return pool->count && !pool_has(pool, slot) ? SERVICE_STAY_BUSY : SERVICE_STAY;
}

/* Those of a pool, or of the main one's fallback, that can take new flows, in order of their slots. */
static uint32_t pool_list_part(const struct service_settings *s, uint32_t number, bool fallback,
	bool directed, struct maglev_backend *ret_list)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->backend_slots; i++) {
		const struct service_backend *b = &s->backend[i];
		uint32_t weight = directed ? s->weight_in_force[i] : b->weight * WEIR_WEIGHT_UNIT;

		if (b->state != WEIR_BACKEND_UP || weight == 0 || b->fallback != fallback ||
			b->pool != number)
			continue;
		memset(&ret_list[count], 0, sizeof(ret_list[count]));
		memcpy(ret_list[count].address, b->address, sizeof(b->address));
		ret_list[count].port = ntohs(b->port_be);
		ret_list[count].weight = weight;
		ret_list[count].slot = (uint16_t)i;
		count++;
	}
	return count;
}

static uint32_t pool_list(
	const struct service_settings *s, uint32_t number, struct maglev_backend *ret_list)
{
	/* Whoever else can: directives that eject everybody would be worse than none. */
	for (uint32_t part = 0; part < (number ? 2u : 4u); part++) {
		uint32_t count = pool_list_part(s, number, part >= 2, part % 2 == 0, ret_list);

		if (count)
			return count;
	}
	return 0;
}

static int pool_create(struct account *account, struct maglev_backend *list, uint32_t count,
	const struct hash_seed *seed, struct service_pool **ret_pool)
{
	struct service_pool *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->references = 1;
	p->account = account;
	p->count = count;
	if (count) {
		p->table = account_alloc(account, ACCOUNT_POOLS, MAGLEV_SIZE * sizeof(p->table[0]));
		ret = p->table ? maglev_build(p->table, list, count, seed) : -ENOMEM;
		if (ret) {
			pool_release(p);
			return ret;
		}
	}
	p->backend = list;
	*ret_pool = p;
	return 0;
}

/* A pool as it is now: that of before when it is the same, as a table takes a millisecond or more to build. */
static int pool_make(const struct service_settings *s, uint32_t number, struct service_pool *before,
	const struct hash_seed *seed, struct service_pool **ret_pool)
{
	struct maglev_backend *list = calloc(s->backend_slots + 1, sizeof(*list));
	uint32_t count;
	int ret;

	if (!list)
		return -ENOMEM;
	count = pool_list(s, number, list);
	if (before && before->count == count &&
		memcmp(before->backend, list, count * sizeof(*list)) == 0) {
		free(list);
		before->references++;
		*ret_pool = before;
		return 0;
	}
	ret = pool_create(&s->service->account, list, count, seed, ret_pool);
	if (ret)
		free(list);
	return ret;
}

static int named_pools_make(struct service_settings *s, const struct service_settings *old,
	uint32_t pool_count, const struct hash_seed *seed)
{
	int ret = 0;

	s->pool_count = pool_count;
	if (pool_count == 0)
		return 0;
	s->pools = calloc(pool_count, sizeof(*s->pools));
	if (!s->pools)
		return -ENOMEM;
	for (uint32_t i = 0; ret == 0 && i < pool_count; i++)
		ret = pool_make(s, i + 1, old && i < old->pool_count ? old->pools[i] : NULL, seed,
			&s->pools[i]);
	return ret;
}

int service_pools_attach(struct service_settings *s, const struct service_settings *old,
	uint32_t pool_count, const struct hash_seed *seed)
{
	int ret = pool_make(s, 0, old ? old->pool : NULL, seed, &s->pool);

	if (ret)
		return ret;
	s->maglev = s->pool->table;
	pool_mark(s);
	ret = named_pools_make(s, old, pool_count, seed);
	for (uint32_t i = 0; ret == 0 && i < s->backend_slots; i++)
		s->backend[i].stay = stay_of(s, i);
	return ret;
}
