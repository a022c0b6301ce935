/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/source_table.h"

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_vect.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TAG_NOBODY 0u
#define TAG_BUSY   UINT32_MAX
/* Clocks of workers differ by less than a unit: an idle time as large as this is one below zero. */
#define IDLE_SKEW  0xfff8u

static_assert(sizeof(struct source_set) == RTE_CACHE_LINE_SIZE, "a set is one line");
static_assert(sizeof(struct source_entry) == 32, "an entry is half a line");
static_assert(sizeof(struct source_group) == RTE_CACHE_LINE_SIZE, "a group has its own line");

/* ---- creation ---- */

static uint32_t entries_rounded(uint32_t entries)
{
	if (entries < SOURCE_ENTRIES_MIN)
		entries = SOURCE_ENTRIES_MIN;
	if (entries > SOURCE_ENTRIES_MAX)
		entries = SOURCE_ENTRIES_MAX;
	return rte_align32pow2(entries);
}

size_t source_table_bytes(uint32_t entries)
{
	size_t count = entries_rounded(entries);

	return sizeof(struct source_table) + SOURCE_GROUPS * sizeof(struct source_group) +
		count / SOURCE_WAYS * sizeof(struct source_set) +
		count * sizeof(struct source_entry);
}

uint32_t source_table_entries(const struct source_table *t)
{
	return (t->set_mask + 1) * SOURCE_WAYS;
}

static void mask_make(struct source_table *t, uint32_t prefix)
{
	uint8_t bytes[16] = { 0 };

	for (uint32_t bit = 0; bit < prefix; bit++)
		bytes[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	memcpy(t->mask, bytes, sizeof(t->mask));
	t->hashed = prefix > 64;
}

int source_table_create(const struct source_table_params *params, struct source_table **ret_table)
{
	const struct table_memory *memory = &params->memory;
	uint32_t entries = entries_rounded(params->entries);
	struct source_table *t;

	if (params->prefix < 1 || params->prefix > (params->ipv6 ? 128 : 32))
		return -EINVAL;
	t = memory->alloc(memory->ctx, sizeof(*t), params->node);
	if (!t)
		return -ENOMEM;
	t->memory = params->memory;
	t->seed = params->seed;
	t->ipv6 = params->ipv6;
	t->by_time = params->by_time;
	t->set_mask = entries / SOURCE_WAYS - 1;
	mask_make(t, params->prefix);
	t->set =
		memory->alloc(memory->ctx, entries / SOURCE_WAYS * sizeof(t->set[0]), params->node);
	t->entry = memory->alloc(memory->ctx, entries * sizeof(t->entry[0]), params->node);
	t->group = memory->alloc(memory->ctx, SOURCE_GROUPS * sizeof(t->group[0]), params->node);
	if (!t->set || !t->entry || !t->group) {
		source_table_destroy(t);
		return -ENOMEM;
	}
	*ret_table = t;
	return 0;
}

void source_table_destroy(struct source_table *t)
{
	if (!t)
		return;
	const struct table_memory memory = t->memory;

	memory.free(memory.ctx, t->group);
	memory.free(memory.ctx, t->entry);
	memory.free(memory.ctx, t->set);
	memory.free(memory.ctx, t);
}

/* ---- finding ---- */

#define LOAD(word)	   __atomic_load_n(word, __ATOMIC_RELAXED)
#define STORE(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)

struct place {
	struct source_set *set; /* NULL: there is none */
	struct source_entry *entry;
	uint32_t way;
};

static inline struct place place_at(const struct source_table *t, uint32_t set, uint32_t way)
{
	return (struct place){ &t->set[set], &t->entry[(size_t)set * SOURCE_WAYS + way], way };
}

/* Bit i: way i has the tag. */
static inline uint32_t set_match(const struct source_set *s, uint32_t tag)
{
#ifdef __SSE2__
	/* Each tag is read whole; x86 does not move later reads before earlier ones. */
	const __m128i *tags = (const __m128i *)(const void *)s->tag;
	const __m128i want = _mm_set1_epi32((int)tag);
	__m128i low = _mm_cmpeq_epi32(_mm_load_si128(tags), want);
	__m128i high = _mm_cmpeq_epi32(_mm_load_si128(tags + 1), want);

	return (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(low)) |
		(uint32_t)_mm_movemask_ps(_mm_castsi128_ps(high)) << 4;
#else
	uint32_t match = 0;

	for (uint32_t way = 0; way < SOURCE_WAYS; way++)
		match |= (uint32_t)(__atomic_load_n(&s->tag[way], __ATOMIC_ACQUIRE) == tag) << way;
	return match;
#endif
}

static inline struct place source_find(const struct source_table *t, const struct source_id *id)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t match = set_match(&t->set[id->set[i]], id->tag);

		for (; match; match &= match - 1) {
			struct place p = place_at(t, id->set[i], (uint32_t)__builtin_ctz(match));

			if (likely(LOAD(&p.entry->key) == id->key))
				return p;
		}
	}
	return (struct place){ .set = NULL };
}

