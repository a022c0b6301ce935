/* SPDX-License-Identifier: BSD-3-Clause */

/* The table of datagrams in fragments, and what it holds, against a naive list. */

#include "dataplane/table/fragment_table.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/fastpath/scarce.h"
#include "tests/unit/tap.h"

#include <string.h>

#define ITEMS 4096u

static struct fragment_table *make(void)
{
	struct hash_seed seed = hash_seed_make(3);
	struct fragment_table *t = NULL;

	CU_ASSERT_EQUAL_FATAL(fragment_table_create(&seed, &table_memory_libc, -1, &t), 0);
	return t;
}

static struct fragment_key key_of(uint32_t n)
{
	struct fragment_key key = { .id = n, .protocol = n & 1 ? 6 : 17, .ipv6 = n >> 1 & 1 };

	memcpy(key.addrs, &n, sizeof(n));
	return key;
}

static char items[ITEMS];

static uint32_t number_of(const void *item)
{
	return (uint32_t)((const char *)item - items);
}

static void first_tells_the_later_ones(void)
{
	struct fragment_table *t = make();
	struct fragment_key key = key_of(1), other = key;
	struct fragment_first first = { .ports = 77, .bytes = 1480 }, found;

	CU_ASSERT_FALSE(fragment_table_find(t, &key, 0, &found));
	fragment_table_note(t, &key, &first, 1000);
	CU_ASSERT_TRUE(fragment_table_find(t, &key, 1000, &found));
	CU_ASSERT_EQUAL(found.ports, 77);
	CU_ASSERT_EQUAL(found.bytes, 1480);
	CU_ASSERT_TRUE(fragment_table_find(t, &key, 1000 + FRAGMENT_LIFE_MS - 1, &found));
	CU_ASSERT_FALSE(fragment_table_find(t, &key, 1000 + FRAGMENT_LIFE_MS, &found));
	/* Each part of the key counts. */
	fragment_table_note(t, &key, &first, 1000);
	other.id++;
	CU_ASSERT_FALSE(fragment_table_find(t, &other, 1000, &found));
	other = key;
	other.protocol ^= 1;
	CU_ASSERT_FALSE(fragment_table_find(t, &other, 1000, &found));
	other = key;
	other.addrs[31]++;
	CU_ASSERT_FALSE(fragment_table_find(t, &other, 1000, &found));
	other = key;
	other.ipv6 ^= 1;
	CU_ASSERT_FALSE(fragment_table_find(t, &other, 1000, &found));
	first.ports = 78;
	fragment_table_note(t, &key, &first, 1001);
	CU_ASSERT_TRUE(fragment_table_find(t, &key, 1001, &found));
	CU_ASSERT_EQUAL(found.ports, 78);
	fragment_table_destroy(t);
}

static void held_come_back_once(void)
{
	struct fragment_table *t = make();
	struct fragment_key key = key_of(1), other = key_of(2);
	struct fragment_first first = { .ports = 1 };

	CU_ASSERT_TRUE(fragment_table_hold(t, &key, &items[0], 0xfffffff0u));
	CU_ASSERT_TRUE(fragment_table_hold(t, &other, &items[1], 0xfffffff1u));
	CU_ASSERT_TRUE(fragment_table_hold(t, &key, &items[2], 0xfffffff2u));
	CU_ASSERT_EQUAL(fragment_table_held(t), 3);
	CU_ASSERT_PTR_NULL(fragment_table_ready(t));
	fragment_table_note(t, &key, &first, 5); /* the clock has wrapped */
	CU_ASSERT_PTR_EQUAL(fragment_table_ready(t), &items[0]);
	CU_ASSERT_PTR_EQUAL(fragment_table_ready(t), &items[2]);
	CU_ASSERT_PTR_NULL(fragment_table_ready(t));
	CU_ASSERT_PTR_NULL(fragment_table_expired(t, 0xfffffff1u + FRAGMENT_HOLD_MS - 1));
	CU_ASSERT_PTR_EQUAL(fragment_table_expired(t, 0xfffffff1u + FRAGMENT_HOLD_MS), &items[1]);
	CU_ASSERT_EQUAL(fragment_table_held(t), 0);
	CU_ASSERT_PTR_NULL(fragment_table_drop(t));
	fragment_table_destroy(t);
}

static void holding_is_bounded(void)
{
	struct fragment_table *t = make();
	struct fragment_key key = key_of(1);
	uint32_t held = 0;

	while (fragment_table_hold(t, &key, &items[held], 10))
		held++;
	CU_ASSERT_EQUAL(held, FRAGMENT_HELD_EACH);
	for (uint32_t n = 2; held < FRAGMENT_HELD; n++, held++) {
		key = key_of(n);
		CU_ASSERT_TRUE(fragment_table_hold(t, &key, &items[held], 10));
	}
	key = key_of(1000);
	CU_ASSERT_FALSE(fragment_table_hold(t, &key, &items[held], 10));
	for (uint32_t i = 0; i < held; i++)
		CU_ASSERT_PTR_EQUAL(fragment_table_drop(t), &items[i]);
	CU_ASSERT_TRUE(fragment_table_hold(t, &key, &items[0], 10));
	CU_ASSERT_PTR_EQUAL(fragment_table_drop(t), &items[0]);
	fragment_table_destroy(t);
}

