/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-workers-bench: what a second worker brings. One service, steered to queues of its workers' cores; the same
 * packets by one worker, and by two on a CPU each, in turns. Beside it, what the machine itself brings: arithmetic
 * and memory accesses by one thread and by two.
 */

#include "dataplane/core/arena.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/net/hash.h"
#include "dataplane/table/flow_table.h"
#include "tests/bench/workers.h"

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <getopt.h>
#include <string.h>

#define ROUNDS_MAX 101u
#define ETH_LENGTH 14
#define L4	   (ETH_LENGTH + 20)

/* The service by the first worker alone, by the second one alone, and by both. */
enum {
	SIDE_FIRST,
	SIDE_SECOND,
	SIDE_BOTH,
	SIDE_COUNT
};

static struct side {
	struct bench bench;
	uint32_t first; /* of its workers */
	struct port_queue rx[BENCH_PORTS][1 + WORKERS];
	struct port_queue tx[BENCH_PORTS][1 + WORKERS];
} side[SIDE_COUNT];

static struct options {
	unsigned int rounds;
	int mode;
	uint32_t flows;
	int cpu[WORKERS];
} options = { .rounds = 21 };

static uint16_t worker_receive(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct worker *w = queue;

	n = (uint16_t)RTE_MIN(RTE_MIN((uint32_t)n, w->end - w->next), BENCH_BURST);
	memcpy(pkts, &w->packets[w->next], n * sizeof(*pkts));
	w->next += n;
	return n;
}

static uint16_t worker_send(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct worker *w = queue;

	memcpy(&w->sent[w->sent_count], pkts, n * sizeof(*pkts));
	w->sent_count += n;
	return n;
}

static uint16_t nothing_receive(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	(void)queue;
	(void)pkts;
	(void)n;
	return 0;
}

static uint8_t bucket_of(const struct bench *b, const uint8_t *frame)
{
	const struct hash_seed seed = hash_seed_make(BENCH_SEED);
	uint64_t addrs;
	uint32_t ports;

	if (bench_kind_is_reply(b->kind))
		return frame[L4 + 3];
	memcpy(&addrs, frame + ETH_LENGTH + 12, sizeof(addrs));
	memcpy(&ports, frame + L4, sizeof(ports));
	return hash_bucket(hash_tuple4(&seed, addrs, ports, 6));
}

/* The set's packets wait at the queues of their buckets' workers. */
static void set_split(struct side *s)
{
	struct bench *b = &s->bench;
	const uint32_t port = bench_kind_is_reply(b->kind) ? BENCH_PORT_BACK : BENCH_PORT_FRONT;

	for (uint32_t i = 0; i < b->workers; i++) {
		struct worker *w = &worker[s->first + i];

		w->fp = b->fp;
		w->core = 1 + i;
		w->next = w->end = w->sent_count = 0;
		for (uint32_t k = 0; k < BENCH_PORTS; k++)
			s->rx[k][1 + i].rx = k == port ? worker_receive : nothing_receive;
	}
	for (uint32_t i = 0; i < b->filled; i++) {
		const uint32_t number = bucket_of(b, b->originals[i].bytes) % b->workers;
		struct worker *w = &worker[s->first + number];

		w->packets[w->end++] = b->mbufs[i];
	}
}

/* One set by as many workers as the side has; returns packets a cycle, 0: disturbed. */
static double set_run(struct side *s, enum bench_kind kind, uint32_t first, uint32_t count)
{
	struct bench *b = &s->bench;
	const uint32_t who = ((1u << b->workers) - 1) << s->first;
	double sum = 0;

	bench_set_fill(b, kind, first, count);
	set_split(s);
	(void)jobs_run(JOB_TOUCH, who);
	(void)jobs_run(JOB_SCRUB, WORKERS_BOTH);
	const bool quiet = jobs_run(JOB_STEP, who);

	for (uint32_t i = 0; i < b->workers; i++) {
		const struct worker *w = &worker[s->first + i];

		sum += (double)w->end / (double)w->cycles;
		memcpy(&b->sent[b->sent_count], w->sent, w->sent_count * sizeof(*b->sent));
		b->sent_count += w->sent_count;
	}
	bench_set_check(b);
	return quiet ? sum : 0;
}

