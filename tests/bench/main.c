/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-bench: cycles a packet of the real fast path, on packets in memory, as JSON lines.
 * docs/developers/measuring.md says how to read them.
 */

#include "dataplane/table/flow_table.h"
#include "tests/bench/bench.h"

#include <rte_eal.h>

#include <getopt.h>
#include <string.h>

#define HUGEPAGES_FILE	"/proc/sys/vm/nr_hugepages"
#define REPETITIONS_MAX 201

struct options {
	bool quick;
	bool json_only;
	bool small_pages;
	bool sums_known; /* only the cases in which the device has checked the headers' sums */
	bool per_source; /* only the cases with limits per source */
	const char *policy; /* only the cases with this policy: an object */
	unsigned int repetitions;
	int cpu;
	int family; /* 0: both */
	int mode; /* 0: both */
	uint32_t flows; /* 0: all */
	double testpmd[3]; /* min, median, max; 0: not measured */
};

/* Median, least and greatest of the repetitions, in cycles a packet. */
struct figure {
	double value[REPETITIONS_MAX];
	unsigned int count;
	uint64_t left_out; /* packets that were not timed, see struct bench_time */
};

static struct options options = { .repetitions = 31, .cpu = -1 };
static bool hugepages;
static double floor_median; /* of the last case, for the line about testpmd */

/* Of a round that was disturbed for more than half of its packets nothing is kept. */
static void figure_add(struct figure *f, const struct bench_time *time)
{
	f->left_out += time->packets_left_out;
	if (time->packets < BENCH_SET / 2 || f->count == REPETITIONS_MAX)
		return;
	f->value[f->count++] = (double)time->cycles / time->packets;
}

static double figure_sort(struct figure *f)
{
	if (f->count == 0)
		bench_fail("every repetition was disturbed for more than half of its packets: "
			   "give it a quieter CPU, or more --repetitions");
	return bench_median(f->value, f->count);
}

/* Everything that went in must have come out, and be counted so. */
static void balance_check(const struct bench *b, const struct bench_counters *before,
	const struct bench_counters *after)
{
	const char *reason = bench_counters_drop(b);

	if (reason)
		bench_fail("packets were dropped: %s", reason);
	if (after->port_received - before->port_received != b->filled ||
		after->port_transmitted - before->port_transmitted != b->filled ||
		after->service_received - before->service_received != b->filled ||
		after->service_transmitted - before->service_transmitted != b->filled ||
		after->to_kernel != before->to_kernel || after->dropped)
		bench_fail("the counters do not balance");
}

/* One kind of packet, measured again and again. */
struct series {
	const char *name;
	const char *direction;
	enum bench_kind kind;
	struct figure cycles;
	uint64_t stage_cycles[WEIR_STAGE_COUNT];
	uint64_t stage_packets[WEIR_STAGE_COUNT];
	uint64_t new_flows;
	uint64_t closed_flows;
	uint64_t checked;
};

static void checked_run(
	struct bench *b, enum bench_kind kind, uint32_t first, uint32_t count, struct series *s)
{
	struct bench_counters before, after;
	struct bench_time time;

	bench_set_fill(b, kind, first, count);
	bench_counters_read(b, &before);
	bench_path_run(b, &time);
	bench_counters_read(b, &after);
	balance_check(b, &before, &after);
	bench_set_check(b);
	if (!s)
		return;
	figure_add(&s->cycles, &time);
	for (int i = 0; i < WEIR_STAGE_COUNT; i++) {
		s->stage_cycles[i] += after.stage_cycles[i] - before.stage_cycles[i];
		s->stage_packets[i] += after.stage_packets[i] - before.stage_packets[i];
	}
	s->new_flows += after.new_flows - before.new_flows;
	s->closed_flows += after.closed_flows - before.closed_flows;
	s->checked += count;
}

static void stages_print(const struct series *s)
{
	static const char *const labels[] = {
#define X(name, label) label,
		WEIR_STAGES(X)
#undef X
	};
	const char *separator = "";

	printf(", \"stages\": {");
	for (int i = 0; i < WEIR_STAGE_COUNT; i++) {
		if (!s->stage_packets[i])
			continue;
		printf("%s\"%s\": %.1f", separator, labels[i],
			(double)s->stage_cycles[i] / (double)s->stage_packets[i]);
		separator = ", ";
	}
	printf("}");
}

