/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the two halves of weir-load share: the options, and the tally of results by backend. All of it
 * belongs to the one thread of the program.
 */

#ifndef WEIR_TOOLS_WEIR_LOAD_H
#define WEIR_TOOLS_WEIR_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct load_options {
	struct sockaddr_storage target;
	socklen_t target_size;
	struct sockaddr_storage source; /* family 0: any */
	socklen_t source_size;
	char *host; /* as in the Host header; owned */
	char *path; /* owned */
	unsigned int connections; /* closed loop: at once; open loop: the most at once */
	double rate; /* requests started per second; 0: closed loop */
	uint64_t requests; /* 0: until the time is over */
	double seconds;
	unsigned int keepalive; /* requests per connection; 0: as many as come */
	double timeout; /* seconds, for connecting and for each answer */
	double report; /* seconds between interim reports; 0: none */
	double think; /* closed loop: seconds between answer and next request */
};

enum load_failure {
	LOAD_FAILURE_CONNECT, /* refused, unreachable, reset while connecting */
	LOAD_FAILURE_TIMEOUT,
	LOAD_FAILURE_CLOSED, /* closed or reset before the whole answer was there */
	LOAD_FAILURE_STATUS, /* the answer is not 200 */
	LOAD_FAILURE_ANSWER, /* the answer is no HTTP that we understand */
	LOAD_FAILURE_BUSY, /* open loop: no connection free at the time */
	LOAD_FAILURE_COUNT
};

struct tally;

struct tally *tally_create(void); /* aborts when out of memory, as all of this tool */
void tally_destroy(struct tally *t);
void tally_ok(struct tally *t, const char *backend, uint64_t latency_ns, uint64_t bytes);
/* at: seconds since the start; the first few are kept for the report. backend may be NULL. */
void tally_failure(
	struct tally *t, enum load_failure why, const char *backend, double at, int error);
uint64_t tally_done(const struct tally *t); /* ok and failed */
bool tally_failed(const struct tally *t);
/* One line of JSON on standard output. */
void tally_print(const struct tally *t, double elapsed, bool final);

#endif
