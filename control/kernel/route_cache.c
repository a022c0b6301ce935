/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/route_cache.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 64

struct route_entry {
	struct address to;
	int rc;
	bool known;
	bool asked; /* since the last sweep */
	struct kernel_route *route; /* owned, cut behind its last hop; NULL unless rc is 0 */
};

static size_t route_bytes(const struct kernel_route *r)
{
	return offsetof(struct kernel_route, hops) + r->hop_count * sizeof(r->hops[0]);
}

void route_cache_fini(struct route_cache *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->entries[i].route);
	free(c->entries);
	free(c->slots);
	free(c->order);
	memset(c, 0, sizeof(*c));
}

static uint32_t *slot_of(const struct route_cache *c, const struct address *to)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits (draft-eastlake-fnv) */

	for (size_t i = 0; i < sizeof(to->bytes); i++)
		h = (h ^ to->bytes[i]) * UINT64_C(0x100000001b3);
	size_t at = (size_t)(h ^ h >> 32) & c->mask;

	while (c->slots[at] && memcmp(&c->entries[c->slots[at] - 1].to, to, sizeof(*to)) != 0)
		at = (at + 1) & c->mask;
	return &c->slots[at];
}

/* Make room for one more; false when there is no memory. */
static bool grow(struct route_cache *c)
{
	if (c->count < c->capacity)
		return true;
	size_t size = c->slots ? 2 * (c->mask + 1) : SLOTS_MIN;
	struct route_entry *entries = realloc(c->entries, size / 2 * sizeof(*entries));
	uint32_t *slots = calloc(size, sizeof(*slots));

	if (entries)
		c->entries = entries;
	if (!entries || !slots) {
		free(slots);
		return false;
	}
	free(c->slots);
	c->slots = slots;
	c->mask = size - 1;
	c->capacity = size / 2;
	for (size_t i = 0; i < c->count; i++)
		*slot_of(c, &entries[i].to) = (uint32_t)i + 1;
	return true;
}

bool route_cache_find(struct route_cache *c, const struct address *to, int *ret_rc,
	struct kernel_route *ret_route)
{
	uint32_t index = c->slots ? *slot_of(c, to) : 0;
	struct route_entry *e = index ? &c->entries[index - 1] : NULL;

	if (!e)
		return false;
	e->asked = true;
	if (!e->known)
		return false;
	*ret_rc = e->rc;
	memset(ret_route, 0, sizeof(*ret_route));
	if (e->route)
		memcpy(ret_route, e->route, route_bytes(e->route));
	return true;
}

static void order_drop(struct route_cache *c)
{
	free(c->order);
	c->order = NULL;
}

void route_cache_keep(
	struct route_cache *c, const struct address *to, int rc, const struct kernel_route *route)
{
	struct kernel_route *copy = rc ? NULL : malloc(route_bytes(route));

	if (!rc && !copy)
		return;
	if (copy)
		memcpy(copy, route, route_bytes(route));
	uint32_t index = c->slots ? *slot_of(c, to) : 0;

	if (!index) {
		if (!grow(c)) {
			free(copy);
			return;
		}
		order_drop(c);
		c->entries[c->count++] = (struct route_entry){ .to = *to };
		index = (uint32_t)c->count;
		*slot_of(c, to) = index;
	}
	struct route_entry *e = &c->entries[index - 1];

	free(e->route);
	e->route = copy;
	e->rc = rc;
	e->known = true;
	e->asked = true;
}

static int order_compare(const void *a, const void *b, void *ctx)
{
	const struct route_entry *entries = ctx;

	return memcmp(&entries[*(const uint32_t *)a].to, &entries[*(const uint32_t *)b].to,
		sizeof(struct address));
}

static bool order_make(struct route_cache *c)
{
	if (c->order)
		return true;
	c->order = malloc((c->count + 1) * sizeof(c->order[0]));
	if (!c->order)
		return false;
	for (size_t i = 0; i < c->count; i++)
		c->order[i] = (uint32_t)i;
	qsort_r(c->order, c->count, sizeof(c->order[0]), order_compare, c->entries);
	return true;
}

static bool in_prefix(const struct address *a, const struct address *prefix, unsigned int length)
{
	unsigned int bytes = length / 8;
	uint8_t mask = (uint8_t)(0xff00u >> length % 8);

	return !memcmp(a->bytes, prefix->bytes, bytes) &&
		(!(length % 8) || !((a->bytes[bytes] ^ prefix->bytes[bytes]) & mask));
}

bool route_cache_forget(
	struct route_cache *c, const struct address *prefix, unsigned int prefix_length)
{
	size_t low = 0;
	size_t high = c->count;
	bool found = false;

	if (!c->count)
		return false;
	if (!order_make(c)) {
		route_cache_forget_all(c);
		return true;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(&c->entries[c->order[middle]].to, prefix, sizeof(*prefix)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < c->count; low++) {
		struct route_entry *e = &c->entries[c->order[low]];

		if (!in_prefix(&e->to, prefix, prefix_length))
			break;
		e->known = false;
		found = true;
	}
	return found;
}

void route_cache_forget_all(struct route_cache *c)
{
	for (size_t i = 0; i < c->count; i++)
		c->entries[i].known = false;
}

void route_cache_sweep(struct route_cache *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++) {
		struct route_entry *e = &c->entries[i];

		if (!e->asked) {
			free(e->route);
			continue;
		}
		e->asked = false;
		c->entries[kept++] = *e;
	}
	if (kept == c->count)
		return;
	c->count = kept;
	order_drop(c);
	memset(c->slots, 0, (c->mask + 1) * sizeof(c->slots[0]));
	for (size_t i = 0; i < kept; i++)
		*slot_of(c, &c->entries[i].to) = (uint32_t)i + 1;
}
