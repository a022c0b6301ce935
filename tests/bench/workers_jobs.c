/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/fastpath.h"
#include "tests/bench/workers.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#define SCRUB	       ((size_t)8 << 20) /* more than a CPU's own caches hold */
#define CEILING_MEMORY ((size_t)64 << 20)
#define ALU_TURNS      2000000u
#define LOADS	       200000u
#define STREAMS	       16u

struct worker worker[WORKERS];
static uint32_t starting; /* who is at the line, */
static uint32_t taking_part; /* of so many */
static int second_cpu;
static pthread_t second;
static bool hurried; /* who takes a CPU then has it for a moment only */

static long preemptions(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage))
		bench_fail("getrusage: %s", strerror(errno));
	return usage.ru_nivcsw;
}

static void job_step(struct worker *w)
{
	uint32_t idle = 0;

	while (w->sent_count < w->end && idle < 1000) {
		idle = fastpath_core_step(w->fp, w->core, w->now) ? 0 : idle + 1;
		w->now += w->tick;
	}
}

static void job_alu(struct worker *w)
{
	uint64_t x = w->sum | 1;

	for (uint32_t i = 0; i < ALU_TURNS; i++)
		x = x * UINT64_C(6364136223846793005) + (x >> 33);
	w->sum = x;
}

/* Places all over the memory, some at a time. */
static void job_memory(struct worker *w)
{
	uint64_t at[STREAMS], x = w->sum;

	for (uint32_t i = 0; i < STREAMS; i++)
		at[i] = (x += UINT64_C(0x9e3779b97f4a7c15));
	for (uint32_t i = 0; i < LOADS / STREAMS; i++)
		for (uint32_t k = 0; k < STREAMS; k++) {
			at[k] = at[k] * UINT64_C(6364136223846793005) +
				w->memory[(at[k] >> 33) % (CEILING_MEMORY / sizeof(uint64_t))];
			x ^= at[k];
		}
	w->sum = x;
}

static void job_touch(struct worker *w)
{
	for (uint32_t i = 0; i < w->end; i++) {
		char *m = (char *)w->packets[i];
		char *frame = rte_pktmbuf_mtod(w->packets[i], char *);

		for (size_t k = 0; k < sizeof(struct rte_mbuf) + BENCH_PRIVATE_SIZE;
			k += RTE_CACHE_LINE_SIZE)
			__atomic_store_n(m + k, m[k], __ATOMIC_RELAXED);
		for (size_t k = 0; k < BENCH_FRAME_MAX; k += RTE_CACHE_LINE_SIZE)
			__atomic_store_n(frame + k, frame[k], __ATOMIC_RELAXED);
	}
}

static void job_scrub(struct worker *w)
{
	for (size_t i = 0; i < SCRUB / sizeof(uint64_t); i += 8)
		w->sum += w->memory[i]++;
}

static void job_run(struct worker *w)
{
	const long preempted = preemptions();
	const uint64_t start = rte_rdtsc();

	switch (w->job) {
	case JOB_STEP:
		job_step(w);
		break;
	case JOB_ALU:
		job_alu(w);
		break;
	case JOB_MEMORY:
		job_memory(w);
		break;
	case JOB_TOUCH:
		job_touch(w);
		break;
	default:
		job_scrub(w);
		break;
	}
	w->cycles = rte_rdtsc() - start;
	w->preempted = preemptions() != preempted;
}

/* All that take part begin together. */
static void line_wait(uint32_t count)
{
	__atomic_add_fetch(&starting, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&starting, __ATOMIC_ACQUIRE) < count)
		rte_pause();
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		bench_fail("CPU %d is not ours", cpu);
}

/* The second worker; the first one is the thread that calls. */
static void *second_run(void *arg)
{
	struct worker *w = arg;
	uint32_t seen = 0;

	pin(second_cpu);
	(void)bench_hurry();
	for (;;) {
		while (__atomic_load_n(&w->asked, __ATOMIC_ACQUIRE) == seen)
			rte_pause();
		seen++;
		if (w->job == JOB_END)
			return NULL;
		line_wait(taking_part);
		job_run(w);
		__atomic_store_n(&w->done, seen, __ATOMIC_RELEASE);
	}
}

bool jobs_run(enum job job, uint32_t who)
{
	const uint32_t count = (uint32_t)__builtin_popcount(who);
	bool quiet = true;

	__atomic_store_n(&starting, 0, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < WORKERS; i++) {
		worker[i].job = job;
		worker[i].preempted = false;
	}
	taking_part = count;
	if (who & 2)
		__atomic_store_n(&worker[1].asked, worker[1].asked + 1, __ATOMIC_RELEASE);
	if (who & 1) {
		line_wait(count);
		job_run(&worker[0]);
	}
	while ((who & 2) && __atomic_load_n(&worker[1].done, __ATOMIC_ACQUIRE) != worker[1].asked)
		rte_pause();
	for (uint32_t i = 0; i < WORKERS; i++)
		quiet &= !worker[i].preempted;
	return quiet || hurried;
}

void workers_start(const int cpu[WORKERS], uint64_t hz)
{
	second_cpu = cpu[1];
	for (uint32_t i = 0; i < WORKERS; i++) {
		worker[i].packets = calloc(BENCH_SET, sizeof(void *));
		worker[i].sent = calloc(BENCH_SET, sizeof(void *));
		worker[i].memory = malloc(CEILING_MEMORY);
		worker[i].now = hz;
		worker[i].tick = hz / (10000000 / BENCH_BURST);
		if (!worker[i].packets || !worker[i].sent || !worker[i].memory)
			bench_fail("no memory");
		for (size_t k = 0; k < CEILING_MEMORY / sizeof(uint64_t); k++)
			worker[i].memory[k] = k;
	}
	if (pthread_create(&second, NULL, second_run, &worker[1]))
		bench_fail("no thread");
	hurried = bench_hurry();
}

void workers_stop(void)
{
	worker[1].job = JOB_END;
	__atomic_store_n(&worker[1].asked, worker[1].asked + 1, __ATOMIC_RELEASE);
	pthread_join(second, NULL);
}
