/* SPDX-License-Identifier: BSD-3-Clause */

/* A core that does not go round is found out, and why. */

#include "dataplane/core/buckets/pulse.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"
#define MS	UINT64_C(1000000)

static uint64_t silent_ns;

static bool look(struct pulse *p, uint64_t loops, uint64_t ms, uint64_t cpu_ms)
{
	const struct pulse_signs seen = {
		.loops = loops, .now_ns = ms * MS, .cpu_ns = cpu_ms * MS
	};

	return pulse_look(p, &seen, &silent_ns);
}

static void told_apart(void)
{
	struct pulse p = { .begun = false };

	CU_ASSERT_FALSE(look(&p, 7, 100, 50));
	CU_ASSERT_FALSE(look(&p, 8, 110, 60));
	/* All the time on the CPU. */
	CU_ASSERT_FALSE(look(&p, 8, 125, 75));
	CU_ASSERT_TRUE(look(&p, 8, 130, 79)); /* an interrupt had the rest */
	CU_ASSERT_EQUAL(p.state, PULSE_STUCK);
	CU_ASSERT_EQUAL(silent_ns, 20 * MS);
	CU_ASSERT_FALSE(look(&p, 8, 135, 84));
	CU_ASSERT_FALSE(pulse_is_gone(&p));
	CU_ASSERT_FALSE(look(&p, 8, 2000, 90));
	CU_ASSERT_TRUE(pulse_is_gone(&p));
	CU_ASSERT_TRUE(look(&p, 9, 2010, 90));
	CU_ASSERT_EQUAL(p.state, PULSE_BEATS);
	CU_ASSERT_EQUAL(silent_ns, 1900 * MS);
	/* Not on the CPU; then a little, and a little more. */
	CU_ASSERT_FALSE(look(&p, 9, 2200, 91));
	CU_ASSERT_TRUE(look(&p, 9, 2210, 92));
	CU_ASSERT_EQUAL(p.state, PULSE_AWAY);
	CU_ASSERT_FALSE(look(&p, 9, 2300, 108));
	CU_ASSERT_TRUE(look(&p, 9, 2400, 109));
	CU_ASSERT_EQUAL(p.state, PULSE_STUCK);
	CU_ASSERT_TRUE(look(&p, 10, 2410, 110));
	/* A long round that ends. */
	CU_ASSERT_FALSE(look(&p, 10, 2430, 128));
	CU_ASSERT_FALSE(look(&p, 11, 2440, 138));
	/* It sleeps between two rounds, and goes round. */
	for (uint64_t i = 13; i < 100; i++)
		CU_ASSERT_FALSE(look(&p, i, 2400 + i * 10, 142 + i / 10));
}

/* A thread that was stopped is not waited for as one that others keep from its CPU. */
static void stopped(void)
{
	struct pulse p = { .begun = false };
	struct pulse_signs seen = { .loops = 1, .now_ns = 100 * MS, .cpu_ns = 50 * MS };

	CU_ASSERT_FALSE(pulse_look(&p, &seen, &silent_ns));
	seen.stopped = true;
	CU_ASSERT_FALSE(pulse_is_silent(&p, 1, 115 * MS));
	seen.now_ns = 115 * MS;
	CU_ASSERT_FALSE(pulse_look(&p, &seen, &silent_ns));
	CU_ASSERT_TRUE(pulse_is_silent(&p, 1, 120 * MS));
	CU_ASSERT_FALSE(pulse_is_silent(&p, 2, 120 * MS));
	seen.now_ns = 120 * MS;
	CU_ASSERT_TRUE(pulse_look(&p, &seen, &silent_ns));
	CU_ASSERT_EQUAL(p.state, PULSE_AWAY);
	CU_ASSERT_EQUAL(silent_ns, 20 * MS);
	CU_ASSERT_FALSE(pulse_is_gone(&p));
	for (uint64_t ms = 125; ms <= 130; ms += 5) {
		CU_ASSERT_FALSE(pulse_is_gone(&p));
		seen.now_ns = ms * MS;
		CU_ASSERT_FALSE(pulse_look(&p, &seen, &silent_ns));
	}
	CU_ASSERT_TRUE(pulse_is_gone(&p));
	/* It was let go on, but has no CPU yet. */
	seen.stopped = false;
	seen.now_ns = 135 * MS;
	CU_ASSERT_FALSE(pulse_look(&p, &seen, &silent_ns));
	CU_ASSERT_FALSE(pulse_is_gone(&p));
	seen.loops = 2;
	CU_ASSERT_TRUE(pulse_look(&p, &seen, &silent_ns));
	CU_ASSERT_EQUAL(p.state, PULSE_BEATS);
}

/* ---- with threads ---- */

static bool jam; /* atomic: whoever sends next does not come back */
static uint64_t jammed_ns; /* atomic: since when */
/* Told of core 1; that one is not run for a while is the machine's business. */
static char stuck[256];
static bool again;

static uint16_t jammed_tx(void *handle, struct rte_mbuf **pkts, uint16_t n)
{
	const struct port_queue *real = handle;

	if (__atomic_load_n(&jam, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&jammed_ns, bed_clock_ns(), __ATOMIC_RELEASE);
		while (__atomic_load_n(&jam, __ATOMIC_ACQUIRE))
			;
	}
	return real->tx(real->handle, pkts, n);
}

static bool tell_frees; /* who is told mends it */

static void tell(void *ctx, const char *object, const char *text)
{
	if (strcmp(object, "CPU 1") != 0)
		return;
	if (strstr(text, "goes round again, after"))
		again = true;
	if (!strstr(text, "is stuck"))
		return;
	snprintf(stuck, sizeof(stuck), "%s", text);
	again = false;
	if (tell_frees)
		__atomic_store_n(&jam, false, __ATOMIC_RELEASE);
}

