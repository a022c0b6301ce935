/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-isolation-bench: one service is flooded, and what another one on a CPU of its own has of it. Slices in which
 * the other one is alone and slices beside the flood take turns. docs/operators/isolation.md says what came out.
 */

#include "dataplane/service/service.h"
#include "tests/bench/isolation_slice.h"

#include <rte_cycles.h>
#include <rte_eal.h>

#include <getopt.h>
#include <string.h>

#define PAIRS_MAX    101
#define CALIBRATE_US 5000
#define CALIBRATIONS 4 /* the best counts */
#define WORKER_SHARE 0.2 /* of CPU 0, at most, for A's worker where it dispatches as well */
#define FLOOD_TIMES  10u /* what A's worker can take */
#define STEADY	     0.2 /* of what the quiet one can get through, for delay, */
#define SHARED_FULL  0.4 /* and for throughput where it shares the dispatcher; else all */
#define TRIES	     3u /* pairs that are measured for one that counts, at most */
#define FLOODS	     3 /* floods, until one is one and rates are what they were measured as */
#define ATTEMPTS     3
#define SKIP	     77

struct options {
	bool check; /* the exit status says whether all is well */
	unsigned int pairs;
	unsigned int slice_us;
	const char *flood; /* only this one */
	int steered; /* -1: both */
	double share; /* of what the dispatcher can drop early: the flood */
	bool still; /* behind the dispatcher: A's worker takes nothing, and no time of its CPU */
	bool disturbed; /* slices count also when the kernel took a CPU away */
};

static struct options options = { .pairs = 31, .slice_us = 20000, .steered = -1, .share = 0.15 };

static const struct flood floods[] = {
	{ "packets", WEIR_MODE_DSR, IPPROTO_UDP, false, false, false, WEIR_DROP_COUNT },
	{ "new-flows", WEIR_MODE_DSR, IPPROTO_TCP, true, false, false, WEIR_DROP_COUNT },
	{ "slow-policy", WEIR_MODE_DSR, IPPROTO_UDP, false, false, true, WEIR_DROP_COUNT },
	{ "full-table", WEIR_MODE_DSR, IPPROTO_TCP, true, true, false, WEIR_DROP_FLOW_TABLE_FULL },
	{ "no-ports", WEIR_MODE_NAT, IPPROTO_UDP, true, false, false,
		WEIR_DROP_NO_TRANSLATION_PORT },
};

enum load_kind {
	LOAD_STEADY, /* a part of what B's core can do: delay */
	LOAD_FULL, /* as much as it can do, or the dispatcher has time for: throughput */
	LOADS
};

enum {
	ALONE,
	BESIDE,
	WAYS
};

/* For --check, in order of their weight. */
enum outcome {
	OUTCOME_WELL,
	OUTCOME_UNKNOWN, /* the machine leaves us too little time */
	OUTCOME_BAD,
	OUTCOME_LOST /* by Weir itself */
};

struct figures {
	double p50[WAYS][PAIRS_MAX], p99[WAYS][PAIRS_MAX], p999[WAYS][PAIRS_MAX];
	double cycles[WAYS][PAIRS_MAX], sent[WAYS][PAIRS_MAX];
	double p99_ratio[PAIRS_MAX], cycles_ratio[PAIRS_MAX], sent_ratio[PAIRS_MAX];
	unsigned int pairs;
	unsigned int left_out; /* slices pairs in which the kernel took a CPU away */
	uint64_t lost[WAYS]; /* of them by the device, before Weir sees them: */
	uint64_t missed[WAYS];
	uint64_t packets[WAYS];
};

struct rates {
	double capacity_a; /* of its worker, packets a second */
	double capacity_b;
	double early; /* packets a second that the dispatcher can drop early, and nothing else */
	uint64_t flood;
	uint64_t b[LOADS];
};

