/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Cores that stop in the middle of whatever they are at, and go on there at any moment. A signal takes a thread to a
 * loop, be it between two instructions of an insert into the flow table. Meanwhile others take its buckets over:
 * flows keep their translation, new ones are served, a service elsewhere loses nothing, and when the core
 * is back all sums are right and no buffer is missing.
 *
 * The machine may do the same to any thread at any time. What a core suffers that nobody stopped here is told, and not
 * held against the fast path.
 */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <rte_mbuf.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLIENT	 "198.51.100.7"
#define SERVICE	 "203.0.113.10"
#define FLOWS	 512u
#define CORES	 4u
#define ROUNDS	 100u
#define WEB	 0u
#define DNS	 1u
#define LATE_MAX 400u /* a burst, and a port's full buffer */
#define HOUR_NS	 (3600 * BED_SECOND)

/* ---- stopping a core ---- */

static bool jammed[CORES]; /* atomic: it is to stay where it is */
static bool is_in[CORES]; /* atomic: it is in the loop */
static __thread uint32_t here;

static void stay(int signal)
{
	__atomic_store_n(&is_in[here], true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&jammed[here], __ATOMIC_ACQUIRE))
		;
	__atomic_store_n(&is_in[here], false, __ATOMIC_RELEASE);
}

static void *run_core(void *runner)
{
	here = ((struct bed_runner *)runner)->core;
	return bed_run_core(runner);
}

/* ---- what comes out ---- */

/* Of one direction; written by whoever sends the flow's packets. */
struct line {
	uint32_t next[FLOWS];
	uint16_t port[FLOWS]; /* to the backend: the translated one; 0: nothing came yet */
	uint32_t backend[FLOWS];
	uint32_t wrong; /* atomic: with another translation or backend than the flow's first */
	uint32_t late; /* atomic: overtaken by one that was sent later */
};

static struct line to_backend, to_client;

struct outlet {
	struct line *line;
	struct port_queue real;
};

/* Only packets with a tag: data of established flows, after their SYN. */
static void look(struct line *l, const uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + 14;
	uint16_t sport;
	uint32_t tag, addr;

	if (length < 14 + 20 + 20 + 8 || ip[9] != 6)
		return;
	memcpy(&tag, ip + 40, sizeof(tag));
	memcpy(&sport, ip + 20, sizeof(sport));
	memcpy(&addr, l == &to_backend ? ip + 16 : ip + 12, sizeof(addr));
	const uint32_t flow = tag >> 20, number = tag & 0xfffff;

	if (flow >= FLOWS)
		return;
	if (l->port[flow] == 0) {
		l->backend[flow] = addr;
		__atomic_store_n(&l->port[flow], ntohs(sport), __ATOMIC_RELEASE);
	}
	if (l->port[flow] != ntohs(sport) || l->backend[flow] != addr)
		__atomic_fetch_add(&l->wrong, 1, __ATOMIC_RELAXED);
	if (number < __atomic_load_n(&l->next[flow], __ATOMIC_RELAXED))
		__atomic_fetch_add(&l->late, 1, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&l->next[flow], number + 1, __ATOMIC_RELEASE);
}