/* What made room in a full set gives up what it held only when its time is over. */
static void flood_evicts_the_oldest(void)
{
	struct fragment_table *t = make();
	struct fragment_first first = { .ports = 9 }, found;
	struct fragment_key waiting = key_of(1), key;
	uint32_t last = 50 * FRAGMENT_ENTRIES;

	CU_ASSERT_TRUE(fragment_table_hold(t, &waiting, &items[0], 0));
	for (uint32_t n = 2; n < last; n++) {
		key = key_of(n);
		fragment_table_note(t, &key, &first, 10);
		CU_ASSERT_TRUE_FATAL(fragment_table_find(t, &key, 10, &found));
	}
	fragment_table_note(t, &waiting, &first, 20);
	CU_ASSERT_PTR_NULL(fragment_table_ready(t));
	CU_ASSERT_PTR_NULL(fragment_table_expired(t, FRAGMENT_HOLD_MS - 1));
	CU_ASSERT_PTR_EQUAL(fragment_table_expired(t, FRAGMENT_HOLD_MS), &items[0]);
	fragment_table_destroy(t);
}

/* ---- model: datagrams few enough that no set is ever full ---- */

#define KEYS 64u

struct model {
	bool known[KEYS];
	uint32_t ports[KEYS];
	uint32_t until[KEYS];
	struct {
		uint32_t key, until, item;
	} held[FRAGMENT_HELD];
	uint32_t count;
};

static void model_remove(struct model *m, uint32_t i)
{
	memmove(&m->held[i], &m->held[i + 1], (--m->count - i) * sizeof(m->held[0]));
}

static uint32_t model_held_of(const struct model *m, uint32_t key)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count; i++)
		n += m->held[i].key == key;
	return n;
}

static void model_note(struct fragment_table *t, struct model *m, uint32_t n, uint32_t now)
{
	struct fragment_first first = { .ports = now ^ n };
	struct fragment_key key = key_of(n);

	fragment_table_note(t, &key, &first, now);
	for (uint32_t i = 0; i < m->count;) {
		if (m->held[i].key != n) {
			i++;
			continue;
		}
		void *item = fragment_table_ready(t);

		CU_ASSERT_PTR_NOT_NULL_FATAL(item);
		CU_ASSERT_EQUAL_FATAL(number_of(item), m->held[i].item);
		model_remove(m, i);
	}
	CU_ASSERT_PTR_NULL_FATAL(fragment_table_ready(t));
	m->known[n] = true;
	m->ports[n] = first.ports;
	m->until[n] = now + FRAGMENT_LIFE_MS;
}

static void model_later(
	struct fragment_table *t, struct model *m, uint32_t n, uint32_t now, uint32_t item)
{
	struct fragment_first found;
	struct fragment_key key = key_of(n);
	bool known = m->known[n] && (int32_t)(now - m->until[n]) < 0;

	CU_ASSERT_EQUAL_FATAL(fragment_table_find(t, &key, now, &found), known);
	if (known) {
		CU_ASSERT_EQUAL_FATAL(found.ports, m->ports[n]);
		return;
	}
	bool room = m->count < FRAGMENT_HELD && model_held_of(m, n) < FRAGMENT_HELD_EACH;

	CU_ASSERT_EQUAL_FATAL(fragment_table_hold(t, &key, &items[item], now), room);
	if (!room)
		return;
	m->held[m->count].key = n;
	m->held[m->count].until = now + FRAGMENT_HOLD_MS;
	m->held[m->count++].item = item;
}

static void same_as_a_naive_list(void)
{
	struct random r = random_start("fragment table");
	struct fragment_table *t = make();
	struct model m = { .count = 0 };
	uint32_t now = 0xffff0000u;

	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t n = random_below(&r, KEYS);

		now += random_below(&r, 8) ? random_below(&r, 3) : random_below(&r, 300);
		while (m.count && (int32_t)(now - m.held[0].until) >= 0) {
			void *item = fragment_table_expired(t, now);

			CU_ASSERT_PTR_NOT_NULL_FATAL(item);
			CU_ASSERT_EQUAL_FATAL(number_of(item), m.held[0].item);
			model_remove(&m, 0);
		}
		CU_ASSERT_PTR_NULL_FATAL(fragment_table_expired(t, now));
		if (random_below(&r, 40) == 0)
			model_note(t, &m, n, now);
		else
			model_later(t, &m, n, now, i % ITEMS);
		CU_ASSERT_EQUAL_FATAL(fragment_table_held(t), m.count);
	}
	while (fragment_table_drop(t))
		m.count--;
	CU_ASSERT_EQUAL(m.count, 0);
	fragment_table_destroy(t);
}

static void memory_may_run_out(void)
{
	struct scarce scarce = { .left = 0 };
	struct table_memory memory = scarce_memory(&scarce);
	struct hash_seed seed = hash_seed_make(1);
	struct fragment_table *t;

	CU_ASSERT_NOT_EQUAL(fragment_table_create(&seed, &memory, -1, &t), 0);
	scarce.left = 1;
	CU_ASSERT_EQUAL(fragment_table_create(&seed, &memory, -1, &t), 0);
	fragment_table_destroy(t);
	fragment_table_destroy(NULL);
	CU_ASSERT_EQUAL(scarce.held, 0);
}

static const struct tap_case cases[] = {
	{ "a first fragment tells the later ones, for two seconds", first_tells_the_later_ones },
	{ "what is held comes back once: ready, or when its time is over", held_come_back_once },
	{ "holding is bounded, for a datagram and in all", holding_is_bounded },
	{ "a flood evicts the oldest, and new ones find theirs", flood_evicts_the_oldest },
	{ "random operations do what a naive list does", same_as_a_naive_list },
	{ "without memory there is no table", memory_may_run_out },
};

TAP_MAIN("fragment table", cases)