static void pair_add(struct figures *f, const struct slice s[WAYS])
{
	const unsigned int i = f->pairs++;

	for (int way = 0; way < WAYS; way++) {
		f->p50[way][i] = slice_quantile_us(&s[way], 0.5);
		f->p99[way][i] = slice_quantile_us(&s[way], 0.99);
		f->p999[way][i] = slice_quantile_us(&s[way], 0.999);
		f->cycles[way][i] = (double)s[way].busy / (double)RTE_MAX(s[way].packets, 1u);
		f->sent[way][i] = slice_per_second(s[way].sent, &s[way]);
		f->lost[way] += s[way].dropped + s[way].missed;
		f->missed[way] += s[way].missed;
		f->packets[way] += s[way].sent;
	}
	f->p99_ratio[i] = f->p99[BESIDE][i] / f->p99[ALONE][i];
	f->cycles_ratio[i] = f->cycles[BESIDE][i] / f->cycles[ALONE][i];
	f->sent_ratio[i] = f->sent[BESIDE][i] / f->sent[ALONE][i];
}

/* Which of a pair comes first changes from pair to pair. */
static void pairs_measure(struct isolation *b, const struct rates *r, enum load_kind kind,
	struct figures *f, struct slice *ret_sum)
{
	static struct slice s[WAYS];

	for (unsigned int tries = 0; f->pairs < options.pairs && tries < TRIES * options.pairs;
		tries++) {
		for (unsigned int k = 0; k < WAYS; k++) {
			const unsigned int way = (tries + k) % WAYS;

			slice_run(b, way == BESIDE ? r->flood : 0, r->b[kind], options.slice_us,
				&s[way]);
		}
		ret_sum->a_worked += s[BESIDE].a_worked;
		ret_sum->a_offered += s[BESIDE].a_offered;
		ret_sum->a_missed += s[BESIDE].a_missed;
		ret_sum->a_reason += s[BESIDE].a_reason;
		ret_sum->ticks += s[BESIDE].ticks;
		ret_sum->dispatcher_cycles += s[BESIDE].dispatcher_cycles;
		ret_sum->worker_cycles += s[BESIDE].worker_cycles;
		if (!s[ALONE].sent || !s[BESIDE].sent ||
			(!options.disturbed && s[ALONE].gaps + s[BESIDE].gaps))
			f->left_out++;
		else
			pair_add(f, s);
	}
}

/*
 * Where nobody steers, CPU 0 dispatches and works for A as well. So that it is not what is short, A's worker comes round
 * so seldom that a tenth of the flood is what it can take, and the flood is what the dispatcher gets along with.
 */
static void rates_share(struct isolation *b, struct rates *r)
{
	const double hz = (double)rte_get_tsc_hz();
	static struct slice s;
	double cost;

	slice_run(b, ISOLATION_ALWAYS, 0, CALIBRATE_US, &s);
	cost = (double)s.worker_cycles / (double)RTE_MAX(s.a_worked, 1u);
	b->next_step = UINT64_MAX; /* its worker stands still */
	for (int i = 0; i < CALIBRATIONS; i++) {
		slice_run(b, ISOLATION_ALWAYS, 0, CALIBRATE_US, &s);
		r->early = RTE_MAX(r->early, slice_per_second(s.a_offered, &s));
	}
	b->next_step = options.still ? UINT64_MAX : 0;
	r->capacity_a = RTE_MIN(options.share * r->early / FLOOD_TIMES, WORKER_SHARE * hz / cost);
	b->step = (uint64_t)(SERVICE_BURST * hz / r->capacity_a);
}

