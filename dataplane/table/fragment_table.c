/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/fragment_table.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#define NIL UINT16_MAX

enum entry_state {
	ENTRY_FREE = 0,
	ENTRY_KNOWN, /* the first fragment has come */
	ENTRY_WAITING, /* later ones are held for it */
};

struct list {
	uint16_t head, tail; /* slots; NIL when empty */
};

struct entry {
	struct fragment_key key;
	struct fragment_first first;
	uint32_t until_ms;
	struct list held; /* WAITING: in order of arrival */
	uint8_t state;
	uint8_t held_count;
};
static_assert(sizeof(struct fragment_key) == 40, "a key has no padding, so it is compared whole");
static_assert(sizeof(struct entry) <= 64, "a set is at most eight cache lines");

/* A held fragment: in the list of its datagram or of those that are ready, and in the one by age. */
struct slot {
	void *item;
	uint32_t until_ms;
	uint16_t entry; /* index; NIL: its entry had to go */
	uint16_t next; /* in its datagram's list, the ready or the free ones */
	uint16_t older, newer; /* all that wait, ready ones not */
};

struct fragment_table {
	struct hash_seed seed;
	struct table_memory memory;
	uint32_t held;
	uint32_t turn; /* of entries that end at the same time another one goes each time */
	struct list free, ready;
	uint16_t oldest, newest;
	struct slot slot[FRAGMENT_HELD];
	alignas(64) struct entry entry[FRAGMENT_ENTRIES];
};

/* ---- lists ---- */

static void list_append(struct fragment_table *t, struct list *l, uint16_t i)
{
	t->slot[i].next = NIL;
	if (l->head == NIL)
		l->head = i;
	else
		t->slot[l->tail].next = i;
	l->tail = i;
}

static uint16_t list_pop(struct fragment_table *t, struct list *l)
{
	uint16_t i = l->head;

	if (i != NIL)
		l->head = t->slot[i].next;
	return i;
}

static void age_append(struct fragment_table *t, uint16_t i)
{
	t->slot[i].older = t->newest;
	t->slot[i].newer = NIL;
	if (t->newest == NIL)
		t->oldest = i;
	else
		t->slot[t->newest].newer = i;
	t->newest = i;
}

static void age_unlink(struct fragment_table *t, uint16_t i)
{
	const struct slot *s = &t->slot[i];

	if (s->older == NIL)
		t->oldest = s->newer;
	else
		t->slot[s->older].newer = s->newer;
	if (s->newer == NIL)
		t->newest = s->older;
	else
		t->slot[s->newer].older = s->older;
}

static void *slot_free(struct fragment_table *t, uint16_t i)
{
	void *item = t->slot[i].item;

	list_append(t, &t->free, i);
	t->held--;
	return item;
}

/* ---- entries ---- */

static bool is_over(const struct entry *e, uint32_t now_ms)
{
	return (int32_t)(now_ms - e->until_ms) >= 0;
}

static struct entry *set_of(struct fragment_table *t, const struct fragment_key *key)
{
	uint64_t h = hash_tuple6(
		&t->seed, key->addrs, key->id, (uint8_t)(key->protocol ^ key->ipv6 << 7));

	return &t->entry[(h >> 32) % FRAGMENT_SETS * FRAGMENT_WAYS];
}

static struct entry *entry_find(
	struct fragment_table *t, const struct fragment_key *key, uint32_t now_ms)
{
	struct entry *set = set_of(t, key);

	for (uint32_t i = 0; i < FRAGMENT_WAYS; i++)
		if (set[i].state != ENTRY_FREE && !is_over(&set[i], now_ms) &&
			memcmp(&set[i].key, key, sizeof(*key)) == 0)
			return &set[i];
	return NULL;
}

/* What is held for it has nobody to ask for it any more, and goes when its time is over. */
static void entry_clear(struct fragment_table *t, struct entry *e)
{
	if (e->state == ENTRY_WAITING)
		for (uint16_t i = e->held.head; i != NIL; i = t->slot[i].next)
			t->slot[i].entry = NIL;
	e->state = ENTRY_FREE;
}

/* A free place in the key's set, or that of the entry which ends next. */
static struct entry *entry_take(
	struct fragment_table *t, const struct fragment_key *key, uint32_t now_ms)
{
	struct entry *set = set_of(t, key);
	struct entry *e = &set[t->turn % FRAGMENT_WAYS];