static uint16_t outlet_tx(void *handle, struct rte_mbuf **pkts, uint16_t n)
{
	const struct outlet *o = handle;

	for (uint16_t i = 0; i < n; i++)
		look(o->line, rte_pktmbuf_mtod(pkts[i], const uint8_t *),
			rte_pktmbuf_data_len(pkts[i]));
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* ---- the bed ---- */

struct field {
	struct bed b;
	struct outlet outlets[BED_PORTS];
	struct bed_runner runner[CORES];
	pthread_t thread[CORES];
	struct random random;
	uint64_t ahead_ns; /* the main thread's clock is made up by this */
	uint64_t deadline;
	uint32_t number[2][FLOWS];
	uint16_t fresh; /* port of the next new client */
	uint32_t open; /* established flows */
	uint32_t taken[CORES]; /* how often an event said so */
	uint32_t back[CORES];
	uint32_t mine[CORES]; /* how often it was stopped here */
	bool nobody; /* an event said that nobody can */
	char last[256];
};

static uint64_t clock_ns(const struct field *f)
{
	return bed_clock_ns() + f->ahead_ns;
}

static void tell(void *ctx, const char *object, const char *text)
{
	struct field *f = ctx;
	unsigned int cpu;

	if (sscanf(object, "CPU %u", &cpu) != 1 || cpu >= CORES)
		return;
	if (strstr(text, "was taken over")) {
		f->taken[cpu]++;
		snprintf(f->last, sizeof(f->last), "%s", text);
	}
	f->back[cpu] += strstr(text, "goes round again") != NULL;
	f->nobody |= strstr(text, "no other core works") || strstr(text, "nobody can");
}

static void tick(struct field *f)
{
	fastpath_clock_tick(f->b.fp, rte_rdtsc(), bed_clock_ns());
	fastpath_pulse_tick(f->b.fp, clock_ns(f), tell, f);
	fastpath_takeover_tick(f->b.fp, clock_ns(f), tell, f);
	fastpath_move_tick(f->b.fp, clock_ns(f), tell, f);
}

static void start(struct field *f, uint32_t cores, uint32_t web_cores, uint16_t tx_queues)
{
	struct sigaction act = { .sa_handler = stay, .sa_flags = SA_RESTART };

	memset(f, 0, sizeof(*f));
	memset(&to_backend, 0, sizeof(to_backend));
	memset(&to_client, 0, sizeof(to_client));
	sigaction(SIGUSR1, &act, NULL);
	f->random = random_start("takeover");
	f->deadline = bed_clock_ns() + 100 * BED_SECOND;
	f->fresh = 20000;
	bed_start_with(&f->b, cores, tx_queues, UINT64_C(16) << 20, true);
	for (uint32_t port = 0; port < BED_PORTS; port++) {
		f->outlets[port].line = port ? &to_backend : &to_client;
		for (uint32_t queue = 0; queue < tx_queues; queue++)
			f->b.port[port].tx_queue[queue] =
				(struct port_queue){ .tx = outlet_tx, .handle = &f->outlets[port] };
	}
	bed_add_service(&f->b, "web", WEIR_MODE_NAT, 6, SERVICE, 80)->cores = (uint16_t)web_cores;
	bed_add_backend(&f->b, WEB, "10.0.0.11", 8080);
	bed_add_backend(&f->b, WEB, "10.0.0.12", 8080);
	bed_add_service(&f->b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(&f->b, DNS, "10.0.0.21", 53);
	/* So that there is memory for all twice over. */
	f->b.service[WEB].flow_capacity = 16384;
	f->b.service[DNS].flow_capacity = 4096;
	bed_apply(&f->b);
	for (uint32_t i = 0; i < cores; i++) {
		f->runner[i] = (struct bed_runner){ &f->b, i };
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&f->thread[i], NULL, run_core, &f->runner[i]), 0);
	}
}

static uint64_t waiting(const struct field *f, uint32_t service)
{
	return bed_sum(&f->b, service, packets_received) -
		bed_sum(&f->b, service, packets_transmitted) - bed_dropped_all(&f->b, service);
}

static bool in_time(const struct field *f)
{
	return bed_clock_ns() < f->deadline;
}

/* All is where it belongs, and nothing on its way. */
static bool is_quiet(const struct field *f, const uint16_t *buckets)
{
	for (uint32_t i = 0; i < f->b.core_count; i++)
		if (f->b.telemetry->core[i].state != WEIR_CORE_ANSWERS ||
			f->b.telemetry->core[i].taken_over ||
			f->b.telemetry->service[WEB].bucket_count[i] != buckets[i])
			return false;
	return waiting(f, WEB) == 0 && waiting(f, DNS) == 0 && bed_waiting(&f->b, 0) == 0 &&
		bed_waiting(&f->b, 1) == 0;
}