static void series_print(const struct bench *b, struct series *s, struct figure *floor)
{
	const char *mode = b->mode == WEIR_MODE_NAT ? "nat" : "dsr";
	const char *name = b->per_source ? "fastpath-per-source" :
		b->policy		 ? "fastpath-policy" :
		b->sums_known		 ? "fastpath-sums-known" :
					   "fastpath";
	double median = figure_sort(&s->cycles);

	floor_median = figure_sort(floor);
	printf("{\"bench\": \"%s\", \"mode\": \"%s\", \"family\": %d, \"flows\": %u, "
	       "\"case\": \"%s\", \"direction\": \"%s\", \"cycles_per_packet\": %.1f, "
	       "\"floor_cycles_per_packet\": %.1f, \"ratio\": %.2f, \"min\": %.1f, \"max\": %.1f, "
	       "\"floor_min\": %.1f, \"floor_max\": %.1f, \"repetitions\": %u, "
	       "\"packets_per_repetition\": %u, \"packets_checked\": %lu, \"packets_left_out\": %lu, \"dropped\": 0, "
	       "\"new_flows\": %lu, \"closed_flows\": %lu, \"table_capacity\": %u, "
	       "\"table_bytes\": %zu, "
	       "\"frame_bytes\": %u, \"hugepages\": %s, \"tsc_mhz\": %.0f",
		name, mode, b->family, b->flows, s->name, s->direction, median, floor_median,
		median / floor_median, s->cycles.value[0], s->cycles.value[s->cycles.count - 1],
		floor->value[0], floor->value[floor->count - 1], s->cycles.count, BENCH_SET,
		s->checked, s->cycles.left_out, s->new_flows, s->closed_flows, b->capacity,
		flow_table_bytes(b->capacity, b->family == 6, b->mode == WEIR_MODE_NAT),
		b->originals[0].length, hugepages ? "true" : "false", (double)b->tsc_hz / 1e6);
	stages_print(s);
	printf("}\n");
	fflush(stdout);
	if (!options.json_only)
		fprintf(stderr,
			"%s IPv%d %8u flows %-12s %-7s %7.1f cycles/packet, floor %5.1f%s\n", mode,
			b->family, b->flows, s->name, s->direction, median, floor_median,
			b->per_source	      ? ", limits per source" :
				b->sums_known ? ", sums known" :
						"");
}

/* Every flow once, in sets. */
static void all_flows_run(struct bench *b, enum bench_kind kind)
{
	for (uint32_t done = 0; done < b->flows;) {
		uint32_t count = b->flows - done < BENCH_SET ? b->flows - done : BENCH_SET;
		checked_run(b, kind, done, count, NULL);
		done += count;
	}
}

static void floor_measure(struct bench *b, enum bench_kind kind, uint32_t first, struct figure *f)
{
	struct bench_time time;

	bench_set_fill(b, kind, first, BENCH_SET);
	bench_floor_run(b, &time);
	figure_add(f, &time);
}

/* Until there are enough undisturbed rounds; on a hopelessly busy machine there never are. */
static bool another_round(
	unsigned int done, const struct figure *floor, const struct figure *cycles)
{
	unsigned int least = floor->count < cycles->count ? floor->count : cycles->count;

	if (least >= options.repetitions)
		return false;
	if (done == 20 * options.repetitions)
		bench_fail("the CPU is too busy: %u of %u rounds were left alone", least, done);
	return true;
}

/* Packets of flows that the table knows. */
static void hits_measure(struct bench *b)
{
	static struct series client, reply;
	static struct figure floor;
	bool nat = b->mode == WEIR_MODE_NAT;

	client = (struct series){ .name = "hit", .direction = "client", .kind = BENCH_DATA };
	reply = (struct series){ .name = "hit", .direction = "reply", .kind = BENCH_DATA_REPLY };
	floor = (struct figure){ 0 };
	b->capacity = b->flows * 2 < 65536 ? 65536 : b->flows * 2;
	if (b->capacity > FLOW_TABLE_MAX)
		b->capacity = FLOW_TABLE_MAX;
	bench_order_make(b);
	bench_path_create(b);
	all_flows_run(b, BENCH_SYN);
	if (nat)
		all_flows_run(b, BENCH_SYN_ACK);
	all_flows_run(b, BENCH_DATA);
	if (nat)
		all_flows_run(b, BENCH_DATA_REPLY);
	for (unsigned int i = 0; another_round(i, &floor, &client.cycles); i++) {
		uint32_t first = (uint32_t)((uint64_t)i * BENCH_SET % b->flows);
		floor_measure(b, BENCH_DATA, first, &floor);
		checked_run(b, client.kind, first, BENCH_SET, &client);
		if (nat)
			checked_run(b, reply.kind, first, BENCH_SET, &reply);
	}
	if (client.new_flows || reply.new_flows)
		bench_fail("hits opened flows");
	series_print(b, &client, &floor);
	if (nat)
		series_print(b, &reply, &floor);
	bench_path_destroy(b);
	bench_order_free(b);
}

/* The table is full of flows that never got beyond their first packet, and every packet is a new one. */
static void inserts_measure(struct bench *b)
{
	static struct series insert;
	static struct figure floor;
	uint32_t next = 0;

	insert =
		(struct series){ .name = "insert-evict", .direction = "client", .kind = BENCH_SYN };
	floor = (struct figure){ 0 };
	b->capacity = b->flows;
	bench_path_create(b);
	while (next < 3 * b->flows) {
		checked_run(b, BENCH_SYN, next, BENCH_SET, NULL);
		next += BENCH_SET;
	}
	for (unsigned int i = 0; another_round(i, &floor, &insert.cycles); i++) {
		floor_measure(b, BENCH_SYN, next, &floor);
		checked_run(b, BENCH_SYN, next, BENCH_SET, &insert);
		next += BENCH_SET;
	}
	if (insert.new_flows != insert.checked)
		bench_fail("%lu packets opened %lu flows", insert.checked, insert.new_flows);
	if (insert.closed_flows != insert.new_flows)
		bench_fail("the table was not full: %lu flows opened, %lu closed", insert.new_flows,
			insert.closed_flows);
	series_print(b, &insert, &floor);
	bench_path_destroy(b);
}