static void all_flows_run(struct side *s, enum bench_kind kind)
{
	for (uint32_t done = 0; done < s->bench.flows; done += BENCH_SET)
		set_run(s, kind, done, RTE_MIN(s->bench.flows - done, (uint32_t)BENCH_SET));
}

static void side_start(struct side *s, const struct bench *like, uint32_t first, uint32_t workers)
{
	struct bench *b = &s->bench;

	s->first = first;

	*b = *like;
	b->workers = workers;
	b->capacity = RTE_MAX(b->flows * 2, 65536u);
	for (uint32_t k = 0; k < BENCH_PORTS; k++) {
		b->port[k].rx_queue = s->rx[k];
		b->port[k].tx_queue = s->tx[k];
		b->port[k].rx_queue_count = (uint16_t)(1 + workers);
		b->port[k].tx_queue_count = (uint16_t)workers;
		for (uint8_t i = 0; i <= workers; i++) {
			struct worker *w = &worker[first + (i ? i - 1 : 0)];

			s->rx[k][i] = (struct port_queue){
				.rx = nothing_receive, .handle = w, .core = i
			};
			s->tx[k][i] = (struct port_queue){ .tx = worker_send,
				.handle = &worker[i < workers ? first + i : 0] };
		}
	}
	bench_order_make(b);
	bench_path_create(b);
	all_flows_run(s, BENCH_SYN);
	if (b->mode == WEIR_MODE_NAT)
		all_flows_run(s, BENCH_SYN_ACK);
	all_flows_run(s, BENCH_DATA);
	if (b->mode == WEIR_MODE_NAT)
		all_flows_run(s, BENCH_DATA_REPLY);
}

/* Rates of one, whichever CPU it has, and of two, in pairs. */
struct pairs {
	double one[ROUNDS_MAX], two[ROUNDS_MAX], ratio[ROUNDS_MAX];
	unsigned int count;
};

static void pair_add(struct pairs *p, const double of[SIDE_COUNT])
{
	if (of[SIDE_FIRST] <= 0 || of[SIDE_SECOND] <= 0 || of[SIDE_BOTH] <= 0 ||
		p->count == ROUNDS_MAX)
		return;
	p->one[p->count] = (of[SIDE_FIRST] + of[SIDE_SECOND]) / 2;
	p->two[p->count] = of[SIDE_BOTH];
	p->ratio[p->count] = p->two[p->count] / p->one[p->count];
	p->count++;
}

static void ceiling_add(struct pairs *p, enum job job)
{
	static const uint32_t who[SIDE_COUNT] = { 1, 2, WORKERS_BOTH };
	double of[SIDE_COUNT] = { 0 };

	for (uint32_t k = 0; k < SIDE_COUNT; k++) {
		if (!jobs_run(job, who[k]))
			return;
		for (uint32_t i = 0; i < WORKERS; i++)
			if (who[k] >> i & 1)
				of[k] += 1 / (double)worker[i].cycles;
	}
	pair_add(p, of);
}

static void stages_print(const struct bench *b, const char *name)
{
	static const char *const labels[] = {
#define X(name, label) label,
		WEIR_STAGES(X)
#undef X
	};
	const struct weir_telemetry *t = arena_telemetry(b->arena);
	const char *separator = "";

	printf(", \"%s\": {", name);
	for (int i = 0; i < WEIR_STAGE_COUNT; i++) {
		uint64_t cycles = 0, packets = 0;

		for (uint32_t core = 1; core <= b->workers; core++) {
			const struct weir_core_cell *c =
				(const void *)((const char *)t + t->core[core].cell_offset);
			cycles += c->stage_cycles[i];
			packets += c->stage_packets[i];
		}
		if (!packets)
			continue;
		printf("%s\"%s\": %.1f", separator, labels[i], (double)cycles / (double)packets);
		separator = ", ";
	}
	printf("}");
}

static void case_print(
	struct pairs *p, struct pairs *alu, struct pairs *memory, const char *direction)
{
	const struct bench *b = &side[0].bench;
	const double ratio = bench_median(p->ratio, p->count);
	const double alu_ratio = bench_median(alu->ratio, alu->count);
	const double memory_ratio = bench_median(memory->ratio, memory->count);
	const double one = 1 / bench_median(p->one, p->count),
		     two = WORKERS / bench_median(p->two, p->count);