/* And stays so: what was polled a moment ago may not be counted yet. */
static bool settle(struct field *f, const uint16_t *buckets)
{
	uint32_t quiet = 0;

	for (uint32_t i = 0; quiet < 4 && in_time(f); i++) {
		tick(f);
		for (uint32_t k = 0; k < 50; k++)
			bed_nap();
		quiet = is_quiet(f, buckets) ? quiet + 1 : 0;
		/* Nobody has to wait out the quiet time. */
		if (i % 16 == 15)
			f->ahead_ns += 30 * BED_SECOND;
	}
	if (quiet < 4)
		for (uint32_t i = 0; i < f->b.core_count; i++)
			printf("# CPU %u: state %u, taken over %u, %u buckets of web; %llu packets of web "
			       "wait\n",
				i, f->b.telemetry->core[i].state,
				f->b.telemetry->core[i].taken_over,
				f->b.telemetry->service[WEB].bucket_count[i],
				(unsigned long long)waiting(f, WEB));
	return quiet == 4;
}

static void stop(struct field *f)
{
	fastpath_stop(f->b.fp);
	for (uint32_t i = 0; i < f->b.core_count; i++)
		pthread_join(f->thread[i], NULL);
	bed_stop(&f->b);
}

/* ---- traffic ---- */

static void send_data(struct field *f, uint32_t flow, bool reply)
{
	struct bed_packet p = bed_client(CLIENT, (uint16_t)(1024 + flow), SERVICE, 80);

	p.tcp_flags = BED_ACK | BED_PSH;
	p.payload = 8;
	p.tag = flow << 20 | f->number[reply][flow]++;
	if (reply) {
		memcpy(p.src + 12, &to_backend.backend[flow], 4);
		p.sport = 8080;
		bed_address("10.9.0.1", p.dst);
		p.dport = to_backend.port[flow];
	}
	bed_send(&f->b, reply, &p);
}

static void send_bare(struct field *f, uint16_t sport, uint8_t protocol, uint16_t dport)
{
	struct bed_packet p = bed_client(CLIENT, sport, SERVICE, dport);

	p.protocol = protocol;
	bed_send(&f->b, 0, &p);
}

static void portion(struct field *f)
{
	for (uint32_t i = 0; i < 16; i++)
		send_data(f, random_below(&f->random, f->open), random_below(&f->random, 2));
	for (uint32_t i = 0; i < 4; i++) {
		send_bare(f, f->fresh, 6, 80);
		send_bare(f, (uint16_t)(40000 + i), 17, 53);
		f->fresh = f->fresh == 60000 ? 20000 : f->fresh + 1;
	}
}

/* Open but for the client's last step. */
static void flow_half_open(struct field *f, uint32_t i)
{
	send_bare(f, (uint16_t)(1024 + i), 6, 80);
	send_data(f, i, false);
	while (!__atomic_load_n(&to_backend.port[i], __ATOMIC_ACQUIRE) && in_time(f))
		bed_nap();
	send_data(f, i, true);
	while (!__atomic_load_n(&to_client.next[i], __ATOMIC_ACQUIRE) && in_time(f))
		bed_nap();
}

static void flows_open(struct field *f)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		flow_half_open(f, i);
		send_data(f, i, false);
		tick(f);
	}
	f->open = FLOWS;
}

/* Each flow's next packet comes out. Returns how many did not. */
static uint32_t all_go_on(struct field *f)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < FLOWS; i++) {
		send_data(f, i, false);
		if (i % 64 == 63)
			for (uint32_t k = 0; k < 20; k++)
				bed_nap();
	}
	for (uint32_t i = 0; i < FLOWS; i++) {
		const uint64_t until = bed_clock_ns() + BED_SECOND;

		while (__atomic_load_n(&to_backend.next[i], __ATOMIC_ACQUIRE) != f->number[0][i] &&
			bed_clock_ns() < until)
			bed_nap();
		lost += to_backend.next[i] != f->number[0][i];
	}
	return lost;
}

static void jam(struct field *f, uint32_t core)
{
	__atomic_store_n(&jammed[core], true, __ATOMIC_RELEASE);
	pthread_kill(f->thread[core], SIGUSR1);
	while (!__atomic_load_n(&is_in[core], __ATOMIC_ACQUIRE) && in_time(f))
		bed_nap();
	f->mine[core]++;
}

static void let_go(uint32_t core)
{
	__atomic_store_n(&jammed[core], false, __ATOMIC_RELEASE);
	while (__atomic_load_n(&is_in[core], __ATOMIC_ACQUIRE))
		bed_nap();
}

