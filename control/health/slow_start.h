/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Slow start: a backend that has come back gets a small share of its weight first, and more in steps, so
 * that cold caches and pools fill before the full load comes. Pure functions of the caller's clock.
 */

#ifndef WEIR_HEALTH_SLOW_START_H
#define WEIR_HEALTH_SLOW_START_H

#include <stdint.h>

#define SLOW_START_STEPS 10

/*
 * The weight in force: a tenth of the configured one at first, one more tenth with each tenth of the ramp,
 * all of it at its end. Rounded up, so that a backend with a weight is never without; 0 stays 0.
 *
 * back_ns  when it came back; 0: it has not been away
 * ramp_ns  how long until it has all; 0: at once
 */
uint16_t slow_start_weight(uint16_t weight, uint64_t back_ns, uint64_t ramp_ns, uint64_t now_ns);

/* The weight of one that is to have this share of it at least, 0..1, in the same steps; rounded down to one. */
uint16_t slow_start_lifted(uint16_t weight, double least);

/*
 * The way back, for a daemon that finds a ramp under way: when did a backend that has in_force of its
 * weight come back? 0: its ramp is over.
 */
uint64_t slow_start_back(uint16_t weight, uint16_t in_force, uint64_t ramp_ns, uint64_t now_ns);

#endif
