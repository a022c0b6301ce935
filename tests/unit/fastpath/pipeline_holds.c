/* SPDX-License-Identifier: BSD-3-Clause */

/* Early drops in the kernel: what share of a flooded service is to stay, and how it is said and counted. */

#include "dataplane/core/core.h"
#include "dataplane/stage/early/early.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <string.h>

#define NOISY "203.0.113.10"
#define QUIET "203.0.113.11"
#define MS    UINT64_C(1000000)

static struct steering_hold kernel[STEERING_HOLDS];

static uint32_t step(struct hold *h, uint64_t taken, uint64_t early, uint64_t in_kernel)
{
	const struct hold_seen seen = {
		.elapsed_ns = HOLD_TICK_NS, .taken = taken, .early = early, .kernel = in_kernel
	};

	return hold_step(h, &seen);
}

static double share(uint32_t of) /* 2^32 */
{
	return (double)of / 4294967296.0;
}

static void nothing_without_overload(void)
{
	struct hold h = { 0 };

	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(step(&h, i * 1000, 0, 0), HOLD_ALL);
}

/* A flood of ten times what is taken: a tenth stays, and that is looked at again all the time. */
static void follows_what_is_taken(void)
{
	struct hold h = { 0 };
	uint32_t pass = step(&h, 1000, 9000, 0);
	uint64_t lost = 0;

	CU_ASSERT_DOUBLE_EQUAL(share(pass), 0.1, 0.001);
	for (uint32_t i = 0; i < 1000; i++) {
		const uint64_t come = (uint64_t)(share(pass) * 10000);
		const uint64_t taken = come < 1000 ? come : 1000;

		pass = step(&h, taken, come - taken, 10000 - come);
		lost += come - taken;
		CU_ASSERT_TRUE(share(pass) >= 0.08 && share(pass) <= 0.13);
		/* It is not let go of while it is held back. */
		CU_ASSERT_EQUAL(h.quiet, 0);
	}
	/* Where all of it was copied, it would have been 9,000 each time. */
	CU_ASSERT_TRUE(lost < 1000 * 200);
}

static void ends_with_the_flood(void)
{
	struct hold h = { 0 };

	CU_ASSERT_TRUE(step(&h, 1000, 9000, 0) < HOLD_ALL);
	CU_ASSERT_TRUE(step(&h, 1000, 0, 9000) < HOLD_ALL);
	/* The look at the end of it already lets all through. */
	CU_ASSERT_EQUAL(step(&h, 30, 0, 300), HOLD_ALL);
	for (uint32_t i = 0; i < HOLD_QUIET; i++)
		CU_ASSERT_EQUAL(step(&h, 300, 0, 0), HOLD_ALL);
	CU_ASSERT_TRUE(h.quiet >= HOLD_QUIET);
}

/* However much is dropped, some stay: else nobody would know whether it is taken again. */
static void some_stay(void)
{
	struct hold h = { 0 };
	const struct hold_seen seen = { .elapsed_ns = 100 * MS, .early = 1000000 };

	CU_ASSERT_DOUBLE_EQUAL(share(hold_step(&h, &seen)), 0.001, 0.0001);
}

static void start(struct bed *b)
{
	memset(kernel, 0, sizeof(kernel));
	bed_start(b, 3, 3);
	b->port[0].port.holds = kernel;
	bed_add_service(b, "noisy", WEIR_MODE_DSR, 17, NOISY, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	bed_add_service(b, "quiet", WEIR_MODE_DSR, 17, QUIET, 53);
	bed_add_backend(b, 1, "10.0.0.12", 53);
	bed_apply(b);
}

static void send_many(struct bed *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct bed_packet p = bed_client("198.51.100.7", (uint16_t)(1024 + i), NOISY, 80);

		p.protocol = 17;
		bed_send(b, 0, &p);
	}
	while (bed_waiting(b, 0))
		fastpath_core_step(b->fp, 0, b->now);
}

