/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/tools/seeded.h"
#include "tests/tools/weir_crowd.h"

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const outcome_name[CROWD_OUTCOMES] = {
	[CROWD_PENDING] = "pending",
	[CROWD_OK] = "ok",
	[CROWD_REFUSED] = "refused",
	[CROWD_RESET] = "reset",
	[CROWD_TIMEOUT] = "timeout",
	[CROWD_BAD] = "bad",
	[CROWD_LOCAL] = "local",
};

const char *crowd_outcome_name(enum crowd_outcome outcome)
{
	return outcome_name[outcome];
}

static void usage(FILE *to)
{
	fputs("usage: weir-crowd -c NAME,FIRST_ADDRESS,SOURCES[,SKEW[,KEEP[,TIMEOUT]]] -r NAME,AT,RATE[,RAMP] [options] "
	      "ADDRESS:PORT\n"
	      "  -c, --class    a class of sources: consecutive addresses; SKEW: sigma of the lognormal\n"
	      "                 distribution of their shares (0); KEEP: share of requests over kept\n"
	      "                 connections (0)\n"
	      "  -r, --rate     from second AT on, RATE requests a second, reached in RAMP seconds (0)\n"
	      "  -t, --time S   (10)\n"
	      "  -o, --objective S  an answer within it is good (0.1)\n"
	      "  -T, --timeout S    from when the request should have begun (2.5)\n"
	      "  -k, --keep N   requests over one kept connection (20)\n"
	      "  -e, --even     constant intervals; Poisson otherwise\n"
	      "  -s, --seed N   the same seed, the same arrivals (1)\n"
	      "  -S, --start NS CLOCK_MONOTONIC of time 0 (now)\n"
	      "  -R, --records FILE  a line per request: AT_US CLASS SOURCE OUTCOME LATENCY_US BACKEND\n"
	      "Prints a line of JSON every 100 ms and one at the end.\n",
		to);
}

static void wrong(const char *what)
{
	warnx("cannot use %s", what);
	usage(stderr);
	exit(2);
}

static struct crowd_class *class_find(struct crowd_plan *p, const char *name)
{
	for (unsigned int i = 0; i < p->classes; i++)
		if (strcmp(p->class[i].name, name) == 0)
			return &p->class[i];
	return NULL;
}

static void class_add(struct crowd_plan *p, const char *text)
{
	struct crowd_class c = { 0 };
	char address[16];
	struct in_addr first;
	if (p->classes == CROWD_CLASSES ||
		sscanf(text, "%15[^,],%15[0-9.],%" SCNu32 ",%lf,%lf,%lf", c.name, address,
			&c.sources, &c.skew, &c.keep, &c.timeout) < 3 ||
		inet_pton(AF_INET, address, &first) != 1 || !c.sources || class_find(p, c.name))
		wrong(text);
	c.first = ntohl(first.s_addr);
	p->class[p->classes++] = c;
}

static void phase_add(struct crowd_plan *p, const char *text)
{
	struct crowd_phase new = { 0 };
	char name[16];
	struct crowd_class *c = NULL;
	if (sscanf(text, "%15[^,],%lf,%lf,%lf", name, &new.at, &new.rate, &new.ramp) >= 3)
		c = class_find(p, name);
	if (!c || c->phases == CROWD_PHASES || new.rate < 0 || new.ramp < 0 ||
		(c->phases && c->phase[c->phases - 1].at > new.at))
		wrong(text);
	c->phase[c->phases++] = new;
}

static void target_set(struct crowd_plan *p, const char *text)
{
	char address[16];
	uint16_t port;
	if (sscanf(text, "%15[0-9.]:%" SCNu16, address, &port) != 2 ||
		inet_pton(AF_INET, address, &p->target.sin_addr) != 1)
		wrong(text);
	p->target.sin_family = AF_INET;
	p->target.sin_port = htons(port);
}