/* Traffic and looks until it was taken over once more, or so long. */
static void go_on(struct field *f, uint32_t core, uint64_t for_ns)
{
	const uint32_t before = f->taken[core];

	/* There is nothing to take. */
	if (!for_ns && f->b.telemetry->service[WEB].bucket_count[core] == 0)
		for_ns = 60 * BED_MS;
	const uint64_t until = for_ns ? bed_clock_ns() + for_ns : f->deadline;

	for (uint32_t i = 0; f->taken[core] == before && bed_clock_ns() < until; i++) {
		portion(f);
		for (uint32_t k = 0; k < 5; k++)
			bed_nap();
		if (i % 8 == 0)
			tick(f);
	}
}

/* ---- cases ---- */

static uint32_t late(void)
{
	return to_backend.late + to_client.late;
}

static void sums_check(struct field *f, uint32_t rounds)
{
	uint32_t unbidden = 0;

	for (uint32_t i = 0; i < f->b.core_count; i++)
		unbidden += f->taken[i] > f->mine[i] ? f->taken[i] - f->mine[i] : 0;
	printf("# taken over: %u %u %u times; late packets: %u; dropped: %llu as core_taken_over, "
	       "%llu as worker_ring_full, %llu as worker_behind\n",
		f->taken[1], f->taken[2], f->taken[3], late(),
		(unsigned long long)bed_dropped(&f->b, WEB, WEIR_DROP_CORE_TAKEN_OVER),
		(unsigned long long)bed_dropped(&f->b, WEB, WEIR_DROP_WORKER_RING_FULL),
		(unsigned long long)bed_dropped(&f->b, WEB, WEIR_DROP_WORKER_BEHIND));
	CU_ASSERT_EQUAL(to_backend.wrong, 0);
	CU_ASSERT_EQUAL(to_client.wrong, 0);
	CU_ASSERT_EQUAL(bed_dropped(&f->b, WEB, WEIR_DROP_NO_FLOW), 0);
	CU_ASSERT_EQUAL(bed_dropped_all(&f->b, WEB),
		bed_dropped(&f->b, WEB, WEIR_DROP_CORE_TAKEN_OVER) +
			bed_dropped(&f->b, WEB, WEIR_DROP_WORKER_RING_FULL) +
			bed_dropped(&f->b, WEB, WEIR_DROP_WORKER_BEHIND) +
			bed_dropped(&f->b, WEB, WEIR_DROP_FLOW_TABLE_FULL) +
			bed_dropped(&f->b, WEB, WEIR_DROP_NO_TRANSLATION_PORT));
	CU_ASSERT_TRUE(late() <= rounds * LATE_MAX);
	if (unbidden)
		printf("# %u times the machine stopped a core: dns is not asked\n", unbidden);
	else
		CU_ASSERT_EQUAL(bed_dropped_all(&f->b, DNS), 0);
}

static const uint16_t two_for_web[CORES] = { 0, 128, 128, 0 };

/* One core for a while, and each flow goes on while it is away. */
static void flows_go_on(uint16_t tx_queues)
{
	static struct field f;

	start(&f, CORES, 2, tx_queues);
	flows_open(&f);
	CU_ASSERT_TRUE(settle(&f, two_for_web));
	for (uint32_t round = 0; round < 4; round++) {
		const uint32_t core = 1 + round % 2;
		const uint64_t since = bed_clock_ns();

		jam(&f, core);
		go_on(&f, core, 0);
		printf("# after %llu ms: CPU %u %s\n",
			(unsigned long long)((bed_clock_ns() - since) / BED_MS), core, f.last);
		CU_ASSERT_EQUAL(f.b.telemetry->core[core].taken_over, 0);
		tick(&f);
		CU_ASSERT_EQUAL(f.b.telemetry->core[core].taken_over, 1);
		CU_ASSERT_EQUAL(f.b.telemetry->service[WEB].bucket_count[core], 0);
		CU_ASSERT_EQUAL(all_go_on(&f), 0);
		/* A configuration does not wait for it. */
		CU_ASSERT_EQUAL(
			bed_backend_state(&f.b, DNS, 0, WEIR_BACKEND_UP, (uint16_t)(50 + round)),
			0);
		bed_apply(&f.b);
		let_go(core);
		CU_ASSERT_TRUE(settle(&f, two_for_web));
		CU_ASSERT_EQUAL(all_go_on(&f), 0);
	}
	sums_check(&f, 4);
	stop(&f);
}

