/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What weir-origin is told.
 */

#ifndef WEIR_TOOLS_WEIR_ORIGIN_H
#define WEIR_TOOLS_WEIR_ORIGIN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define ORIGIN_BACKENDS 64
#define ORIGIN_CHANGES	512

struct origin_change {
	double at;
	unsigned int first, last;
	char what; /* 's'low, 'd'ead, 'a'live */
	double slow;
};

struct origin_options {
	struct in_addr first;
	unsigned int count;
	uint16_t port;
	unsigned int slots, backlog;
	double mean, sigma;
	uint64_t seed;
	uint64_t start_ns; /* 0: now */
	bool start_later; /* start_ns comes on standard input */
	struct origin_change change[ORIGIN_CHANGES]; /* in order of time */
	unsigned int changes;
};

/* Exits with a message when they cannot be used. */
void origin_options_read(struct origin_options *o, int argc, char **argv);

#endif