static void options_read(struct crowd_plan *p, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "class", required_argument, NULL, 'c' },
		{ "rate", required_argument, NULL, 'r' },
		{ "time", required_argument, NULL, 't' },
		{ "objective", required_argument, NULL, 'o' },
		{ "timeout", required_argument, NULL, 'T' },
		{ "keep", required_argument, NULL, 'k' },
		{ "even", no_argument, NULL, 'e' },
		{ "seed", required_argument, NULL, 's' },
		{ "start", required_argument, NULL, 'S' },
		{ "records", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;
	while ((option = getopt_long(argc, argv, "c:r:t:o:T:k:es:S:R:h", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			class_add(p, optarg);
			break;
		case 'r':
			phase_add(p, optarg);
			break;
		case 't':
			p->seconds = strtod(optarg, NULL);
			break;
		case 'o':
			p->objective = strtod(optarg, NULL);
			break;
		case 'T':
			p->timeout = strtod(optarg, NULL);
			break;
		case 'k':
			p->keep_requests = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'e':
			p->even = true;
			break;
		case 's':
			p->seed = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			p->start_ns = strtoull(optarg, NULL, 10);
			break;
		case 'R':
			p->records = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc - 1 || !p->classes || p->seconds <= 0 || p->timeout <= 0)
		wrong("these arguments");
	target_set(p, argv[optind]);
}

static double class_rate(const struct crowd_class *c, double at)
{
	double before = 0, rate = 0;
	for (unsigned int i = 0; i < c->phases && c->phase[i].at <= at; i++) {
		const struct crowd_phase *f = &c->phase[i];
		double end =
			i + 1 < c->phases && c->phase[i + 1].at <= at ? c->phase[i + 1].at : at;
		double done = f->ramp > 0 ? fmin(1, (end - f->at) / f->ramp) : 1;
		rate = before + (f->rate - before) * done;
		before = rate;
	}
	return rate;
}

static double class_rate_max(const struct crowd_class *c)
{
	double max = 0;
	for (unsigned int i = 0; i < c->phases; i++)
		max = fmax(max, c->phase[i].rate);
	return max;
}

static void arrival_add(struct crowd_plan *p, struct crowd_arrival a)
{
	/* Doubling, when the count is a power of two. */
	if ((p->arrivals & (p->arrivals - 1)) == 0) {
		size_t room = p->arrivals ? 2 * p->arrivals : 1;
		p->arrival = realloc(p->arrival, room * sizeof(a));
		if (!p->arrival)
			errx(1, "out of memory");
	}
	p->arrival[p->arrivals++] = a;
}

/* Cumulated shares of a class's sources; the caller frees it. */
static double *shares_make(const struct crowd_class *c, uint64_t *random)
{
	double *shares = calloc(c->sources, sizeof(*shares)), sum = 0;
	if (!shares)
		errx(1, "out of memory");
	for (uint32_t i = 0; i < c->sources; i++)
		shares[i] = sum += seeded_lognormal(random, c->skew);
	for (uint32_t i = 0; i < c->sources; i++)
		shares[i] /= sum;
	return shares;
}

static uint32_t source_pick(const struct crowd_class *c, const double *shares, double at)
{
	uint32_t low = 0, high = c->sources - 1;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (shares[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * A Poisson process whose rate changes, by thinning: candidates at the highest rate, each taken with the
 * probability that its moment's rate has.
 */
static void class_arrivals(struct crowd_plan *p, unsigned int index)
{
	const struct crowd_class *c = &p->class[index];
	uint64_t random = p->seed * UINT64_C(0x2545f4914f6cdd1d) + index;
	double *shares = shares_make(c, &random);
	double max = class_rate_max(c), credit = 0;
	for (double at = 0; max > 0;) {
		at += (p->even ? 1 : seeded_exponential(&random)) / max;
		if (at >= p->seconds)
			break;
		double probability = class_rate(c, at) / max;
		if (p->even ? (credit += probability) < 1 : seeded_uniform(&random) > probability)
			continue;
		credit -= 1;
		struct crowd_arrival a = { .at_ns = (uint64_t)(at * 1e9), .class = (uint8_t)index };
		a.source = source_pick(c, shares, seeded_uniform(&random));
		a.keep = seeded_uniform(&random) <= c->keep;
		a.backend = UINT8_MAX;
		arrival_add(p, a);
	}
	free(shares);
}

static int arrival_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct crowd_arrival *)a)->at_ns;
	uint64_t y = ((const struct crowd_arrival *)b)->at_ns;
	return (x > y) - (x < y);
}

void crowd_plan_make(struct crowd_plan *p, int argc, char **argv)
{
	*p = (struct crowd_plan){
		.seed = 1, .seconds = 10, .objective = 0.1, .timeout = 2.5, .keep_requests = 20
	};
	options_read(p, argc, argv);
	for (unsigned int i = 0; i < p->classes; i++) {
		if (p->class[i].timeout <= 0)
			p->class[i].timeout = p->timeout;
		class_arrivals(p, i);
	}
	if (!p->arrivals)
		wrong("these rates: nobody would come");
	qsort(p->arrival, p->arrivals, sizeof(*p->arrival), arrival_compare);
}

void crowd_plan_write(const struct crowd_plan *p)
{
	if (!p->records)
		return;
	FILE *f = fopen(p->records, "w");
	if (!f)
		err(1, "%s", p->records);
	for (size_t i = 0; i < p->arrivals; i++) {
		const struct crowd_arrival *a = &p->arrival[i];
		fprintf(f, "%" PRIu64 " %s %" PRIu32 " %s %" PRIu32 " %d\n", a->at_ns / 1000,
			p->class[a->class].name, a->source, outcome_name[a->outcome], a->latency_us,
			a->backend == UINT8_MAX ? -1 : a->backend);
	}
	if (fclose(f))
		err(1, "%s", p->records);
}

void crowd_plan_free(struct crowd_plan *p)
{
	free(p->arrival);
}
