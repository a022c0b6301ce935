/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A closed loop for tests of the controllers: clients that ask at a rate whatever happens, backends with
 * a few servers and a queue each, and between them what the fast path does with directives (weights, caps,
 * spill, colours of sources). Discrete events with a made-up clock and a fixed seed; nothing of it is
 * real, so it shows how the controllers behave, not how well Weir does.
 */

#ifndef WEIR_TESTS_UNIT_ADAPT_LOOP_H
#define WEIR_TESTS_UNIT_ADAPT_LOOP_H

#include "control/adapt/decision.h"
#include "control/adapt/service.h"

#include <stdbool.h>
#include <stdint.h>

#define LOOP_BACKENDS  10
#define LOOP_SERVERS   4
#define LOOP_MEAN_S    0.010
#define LOOP_SOURCES   200
#define LOOP_DECISIONS 4096

struct loop_backend {
	double slow; /* factor on its service times */
	bool dead;
	bool down; /* health says so */
	double share; /* that slow start leaves it at least, as the directive says */
	double back_at; /* seconds: health's slow start began then; 0: it has none */
	uint64_t probes_good;
	double free_at[LOOP_SERVERS];
	double *ends; /* a heap of what is in flight: when each is answered; owned */
	double *begins; /* of the same, in the heap's order */
	double *founds; /* likewise: how many were in flight when it began */
	size_t count, room;
	struct adapt_backend_signals tick;
	struct adapt_histogram tail;
	struct adapt_found found;
};

struct loop {
	struct adapt_service *service;
	struct adapt_settings settings;
	bool one_source; /* all legitimate requests come from it */
	bool probed; /* there are health checks */
	bool adapt; /* false: as configured, nothing is told */
	double slow_start; /* seconds of health's */
	struct loop_backend backends[LOOP_BACKENDS];
	size_t count;
	double now; /* seconds */
	double rate; /* requests per second of all legitimate clients */
	double attack_rate;
	unsigned int attackers;
	unsigned int ticks;
	uint64_t random;

	struct adapt_signals tick;
	struct adapt_backend_signals shown[LOOP_BACKENDS];
	struct adapt_source_signals sources[LOOP_SOURCES];
	double asked[LOOP_SOURCES]; /* since the tables were read */
	double level[LOOP_SOURCES]; /* the fast path's buckets */
	double level_at[LOOP_SOURCES];
	struct adapt_directive directive;
	struct adapt_backend_directive in_force[LOOP_BACKENDS];
	struct adapt_policing policing;
	double headroom;

	/* What came of it, since loop_forget(). */
	uint64_t asked_for, good, late, refused, lost; /* of legitimate requests */
	struct adapt_histogram latency; /* of those that were answered */
	struct adapt_decision decisions[LOOP_DECISIONS];
	size_t decision_count;
	double least_factor, most_factor; /* of any backend */
};

/* count equal backends under `rate`, everything on, objective 60 ms. */
struct loop *loop_create(size_t count, double rate);
void loop_destroy(struct loop *l);
void loop_run(struct loop *l, double seconds);
void loop_forget(struct loop *l);
double loop_p99(const struct loop *l);
size_t loop_decided(const struct loop *l, const char *action);

#endif