	for (uint32_t i = 0; i < FRAGMENT_WAYS; i++) {
		struct entry *other = &set[(t->turn + i) % FRAGMENT_WAYS];

		if (other->state == ENTRY_FREE || is_over(other, now_ms)) {
			e = other;
			break;
		}
		if ((int32_t)(other->until_ms - e->until_ms) < 0)
			e = other;
	}
	t->turn++;
	entry_clear(t, e);
	memset(e, 0, sizeof(*e));
	e->key = *key;
	e->held = (struct list){ NIL, NIL };
	return e;
}

int fragment_table_create(const struct hash_seed *seed, const struct table_memory *memory, int node,
	struct fragment_table **ret_table)
{
	struct fragment_table *t = memory->alloc(memory->ctx, sizeof(*t), node);

	if (!t)
		return -ENOMEM;
	t->seed = *seed;
	t->memory = *memory;
	t->free = (struct list){ NIL, NIL };
	t->ready = (struct list){ NIL, NIL };
	t->oldest = NIL;
	t->newest = NIL;
	for (uint16_t i = 0; i < FRAGMENT_HELD; i++)
		list_append(t, &t->free, i);
	*ret_table = t;
	return 0;
}

void fragment_table_destroy(struct fragment_table *t)
{
	if (t)
		t->memory.free(t->memory.ctx, t);
}

void fragment_table_note(struct fragment_table *t, const struct fragment_key *key,
	const struct fragment_first *first, uint32_t now_ms)
{
	struct entry *e = entry_find(t, key, now_ms);
	uint16_t i;

	if (!e)
		e = entry_take(t, key, now_ms);
	while ((i = list_pop(t, &e->held)) != NIL) {
		age_unlink(t, i);
		list_append(t, &t->ready, i);
	}
	e->held_count = 0;
	e->first = *first;
	e->state = ENTRY_KNOWN;
	e->until_ms = now_ms + FRAGMENT_LIFE_MS;
}

bool fragment_table_find(struct fragment_table *t, const struct fragment_key *key, uint32_t now_ms,
	struct fragment_first *ret_first)
{
	const struct entry *e = entry_find(t, key, now_ms);

	if (!e || e->state != ENTRY_KNOWN)
		return false;
	*ret_first = e->first;
	return true;
}

bool fragment_table_hold(
	struct fragment_table *t, const struct fragment_key *key, void *item, uint32_t now_ms)
{
	struct entry *e;
	uint16_t i;

	if (t->held == FRAGMENT_HELD)
		return false;
	e = entry_find(t, key, now_ms);
	if (!e) {
		e = entry_take(t, key, now_ms);
		e->state = ENTRY_WAITING;
	}
	if (e->held_count == FRAGMENT_HELD_EACH)
		return false;
	i = list_pop(t, &t->free);
	e->held_count++;
	e->until_ms = now_ms + FRAGMENT_HOLD_MS;
	t->slot[i] = (struct slot){
		.item = item,
		.until_ms = now_ms + FRAGMENT_HOLD_MS,
		.entry = (uint16_t)(e - t->entry),
	};
	list_append(t, &e->held, i);
	age_append(t, i);
	t->held++;
	return true;
}

void *fragment_table_ready(struct fragment_table *t)
{
	uint16_t i = list_pop(t, &t->ready);

	return i == NIL ? NULL : slot_free(t, i);
}

/* The oldest that waits is the first of its datagram. */
static void *oldest_take(struct fragment_table *t)
{
	uint16_t i = t->oldest;
	struct entry *e;

	age_unlink(t, i);
	if (t->slot[i].entry != NIL) {
		e = &t->entry[t->slot[i].entry];
		list_pop(t, &e->held);
		if (--e->held_count == 0)
			e->state = ENTRY_FREE;
	}
	return slot_free(t, i);
}

void *fragment_table_expired(struct fragment_table *t, uint32_t now_ms)
{
	if (t->oldest == NIL || (int32_t)(now_ms - t->slot[t->oldest].until_ms) < 0)
		return NULL;
	return oldest_take(t);
}

void *fragment_table_drop(struct fragment_table *t)
{
	void *item = fragment_table_ready(t);

	return item || t->oldest == NIL ? item : oldest_take(t);
}

uint32_t fragment_table_held(const struct fragment_table *t)
{
	return t->held;
}