	printf("{\"bench\": \"workers\", \"mode\": \"%s\", \"family\": 4, \"flows\": %u, \"direction\": \"%s\", "
	       "\"cycles_per_packet\": %.1f, \"floor_cycles_per_packet\": %.1f, \"ratio\": %.2f, "
	       "\"scaling\": %.3f, \"scaling_alu\": %.3f, \"scaling_memory\": %.3f, \"rounds\": %u",
		b->mode == WEIR_MODE_NAT ? "nat" : "dsr", b->flows, direction, two, one, two / one,
		ratio, alu_ratio, memory_ratio, p->count);
	stages_print(&side[SIDE_FIRST].bench, "stages_one");
	stages_print(&side[SIDE_BOTH].bench, "stages_two");
	printf("}\n");
	fflush(stdout);
}

static void case_measure(const struct bench *like)
{
	static struct pairs client, reply, alu, memory;
	const bool nat = like->mode == WEIR_MODE_NAT;

	client.count = reply.count = alu.count = memory.count = 0;
	for (uint32_t i = 0; i < SIDE_COUNT; i++)
		side_start(&side[i], like, i == SIDE_SECOND, i == SIDE_BOTH ? WORKERS : 1);
	for (unsigned int i = 0; client.count < options.rounds && i < 10 * options.rounds; i++) {
		const uint32_t first = (uint32_t)((uint64_t)i * BENCH_SET % like->flows);
		double of[SIDE_COUNT], back[SIDE_COUNT] = { 0 };

		for (uint32_t k = 0; k < SIDE_COUNT; k++) {
			struct side *s = &side[(i + k) % SIDE_COUNT];

			of[s - side] = set_run(s, BENCH_DATA, first, BENCH_SET);
			if (nat)
				back[s - side] = set_run(s, BENCH_DATA_REPLY, first, BENCH_SET);
		}
		pair_add(&client, of);
		pair_add(&reply, back);
		ceiling_add(&alu, JOB_ALU);
		ceiling_add(&memory, JOB_MEMORY);
	}
	if (client.count == 0)
		bench_fail("the CPUs are too busy: no round was left alone");
	case_print(&client, &alu, &memory, "client");
	if (nat)
		case_print(&reply, &alu, &memory, "reply");
	for (uint32_t i = 0; i < SIDE_COUNT; i++) {
		bench_path_destroy(&side[i].bench);
		bench_order_free(&side[i].bench);
	}
}

static void options_read(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "mode", required_argument, NULL, 'm' },
		{ "flows", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "quick", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == 'r')
			options.rounds =
				RTE_MIN((unsigned int)strtoul(optarg, NULL, 10), ROUNDS_MAX);
		else if (option == 'm')
			options.mode = !strcmp(optarg, "nat") ? WEIR_MODE_NAT : WEIR_MODE_DSR;
		else if (option == 'f')
			options.flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'q')
			options.rounds = 5;
		else if (option == '?')
			exit(2);
	}
}

int main(int argc, char **argv)
{
	static const uint32_t flows[] = { 10000, 1000000 };
	static struct bench b;

	options_read(argc, argv);
	if (bench_two_cpus(options.cpu)) {
		fprintf(stderr, "weir-workers-bench: two CPUs are needed\n");
		return 0;
	}
	(void)bench_eal_start(&b, options.cpu[0], options.flows == 10000 ? 512 : 2048, true);
	bench_set_create(&b);
	b.family = 4;
	workers_start(options.cpu, b.tsc_hz);
	b.memory_bytes /= SIDE_COUNT; /* there are so many fast paths */
	for (int mode = WEIR_MODE_NAT; mode <= WEIR_MODE_DSR; mode++)
		for (size_t i = 0; i < RTE_DIM(flows); i++) {
			b.mode = (enum weir_mode)mode;
			b.flows = flows[i];
			if ((!options.mode || options.mode == mode) &&
				(!options.flows || options.flows == flows[i]))
				case_measure(&b);
		}
	workers_stop();
	rte_eal_cleanup();
	return 0;
}
