/* SPDX-License-Identifier: BSD-3-Clause */

/* What tests of controllers begin with: all that serve requests are on, and nothing has been measured yet. */

#ifndef WEIR_TESTS_ADAPT_FIRST_H
#define WEIR_TESTS_ADAPT_FIRST_H

#include "control/adapt/adapt.h"

static inline struct adapt_settings first_settings(void)
{
	return (struct adapt_settings){ .objective_s = 0.06,
		.mode = { ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON },
		.sees_replies = true,
		.is_tcp = true,
		.gains = adapt_gains_preset };
}

static inline struct adapt_signals first_signals(
	struct adapt_backend_signals *backends, size_t backend_count)
{
	return (struct adapt_signals){ .now_ns = 1000 * ADAPT_TICK_NS,
		.elapsed_ns = ADAPT_TICK_NS,
		.backends = backends,
		.backend_count = backend_count };
}

#endif