static void rates_measure(struct isolation *b, struct rates *r)
{
	static struct slice s;

	for (int i = 0; i < CALIBRATIONS; i++) {
		slice_run(b, 0, ISOLATION_ALWAYS, CALIBRATE_US, &s);
		r->capacity_b = RTE_MAX(r->capacity_b, slice_per_second(s.packets, &s));
	}
	/* The dispatcher has to have time for both. */
	r->b[LOAD_STEADY] = (uint64_t)(r->capacity_b * STEADY);
	r->b[LOAD_FULL] = b->steered ? ISOLATION_ALWAYS : (uint64_t)(r->capacity_b * SHARED_FULL);
	if (b->steered) {
		for (int i = 0; i < CALIBRATIONS; i++) {
			slice_run(b, ISOLATION_ALWAYS, 0, CALIBRATE_US, &s);
			r->capacity_a = RTE_MAX(r->capacity_a, slice_per_second(s.a_worked, &s));
		}
	} else {
		rates_share(b, r);
	}
	r->flood = (uint64_t)(FLOOD_TIMES * r->capacity_a);
}

/* The p99 of the quietest quarter of the slices: who else runs on the machine adds to it, and Weir always does. */
static double quiet_quarter(const double *v, unsigned int count)
{
	double sorted[PAIRS_MAX];

	memcpy(sorted, v, count * sizeof(*v));
	(void)bench_median(sorted, count);
	return count ? sorted[count / 4] : 0;
}

static void lost_print(const struct figures *f, const char *at)
{
	printf("\"lost%s\": %lu, \"lost%s_by_device\": %lu, \"packets%s\": %lu, "
	       "\"lost%s_alone\": %lu, \"lost%s_alone_by_device\": %lu, ",
		at, f->lost[BESIDE], at, f->missed[BESIDE], at, f->packets[BESIDE], at,
		f->lost[ALONE], at, f->missed[ALONE]);
}

static void steady_print(struct figures *f)
{
	const double quiet[WAYS] = { quiet_quarter(f->p99[ALONE], f->pairs),
		quiet_quarter(f->p99[BESIDE], f->pairs) };

	lost_print(f, "");
	printf("\"p50_us\": %.2f, "
	       "\"p50_alone_us\": %.2f, \"p99_us\": %.2f, \"p99_alone_us\": %.2f, \"p99_ratio\": %.3f, "
	       "\"p99_quiet_us\": %.2f, \"p99_quiet_alone_us\": %.2f, \"p99_quiet_ratio\": %.3f, "
	       "\"p999_us\": %.2f, \"p999_alone_us\": %.2f, ",
		bench_median(f->p50[BESIDE], f->pairs), bench_median(f->p50[ALONE], f->pairs),
		bench_median(f->p99[BESIDE], f->pairs), bench_median(f->p99[ALONE], f->pairs),
		bench_median(f->p99_ratio, f->pairs), quiet[BESIDE], quiet[ALONE],
		quiet[ALONE] > 0 ? quiet[BESIDE] / quiet[ALONE] : 0,
		bench_median(f->p999[BESIDE], f->pairs), bench_median(f->p999[ALONE], f->pairs));
}

static void full_print(struct figures *f)
{
	lost_print(f, "_full");
	printf("\"throughput\": %.0f, \"throughput_alone\": %.0f, \"throughput_ratio\": %.3f, "
	       "\"p99_full_us\": %.2f, \"p99_full_alone_us\": %.2f, "
	       "\"p99_full_ratio\": %.3f, ",
		bench_median(f->sent[BESIDE], f->pairs), bench_median(f->sent[ALONE], f->pairs),
		bench_median(f->sent_ratio, f->pairs), bench_median(f->p99[BESIDE], f->pairs),
		bench_median(f->p99[ALONE], f->pairs), bench_median(f->p99_ratio, f->pairs));
}