static void pass_time(struct bed *b, uint64_t ns)
{
	b->now += (uint64_t)((unsigned __int128)ns * b->fp->tsc_hz / 1000000000);
	fastpath_core_step(b->fp, 0, b->now);
}

static struct steering_hold *place_of(const char *address, uint16_t port)
{
	struct steering_service_key key = { .port = port, .protocol = 17 };

	bed_address(address, key.address);
	for (uint32_t i = 1; i < STEERING_HOLDS; i++)
		if (memcmp(&kernel[i].key, &key, sizeof(key)) == 0)
			return &kernel[i];
	return NULL;
}

/* A worker that is behind; what the kernel drops meanwhile is received, and dropped for a reason of its own. */
static void is_said_and_counted(void)
{
	struct bed b;

	start(&b);
	for (uint32_t i = 0; i < 5; i++) {
		send_many(&b, 100);
		pass_time(&b, 11 * MS);
		bed_run(&b);
	}
	CU_ASSERT_EQUAL(kernel[0].until, 0);
	for (uint32_t i = 0; i < 3; i++) {
		send_many(&b, 2000);
		pass_time(&b, 11 * MS);
	}
	struct steering_hold *at = place_of(NOISY, 80);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	CU_ASSERT_TRUE(at->until > 0 && at->until <= kernel[0].until);
	CU_ASSERT_TRUE(share(at->pass) < 0.6);
	CU_ASSERT_PTR_NULL(place_of(QUIET, 53));
	at->packets += 500;
	at->bytes += 500 * 60;
	const uint64_t received = bed_sum(&b, 0, packets_received);
	const uint64_t bytes = bed_sum(&b, 0, bytes_received);

	pass_time(&b, 11 * MS);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_EARLY_IN_KERNEL), 500);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, packets_received) - received, 500);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, bytes_received) - bytes, 500 * 60);
	/* The flood is over. */
	bed_run(&b);
	pass_time(&b, 11 * MS);
	CU_ASSERT_EQUAL(at->until, 0);
	CU_ASSERT_EQUAL(kernel[0].until, 0);
	for (uint32_t i = 0; i <= HOLD_QUIET; i++)
		pass_time(&b, 11 * MS);
	CU_ASSERT_EQUAL(b.fp->core[0]->stage.early->holds.count, 0);
	bed_stop(&b);
}

/* A configuration in the middle of it: nobody is held by what may be gone, and what was dropped is counted. */
static void ends_with_its_generation(void)
{
	struct bed b;

	start(&b);
	for (uint32_t i = 0; i < 3; i++) {
		send_many(&b, 2000);
		pass_time(&b, 11 * MS);
	}
	struct steering_hold *at = place_of(NOISY, 80);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at->packets += 70;
	b.service_count = 1;
	bed_apply(&b);
	bed_run(&b);
	CU_ASSERT_EQUAL(at->until, 0);
	CU_ASSERT_EQUAL(kernel[0].until, 0);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_EARLY_IN_KERNEL), 70);
	b.service_count = 2;
	bed_apply(&b);
	bed_run(&b);
	bed_stop(&b);
}

static void can_be_off(void)
{
	struct bed b;

	start(&b);
	b.fp->core[0]->stage.early->holds.off = true;
	for (uint32_t i = 0; i < 5; i++) {
		send_many(&b, 2000);
		pass_time(&b, 11 * MS);
	}
	CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_WORKER_BEHIND) > 1000);
	CU_ASSERT_EQUAL(kernel[0].until, 0);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "nothing is held back where nothing was dropped early", nothing_without_overload },
	{ "as many stay as are taken", follows_what_is_taken },
	{ "with the flood it ends at once", ends_with_the_flood },
	{ "some packets always stay", some_stay },
	{ "it is said to the kernel, and what that drops is counted", is_said_and_counted },
	{ "it ends with the generation that it was decided in", ends_with_its_generation },
	{ "it can be off", can_be_off },
};

TAP_MAIN("holds", cases)