void source_prefetch_entry(const struct source_table *t, struct source_id *id)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t match = set_match(&t->set[id->set[i]], id->tag);

		if (match) {
			id->guess = id->set[i] * SOURCE_WAYS + (uint32_t)__builtin_ctz(match);
			rte_prefetch0(&t->entry[id->guess]);
			return;
		}
	}
}

/* The guess of pass 2, unless somebody has taken the place since; else search again. */
static inline struct place source_find_guessed(
	const struct source_table *t, const struct source_id *id)
{
	if (likely(id->guess != SOURCE_NO_GUESS)) {
		struct place p = place_at(t, id->guess / SOURCE_WAYS, id->guess % SOURCE_WAYS);

		if (likely(LOAD(&p.entry->key) == id->key &&
			    __atomic_load_n(&p.set->tag[p.way], __ATOMIC_ACQUIRE) == id->tag))
			return p;
	}
	return source_find(t, id);
}

static inline uint16_t unit_of(const struct source_clock *clock)
{
	return (uint16_t)(clock->ms >> SOURCE_UNIT_SHIFT);
}

static inline uint16_t idle_of(const struct source_set *s, uint32_t way, uint16_t unit)
{
	uint16_t idle = (uint16_t)(unit - LOAD(&s->seen[way]));

	return idle >= IDLE_SKEW ? 0 : idle;
}

/* ---- places ---- */

/* The best place of a set for somebody who has none. */
struct offer {
	struct place place;
	uint32_t rank; /* of the place; 0: none */
	uint32_t free; /* places that nobody has or needs */
};

#define RANK_IDLE   (1u << 20) /* nobody needs it any more; below: it is taken from somebody */
#define RANK_NOBODY (1u << 21)
#define RANK_ONCE   (1u << 17) /* seen in one unit only */

static uint32_t place_rank(const struct source_set *s, uint32_t way, uint16_t unit, bool proved)
{
	uint32_t tag = LOAD(&s->tag[way]);
	uint32_t state = LOAD(&s->state[way]) & SOURCE_STATE_MASK;
	uint32_t idle = idle_of(s, way, unit);
	bool once = LOAD(&s->returns[way]) == 0;

	if (tag == TAG_NOBODY)
		return RANK_NOBODY;
	if (tag == TAG_BUSY)
		return 0;
	if (idle > (state == SOURCE_KNOWN ? SOURCE_KNOWN_UNITS : SOURCE_NEW_UNITS))
		return RANK_IDLE + idle;
	if (state == SOURCE_KNOWN)
		return 0;
	if (proved)
		return 1 + idle + (once ? RANK_ONCE : 0);
	return once && idle >= SOURCE_TRIAL_UNITS ? idle : 0;
}

static struct offer set_offer(
	const struct source_table *t, uint32_t set, uint16_t unit, bool proved)
{
	struct offer offer = { .rank = 0 };

	for (uint32_t way = 0; way < SOURCE_WAYS; way++) {
		uint32_t rank = place_rank(&t->set[set], way, unit, proved);

		offer.free += rank >= RANK_IDLE;
		if (rank <= offer.rank)
			continue;
		offer.rank = rank;
		offer.place = place_at(t, set, way);
	}
	return offer;
}

