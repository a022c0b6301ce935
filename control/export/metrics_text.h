/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The figures of a snapshot in Prometheus' text format. Pure function.
 *
 * Source: Prometheus, "Exposition formats", text format 0.0.4, and its advice on metric names.
 */

#ifndef WEIR_EXPORT_METRICS_TEXT_H
#define WEIR_EXPORT_METRICS_TEXT_H

#include "control/telemetry/snapshot.h"

#include <stdbool.h>

struct evbuffer;

struct metrics_event {
	const char *kind;
	uint64_t count;
};

#define METRICS_CONTROLLERS 5

/* Adaptation of one service; NAN: not known, or does not apply. */
struct metrics_adapt {
	const char *service;
	double objective_s;
	double p99_s;
	double fair_rate;
	double boxed;
	double ejected;
	double expected;
	const char *controller[METRICS_CONTROLLERS];
	unsigned int mode[METRICS_CONTROLLERS]; /* 0 off, 1 observes, 2 on */
	const char *const *actions;
	const uint64_t *decisions; /* of each action */
	size_t action_count;
};

/* Messages for Kafka, since the daemon's start. */
struct metrics_stream {
	uint64_t sent;
	uint64_t lost;
	uint64_t queued;
};

struct metrics_refusal {
	const char *reason;
	uint64_t count;
};

/* Reports of weir-probe, since the daemon's start. */
struct metrics_probes {
	uint64_t received;
	uint64_t backends; /* that are told of now */
	const struct metrics_refusal *refused; /* one for each reason */
	size_t refused_count;
};

struct metrics_input {
	const char *instance;
	const char *version;
	bool dataplane_up; /* it answers */
	uint64_t dataplane_restarts;
	double controld_uptime_s;
	double applied_at; /* seconds since 1970, of the configuration in force */
	size_t warnings;
	const struct metrics_event *events; /* one for each kind */
	size_t event_count;
	const struct metrics_stream *stream; /* NULL: none is configured */
	const struct metrics_probes *probes; /* NULL: none are configured */
	uint64_t checks_started; /* health checks */
	uint64_t checks_late;
	double check_lateness_worst_s;
	const struct metrics_adapt *adapt; /* of the services that are adapted */
	size_t adapt_count;
	double adapt_cost_s; /* of all ticks so far */
	/* Does the kernel run the policy with this id in front of the port? NULL: nobody knows. */
	bool (*in_kernel)(void *ctx, uint64_t policy, const char *port);
	void *in_kernel_ctx;
	const struct snapshot *now; /* NULL: no data plane */
	const struct snapshot *base; /* quantiles are of what came since; NULL: since the start */
};

void metrics_render(const struct metrics_input *in, struct evbuffer *out);

#endif
