/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/limiter.h"

#include <stddef.h>

#define COST_BITS 63 /* precision of a unit's cost */
#define MOST_AHEAD \
	(UINT64_C(1) << 62) /* debts end here: half of what a signed difference can say */
#define NS_PER_S     UINT64_C(1000000000)
#define DITHER_MIXER UINT64_C(0x9e3779b97f4a7c15)

typedef unsigned __int128 uint128;

static uint64_t saturate(uint128 v)
{
	return v < MOST_AHEAD ? (uint64_t)v : MOST_AHEAD;
}

void limiter_rate_init(struct limiter_rate *r, uint64_t per_second, uint64_t burst_ns, uint64_t hz)
{
	*r = (struct limiter_rate){
		.unlimited = per_second == LIMITER_UNLIMITED,
		.zero = per_second == 0,
	};
	if (per_second == 0 || r->unlimited)
		return;
	uint128 second = (uint128)hz << LIMITER_SHIFT;
	uint128 scaled = second;
	const uint128 most = ((uint128)1 << COST_BITS) * per_second;

	while (scaled * 2 < most) {
		scaled *= 2;
		r->cost_shift++;
	}
	r->cost = (uint64_t)(scaled / per_second);
	if (burst_ns > LIMITER_MAX_BURST_NS)
		burst_ns = LIMITER_MAX_BURST_NS;
	uint128 depth = second * burst_ns / NS_PER_S;
	uint128 unit = second / per_second;

	/*
	 * One unit passes at zero tolerance; what is deeper than that is tolerance. Two units at least:
	 * with one, the credit that comes in between two packets further apart than a unit is lost, and
	 * a limit of 2 a second lets 1.5 of 3 a second pass.
	 */
	r->tolerance = saturate(depth > 2 * unit ? depth - unit : unit);
	uint128 largest = ((uint128)r->cost * LIMITER_MAX_UNITS >> r->cost_shift) + 1;

	r->horizon = saturate(r->tolerance + largest + second);
}

void limiter_rate_init_half(struct limiter_rate *r, const struct limiter_rate *of)
{
	*r = *of;
	if (of->unlimited || of->zero)
		return;
	uint64_t unit = (uint64_t)((uint128)of->cost >> of->cost_shift);

	r->tolerance = of->tolerance / 2 > unit ? of->tolerance / 2 : unit;
}

/* Rounding: a random fraction that is the same for the same clock and state. */
static inline uint128 dither_make(const struct limiter_rate *r, uint64_t now, uint64_t tat)
{
	uint64_t random = (now ^ tat) * DITHER_MIXER;

	random ^= random >> 32;
	random *= DITHER_MIXER;
	return r->cost_shift <= 64 ? ((uint128)random << r->cost_shift) >> 64 :
				     (uint128)random << (r->cost_shift - 64);
}

static inline uint128 cost_of(const struct limiter_rate *r, uint64_t units, uint128 dither)
{
	return ((uint128)units * r->cost + dither) >> r->cost_shift;
}

/*
 * How many packets fit: packet i passes when those before it have not used up `room`. Sets the cost
 * of those that pass.
 */
static inline uint32_t fit(const struct limiter_rate *r, const uint32_t *units, uint32_t n,
	uint64_t room, uint128 dither, uint64_t *ret_cost)
{
	uint64_t before = n - 1, all = n;
	uint32_t passed = n;

	if (units != NULL) {
		before = 0;
		for (uint32_t i = 0; i + 1 < n; i++)
			before += units[i];
		all = before + units[n - 1];
	}
	if (cost_of(r, before, dither) > room) {
		all = 0;
		for (passed = 0; passed < n && cost_of(r, all, dither) <= room; passed++)
			all += units != NULL ? units[passed] : 1;
	}
	*ret_cost = saturate(cost_of(r, all, dither));
	return passed;
}

static inline uint32_t claim(struct limiter *l, const struct limiter_rate *r, uint64_t now,
	const uint32_t *units, uint32_t n, const bool shared)
{
	if (r->unlimited)
		return n;
	if (r->zero || n == 0)
		return 0;
	uint64_t at = now << LIMITER_SHIFT;
	uint64_t tat = __atomic_load_n(&l->tat, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t cost;
		uint64_t ahead = tat - at;

		if (ahead > r->horizon)
			ahead = 0; /* in the past, or nonsense */
		if (ahead > r->tolerance)
			return 0;
		uint32_t passed =
			fit(r, units, n, r->tolerance - ahead, dither_make(r, now, tat), &cost);
		uint64_t next = at + ahead + cost;

		if (!shared) {
			__atomic_store_n(&l->tat, next, __ATOMIC_RELAXED);
			return passed;
		}
		if (__atomic_compare_exchange_n(
			    &l->tat, &tat, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return passed;
	}
}

uint32_t limiter_claim(struct limiter *l, const struct limiter_rate *r, uint64_t now,
	const uint32_t *units, uint32_t n)
{
	return claim(l, r, now, units, n, true);
}

uint32_t limiter_claim_single(struct limiter *l, const struct limiter_rate *r, uint64_t now,
	const uint32_t *units, uint32_t n)
{
	return claim(l, r, now, units, n, false);
}

/* As claim() for a single unit, which passes when there is credit at all: nothing is before it. */
bool limiter_claim_one(struct limiter *l, const struct limiter_rate *r, uint64_t now, bool shared)
{
	if (r->unlimited || r->zero)
		return r->unlimited;
	uint64_t at = now << LIMITER_SHIFT;
	uint64_t tat = __atomic_load_n(&l->tat, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t ahead = tat - at;

		if (ahead > r->horizon)
			ahead = 0;
		if (ahead > r->tolerance)
			return false;
		uint64_t next = at + ahead + saturate(cost_of(r, 1, dither_make(r, now, tat)));

		if (!shared) {
			__atomic_store_n(&l->tat, next, __ATOMIC_RELAXED);
			return true;
		}
		if (__atomic_compare_exchange_n(
			    &l->tat, &tat, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	}
}