/* Where there are more free places in a set, the next one comes less soon to a full pair. */
static struct offer offer_find(
	const struct source_table *t, const struct source_id *id, uint16_t unit, bool proved)
{
	struct offer a = set_offer(t, id->set[0], unit, proved);
	struct offer b = set_offer(t, id->set[1], unit, proved);

	if (a.free != b.free)
		return a.free > b.free ? a : b;
	return a.rank >= b.rank ? a : b;
}

/* Take a place. False when another worker was quicker. */
static bool place_take(const struct place *p, const struct source_id *id, uint16_t unit,
	enum source_state state, struct source_use *use)
{
	struct source_set *s = p->set;
	uint32_t tag = LOAD(&s->tag[p->way]);

	if (tag == TAG_BUSY ||
		!__atomic_compare_exchange_n(
			&s->tag[p->way], &tag, TAG_BUSY, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	use->tracked += tag == TAG_NOBODY;
	use->known -= (LOAD(&s->state[p->way]) & SOURCE_STATE_MASK) == SOURCE_KNOWN;
	use->known += state == SOURCE_KNOWN;
	STORE(&p->entry->key, id->key);
	STORE(&p->entry->packets.tat, 0);
	STORE(&p->entry->connections.tat, 0);
	STORE(&p->entry->yellow.tat, 0);
	STORE(&s->seen[p->way], unit);
	STORE(&s->state[p->way], (uint8_t)state);
	STORE(&s->returns[p->way], 0);
	__atomic_store_n(&s->tag[p->way], id->tag, __ATOMIC_RELEASE);
	return true;
}

static inline uint32_t place_state(const struct place *p)
{
	return LOAD(&p->set->state[p->way]) & SOURCE_STATE_MASK;
}

/* Only one of two workers that promote a source at once counts it. */
static __rte_noinline void place_promote(
	const struct place *p, enum source_state state, struct source_use *use)
{
	uint8_t before = __atomic_exchange_n(&p->set->state[p->way], state, __ATOMIC_RELAXED);

	if (state == SOURCE_KNOWN && (before & SOURCE_STATE_MASK) != SOURCE_KNOWN)
		use->known++;
}

/* First packet of a unit. */
static __rte_noinline void place_return(
	const struct source_table *t, const struct place *p, uint16_t unit, struct source_use *use)
{
	uint8_t returns = LOAD(&p->set->returns[p->way]);
	uint32_t state = place_state(p);

	if ((uint16_t)(unit - LOAD(&p->set->seen[p->way])) >= IDLE_SKEW)
		return; /* another worker's clock is ahead */
	STORE(&p->set->seen[p->way], unit);
	if (returns < UINT8_MAX)
		STORE(&p->set->returns[p->way], ++returns);
	if (state == SOURCE_TRIAL)
		place_promote(p, SOURCE_NEW, use);
	else if (state == SOURCE_NEW && t->by_time && returns >= SOURCE_KNOWN_AFTER)
		place_promote(p, SOURCE_KNOWN, use);
}

/* ---- judging ---- */

static inline bool claim(
	struct limiter *l, const struct limiter_rate *rate, const struct source_clock *clock)
{
	return limiter_claim_one(l, rate, clock->tsc, clock->shared);
}

static struct source_group *group_of(
	const struct source_table *t, const struct source_id *id, const struct source_clock *clock)
{
	uint64_t epoch = clock->ms >> SOURCE_GROUP_SHIFT;
	uint64_t hash = hash_mix(id->key ^ t->seed.k[1], t->seed.k[0] ^ epoch << 32);

	return &t->group[(hash >> 32) % SOURCE_GROUPS];
}

/* A source without a place. */
static __rte_noinline enum source_verdict newcomer_judge(struct source_table *t,
	const struct source_limits *limits, const struct source_id *id,
	const struct source_clock *clock, struct source_use *use)
{
	uint16_t unit = unit_of(clock);
	struct offer offer = offer_find(t, id, unit, false);

	if (offer.rank >= RANK_IDLE && place_take(&offer.place, id, unit, SOURCE_NEW, use))
		return claim(&offer.place.entry->packets, &limits->packets, clock) ? SOURCE_PASSED :
										     SOURCE_REFUSED;
	if (offer.rank)
		place_take(&offer.place, id, unit, SOURCE_TRIAL, use);
	use->overflow++;
	return claim(&group_of(t, id, clock)->packets, &limits->packets, clock) ? SOURCE_PASSED :
										  SOURCE_REFUSED;
}

enum source_verdict source_packet(struct source_table *t, const struct source_limits *limits,
	const struct source_id *id, const struct source_clock *clock, struct source_use *use)
{
	struct place p = source_find_guessed(t, id);
	struct limiter *budget;
	uint32_t state;

	if (unlikely(!p.set))
		return newcomer_judge(t, limits, id, clock, use);
	if (unlikely(LOAD(&p.set->seen[p.way]) != unit_of(clock)))
		place_return(t, &p, unit_of(clock), use);
	state = place_state(&p);
	budget = &p.entry->packets;
	if (unlikely(state == SOURCE_TRIAL)) {
		use->overflow++;
		budget = &group_of(t, id, clock)->packets;
	}
	if (likely(claim(budget, &limits->packets, clock)))
		return state == SOURCE_KNOWN ? SOURCE_PASSED_KNOWN : SOURCE_PASSED;
	/* Who sends too much does not become known for being there. */
	if (t->by_time && state == SOURCE_NEW && LOAD(&p.set->returns[p.way]) > 1)
		STORE(&p.set->returns[p.way], 1);
	return SOURCE_REFUSED;
}

/* What is refused costs nothing: no budget goes below zero, and who slows down is green at once. */
static enum source_colour colour_of(struct limiter *packets, struct limiter *flows,
	struct limiter *yellow, const struct source_rates *rates, const struct source_clock *clock,
	bool opens)
{
	if (!claim(packets, &rates->packets, clock))
		return SOURCE_RED;
	if (!opens || claim(flows, &rates->flows, clock))
		return SOURCE_GREEN;
	return claim(yellow, &rates->flows_yellow, clock) ? SOURCE_YELLOW : SOURCE_RED;
}

enum source_colour source_colour(struct source_table *t, const struct source_rates *rates,
	const struct source_id *id, const struct source_clock *clock, bool opens,
	struct source_use *use)
{
	struct place p = source_find_guessed(t, id);
	uint16_t unit = unit_of(clock);
	struct offer offer;

	if (likely(p.set)) {
		if (unlikely(LOAD(&p.set->seen[p.way]) != unit))
			place_return(t, &p, unit, use);
	} else {
		offer = offer_find(t, id, unit, false);
		if (offer.rank >= RANK_IDLE && place_take(&offer.place, id, unit, SOURCE_NEW, use))
			p = offer.place;
		else if (offer.rank)
			place_take(&offer.place, id, unit, SOURCE_TRIAL, use);
	}
	if (likely(p.set && place_state(&p) != SOURCE_TRIAL))
		return colour_of(&p.entry->packets, &p.entry->connections, &p.entry->yellow, rates,
			clock, opens);
	struct source_group *g = group_of(t, id, clock);
	use->overflow++;
	return colour_of(&g->packets, &g->connections, &g->yellow, rates, clock, opens);
}

bool source_flow(struct source_table *t, const struct source_limits *limits,
	const struct source_id *id, const struct source_clock *clock)
{
	struct place p = source_find(t, id);
	struct limiter *budget = p.set && place_state(&p) != SOURCE_TRIAL ?
		&p.entry->connections :
		&group_of(t, id, clock)->connections;

	return claim(budget, &limits->connections, clock);
}

void source_prove(struct source_table *t, const struct source_id *id,
	const struct source_clock *clock, struct source_use *use)
{
	struct place p;
	struct offer offer;

	if (t->by_time)
		return;
	p = source_find(t, id);
	if (p.set) {
		if (place_state(&p) != SOURCE_KNOWN)
			place_promote(&p, SOURCE_KNOWN, use);
		return;
	}
	offer = offer_find(t, id, unit_of(clock), true);
	if (offer.rank)
		place_take(&offer.place, id, unit_of(clock), SOURCE_KNOWN, use);
}
