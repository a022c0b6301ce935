/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate_private.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What must be unique, brought to one shape so that one sort finds all repeats. */
struct unique_key {
	uint32_t scope; /* repeats count only within one scope */
	uint32_t owner; /* service that it belongs to, for the message */
	uint8_t bytes[64];
	const uint8_t *blocks; /* sources: repeats may share the key but not a block */
};

static int unique_key_compare(const void *a, const void *b)
{
	const struct unique_key *x = a;
	const struct unique_key *y = b;

	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	int order = memcmp(x->bytes, y->bytes, sizeof(x->bytes));
	if (order)
		return order;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

static bool unique_key_same(const struct unique_key *x, const struct unique_key *y)
{
	return x->scope == y->scope && memcmp(x->bytes, y->bytes, sizeof(x->bytes)) == 0;
}

/* Sorts keys. Returns the first that repeats the one before it, or NULL. */
static const struct unique_key *unique_find_repeat(struct unique_key *keys, size_t count)
{
	qsort(keys, count, sizeof(*keys), unique_key_compare);
	for (size_t i = 1; i < count; i++)
		if (unique_key_same(&keys[i], &keys[i - 1]))
			return &keys[i];
	return NULL;
}

static void key_put(struct unique_key *k, size_t *at, const void *p, size_t n)
{
	memcpy(k->bytes + *at, p, n);
	*at += n;
}

static int services_unique(
	const struct weir_config_view *v, struct unique_key *keys, const struct complaint *c)
{
	uint32_t n = v->header->service_count;

	for (uint32_t i = 0; i < n; i++) {
		keys[i] = (struct unique_key){ .owner = i };
		memcpy(keys[i].bytes, v->services[i].name, strlen(v->services[i].name));
	}
	const struct unique_key *repeat = unique_find_repeat(keys, n);
	if (repeat)
		return complain(
			c, "two services have the name %s", v->services[repeat->owner].name);
	for (uint32_t i = 0; i < n; i++) {
		const struct weir_config_service *s = &v->services[i];
		size_t at = 0;

		keys[i] = (struct unique_key){ .owner = i };
		key_put(&keys[i], &at, s->address, sizeof(s->address));
		key_put(&keys[i], &at, &s->prefix_length, sizeof(s->prefix_length));
		key_put(&keys[i], &at, &s->protocol, sizeof(s->protocol));
		key_put(&keys[i], &at, &s->port, sizeof(s->port));
	}
	repeat = unique_find_repeat(keys, n);
	if (repeat)
		return complain(c, "services %s and %s have the same address, protocol and port",
			v->services[repeat[-1].owner].name, v->services[repeat->owner].name);
	return 0;
}

static int backends_unique(
	const struct weir_config_view *v, struct unique_key *keys, const struct complaint *c)
{
	size_t n = 0;

	for (uint32_t i = 0; i < v->header->service_count; i++)
		for (uint32_t k = 0; k < v->services[i].backend_count; k++) {
			const struct weir_config_backend *b =
				&v->backends[v->services[i].first_backend + k];
			size_t at = 0;

			keys[n] = (struct unique_key){ .scope = i, .owner = i };
			key_put(&keys[n], &at, b->address, sizeof(b->address));
			key_put(&keys[n++], &at, &b->port, sizeof(b->port));
		}
	const struct unique_key *repeat = unique_find_repeat(keys, n);
	if (repeat)
		return complain(c, "service %s: two backends with the same address and port",
			v->services[repeat->owner].name);
	return 0;
}

/*
 * Within one address and protocol, the union of the blocks seen so far must be disjoint from the next
 * source's: that also holds two entries of one service apart, which would serve nobody.
 */
static int blocks_disjoint(
	const struct weir_config_view *v, struct unique_key *keys, const struct complaint *c)
{
	uint8_t taken[WEIR_PORT_BLOCKS / 8];
	size_t n = 0;

	for (uint32_t i = 0; i < v->header->service_count; i++)
		for (uint32_t k = 0; k < v->services[i].source_count; k++) {
			const struct weir_config_source *a =
				&v->sources[v->services[i].first_source + k];
			size_t at = 0;

			keys[n] = (struct unique_key){
				.scope = v->services[i].protocol,
				.owner = i,
				.blocks = a->blocks,
			};
			key_put(&keys[n++], &at, a->address, sizeof(a->address));
		}
	(void)unique_find_repeat(keys, n);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !unique_key_same(&keys[i], &keys[i - 1]))
			memset(taken, 0, sizeof(taken));
		for (size_t k = 0; k < sizeof(taken); k++) {
			if (taken[k] & keys[i].blocks[k])
				return complain(c,
					"service %s: a port block of its source address is used twice",
					v->services[keys[i].owner].name);
			taken[k] |= keys[i].blocks[k];
		}
	}
	return 0;
}

static int neighbours_check(
	const struct weir_config_view *v, struct unique_key *keys, const struct complaint *c)
{
	uint32_t n = v->header->neighbour_count;

	for (uint32_t i = 0; i < n; i++) {
		const struct weir_config_neighbour *a = &v->neighbours[i];
		size_t at = 0;

		if (a->port >= v->header->port_count)
			return complain(c, "neighbour %u: port %u beyond the array", i, a->port);
		if (a->resolved > 1)
			return complain(
				c, "neighbour %u: resolved is %u, expected 0 or 1", i, a->resolved);
		keys[i] = (struct unique_key){ .owner = i };
		key_put(&keys[i], &at, a->address, sizeof(a->address));
		key_put(&keys[i], &at, &a->port, sizeof(a->port));
	}
	const struct unique_key *repeat = unique_find_repeat(keys, n);
	if (repeat)
		return complain(c, "neighbours %u and %u have the same address and port",
			repeat[-1].owner, repeat->owner);
	return 0;
}

int config_uniqueness_check(const struct weir_config_view *v, const struct complaint *c)
{
	const struct weir_config *h = v->header;
	size_t most = h->service_count;

	most = most > h->backend_count ? most : h->backend_count;
	most = most > h->source_count ? most : h->source_count;
	most = most > h->neighbour_count ? most : h->neighbour_count;
	struct unique_key *keys = calloc(most + 1, sizeof(*keys));
	if (!keys) {
		(void)complain(c, "out of memory");
		return -ENOMEM;
	}
	int rc = services_unique(v, keys, c);
	if (rc == 0)
		rc = backends_unique(v, keys, c);
	if (rc == 0)
		rc = blocks_disjoint(v, keys, c);
	if (rc == 0)
		rc = neighbours_check(v, keys, c);
	free(keys);
	return rc;
}