static void testpmd_print(void)
{
	if (options.testpmd[1] <= 0)
		return;
	printf("{\"bench\": \"testpmd-macswap\", \"cycles_per_packet\": %.1f, "
	       "\"floor_cycles_per_packet\": %.1f, \"ratio\": %.2f, \"min\": %.1f, \"max\": %.1f, "
	       "\"frame_bytes\": 64}\n",
		options.testpmd[1], floor_median, options.testpmd[1] / floor_median,
		options.testpmd[0], options.testpmd[2]);
}

static void usage(FILE *f)
{
	fprintf(f,
		"usage: weir-bench [--quick] [--json] [--repetitions N] [--cpu N] [--no-hugepages]\n"
		"                  [--mode nat|dsr] [--family 4|6] [--flows N] [--per-source] "
		"[--sums-known]\n"
		"                  [--policy OBJECT]\n"
		"                  [--testpmd MIN,MEDIAN,MAX]\n");
}

static void options_read(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "no-hugepages", no_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "repetitions", required_argument, NULL, 'r' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "family", required_argument, NULL, 'f' },
		{ "mode", required_argument, NULL, 'm' },
		{ "flows", required_argument, NULL, 'n' },
		{ "per-source", no_argument, NULL, 'p' },
		{ "sums-known", no_argument, NULL, 'k' },
		{ "policy", required_argument, NULL, 'o' },
		{ "testpmd", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'q':
			options.quick = true;
			options.repetitions = 7;
			break;
		case 's':
			options.small_pages = true;
			break;
		case 'j':
			options.json_only = true;
			break;
		case 'r':
			options.repetitions = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			options.cpu = atoi(optarg);
			break;
		case 'f':
			options.family = atoi(optarg);
			break;
		case 'm':
			options.mode = !strcmp(optarg, "nat") ? WEIR_MODE_NAT : WEIR_MODE_DSR;
			break;
		case 'n':
			options.flows = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			options.per_source = true;
			break;
		case 'k':
			options.sums_known = true;
			break;
		case 'o':
			options.policy = optarg;
			break;
		case 't':
			if (sscanf(optarg, "%lf,%lf,%lf", &options.testpmd[0], &options.testpmd[1],
				    &options.testpmd[2]) == 3)
				break;
			__attribute__((fallthrough));
		default:
			usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
	if (options.repetitions < 1 || options.repetitions > REPETITIONS_MAX) {
		usage(stderr);
		exit(2);
	}
}

static void cases_measure(struct bench *b)
{
	if (options.policy) {
		hits_measure(b);
		return;
	}
	if (!options.per_source && !options.sums_known) {
		hits_measure(b);
		if (b->flows > 1 && b->flows <= 1000000)
			inserts_measure(b);
	}
	if (b->family == 4 && !options.per_source) {
		b->sums_known = true;
		hits_measure(b);
		b->sums_known = false;
	}
	if (options.sums_known)
		return;
	/* The table of sources is the same in all modes: once is enough, unless it is asked for. */
	if (!options.per_source && (b->mode != WEIR_MODE_NAT || b->family != 4))
		return;
	b->per_source = true;
	hits_measure(b);
	b->per_source = false;
}

int main(int argc, char **argv)
{
	uint32_t flow_counts[] = { 1, 10000, 1000000 };
	static const int families[] = { 4, 6 };
	static struct bench b;

	options_read(argc, argv);
	bool many = !options.quick && (options.flows == 0 || options.flows > 10000);
	unsigned int memory_mib = many ? 1536 : 384;
	if (options.flows > 1000000) {
		/* Any number that a table can hold: the last of the counts is then this one. */
		flow_counts[2] = options.flows;
		memory_mib =
			512 + (unsigned int)(flow_table_bytes(FLOW_TABLE_MAX, true, true) >> 19);
	}
	/* Before: the child that reads it may not have much memory, and EAL takes much. */
	if (options.policy)
		b.policy = bench_policy_read(options.policy);
	hugepages = bench_eal_start(&b, options.cpu, memory_mib, !options.small_pages);
	bench_set_create(&b);
	for (int mode = WEIR_MODE_NAT; mode <= WEIR_MODE_DSR; mode++) {
		for (int family = 0; family < 2; family++) {
			for (int count = 0; count < (options.quick ? 2 : 3); count++) {
				b.mode = (enum weir_mode)mode;
				b.family = families[family];
				b.flows = flow_counts[count];
				if ((options.mode && options.mode != mode) ||
					(options.family && options.family != b.family) ||
					(options.flows && options.flows != b.flows))
					continue;
				cases_measure(&b);
			}
		}
	}
	testpmd_print();
	free(b.policy);
	rte_eal_cleanup();
	return 0;
}