static void own_queues(void)
{
	flows_go_on(3);
}

static void by_core_0(void)
{
	flows_go_on(1);
}

/* Cores stop and go on as they like, also two at a time, and before or while they are taken over. */
static void any_time(void)
{
	static struct field f;
	uint32_t both = 0, rounds = 0;

	start(&f, CORES, 2, 3);
	flows_open(&f);
	CU_ASSERT_TRUE(settle(&f, two_for_web));
	for (; rounds < ROUNDS && in_time(&f); rounds++) {
		const uint32_t core = 1 + random_below(&f.random, 2);
		const bool two = random_below(&f.random, 5) == 0;

		jam(&f, core);
		if (two)
			jam(&f, 3 - core);
		go_on(&f, core,
			random_below(&f.random, 4) ? 1 + random_below(&f.random, 60) * BED_MS : 0);
		if (random_below(&f.random, 4) == 0)
			CU_ASSERT_EQUAL(bed_backend_state(&f.b, WEB, 0, WEIR_BACKEND_UP,
						(uint16_t)(50 + rounds)),
				0);
		let_go(core);
		both += two;
		if (two) {
			go_on(&f, core, 1 + random_below(&f.random, 40) * BED_MS);
			let_go(3 - core);
		}
		/* The next one stops while buckets are on their way home. */
		if (random_below(&f.random, 3) == 0)
			for (uint32_t i = 0; i < 4; i++) {
				f.ahead_ns += i == 0 ? 100 * BED_SECOND : 0;
				tick(&f);
			}
		else if (!settle(&f, two_for_web))
			break;
	}
	CU_ASSERT_EQUAL(rounds, ROUNDS);
	CU_ASSERT_TRUE(settle(&f, two_for_web));
	printf("# %u rounds, in %u of them two cores\n", rounds, both);
	CU_ASSERT_EQUAL(all_go_on(&f), 0);
	sums_check(&f, 2 * rounds);
	stop(&f);
}

/* ---- in the middle of a burst: the page that a flow's copy in the journal lies on is gone for a while ---- */

#define PAGE	     4096u
#define NEW_IN_BURST 24u

static uint8_t *journal_page; /* of bucket 0; each bucket has one */

static void *journal_open(void *ctx, const char *name, size_t bytes, int node, void **ret_memory,
	const void **ret_old, size_t *ret_old_bytes)
{
	const size_t size = (bytes / PAGE + 2) * PAGE;
	uint8_t *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (strcmp(name, "web") != 0)
		return NULL;
	CU_ASSERT_TRUE_FATAL(memory != MAP_FAILED);
	journal_page = memory + PAGE;
	*ret_memory = journal_page - 64; /* what stands before the first copy */
	*ret_old = NULL;
	*ret_old_bytes = 0;
	return memory;
}

static void journal_commit(void *ctx, void *handle)
{
}

static void journal_close(void *ctx, void *handle)
{
	munmap(handle, (16384 * 64 / PAGE + 2) * PAGE);
}

static void page_gone(int signal, siginfo_t *info, void *context)
{
	uint8_t *page = (uint8_t *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));

	if (page < journal_page || page >= journal_page + WEIR_BUCKETS * PAGE)
		abort();
	/* The main thread copies what there is. */
	if (here != 0)
		stay(signal);
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static uint8_t bucket_of(struct field *f, uint16_t client_port, uint8_t *ret_state)
{
	struct weir_flow_query query = {
		.client_port = client_port, .service_port = 80, .protocol = 6
	};
	struct weir_flow_record record = { .state = WEIR_FLOW_NONE };

	bed_address(CLIENT, query.client_address);
	bed_address(SERVICE, query.service_address);
	CU_ASSERT_EQUAL(
		fastpath_flow_find(f->b.fp, &query, &record, f->b.err, sizeof(f->b.err)), 0);
	*ret_state = record.state;
	return record.bucket;
}

