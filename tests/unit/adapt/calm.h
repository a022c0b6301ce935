/* SPDX-License-Identifier: BSD-3-Clause */

/* A pool of three in calm weather, as signals that tests change; and the log of decisions of told.h. */

#ifndef WEIR_TESTS_ADAPT_CALM_H
#define WEIR_TESTS_ADAPT_CALM_H

#include "tests/unit/adapt/first.h"
#include "tests/unit/adapt/told.h"

#define BACKENDS 3

static struct adapt_backend_signals backends[BACKENDS];
static struct adapt_signals signals;
static struct adapt_settings settings;

static void begin(void)
{
	decided = 0;
	settings = first_settings();
	signals = first_signals(backends, BACKENDS);
	for (size_t i = 0; i < BACKENDS; i++) {
		backends[i] = (struct adapt_backend_signals){ .port = 80,
			.weight = 100,
			.usable = true,
			.address = { [10] = 255, 255, 10, 0, 0, (uint8_t)(1 + i) } };
	}
}

/* 50 requests each, answered in 10 ms. */
static void calm_tick(void)
{
	signals.now_ns += ADAPT_TICK_NS;
	signals.offered = signals.forwarded = 50 * BACKENDS;
	for (size_t i = 0; i < BACKENDS; i++) {
		struct adapt_backend_signals *b = &backends[i];
		b->requests = b->answered = b->new_flows = b->syn_sent = b->syn_answered = 50;
		b->answered_s = 50 * 0.01;
		b->in_flight = b->in_flight_peak = 5;
	}
}

#endif
