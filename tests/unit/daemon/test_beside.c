/* SPDX-License-Identifier: BSD-3-Clause */

/* A thread beside the loop: jobs run in their order and are told of in it; none is lost at the end. */

#include "control/daemon/beside.h"
#include "tests/unit/tap.h"

#include <event2/event.h>

#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#define JOBS 100

struct numbered {
	struct beside_job job;
	struct bed *bed;
	int number;
	bool slow;
};

struct bed {
	struct event_base *base;
	struct beside *beside;
	struct numbered jobs[JOBS];
	int ran[JOBS]; /* numbers, in the order in which they ran */
	int ran_count;
	int done[JOBS];
	int done_count;
	int refused; /* done without having run */
	pthread_t loop;
	bool elsewhere; /* each ran in another thread, and was told of in this one */
};

static void run(struct beside_job *job)
{
	struct numbered *n = (struct numbered *)job;

	if (n->slow)
		usleep(100000);
	n->bed->elsewhere &= !pthread_equal(pthread_self(), n->bed->loop);
	n->bed->ran[n->bed->ran_count++] = n->number;
}

static void done(struct beside_job *job, bool ran)
{
	struct numbered *n = (struct numbered *)job;
	struct bed *b = n->bed;

	b->elsewhere &= pthread_equal(pthread_self(), b->loop) != 0;
	b->refused += !ran;
	b->done[b->done_count++] = n->number;
	if (b->done_count == JOBS)
		event_base_loopbreak(b->base);
}

static void bed_start(struct bed *b)
{
	*b = (struct bed){ .base = event_base_new(), .loop = pthread_self(), .elsewhere = true };
	CU_ASSERT_EQUAL_FATAL(beside_start(b->base, &b->beside), 0);
	for (int i = 0; i < JOBS; i++)
		b->jobs[i] = (struct numbered){ { .run = run, .done = done }, b, i, false };
}

static void all_run_in_their_order(void)
{
	static struct bed b;

	bed_start(&b);
	for (int i = 0; i < JOBS; i++)
		beside_do(b.beside, &b.jobs[i].job);
	CU_ASSERT_EQUAL(b.done_count, 0); /* not before the loop's turn */
	event_base_dispatch(b.base);
	CU_ASSERT_EQUAL_FATAL(b.done_count, JOBS);
	for (int i = 0; i < JOBS; i++) {
		CU_ASSERT_EQUAL(b.ran[i], i);
		CU_ASSERT_EQUAL(b.done[i], i);
	}
	CU_ASSERT_TRUE(b.elsewhere);
	CU_ASSERT_EQUAL(b.refused, 0);
	beside_stop(b.beside);
	event_base_free(b.base);
}

static void the_end_waits_for_one_at_most(void)
{
	static struct bed b;

	bed_start(&b);
	for (int i = 0; i < JOBS; i++) {
		b.jobs[i].slow = true;
		beside_do(b.beside, &b.jobs[i].job);
	}
	beside_stop(b.beside);
	CU_ASSERT(b.ran_count <= 1);
	CU_ASSERT_EQUAL(b.done_count, JOBS);
	CU_ASSERT_EQUAL(b.refused, JOBS);
	event_base_free(b.base);
}

static const struct tap_case cases[] = {
	{ "jobs run beside the loop, and are told of in it, in their order",
		all_run_in_their_order },
	{ "at the end all are let go, and only the one that runs is waited for",
		the_end_waits_for_one_at_most },
};

TAP_MAIN("beside", cases)
