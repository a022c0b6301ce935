/* SPDX-License-Identifier: BSD-3-Clause */

/* What adaptation may do, does, and how often it decided what. */

#include "control/export/metrics_private.h"

#include <stddef.h>

static const struct gauge {
	const char *name;
	const char *help;
	size_t offset; /* of a double in struct metrics_adapt */
} gauges[] = {
	{ "weir_service_objective_seconds", "The p99 that adaptation defends.",
		offsetof(struct metrics_adapt, objective_s) },
	{ "weir_service_first_byte_p99_seconds",
		"p99 of the last second's first bytes, without outliers.",
		offsetof(struct metrics_adapt, p99_s) },
	{ "weir_service_fair_rate",
		"New flows per second of one source, while they are shared out.",
		offsetof(struct metrics_adapt, fair_rate) },
	{ "weir_service_sources_boxed", "Sources in the penalty box.",
		offsetof(struct metrics_adapt, boxed) },
	{ "weir_service_backends_ejected", "Backends that answer nothing and get nothing.",
		offsetof(struct metrics_adapt, ejected) },
	{ "weir_service_expected_flows", "New flows per second expected in ten seconds.",
		offsetof(struct metrics_adapt, expected) },
};

static void adapt_labels(
	struct labels *l, const struct metrics_input *in, const struct metrics_adapt *a)
{
	labels_begin(l, in->instance);
	labels_add(l, "service", a->service);
}

void metrics_adaptation(const struct metrics_input *in, struct evbuffer *out)
{
	static const char decisions[] = "weir_adapt_decisions_total";
	static const char mode[] = "weir_adapt_mode";
	struct labels l;

	for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++) {
		metrics_family(out, gauges[g].name, "gauge", gauges[g].help);
		for (size_t i = 0; i < in->adapt_count; i++) {
			const char *at = (const char *)&in->adapt[i] + gauges[g].offset;

			adapt_labels(&l, in, &in->adapt[i]);
			metrics_sample_double(
				out, gauges[g].name, &l, *(const double *)(const void *)at);
		}
	}
	metrics_family(out, mode, "gauge", "0 off, 1 observes (also while paused), 2 on.");
	for (size_t i = 0; i < in->adapt_count; i++) {
		for (size_t c = 0; c < METRICS_CONTROLLERS; c++) {
			adapt_labels(&l, in, &in->adapt[i]);
			labels_add(&l, "controller", in->adapt[i].controller[c]);
			metrics_sample_u64(out, mode, &l, in->adapt[i].mode[c]);
		}
	}
	metrics_family(out, decisions, "counter", "Decisions, by what was done.");
	for (size_t i = 0; i < in->adapt_count; i++) {
		const struct metrics_adapt *a = &in->adapt[i];

		for (size_t j = 0; j < a->action_count; j++) {
			adapt_labels(&l, in, a);
			labels_add(&l, "action", a->actions[j]);
			metrics_sample_u64(out, decisions, &l, a->decisions[j]);
		}
	}
	labels_begin(&l, in->instance);
	metrics_family(out, "weir_adapt_seconds_total", "counter",
		"Time that the daemon spent on adaptation.");
	metrics_sample_double(out, "weir_adapt_seconds_total", &l, in->adapt_cost_s);
}