static void figures_print(const struct isolation *b, const struct rates *r, struct figures f[LOADS],
	const struct slice *sum)
{
	struct figures *full = &f[LOAD_FULL];
	const double cycles = bench_median(full->cycles[BESIDE], full->pairs);
	const double floor = bench_median(full->cycles[ALONE], full->pairs);

	printf("{\"bench\": \"isolation\", \"arrangement\": \"%s\", \"flood\": \"%s\", "
	       "\"cycles_per_packet\": %.1f, \"floor_cycles_per_packet\": %.1f, \"ratio\": %.3f, "
	       "\"ratio_of_pairs\": %.3f, ",
		b->steered ? "own-queues" : "dispatcher", b->flood->name, cycles, floor,
		cycles / floor, bench_median(full->cycles_ratio, full->pairs));
	steady_print(&f[LOAD_STEADY]);
	full_print(full);
	printf("\"steady_rate\": %lu, \"flood_rate\": %lu, \"capacity_a\": %.0f, \"a_worked\": %.0f, "
	       "\"a_lost_by_device\": %.3f, \"a_dropped_for_it\": %lu, \"dispatcher_busy\": %.3f, "
	       "\"worker_busy\": %.3f, \"early\": %.0f, \"pairs\": %u, \"left_out\": %u}\n",
		r->b[LOAD_STEADY], r->flood, r->capacity_a, slice_per_second(sum->a_worked, sum),
		(double)sum->a_missed / (double)RTE_MAX(sum->a_offered, 1u), sum->a_reason,
		(double)sum->dispatcher_cycles / (double)sum->ticks,
		(double)sum->worker_cycles / (double)sum->ticks, r->early, f[LOAD_STEADY].pairs,
		f[LOAD_STEADY].left_out + full->left_out);
	fflush(stdout);
}

static bool expect(bool holds, const struct isolation *b, const char *what)
{
	if (!holds)
		fprintf(stderr, "%s, %s: %s\n", b->steered ? "own queues" : "dispatcher",
			b->flood->name, what);
	return holds;
}

static uint64_t lost_by_weir(const struct figures *f)
{
	uint64_t lost = 0;

	for (int way = 0; way < WAYS; way++)
		lost += f->lost[way] - f->missed[way];
	return lost;
}

/* Is what was offered to A still a multiple of what it worked off? */
static bool was_flood(const struct slice *sum)
{
	return sum->a_offered >= (FLOOD_TIMES - 2) * sum->a_worked;
}

/* Alone, the quiet one gets through what is to be two fifths of what it can. */
static bool rates_hold(const struct figures *full)
{
	return full->lost[ALONE] * 100 <= full->packets[ALONE];
}

/* On a machine that others use as well: bounds that only what is badly wrong exceeds, but for Weir's own losses. */
static enum outcome figures_judge(
	const struct isolation *b, struct figures f[LOADS], const struct slice *sum)
{
	struct figures *steady = &f[LOAD_STEADY], *full = &f[LOAD_FULL];
	bool well = true;

	if (steady->pairs < options.pairs / 2 || full->pairs < options.pairs / 2)
		return OUTCOME_UNKNOWN;
	if (!expect(lost_by_weir(steady) == 0, b, "Weir drops packets of the quiet one"))
		return OUTCOME_LOST;
	well &= expect(steady->missed[BESIDE] * 100 <= steady->packets[BESIDE], b,
		"the device has no room for packets of the quiet one");
#if !defined(__SANITIZE_ADDRESS__) /* whose times say nothing */
	well &= expect(quiet_quarter(steady->p99[BESIDE], steady->pairs) <=
			2 * quiet_quarter(steady->p99[ALONE], steady->pairs) + 50,
		b, "packets of the quiet one wait");
	well &= expect(bench_median(full->sent_ratio, full->pairs) >= 0.85, b,
		"the quiet one gets less through");
	well &= expect(was_flood(sum), b, "this was no flood");
#endif
	well &= expect(b->flood->reason == WEIR_DROP_COUNT || sum->a_reason > 0, b,
		"nothing was dropped for the flood's reason");
	return well ? OUTCOME_WELL : OUTCOME_BAD;
}

static enum outcome flood_attempt(struct isolation *b)
{
	static struct figures f[LOADS];
	static struct slice sum;
	struct rates r = { 0 };

