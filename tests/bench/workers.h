/* SPDX-License-Identifier: BSD-3-Clause */

/* Two workers, each a thread on a CPU of its own, and what they can be told to do at the same time. */

#ifndef WEIR_TESTS_BENCH_WORKERS_H
#define WEIR_TESTS_BENCH_WORKERS_H

#include "tests/bench/bench.h"

#include <rte_common.h>

#include <stdalign.h>

#define WORKERS 2u

enum job {
	JOB_STEP, /* the fast path, until the packets are through */
	JOB_ALU,
	JOB_MEMORY,
	JOB_TOUCH, /* its packets are written by it: not by who filled the set */
	JOB_SCRUB, /* and go out of its own caches */
	JOB_END
};

/* What one worker has and does. */
struct worker {
	alignas(RTE_CACHE_LINE_SIZE) struct rte_mbuf **packets;
	uint32_t next, end;
	struct rte_mbuf **sent;
	uint32_t sent_count;
	struct fastpath *fp;
	uint32_t core; /* of it */
	uint64_t now; /* the made-up clock */
	uint64_t tick;
	uint64_t cycles; /* of the last job */
	bool preempted;
	uint64_t *memory;
	uint64_t sum; /* so that work has an outcome */
	alignas(RTE_CACHE_LINE_SIZE) uint32_t asked; /* counts jobs */
	enum job job;
	alignas(RTE_CACHE_LINE_SIZE) uint32_t done;
};

extern struct worker worker[WORKERS];

/* Begin with the second one's thread, on CPU cpu[1]; the first one is the thread that calls, on cpu[0]. */
void workers_start(const int cpu[WORKERS], uint64_t hz);
void workers_stop(void);
#define WORKERS_BOTH 3u
/* Have a job done by those with a bit in `who`, at the same time. Returns false when one of them was held up. */
bool jobs_run(enum job job, uint32_t who);

#endif