/* Returns the core that stopped: with the flow in its hands, others behind it, and new ones. */
static uint32_t burst_stop(struct field *f, uint32_t flow, uint16_t fresh)
{
	uint8_t state;
	const uint8_t bucket = bucket_of(f, (uint16_t)(1024 + flow), &state);
	const uint32_t core = 1 + bucket % 2;

	__atomic_store_n(&jammed[core], true, __ATOMIC_RELEASE);
	mprotect(journal_page + bucket * PAGE, PAGE, PROT_NONE);
	send_data(f, flow, false);
	for (uint16_t i = 0; i < NEW_IN_BURST; i++) {
		send_bare(f, fresh + i, 6, 80);
		send_data(f, random_below(&f->random, FLOWS / 2), false);
	}
	while (!__atomic_load_n(&is_in[core], __ATOMIC_ACQUIRE) && in_time(f))
		bed_nap();
	f->mine[core]++;
	return core;
}

/* What it does after it woke, to flows and ports that are others' by then, nobody sees. */
static void amid_a_burst(void)
{
	static struct field f;
	struct sigaction act = { .sa_sigaction = page_gone, .sa_flags = SA_SIGINFO };
	uint32_t unseen = 0;

	sigaction(SIGSEGV, &act, NULL);
	bed_journal = (struct fastpath_journal){
		.open = journal_open, .commit = journal_commit, .close = journal_close
	};
	start(&f, CORES, 2, 3);
	memset(&bed_journal, 0, sizeof(bed_journal));
	for (uint32_t i = 0; i < FLOWS / 2; i++) {
		flow_half_open(&f, i);
		send_data(&f, i, false);
	}
	f.open = FLOWS / 2;
	CU_ASSERT_TRUE(settle(&f, two_for_web));
	for (uint32_t round = 0; round < 10; round++) {
		const uint32_t flow = FLOWS / 2 + round;
		const uint16_t fresh = (uint16_t)(10000 + 100 * round);
		uint32_t core;

		flow_half_open(&f, flow);
		core = burst_stop(&f, flow, fresh);
		go_on(&f, core, 0);
		for (uint32_t i = 0; i < FLOWS / 2; i++)
			send_data(&f, i, false);
		for (uint32_t i = 0; i < 200; i++)
			bed_nap();
		let_go(core);
		CU_ASSERT_TRUE(settle(&f, two_for_web));
		for (uint16_t i = 0; i < NEW_IN_BURST; i++) {
			uint8_t state;

			/* Those of the other core are there. */
			if (1u + bucket_of(&f, (uint16_t)(fresh + i), &state) % 2 != core)
				continue;
			CU_ASSERT_EQUAL(state, WEIR_FLOW_NONE);
			unseen++;
		}
	}
	printf("# %u flows opened too late, by who had lost the bucket\n", unseen);
	CU_ASSERT_TRUE(unseen > 50);
	CU_ASSERT_EQUAL(late(), 0);
	sums_check(&f, 10);
	stop(&f);
	signal(SIGSEGV, SIG_DFL);
}

static const uint16_t one_for_web[CORES] = { 0, 256, 0, 0 };
#define SIX 2u

static void send_six(struct field *f, uint16_t sport)
{
	struct bed_packet p = bed_client("2001:db8::7", sport, "2001:db8:1::10", 443);

	bed_send(&f->b, 0, &p);
}

static void sent_by(struct field *f, uint32_t service, uint64_t count)
{
	while (bed_sum(&f->b, service, packets_transmitted) < count && in_time(f))
		bed_nap();
	CU_ASSERT_EQUAL(bed_sum(&f->b, service, packets_transmitted), count);
}