	isolation_start(b);
	rates_measure(b, &r);
	/* Capacities may have been measured while somebody else had the CPU, or the machine was faster. */
	for (int i = 1;; i++) {
		memset(f, 0, sizeof(f));
		memset(&sum, 0, sizeof(sum));
		for (int kind = 0; kind < LOADS; kind++)
			pairs_measure(b, &r, (enum load_kind)kind, &f[kind], &sum);
		if (i == FLOODS || (rates_hold(&f[LOAD_FULL]) && was_flood(&sum)))
			break;
		if (!rates_hold(&f[LOAD_FULL])) {
			b->step = b->next_step = 0;
			r = (struct rates){ 0 };
			rates_measure(b, &r);
			continue;
		}
		/* What it really does then says more. */
		r.capacity_a = RTE_MAX(r.capacity_a, slice_per_second(sum.a_worked, &sum));
		r.flood = (uint64_t)(FLOOD_TIMES * r.capacity_a);
	}
	const enum outcome outcome = figures_judge(b, f, &sum);

	figures_print(b, &r, f, &sum);
	isolation_stop(b);
	return outcome;
}

/*
 * For --check up to three times: what others on the machine take from the dispatcher looks like a fault, but not each time.
 * Losses of Weir's own have no excuse.
 */
static enum outcome flood_measure(struct isolation *b)
{
	enum outcome outcome = flood_attempt(b);

	for (int i = 1; i < ATTEMPTS && options.check && outcome == OUTCOME_BAD; i++)
		outcome = flood_attempt(b);
	return outcome;
}

static void options_read(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "check", no_argument, NULL, 'c' },
		{ "quick", no_argument, NULL, 'q' },
		{ "json", no_argument, NULL, 'j' }, /* it is, always */
		{ "pairs", required_argument, NULL, 'p' },
		{ "slice-ms", required_argument, NULL, 's' },
		{ "flood", required_argument, NULL, 'f' },
		{ "own-queues", no_argument, NULL, 'o' },
		{ "dispatcher", no_argument, NULL, 'd' },
		{ "share", required_argument, NULL, 'a' },
		{ "still", no_argument, NULL, 't' },
		{ "disturbed", no_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			options.check = true;
			break;
		case 'q':
			options.pairs = 7;
			options.slice_us = 10000;
			break;
		case 'j':
			break;
		case 'p':
			options.pairs = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 's':
			options.slice_us = 1000 * (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			options.flood = optarg;
			break;
		case 'o':
			options.steered = 1;
			break;
		case 'd':
			options.steered = 0;
			break;
		case 'a':
			options.share = strtod(optarg, NULL);
			break;
		case 't':
			options.still = true;
			break;
		case 'k':
			options.disturbed = true;
			break;
		default:
			exit(2);
		}
	}
	if (options.pairs > PAIRS_MAX)
		exit(2);
}

int main(int argc, char **argv)
{
	static struct isolation b;
	static struct bench bench;
	enum outcome worst = OUTCOME_WELL;
	char path[4096];

	options_read(argc, argv);
	if (bench_two_cpus(b.cpu)) {
		printf("two CPUs are needed\n");
		return SKIP;
	}
	snprintf(path, sizeof(path), "%s/slow.o", WEIR_BENCH_POLICIES);
	b.policy = bench_policy_read(path);
	b.bench = &bench;
	b.hurried = !options.disturbed;
	(void)bench_eal_start(&bench, b.cpu[0], 512, !options.check);
	for (int steered = 1; steered >= 0; steered--) {
		if (options.steered >= 0 && options.steered != steered)
			continue;
		for (size_t i = 0; i < RTE_DIM(floods); i++) {
			if (options.flood && strcmp(options.flood, floods[i].name) != 0)
				continue;
			b.steered = steered;
			b.flood = &floods[i];
			worst = RTE_MAX(worst, flood_measure(&b));
		}
	}
	free(b.policy);
	rte_eal_cleanup();
	if (!options.check || worst == OUTCOME_WELL)
		return 0;
	return worst >= OUTCOME_BAD ? 1 : SKIP;
}
