/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/service_table.h"

#include "dataplane/api/address.h"

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define BLOCKS		 256
#define SLOTS_MIN	 64
#define SLOTS_PER_MEMBER 8
#define MAPPED		 96 /* prefix length of all IPv4 in 128 bits */
#define TAIL_USED	 (UINT64_C(1) << 32)
#define TAIL_PORT	 UINT64_C(0xffff)

/* Key: address and a tail of port (network order), protocol and a bit that is never 0. */
struct slot {
	uint64_t address[2];
	uint64_t tail; /* 0: empty */
	uint16_t value;
};

/* All entries of one prefix length, with or without a port. */
struct class
{
	uint64_t mask[2];
	uint64_t tail_mask;
	/* Owned; open addressing, sparse: the first slot looked at nearly always decides. */
	struct slot *slots;
	uint32_t slot_mask;
};

/* Classes, most specific first. */
struct space {
	struct class *class; /* owned */
	uint32_t count;
};

/* Which services have the port blocks of a source address. */
struct owners {
	uint64_t taken[BLOCKS / 64]; /* bit b: somebody has block b */
	uint16_t only; /* who has all of them, else SERVICE_NONE: replies stay on this line */
	uint16_t each[BLOCKS];
} __rte_cache_aligned;

struct service_table {
	struct hash_seed seed;
	struct table_memory memory;
	int node;
	struct space services[2]; /* IPv4, IPv6 */
	struct space addresses[2]; /* the same without ports */
	struct space sources[2]; /* value: row of owner */
	struct owners *owner; /* owned */
};

/* One thing to put in a space. */
struct item {
	uint64_t address[2];
	uint64_t tail;
	uint8_t prefix_length;
	bool any_port;
	uint16_t value;
};

static void prefix_mask(uint8_t length, uint64_t mask[2])
{
	uint8_t bytes[16];

	for (uint32_t i = 0; i < 16; i++) {
		uint32_t bits = length > i * 8 ? length - i * 8 : 0;

		bytes[i] = bits >= 8 ? 0xff : (uint8_t)(0xff00 >> bits);
	}
	memcpy(mask, bytes, sizeof(bytes));
}

static inline uint64_t tail_make(uint8_t protocol, uint16_t port_be)
{
	return TAIL_USED | (uint64_t)protocol << 16 | port_be;
}

static inline uint32_t slot_hash(
	const struct hash_seed *seed, const uint64_t address[2], uint64_t tail)
{
	uint64_t h = hash_mix(address[0] ^ tail ^ seed->k[0], address[1] ^ seed->k[1]);

	return (uint32_t)(h >> 32);
}

/* ---- lookup ---- */

static inline uint16_t space_find(const struct service_table *t, const struct space *space,
	const uint64_t address[2], uint64_t tail)
{
	for (uint32_t c = 0; c < space->count; c++) {
		const struct class *class = &space->class[c];
		const uint64_t key[2] = { address[0] & class->mask[0],
			address[1] & class->mask[1] };
		uint64_t key_tail = tail & class->tail_mask;
		uint32_t i = slot_hash(&t->seed, key, key_tail);

		for (;; i++) {
			const struct slot *s = &class->slots[i & class->slot_mask];

			if (s->tail == key_tail && s->address[0] == key[0] &&
				s->address[1] == key[1])
				return s->value;
			if (s->tail == 0)
				break;
		}
	}
	return SERVICE_NONE;
}

/* An IPv4 address as the two words of its mapped form. */
static inline void words4(uint32_t addr_be, uint64_t words[2])
{
	words[0] = 0;
	words[1] = UINT64_C(0xffff0000) | (uint64_t)addr_be << 32;
}

static inline void words6(const void *address, uint64_t words[2])
{
	words[0] = hash_load(address, 0);
	words[1] = hash_load(address, 8);
}

uint16_t service_table_find4(
	const struct service_table *t, uint32_t dst, uint8_t protocol, uint16_t port_be)
{
	uint64_t a[2];

	words4(dst, a);
	return space_find(t, &t->services[0], a, tail_make(protocol, port_be));
}

uint16_t service_table_find6(
	const struct service_table *t, const void *dst, uint8_t protocol, uint16_t port_be)
{
	uint64_t a[2];

	words6(dst, a);
	return space_find(t, &t->services[1], a, tail_make(protocol, port_be));
}

uint16_t service_table_find_address4(const struct service_table *t, uint32_t dst, uint8_t protocol)
{
	uint64_t a[2];

	words4(dst, a);
	return space_find(t, &t->addresses[0], a, tail_make(protocol, 0));
}

