/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the controllers of a service share: the signals of one tick, what the operator wants, and what
 * comes out. All of it is plain memory; no controller reads a clock, a file or another's state. The
 * same input gives the same output, so a recording can be played again.
 */

#ifndef WEIR_ADAPT_ADAPT_H
#define WEIR_ADAPT_ADAPT_H

#include "control/adapt/gains.h"
#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADAPT_TICK_NS  UINT64_C(100000000)
#define ADAPT_STALE_NS UINT64_C(1000000000)
#define ADAPT_NO_CAP   UINT32_MAX

/* First-byte times of a tick: the data plane's histogram with half as many steps an octave. */
#define ADAPT_HIST_SHIFT   1
#define ADAPT_HIST_BUCKETS ((WEIR_HIST_BUCKETS >> ADAPT_HIST_SHIFT) + 1)

struct adapt_histogram {
	uint64_t count;
	uint32_t bucket[ADAPT_HIST_BUCKETS];
};

/* The duration in seconds that `share` of all do not exceed; NAN when there are none. */
double adapt_histogram_quantile(const struct adapt_histogram *h, double share);

/* The same times by what the request found in flight at the backend when it began: found.h. */
struct adapt_found {
	double count[WEIR_FOUND_CLASSES];
	double sum_s[WEIR_FOUND_CLASSES];
};

/* One backend in one tick. Counts are of the tick, in_flight is of its end. */
struct adapt_backend_signals {
	uint8_t address[16];
	uint16_t port;
	uint16_t weight; /* configured; less while health's slow start raises it */
	uint16_t whole; /* the configured one, all of it; 0: not known, no less than `weight` */
	bool usable; /* the pool would give it new flows now */
	bool probed; /* somebody checks its health */
	bool blind; /* nothing tells of its answers now: it stays as configured */
	uint64_t probes_good; /* cumulative: checks that it passed */
	double in_flight; /* requests not yet answered; flows open where replies are not seen */
	double in_flight_peak;
	uint64_t requests;
	uint64_t answered;
	double answered_s; /* sum of the answered ones' first-byte times */
	uint64_t new_flows;
	uint64_t syn_sent;
	uint64_t syn_answered;
	uint64_t
		unheard; /* 1: not one packet came from it; 0: some did, or they are not seen (not nat) */
	const struct adapt_histogram *tail; /* since it was read before; NULL: not read this time */
	const struct adapt_found *found; /* likewise */
};

/* A source that asks for much, as the data plane's tables of heavy hitters have it. */
enum adapt_resource {
	ADAPT_FLOWS, /* new ones */
	ADAPT_PACKETS,
	ADAPT_RESOURCE_COUNT,
};

struct adapt_source_signals {
	uint8_t prefix[16]; /* host bits are zero */
	double rate[ADAPT_RESOURCE_COUNT]; /* asked for, per second */
};

/* A class that the service's policies put packets into. */
struct adapt_class_signals {
	char name[WEIR_NAME_SIZE];
	uint64_t new_flows; /* asked for in this tick */
	uint64_t configured; /* most of them per second; WEIR_UNLIMITED */
};

struct adapt_signals {
	uint64_t now_ns; /* CLOCK_MONOTONIC of the reading */
	uint64_t elapsed_ns; /* since the one before */
	uint64_t day_s; /* seconds of the day (UTC) at the reading */
	uint64_t age_ns; /* of the data plane's heartbeat */
	uint64_t packets; /* from clients */
	uint64_t bits;
	uint64_t offered; /* new flows asked for */
	uint64_t forwarded; /* those that were placed */
	uint64_t shed; /* those within their source's share that found no room under the caps */
	uint64_t
		policed; /* those of sources above their share (also where that left no room), or in the box */
	uint64_t ring_full; /* packets that a busy worker lost */
	double busy; /* of the busiest worker, 0..1 */
	/* The cores that work for the service: 0: not known. */
	uint64_t cores;
	uint64_t cores_wanted; /* in force */
	uint64_t cores_short; /* of those wanted that it does not get, as none is free */
	uint64_t cores_sought; /* that other services lack */
	double cores_busy; /* by its packets, of what it may have of the busiest one, 0..1 */
	double cores_load; /* the same summed over them */
	struct adapt_backend_signals *backends;
	size_t backend_count;
	struct adapt_histogram *tails; /* the memory of their tails, owned; NULL: not read */
	struct adapt_found *founds; /* likewise */
	uint64_t
		sources_ns; /* since the tables of heavy sources were read before; 0: not this time */
	struct adapt_source_signals *sources;
	size_t source_count;
	struct adapt_class_signals *classes;
	size_t class_count; /* at most WEIR_MAX_CLASSES_PER_SERVICE */
};