/* Two services have the core for themselves and go to a third one's; one of them ends, and begins anew, meanwhile. */
static void several_services(void)
{
	static struct field f;
	const struct weir_service_entry *six;

	start(&f, 3, 1, 2);
	six = &f.b.telemetry->service[SIX];
	bed_add_service(&f.b, "six", WEIR_MODE_DSR, 6, "2001:db8:1::10", 443);
	bed_add_backend(&f.b, SIX, "fd00::21", 443);
	f.b.service[SIX].flow_capacity = 4096;
	bed_apply(&f.b);
	flows_open(&f);
	for (uint16_t i = 0; i < 100; i++)
		send_six(&f, 1024 + i);
	CU_ASSERT_TRUE(settle(&f, one_for_web));
	CU_ASSERT_EQUAL(six->bucket_count[1], WEIR_BUCKETS);
	CU_ASSERT_EQUAL(bed_sum(&f.b, SIX, new_flows), 100);
	sent_by(&f, SIX, 100);
	jam(&f, 1);
	go_on(&f, 1, 0);
	printf("# CPU 1 %s\n", f.last);
	CU_ASSERT_EQUAL(f.b.telemetry->service[WEB].bucket_count[2], WEIR_BUCKETS);
	CU_ASSERT_EQUAL(six->bucket_count[2], WEIR_BUCKETS);
	CU_ASSERT_EQUAL(all_go_on(&f), 0);
	/* The same flows: none is new there. */
	for (uint16_t i = 0; i < 100; i++)
		send_six(&f, 1024 + i);
	sent_by(&f, SIX, 200);
	CU_ASSERT_EQUAL(bed_sum(&f.b, SIX, new_flows), 100);
	f.b.service_count--;
	bed_apply(&f.b);
	CU_ASSERT_EQUAL(six->used, 0);
	/* Its place is not free before the core is back; and of two cores it gets one until then. */
	f.b.service_count++;
	f.b.service[SIX].cores = 2;
	bed_apply(&f.b);
	CU_ASSERT_EQUAL(six->used, 0);
	CU_ASSERT_STRING_EQUAL(six[1].name, "six");
	CU_ASSERT_EQUAL(six[1].bucket_count[1], 0);
	let_go(1);
	CU_ASSERT_TRUE(settle(&f, one_for_web));
	while (six[1].bucket_count[1] != WEIR_BUCKETS / 2 && in_time(&f)) {
		tick(&f);
		bed_nap();
	}
	CU_ASSERT_EQUAL(six[1].bucket_count[1], WEIR_BUCKETS / 2);
	CU_ASSERT_EQUAL(all_go_on(&f), 0);
	sums_check(&f, 1);
	stop(&f);
}

static uint32_t gave_up;

static void give_up(void *ctx, uint32_t cpu)
{
	gave_up = 1 + cpu;
}

/* Who is alone keeps what it has, and goes on with that; and so does core 0. */
static void nobody_else(void)
{
	static struct field f;
	uint32_t i;

	bed_give_up = give_up;
	start(&f, 2, 1, 1);
	bed_give_up = NULL;
	flows_open(&f);
	CU_ASSERT_TRUE(settle(&f, one_for_web));
	for (uint32_t core = 0; core < 2; core++) {
		f.nobody = false;
		gave_up = 0;
		jam(&f, core);
		for (i = 0; i < 64; i++)
			send_data(&f, i, false);
		while (!f.nobody && in_time(&f)) {
			tick(&f);
			bed_nap();
		}
		CU_ASSERT_NOT_EQUAL(f.b.telemetry->core[core].state, WEIR_CORE_ANSWERS);
		CU_ASSERT_EQUAL(f.b.telemetry->core[core].taken_over, 0);
		/* For as long as somebody looks. */
		for (i = 0; !gave_up && i < 1000; i++) {
			f.ahead_ns += 15 * BED_MS;
			tick(&f);
		}
		CU_ASSERT_TRUE(i > 600 && i < 700);
		CU_ASSERT_EQUAL(gave_up, 1 + core);
		let_go(core);
		CU_ASSERT_TRUE(settle(&f, one_for_web));
	}
	CU_ASSERT_EQUAL(f.taken[0] + f.taken[1], 0);
	CU_ASSERT_EQUAL(bed_dropped_all(&f.b, WEB), 0);
	CU_ASSERT_EQUAL(all_go_on(&f), 0);
	stop(&f);
}

static const struct tap_case cases[] = {
	{ "flows go on elsewhere: workers send by queues of their own", own_queues },
	{ "flows go on elsewhere: workers send through core 0", by_core_0 },
	{ "cores stop and go on at any time", any_time },
	{ "who wakes up amid a burst does nothing to what is others' by then", amid_a_burst },
	{ "services that share a core go together, and may end meanwhile", several_services },
	{ "where nobody else is, nothing is lost, and a new process is asked for", nobody_else },
};

TAP_MAIN("takeover", cases)
