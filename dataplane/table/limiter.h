/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Rate limits, exact over all workers of a service: one shared word of state, one atomic claim per
 * burst. The generic cell rate algorithm: the state is the theoretical arrival time (TAT), the time at
 * which all that has passed would have been paid for at the limit's rate. A packet passes while the TAT
 * is not more than the tolerance ahead of now, and then moves it on by its cost; so a packet of any
 * size passes when there is credit at all, the debt is paid by those behind it, and the long-run rate
 * is the limit exactly, also for limits of one packet per second.
 *
 * Time is in units of 2^-8 clock cycles in 64 bits that wrap (166 days at 5 GHz). A TAT further ahead of
 * now than any packet can have put it is from before a wrap, from a slower limit, or from another clock,
 * and counts as "long ago". Costs are rounded to those units at random but repeatably, so there is no
 * bias even at 10^12 per second.
 *
 * Source: ITU-T I.371 annex A (GCRA, virtual scheduling).
 */

#ifndef WEIR_TABLE_LIMITER_H
#define WEIR_TABLE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#define LIMITER_UNLIMITED    UINT64_MAX
#define LIMITER_SHIFT	     8
#define LIMITER_MAX_UNITS    (1u << 20) /* of one packet; 1 Mbit */
#define LIMITER_MAX_BURST_NS UINT64_C(60000000000)

/* Shared by the workers of a service; outlives configurations. All zero is a fresh one. */
struct limiter {
	uint64_t tat; /* atomic */
};

/* Immutable: made from the configuration. */
struct limiter_rate {
	uint64_t cost; /* of a unit, scaled by 2^cost_shift */
	uint64_t tolerance; /* how far the TAT may be ahead when a packet passes */
	uint64_t horizon; /* further ahead than this it is nonsense */
	uint8_t cost_shift;
	bool unlimited;
	bool zero; /* nothing passes */
};

/*
 * Make a rate.
 *
 * per_second  units per second; 0 lets nothing pass; LIMITER_UNLIMITED
 * burst_ns    depth as time at full rate, clamped to two units at least (else credit that comes in
 *             between sparse packets is lost) and LIMITER_MAX_BURST_NS
 * hz          of the clock that limiter_claim() is given, 10^6..10^11
 *
 * Control thread.
 */
void limiter_rate_init(struct limiter_rate *r, uint64_t per_second, uint64_t burst_ns, uint64_t hz);

/*
 * The same rate for those who must leave something to others: half as deep, but one unit at least. Where
 * both claim from one limiter, what is claimed at this rate never uses up the other half.
 *
 * Control thread.
 */
void limiter_rate_init_half(struct limiter_rate *r, const struct limiter_rate *of);

/*
 * How many of the first packets of a burst may pass; the others are over the limit.
 *
 * now    clock, cycles; clocks of workers may differ by up to a second without harm
 * units  cost of each packet, 1..LIMITER_MAX_UNITS (bits of a frame...); NULL: 1 each
 * n      packets, at most 4096
 *
 * Any worker, any number at a time.
 */
uint32_t limiter_claim(struct limiter *l, const struct limiter_rate *r, uint64_t now,
	const uint32_t *units, uint32_t n);

/* The same without atomic operations, for a limit that one thread has for itself. */
uint32_t limiter_claim_single(struct limiter *l, const struct limiter_rate *r, uint64_t now,
	const uint32_t *units, uint32_t n);

/* One unit, with or without them. */
bool limiter_claim_one(struct limiter *l, const struct limiter_rate *r, uint64_t now, bool shared);

#endif
