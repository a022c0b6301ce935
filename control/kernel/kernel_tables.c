/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/kernel_tables.h"

#include <stdlib.h>
#include <string.h>

#define CHAINS (sizeof(((struct kernel_tables *)0)->neighbours) / sizeof(struct neighbour_entry *))

void kernel_tables_clear(struct kernel_tables *t)
{
	free(t->links);
	free(t->addresses);
	for (size_t i = 0; i < CHAINS; i++) {
		while (t->neighbours[i]) {
			struct neighbour_entry *e = t->neighbours[i];

			t->neighbours[i] = e->next;
			free(e);
		}
	}
	memset(t, 0, sizeof(*t));
}

static size_t chain_of(uint32_t ifindex, const struct address *a)
{
	uint64_t halves[2];

	memcpy(halves, a->bytes, sizeof(halves));
	uint64_t h = (halves[0] ^ (halves[1] * UINT64_C(0x9e3779b97f4a7c15)) ^ ifindex) *
		UINT64_C(0xff51afd7ed558ccd);
	return (size_t)(h >> 32) % CHAINS;
}

const struct kernel_link *kernel_tables_link(const struct kernel_tables *t, uint32_t ifindex)
{
	for (size_t i = 0; i < t->link_count; i++)
		if (t->links[i].ifindex == ifindex)
			return &t->links[i];
	return NULL;
}

const struct kernel_neighbour *kernel_tables_neighbour(
	const struct kernel_tables *t, uint32_t ifindex, const struct address *a)
{
	for (const struct neighbour_entry *e = t->neighbours[chain_of(ifindex, a)]; e; e = e->next)
		if (e->n.ifindex == ifindex && !memcmp(&e->n.address, a, sizeof(*a)))
			return &e->n;
	return NULL;
}

bool kernel_tables_has_address(
	const struct kernel_tables *t, const struct address *a, uint32_t ifindex)
{
	for (size_t i = 0; i < t->address_count; i++)
		if ((!ifindex || t->addresses[i].ifindex == ifindex) &&
			!memcmp(&t->addresses[i].address, a, sizeof(*a)))
			return true;
	return false;
}

/* Grow an array by one zeroed element at its end; NULL when out of memory, and nothing changed. */
static void *array_append(void **items, size_t *count, size_t size)
{
	void *grown = realloc(*items, (*count + 1) * size);

	if (!grown)
		return NULL;
	*items = grown;
	void *item = (char *)grown + *count * size;

	memset(item, 0, size);
	(*count)++;
	return item;
}

static void array_remove(void *items, size_t *count, size_t size, size_t index)
{
	char *at = (char *)items + index * size;

	(*count)--;
	memmove(at, at + size, (*count - index) * size);
}

static bool link_apply(struct kernel_tables *t, const struct kernel_link *l, bool removed)
{
	struct kernel_link *items = t->links;

	for (size_t i = 0; i < t->link_count; i++) {
		if (items[i].ifindex != l->ifindex)
			continue;
		if (removed) {
			array_remove(items, &t->link_count, sizeof(*items), i);
			return true;
		}
		if (!memcmp(&items[i], l, sizeof(*l)))
			return false;
		items[i] = *l;
		return true;
	}
	if (removed)
		return false;
	struct kernel_link *added =
		array_append((void **)&t->links, &t->link_count, sizeof(*added));

	if (added)
		*added = *l;
	return added != NULL;
}

static bool addresses_equal(const struct kernel_address *a, const struct kernel_address *b)
{
	return a->ifindex == b->ifindex && a->prefix_length == b->prefix_length &&
		!memcmp(&a->address, &b->address, sizeof(a->address));
}

static bool address_apply(struct kernel_tables *t, const struct kernel_address *a, bool removed)
{
	for (size_t i = 0; i < t->address_count; i++) {
		if (!addresses_equal(&t->addresses[i], a))
			continue;
		if (removed)
			array_remove(t->addresses, &t->address_count, sizeof(*a), i);
		return removed;
	}
	if (removed)
		return false;
	struct kernel_address *added =
		array_append((void **)&t->addresses, &t->address_count, sizeof(*added));

	if (added)
		*added = *a;
	return added != NULL;
}

static bool neighbour_apply(struct kernel_tables *t, const struct kernel_neighbour *n, bool removed)
{
	struct neighbour_entry **at = &t->neighbours[chain_of(n->ifindex, &n->address)];

	while (*at &&
		((*at)->n.ifindex != n->ifindex ||
			memcmp(&(*at)->n.address, &n->address, sizeof(n->address))))
		at = &(*at)->next;
	struct neighbour_entry *e = *at;

	if (removed) {
		if (!e)
			return false;
		*at = e->next;
		free(e);
		return true;
	}
	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return false;
		*at = e;
	} else if (!memcmp(&e->n, n, sizeof(*n))) {
		return false;
	}
	e->n = *n;
	return true;
}

bool kernel_tables_apply(struct kernel_tables *t, const struct rtnl_change *c)
{
	switch (c->kind) {
	case RTNL_LINK:
		return link_apply(t, &c->link, c->removed);
	case RTNL_ADDRESS:
		return address_apply(t, &c->address, c->removed);
	case RTNL_NEIGHBOUR:
		return neighbour_apply(t, &c->neighbour, c->removed);
	case RTNL_ROUTE:
	case RTNL_NEXTHOP:
	case RTNL_RULE:
		return true; /* not kept; the change itself is the news */
	case RTNL_OTHER:
		break;
	}
	return false;
}