static void look_until_stuck(struct bed *b, uint64_t deadline)
{
	while (!stuck[0] && bed_clock_ns() < deadline) {
		bed_nap();
		fastpath_pulse_tick(b->fp, bed_clock_ns(), tell, NULL);
		fastpath_takeover_tick(b->fp, bed_clock_ns(), tell, NULL);
	}
}

static void look_until_again(struct bed *b, uint64_t deadline)
{
	while (!again && bed_clock_ns() < deadline) {
		bed_nap();
		fastpath_pulse_tick(b->fp, bed_clock_ns(), tell, NULL);
		fastpath_takeover_tick(b->fp, bed_clock_ns(), tell, NULL);
	}
	CU_ASSERT_TRUE(again);
}

/* What was taken over comes back when it was well for a while. */
static void look_until_home(struct bed *b, uint64_t deadline)
{
	while (b->telemetry->service[0].bucket_count[1] != WEIR_BUCKETS &&
		bed_clock_ns() < deadline) {
		bed_nap();
		fastpath_pulse_tick(b->fp, bed_clock_ns(), tell, NULL);
		fastpath_takeover_tick(b->fp, bed_clock_ns(), tell, NULL);
		fastpath_move_tick(b->fp, bed_clock_ns(), tell, NULL);
	}
	CU_ASSERT_EQUAL(b->telemetry->service[0].bucket_count[1], WEIR_BUCKETS);
}

static void send(struct bed *b, uint16_t port, uint32_t count)
{
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, port);

	p.protocol = 17;
	while (count--)
		bed_send(b, 0, &p);
}

/* "web" on core 1 sends by a device that never returns; "dns" on core 2 loses nothing. */
static void a_loop_without_end(void)
{
	struct bed b;
	struct bed_runner runner[3] = { { &b, 0 }, { &b, 1 }, { &b, 2 } };
	struct port_queue real;
	pthread_t thread[3];
	const uint64_t deadline = bed_clock_ns() + 30000 * MS;
	uint32_t sent = 0;

	bed_start_with(&b, 3, 3, UINT64_C(16) << 20, true);
	real = b.port[1].tx_queue[0];
	b.port[1].tx_queue[0] = (struct port_queue){ .tx = jammed_tx, .handle = &real };
	bed_add_service(&b, "web", WEIR_MODE_DSR, 17, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.21", 53);
	bed_apply(&b);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&thread[i], NULL, bed_run_core, &runner[i]), 0);
	__atomic_store_n(&jam, true, __ATOMIC_RELEASE);
	send(&b, 80, 10);
	while (!__atomic_load_n(&jammed_ns, __ATOMIC_ACQUIRE) && bed_clock_ns() < deadline)
		bed_nap();
	look_until_stuck(&b, deadline);
	printf("# found out after %llu ms: %s\n",
		(unsigned long long)((bed_clock_ns() - jammed_ns) / MS), stuck);
	CU_ASSERT_PTR_NOT_NULL(strstr(stuck, "is stuck in stage transmit"));
	CU_ASSERT_PTR_NOT_NULL(strstr(stuck, "web waits for it"));
	CU_ASSERT_EQUAL(b.telemetry->core[1].state, WEIR_CORE_STUCK);
	CU_ASSERT_NOT_EQUAL(b.telemetry->core[2].state, WEIR_CORE_STUCK);
	for (uint32_t i = 0; i < 20; i++, sent += 32) {
		send(&b, 53, 32);
		while (bed_sum(&b, 1, packets_transmitted) < sent + 32 && bed_clock_ns() < deadline)
			bed_nap();
	}
	CU_ASSERT_EQUAL(bed_sum(&b, 1, packets_transmitted), sent);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 1), 0);
	__atomic_store_n(&jam, false, __ATOMIC_RELEASE);
	look_until_again(&b, deadline);
	CU_ASSERT_EQUAL(b.telemetry->core[1].state, WEIR_CORE_ANSWERS);
	look_until_home(&b, deadline);
	/* The main thread waits for it with a change, and tells all the same. */
	stuck[0] = '\0';
	tell_frees = true;
	__atomic_store_n(&jam, true, __ATOMIC_RELEASE);
	__atomic_store_n(&jammed_ns, 0, __ATOMIC_RELEASE);
	fastpath_pulse_tick(b.fp, bed_clock_ns(), tell, NULL);
	send(&b, 80, 1);
	while (!__atomic_load_n(&jammed_ns, __ATOMIC_ACQUIRE) && bed_clock_ns() < deadline)
		bed_nap();
	CU_ASSERT_EQUAL(bed_backend_state(&b, 0, 0, WEIR_BACKEND_UP, 50), 0);
	look_until_again(&b, deadline);
	CU_ASSERT_PTR_NOT_NULL(strstr(stuck, "is stuck in stage transmit"));
	tell_frees = false;
	stuck[0] = '\0';
	fastpath_stop(b.fp);
	for (uint32_t i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	fastpath_pulse_tick(
		b.fp, bed_clock_ns() + 1000 * MS, tell, NULL); /* nobody is missed any more */
	CU_ASSERT_EQUAL(stuck[0], '\0');
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a round without end and a thread that is not run are told apart", told_apart },
	{ "a thread that was stopped is found out after 20 ms", stopped },
	{ "a core in a loop without end is found out, and others lose nothing",
		a_loop_without_end },
};

TAP_MAIN("pulse", cases)
