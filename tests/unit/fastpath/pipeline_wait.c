/* SPDX-License-Identifier: BSD-3-Clause */

/* Cores that wait for interrupts: who wakes them, and when they do not wait. */

#include "dataplane/core/bell.h"
#include "dataplane/core/core.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <rte_rcu_qsbr.h>

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SERVICE "203.0.113.10"

static struct bell *bells;
static int device_fd = -1; /* what the bed's device signals by */
static uint32_t arms, disarms;
static struct bed *arrives; /* a packet comes just when it is armed */

static void send_one(struct bed *b)
{
	struct bed_packet p = bed_client("198.51.100.7", 5000, SERVICE, 80);

	p.protocol = 17;
	bed_send(b, 0, &p);
}

static void device_arm(void *queue, bool on)
{
	(void)queue;
	arms += on;
	disarms += !on;
	if (on && arrives)
		send_one(arrives);
}

/* The bed's fast path was made without bells: it gets some. */
static void start(struct bed *b, uint32_t cores, bool wakes)
{
	uint64_t times;

	bed_start(b, cores, 2);
	arms = disarms = 0;
	arrives = NULL;
	bells = bells_create(cores);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bells);
	b->fp->params.bells = bells;
	if (device_fd < 0)
		device_fd = eventfd(0, EFD_NONBLOCK);
	ssize_t n = read(device_fd, &times, sizeof(times));

	(void)n;
	for (uint32_t i = 0; i < 2; i++)
		for (uint16_t q = 0; q < b->port[i].port.rx_queue_count; q++) {
			b->port[i].port.rx_queue[q].arm = wakes ? device_arm : NULL;
			b->port[i].port.rx_queue[q].wait_fd = device_fd;
		}
	bed_add_service(b, "web", WEIR_MODE_DSR, 17, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", 80);
	bed_apply(b);
	rte_rcu_qsbr_thread_register(b->fp->qsbr, 0);
	rte_rcu_qsbr_thread_online(b->fp->qsbr, 0);
	for (uint32_t i = 0; i < cores; i++)
		fastpath_core_step(b->fp, i, rte_rdtsc());
}

static void end(struct bed *b, uint32_t cores)
{
	rte_rcu_qsbr_thread_offline(b->fp->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(b->fp->qsbr, 0);
	bed_discard(b, 1);
	b->fp->params.bells = NULL;
	bed_stop(b);
	bells_destroy(bells, cores);
}

static uint64_t rung(uint32_t core)
{
	uint64_t times = 0;

	return read(bells[core].fd, &times, sizeof(times)) == sizeof(times) ? times : 0;
}

static void awake_ones_are_not_rung_for(void)
{
	struct bed b;

	start(&b, 2, true);
	for (uint32_t i = 0; i < 100; i++) {
		send_one(&b);
		fastpath_core_step(b.fp, 0, b.now);
		fastpath_core_step(b.fp, 1, b.now);
	}
	CU_ASSERT_EQUAL(rung(1), 0);
	CU_ASSERT_EQUAL(rung(0), 0);
	end(&b, 2);
}

/* Once, however many packets come. */
static void sleeping_ones_are(void)
{
	struct bed b;

	start(&b, 2, true);
	bell_set(&bells[1]);
	for (uint32_t i = 0; i < 10; i++) {
		for (uint32_t k = 0; k < 50; k++)
			send_one(&b);
		fastpath_core_step(b.fp, 0, b.now);
	}
	CU_ASSERT_EQUAL(rung(1), 1);
	CU_ASSERT_FALSE(bells[1].asleep);
	CU_ASSERT_TRUE(bells[1].rung_tsc != 0);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 500);
	end(&b, 2);
}

static uint64_t wait_once(struct bed *b, uint32_t *ret_found)
{
	const uint64_t before = rte_rdtsc();

	*ret_found = core_wait(b->fp, b->fp->core[0]);
	return (rte_rdtsc() - before) * 1000 / (rte_get_tsc_hz() / 1000000); /* ns */
}

static void it_waits_for_devices_and_bells(void)
{
	const uint64_t one = 1;
	struct bed b;
	uint32_t found;

	start(&b, 1, true);
	CU_ASSERT_TRUE(b.fp->core[0]->wait.possible);
	CU_ASSERT_TRUE(wait_once(&b, &found) >= CORE_WAIT_NS);
	CU_ASSERT_EQUAL(found, 0);
	CU_ASSERT_TRUE(arms > 0 && arms == disarms);
	CU_ASSERT_NOT_EQUAL(b.fp->core[0]->asked, CORE_WAIT_EVENT);
	/* A device signals: the wait ends at once, and nobody can say how late. */
	CU_ASSERT_EQUAL(write(device_fd, &one, sizeof(one)), sizeof(one));
	CU_ASSERT_TRUE(wait_once(&b, &found) < CORE_WAIT_NS);
	CU_ASSERT_EQUAL(b.fp->core[0]->asked, CORE_WAIT_EVENT);
	CU_ASSERT_FALSE(bells[0].asleep);
	end(&b, 1);
}

/* Between the arming and the wait. */
static void what_just_comes_is_found(void)
{
	struct bed b;
	uint32_t found;

	start(&b, 1, true);
	arrives = &b;
	(void)wait_once(&b, &found);
	CU_ASSERT_TRUE(found >= 1);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->sleeps, 0);
	CU_ASSERT_EQUAL(arms, disarms);
	arrives = NULL;
	end(&b, 1);
}

static void without_interrupts_it_sleeps(void)
{
	struct bed b;

	start(&b, 2, false);
	CU_ASSERT_FALSE(b.fp->core[0]->wait.possible);
	/* It receives nothing itself: bells are enough. */
	CU_ASSERT_TRUE(b.fp->core[1]->wait.possible);
	end(&b, 2);
}

static const struct tap_case cases[] = {
	{ "no call is made for a core that is awake", awake_ones_are_not_rung_for },
	{ "one that sleeps is woken once", sleeping_ones_are },
	{ "it waits for devices, for bells and for a time", it_waits_for_devices_and_bells },
	{ "what comes while it goes to sleep is found", what_just_comes_is_found },
	{ "a core that receives from a device without interrupts does not wait",
		without_interrupts_it_sleeps },
};

TAP_MAIN("wait", cases)
