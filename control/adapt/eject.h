/* SPDX-License-Identifier: BSD-3-Clause */

/* Ejection of backends that answer no SYN, ahead of their health checks. The rules are in eject.c. */

#ifndef WEIR_ADAPT_EJECT_H
#define WEIR_ADAPT_EJECT_H

#include "control/adapt/weights.h"

struct eject_backend {
	double unanswered; /* SYNs since the last answer, of ticks before this one */
	double silent_s; /* not a packet came from it, while others were heard */
	double silent_asked; /* SYNs and requests since the last one */
	bool asked_before; /* SYNs were sent in the tick before */
	bool out;
	uint64_t until_ns;
	uint64_t returned_ns; /* when it came back last */
	uint64_t probes_at; /* good ones, when it was ejected */
	unsigned int times; /* ejected; forgotten after a calm while */
};

struct eject_service {
	bool panic;
	uint64_t panic_until_ns;
	uint64_t answered_ns; /* when anybody answered last */
};

/* One tick; weights are those of the same backends. Fills `ejected`. */
void eject_step(struct eject_service *e, struct eject_backend *of, struct weights_backend *weights,
	struct estimate_backend *b, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log);

#endif
