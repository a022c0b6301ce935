/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the two halves of weir-crowd share: the plan, which is made before the first packet, and in which
 * each arrival's outcome is written down. All of it belongs to the one thread of the program.
 */

#ifndef WEIR_TOOLS_WEIR_CROWD_H
#define WEIR_TOOLS_WEIR_CROWD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CROWD_CLASSES 8
#define CROWD_PHASES  64

enum crowd_outcome {
	CROWD_PENDING,
	CROWD_OK,
	CROWD_REFUSED, /* RST or an ICMP error instead of SYN-ACK */
	CROWD_RESET, /* ended after the connection was there and before the answer */
	CROWD_TIMEOUT,
	CROWD_BAD, /* an answer that is not 200 */
	CROWD_LOCAL, /* this machine had no descriptor or port left: the figures are worth nothing */
	CROWD_OUTCOMES
};

struct crowd_arrival {
	uint64_t at_ns; /* since the start: when it should begin */
	uint32_t source; /* index in its class */
	uint32_t latency_us; /* from at_ns to the answer's first byte, or to the failure */
	uint8_t class;
	uint8_t outcome;
	uint8_t backend; /* as it names itself in X-Backend; 255: unknown */
	bool keep; /* over a connection that is kept */
};

/* From `at` on: `rate` a second; reached over `ramp` seconds from what was before. */
struct crowd_phase {
	double at;
	double rate;
	double ramp;
};

struct crowd_class {
	char name[16];
	uint32_t first; /* address of the first source, host byte order */
	uint32_t sources;
	double skew; /* sigma of the lognormal distribution of what sources ask for; 0: all the same */
	double keep; /* share of requests over kept connections */
	double timeout; /* from the moment when the request should have begun */
	struct crowd_phase phase[CROWD_PHASES];
	unsigned int phases;
};

struct crowd_plan {
	struct sockaddr_in target;
	struct crowd_class class[CROWD_CLASSES];
	unsigned int classes;
	uint64_t seed;
	bool even; /* constant intervals instead of a Poisson process */
	double seconds;
	double objective; /* an answer within it is a good one */
	double timeout; /* of classes that do not say */
	unsigned int keep_requests; /* over one kept connection */
	uint64_t start_ns; /* CLOCK_MONOTONIC of time 0; 0: now */
	const char *records; /* file for a line per arrival; NULL: none */
	struct crowd_arrival *arrival; /* in order of time; owned */
	size_t arrivals;
};

/* Read the arguments and make the arrivals; exits with a message when that cannot be done. */
void crowd_plan_make(struct crowd_plan *p, int argc, char **argv);
/* `AT_US CLASS SOURCE OUTCOME LATENCY_US BACKEND`, a line each, to p->records. */
void crowd_plan_write(const struct crowd_plan *p);
void crowd_plan_free(struct crowd_plan *p);
const char *crowd_outcome_name(enum crowd_outcome outcome);

#endif