uint16_t service_table_find_address6(
	const struct service_table *t, const void *dst, uint8_t protocol)
{
	uint64_t a[2];

	words6(dst, a);
	return space_find(t, &t->addresses[1], a, tail_make(protocol, 0));
}

static inline uint16_t find_source(const struct service_table *t, const struct space *space,
	const uint64_t address[2], uint8_t protocol, uint16_t port_be)
{
	uint16_t row = space_find(t, space, address, tail_make(protocol, 0));
	uint32_t block = port_be & 0xff;

	if (row == SERVICE_NONE)
		return SERVICE_NONE;
	const struct owners *owner = &t->owner[row];

	if (unlikely(owner->only == SERVICE_NONE))
		return owner->each[block];
	return owner->taken[block / 64] >> (block % 64) & 1 ? owner->only : SERVICE_NONE;
}

uint16_t service_table_find_source4(
	const struct service_table *t, uint32_t dst, uint8_t protocol, uint16_t port_be)
{
	uint64_t a[2];

	words4(dst, a);
	return find_source(t, &t->sources[0], a, protocol, port_be);
}

uint16_t service_table_find_source6(
	const struct service_table *t, const void *dst, uint8_t protocol, uint16_t port_be)
{
	uint64_t a[2];

	words6(dst, a);
	return find_source(t, &t->sources[1], a, protocol, port_be);
}

bool service_table_has_source4(const struct service_table *t, uint32_t dst, uint8_t protocol)
{
	uint64_t a[2];

	words4(dst, a);
	return space_find(t, &t->sources[0], a, tail_make(protocol, 0)) != SERVICE_NONE;
}

bool service_table_has_source6(const struct service_table *t, const void *dst, uint8_t protocol)
{
	uint64_t a[2];

	words6(dst, a);
	return space_find(t, &t->sources[1], a, tail_make(protocol, 0)) != SERVICE_NONE;
}

/* ---- building ---- */

static void class_add(const struct service_table *t, struct class *class, const struct item *item)
{
	const uint64_t key[2] = { item->address[0] & class->mask[0],
		item->address[1] & class->mask[1] };
	uint64_t tail = item->tail & class->tail_mask;
	uint32_t i = slot_hash(&t->seed, key, tail);

	for (;; i++) {
		struct slot *s = &class->slots[i & class->slot_mask];

		if (s->tail == tail && s->address[0] == key[0] && s->address[1] == key[1])
			return; /* the first one wins */
		if (s->tail != 0)
			continue;
		*s = (struct slot){
			.address = { key[0], key[1] }, .tail = tail, .value = item->value
		};
		return;
	}
}

static bool in_class(const struct item *item, uint32_t prefix_length, bool any_port)
{
	return item->prefix_length == prefix_length && item->any_port == any_port;
}

static int class_build(struct service_table *t, struct class *class, const struct item *items,
	uint32_t item_count, uint32_t prefix_length, bool any_port)
{
	uint32_t members = 0, size = SLOTS_MIN;

	for (uint32_t i = 0; i < item_count; i++)
		members += in_class(&items[i], prefix_length, any_port);
	while (size < SLOTS_PER_MEMBER * members)
		size *= 2;
	prefix_mask((uint8_t)prefix_length, class->mask);
	class->tail_mask = any_port ? ~TAIL_PORT : UINT64_MAX;
	class->slot_mask = size - 1;
	class->slots = t->memory.alloc(t->memory.ctx, size * sizeof(*class->slots), t->node);
	if (class->slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < item_count; i++)
		if (in_class(&items[i], prefix_length, any_port))
			class_add(t, class, &items[i]);
	return 0;
}

/* Most specific first: longer prefixes, then the exact port. */
static int space_build(
	struct service_table *t, struct space *space, const struct item *items, uint32_t item_count)
{
	bool used[129][2] = { { false, false } };
	uint32_t classes = 0;

