/* SPDX-License-Identifier: BSD-3-Clause */

/* Controller A: each backend's weight by its latency against its pool's. The rules are in weights.c. */

#ifndef WEIR_ADAPT_WEIGHTS_H
#define WEIR_ADAPT_WEIGHTS_H

#include "control/adapt/estimate.h"

struct weights_backend {
	double factor; /* learned; in force is the configured weight times this */
	double told; /* the factor of the last decision that was told */
	uint64_t cut_ns; /* when it was last taken down; 0: never */
	uint64_t back_ns; /* when it had last come back from that; 0: never */
	uint64_t hold_until_ns; /* no way back before */
	uint64_t ramp_ns; /* slow start since an ejection began then; 0: none */
	unsigned int relapses; /* times that it fell again on its way back, or soon after */
	double out_ticks; /* in a row an outlier */
	double slow_ticks; /* in a row slow, or an outlier */
	double far_ticks; /* in a row so slow that idle flows are closed */
	bool down; /* it was cut, and has not come back yet */
	double low; /* least factor since it was cut, while down */
};

void weights_backend_init(struct weights_backend *w);

/* One tick; fills factor and close_idle of the directive's backends that serve. */
void weights_step(struct weights_backend *of, const struct estimate_backend *b,
	const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log);

#endif