enum adapt_mode {
	ADAPT_OFF,
	ADAPT_OBSERVE, /* decides and says so, changes nothing */
	ADAPT_ON,
};

/* The controllers that can be switched one by one; a key of `adapt:` each. */
#define ADAPT_CONTROLLERS(X)    \
	X(WEIGHTS, "weights")   \
	X(SHED, "shed")         \
	X(SOURCES, "sources")   \
	X(FORECAST, "forecast") \
	X(CORES, "cores")

enum adapt_controller {
#define X(name, label) ADAPT_##name,
	ADAPT_CONTROLLERS(X)
#undef X
	ADAPT_CONTROLLER_COUNT,
};

const char *adapt_controller_name(enum adapt_controller c);
const char *adapt_mode_name(enum adapt_mode m);

/* What the operator wants of a service, and what must not be exceeded. */
struct adapt_settings {
	double objective_s; /* p99 of the first byte; 0: none */
	enum adapt_mode mode[ADAPT_CONTROLLER_COUNT];
	bool sees_replies; /* nat: latency, SYN-ACKs and requests are measured */
	bool probed; /* not nat, and probes on the backends' hosts measure them */
	bool is_tcp;
	unsigned int cores_min; /* the range that cores move in; max = min: they do not */
	unsigned int cores_max;
	bool sticks; /* by affinity: a flow has no other choice than its first */
	struct adapt_gains gains;
};

struct adapt_backend_directive {
	uint8_t address[16];
	uint16_t port;
	double factor; /* weight in force = weight x factor */
	double share; /* of its whole weight that health's slow start has to leave it, at least */
	double weight; /* that weight, before rounding */
	uint32_t cap; /* of requests in flight; ADAPT_NO_CAP */
	uint32_t cap_calm; /* the part of it that leaves no queue: for sources above their share */
	bool ejected;
	double close_idle; /* share of its idle flows to close in this tick */
};

#define ADAPT_SOURCES_MAX 256

struct adapt_source_weight {
	uint8_t prefix[16];
	double weight; /* in shares */
};

struct adapt_source_box {
	uint8_t prefix[16];
	uint64_t until_ns;
};

struct adapt_policing {
	bool on;
	double rate[ADAPT_RESOURCE_COUNT]; /* what one share is worth, per second; INFINITY */
	double yellow; /* red begins at so many times that */
	size_t weight_count;
	struct adapt_source_weight weights[ADAPT_SOURCES_MAX];
	size_t box_count;
	struct adapt_source_box box[ADAPT_SOURCES_MAX];
};

struct adapt_class_directive {
	char name[WEIR_NAME_SIZE];
	double rate; /* of new flows, per second */
};

/* What is to be in force until the next one. */
struct adapt_directive {
	struct adapt_backend_directive *backends; /* in the order of the signals */
	size_t backend_count;
	struct adapt_policing *policing; /* NULL: sources are not looked at */
	struct adapt_class_directive *classes; /* those that are held back */
	size_t class_count;
	double headroom; /* at least 1: how much more than now is expected soon */
	unsigned int cores; /* 0: as many as it has */
	double room; /* at least 1: so much wider than for now are caps of calm weather */
};

struct adapt_figure {
	const char *name; /* constant */
	double value;
};

#define ADAPT_FIGURES_MAX 12

/* One decision with the figures that it was made from. */
struct adapt_decision {
	uint64_t at_ns; /* the signals' now_ns */
	enum adapt_controller controller;
	bool observed; /* nothing was changed: the controller only observes */
	char action[16]; /* "weight", "eject", "return", "panic", "cap", "police", "box", ... */
	char object[64]; /* a backend or a source; "": the service */
	double from; /* NAN: does not apply */
	double to;
	char reason[192]; /* "p50 84 ms against the pool's 9 ms" */
	struct adapt_figure figures[ADAPT_FIGURES_MAX];
	size_t figure_count;
};

/* Where decisions go; called within a step. */
struct adapt_log {
	void *ctx;
	void (*decide)(void *ctx, const struct adapt_decision *d);
};

#endif