	for (uint32_t i = 0; i < item_count; i++) {
		bool *u = &used[items[i].prefix_length][items[i].any_port];

		classes += !*u;
		*u = true;
	}
	if (classes == 0)
		return 0;
	space->class = t->memory.alloc(t->memory.ctx, classes * sizeof(*space->class), t->node);
	if (space->class == NULL)
		return -ENOMEM;
	for (int length = 128; length >= 0; length--) {
		for (int any = 0; any < 2; any++) {
			if (!used[length][any])
				continue;
			int rc = class_build(t, &space->class[space->count++], items, item_count,
				(uint32_t)length, any != 0);

			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

static struct item service_item(const struct service_table_service *s)
{
	struct item item = {
		/* htons by bytes: the tail holds the port as it lies in a packet. */
		.tail = tail_make(s->protocol, __builtin_bswap16(s->port)),
		.prefix_length = s->prefix_length,
		.any_port = s->port == 0,
		.value = s->index,
	};

	memcpy(item.address, s->address, 16);
	return item;
}

static int services_build(struct service_table *t, struct item *items,
	const struct service_table_service *services, uint32_t count)
{
	for (int family = 0; family < 2; family++) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < count; i++) {
			bool ipv4 = services[i].prefix_length >= MAPPED &&
				weir_address_is_v4(services[i].address);

			if (ipv4 == (family == 0))
				items[n++] = service_item(&services[i]);
		}
		int rc = space_build(t, &t->services[family], items, n);

		for (uint32_t i = 0; i < n; i++)
			items[i].any_port = true;
		if (rc == 0)
			rc = space_build(t, &t->addresses[family], items, n);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void owners_init(struct owners *o)
{
	memset(o->taken, 0, sizeof(o->taken));
	memset(o->each, 0xff, sizeof(o->each)); /* SERVICE_NONE */
}

/* Later sources win. */
static void owners_add(struct owners *o, const struct service_table_source *s)
{
	for (uint32_t b = 0; b < BLOCKS; b++) {
		if (!(s->blocks[b / 8] >> (b % 8) & 1))
			continue;
		o->taken[b / 64] |= UINT64_C(1) << (b % 64);
		o->each[b] = s->index;
	}
}

static void owners_finish(struct owners *o)
{
	o->only = SERVICE_NONE;
	for (uint32_t b = 0; b < BLOCKS; b++) {
		if (o->each[b] == SERVICE_NONE)
			continue;
		if (o->only != SERVICE_NONE && o->only != o->each[b]) {
			o->only = SERVICE_NONE;
			return;
		}
		o->only = o->each[b];
	}
}

/* Rows of `owner`: one for each address and protocol, over all services that share it. */
static int sources_build(struct service_table *t, struct item *items,
	const struct service_table_source *sources, uint32_t count)
{
	uint32_t rows = 0, n[2] = { 0, 0 };
	struct item *list[2] = { items, items + count };

	t->owner = t->memory.alloc(t->memory.ctx, (count + 1) * sizeof(*t->owner), t->node);
	if (t->owner == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const struct service_table_source *s = &sources[i];
		int family = weir_address_is_v4(s->address) ? 0 : 1;
		struct item item = {
			.tail = tail_make(s->protocol, 0), .prefix_length = 128, .any_port = true
		};
		uint32_t k = 0;

		memcpy(item.address, s->address, 16);
		for (; k < n[family]; k++)
			if (list[family][k].tail == item.tail &&
				memcmp(list[family][k].address, item.address, 16) == 0)
				break;
		if (k == n[family]) {
			owners_init(&t->owner[rows]);
			item.value = (uint16_t)rows++;
			list[family][n[family]++] = item;
		}
		owners_add(&t->owner[list[family][k].value], s);
	}
	for (uint32_t row = 0; row < rows; row++)
		owners_finish(&t->owner[row]);
	int rc = space_build(t, &t->sources[0], list[0], n[0]);

	return rc != 0 ? rc : space_build(t, &t->sources[1], list[1], n[1]);
}

int service_table_create(const struct service_table_service *services, uint32_t service_count,
	const struct service_table_source *sources, uint32_t source_count,
	const struct hash_seed *seed, const struct table_memory *memory, int node,
	struct service_table **ret_table)
{
	struct service_table *t = memory->alloc(memory->ctx, sizeof(*t), node);
	struct item *items = memory->alloc(memory->ctx,
		((size_t)service_count + 2 * (size_t)source_count + 1) * sizeof(*items), node);
	int rc = -ENOMEM;

	if (t != NULL && items != NULL) {
		t->seed = *seed;
		t->memory = *memory;
		t->node = node;
		rc = services_build(t, items, services, service_count);
		if (rc == 0)
			rc = sources_build(t, items, sources, source_count);
	}
	memory->free(memory->ctx, items);
	if (rc != 0) {
		if (t != NULL && t->memory.free != NULL)
			service_table_destroy(t);
		else
			memory->free(memory->ctx, t);
		return rc;
	}
	*ret_table = t;
	return 0;
}

static void space_free(struct service_table *t, struct space *space)
{
	for (uint32_t c = 0; c < space->count; c++)
		t->memory.free(t->memory.ctx, space->class[c].slots);
	t->memory.free(t->memory.ctx, space->class);
}

void service_table_destroy(struct service_table *t)
{
	if (t == NULL)
		return;
	for (int family = 0; family < 2; family++) {
		space_free(t, &t->services[family]);
		space_free(t, &t->addresses[family]);
		space_free(t, &t->sources[family]);
	}
	t->memory.free(t->memory.ctx, t->owner);
	t->memory.free(t->memory.ctx, t);
}
