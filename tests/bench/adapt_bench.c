/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What adaptation costs the control daemon: readings of a telemetry region of many services, their signals,
 * and a step of all controllers, ten times for each second of a made-up clock. Every counter moves in every
 * tick and every source table is full, so that nothing is cheaper than in a busy data plane. Two cases:
 *
 *   calm      all keep their objective
 *   overload  all are asked for five times what they can do, shed and police, so that their source tables are
 *             read in every tick, and two backends of each are slow
 *
 *	weir-adapt-bench [--json]
 *
 * A JSON object a case on standard output: the median and the longest tick, the share of one core at ten
 * ticks a second, and the cycles of the median tick for each packet that the services received meanwhile, beside
 * what only reading the region takes of them. For people, unless --json, the same on standard error.
 */

#include "control/adapt/service.h"
#include "control/adapt/signals.h"
#include "dataplane/api/histogram.h"

#include <rte_cycles.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERVICES 100
#define BACKENDS 20
#define LEARN	 200 /* ticks before those that are measured: also the sources' habits */
#define TICKS	 200
#define SELDOM	 5
#define LATENCY	 10000000 /* ns */
#define PACKETS	 (100 * BACKENDS) /* of a service in a calm tick */
#define CROWD	 5 /* so many times that in overload */

/* CPU seconds of each tick that is measured. */
struct times {
	double tick[TICKS];
	double reading[TICKS]; /* the part of it that reads the region */
};

struct bench {
	struct weir_telemetry t;
	struct weir_core_cell core;
	struct weir_service_cell service[SERVICES];
	struct weir_backend_entry entry[SERVICES][BACKENDS];
	struct weir_backend_cell cell[SERVICES][BACKENDS];
	struct weir_heavy heavy[SERVICES];
};

static unsigned int ticks;
static bool polices[SERVICES];

/* As the daemon does: another fifth of the services in each tick, and who polices in all of them. */
static unsigned int wish(void *ctx, const char *service)
{
	unsigned int number = (unsigned int)strtoul(service + 1, NULL, 10);
	unsigned int what = polices[number] ? READING_COUNTERS | READING_HEAVY : READING_COUNTERS;
	return (ticks + number) % SELDOM == 0 ? what | READING_TAILS | READING_HEAVY : what;
}

static void heavy_fill(struct weir_heavy *h)
{
	for (uint32_t i = 0; i < WEIR_HEAVY_SETS; i++) {
		for (uint32_t j = 0; j < WEIR_HEAVY_WAYS; j++) {
			struct weir_heavy_entry *e = &h->set[i].entry[j];
			h->set[i].tag[j] = 1;
			e->address[14] = (uint8_t)i;
			e->address[15] = (uint8_t)j;
		}
	}
}

static struct bench *bench_create(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	if (b == NULL)
		errx(1, "out of memory");
	b->t = (struct weir_telemetry){ .magic = WEIR_TELEMETRY_MAGIC,
		.version = WEIR_TELEMETRY_VERSION,
		.size = sizeof(*b),
		.core_count = 1,
		.service_count = SERVICES };
	b->t.core[0].cell_offset = offsetof(struct bench, core);
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct weir_service_entry *s = &b->t.service[i];
		s->used = 1;
		snprintf(s->name, sizeof(s->name), "s%u", i);
		s->worker_mask = 1;
		s->cell_offset[0] = offsetof(struct bench, service) + i * sizeof(b->service[0]);
		s->backend_offset = offsetof(struct bench, entry) + i * sizeof(b->entry[0]);
		s->backend_cell_offset[0] = offsetof(struct bench, cell) + i * sizeof(b->cell[0]);
		s->heavy_offset[0] = offsetof(struct bench, heavy) + i * sizeof(b->heavy[0]);
		s->backend_count = BACKENDS;
		heavy_fill(&b->heavy[i]);
		for (uint32_t j = 0; j < BACKENDS; j++) {
			/* Answers of 1 ms to 1 s have been seen. */
			b->cell[i][j].first_byte_from = weir_histogram_index(1000000);
			b->cell[i][j].first_byte_to = weir_histogram_index(1000000000);
			b->entry[i][j] = (struct weir_backend_entry){ .state = WEIR_BACKEND_UP,
				.port = 80,
				.weight = 100,
				.address = { [14] = (uint8_t)i, [15] = (uint8_t)(j + 1) } };
		}
	}
	return b;
}

static void backend_traffic(struct weir_backend_cell *c, uint64_t latency_ns)
{
	c->requests += 10;
	c->new_flows += 10;
	c->syn_sent += 10;
	c->connect.count += 10;
	c->first_byte.count += 10;
	c->first_byte.sum_ns += UINT64_C(10) * latency_ns;
	c->first_byte.bucket[weir_histogram_index(latency_ns)] += 10;
	c->found.count[latency_ns / LATENCY % WEIR_FOUND_CLASSES] += 10;
	c->found.sum_ns[latency_ns / LATENCY % WEIR_FOUND_CLASSES] += UINT64_C(10) * latency_ns;
	c->in_flight = latency_ns / (LATENCY / 2);
	c->in_flight_peak = 2 * c->in_flight;
}

/* What two cores and more would add is the same again: the sum of their cells. */
static void traffic(struct bench *b, bool overload)
{
	uint32_t more = overload ? CROWD : 1;
	uint64_t latency = overload ? 8 * LATENCY : LATENCY;
	for (uint32_t i = 0; i < SERVICES; i++) {
		struct weir_service_cell *s = &b->service[i];
		s->offered += more * 10 * BACKENDS;
		s->new_flows += 10 * BACKENDS;
		s->dropped[WEIR_DROP_SHED] += (more - 1) * 10 * BACKENDS;
		s->packets_received += more * PACKETS;
		for (uint32_t j = 0; j < BACKENDS; j++)
			backend_traffic(&b->cell[i][j], overload && j < 2 ? 4 * latency : latency);
		for (uint32_t j = 0; j < WEIR_HEAVY_SETS * WEIR_HEAVY_WAYS; j++) {
			struct weir_heavy_entry *e =
				&b->heavy[i].set[j / WEIR_HEAVY_WAYS].entry[j % WEIR_HEAVY_WAYS];
			e->flows += more * (1 + j % 3);
			e->packets += more * 10 * (1 + j % 3);
		}
	}
}

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Returns the CPU seconds that reading the region took. */
static double tick(struct bench *b, struct reading **before, struct adapt_service **of,
	struct signals_past *past, const struct adapt_settings *settings)
{
	struct reading *now;
	uint64_t now_ns = ++ticks * ADAPT_TICK_NS;
	b->t.heartbeat_ns = now_ns;
	double begun = cpu_s();
	if (reading_take(&b->t, sizeof(*b), now_ns, wish, NULL, &now) != 0)
		errx(1, "the region cannot be read");
	double reading = cpu_s() - begun;
	for (size_t i = 0; i < now->service_count; i++) {
		struct adapt_signals s;
		if (signals_between(*before, now, &now->services[i], &past[i], &s) != 0)
			continue;
		const struct adapt_directive *d =
			adapt_service_step(of[i], &s, settings, false, NULL);
		polices[i] = d != NULL && d->policing != NULL && d->policing->on;
		signals_free(&s);
	}
	reading_destroy(*before);
	*before = now;
	return reading;
}

/* Of the time-stamp counter, as cycles a packet are everywhere else. */
static double cycles_per_second(void)
{
	struct timespec begun, now;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	uint64_t cycles = rte_rdtsc();
	double passed;
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		passed = (double)(now.tv_sec - begun.tv_sec) +
			(double)(now.tv_nsec - begun.tv_nsec) / 1e9;
	} while (passed < 0.05);
	return (double)(rte_rdtsc() - cycles) / passed;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void result_print(const char *name, struct times *spent, double packets, bool json)
{
	double sum = 0;
	unsigned int policing = 0;
	for (int i = 0; i < TICKS; i++)
		sum += spent->tick[i];
	for (int i = 0; i < SERVICES; i++)
		policing += polices[i];
	qsort(spent->tick, TICKS, sizeof(spent->tick[0]), compare);
	qsort(spent->reading, TICKS, sizeof(spent->reading[0]), compare);
	double median = spent->tick[TICKS / 2];
	double floor = spent->reading[TICKS / 2];
	double cycles = cycles_per_second() / packets;
	printf("{\"bench\": \"adaptation-%s\", \"services\": %d, \"backends\": %d, "
	       "\"policing\": %u, \"packets_per_tick\": %.0f, \"cycles_per_packet\": %.2f, "
	       "\"floor_cycles_per_packet\": %.2f, \"ratio\": %.2f, \"floor\": \"reading alone\", "
	       "\"ms_per_tick\": %.3f, \"median\": %.3f, \"max\": %.3f, \"share_of_core\": %.4f}\n",
		name, SERVICES, BACKENDS, policing, packets, median * cycles, floor * cycles,
		median / floor, sum / TICKS * 1e3, median * 1e3, spent->tick[TICKS - 1] * 1e3,
		sum / TICKS * 10);
	if (!json)
		fprintf(stderr,
			"adaptation, %-8s %8.2f ms a tick, %.2f %% of a core (%d services of %d "
			"backends)\n",
			name, sum / TICKS * 1e3, sum / TICKS * 1e3, SERVICES, BACKENDS);
}

static void case_run(const char *name, bool overload, bool json)
{
	struct adapt_service *of[SERVICES];
	struct signals_past past[SERVICES] = { 0 };
	struct adapt_settings settings = { .objective_s = 0.06,
		.mode = { ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON },
		.sees_replies = true,
		.is_tcp = true,
		.gains = adapt_gains_preset };
	struct reading *before = NULL;
	struct bench *b = bench_create();
	struct times spent;
	memset(polices, 0, sizeof(polices));
	for (size_t i = 0; i < SERVICES; i++) {
		of[i] = adapt_service_create();
		if (of[i] == NULL)
			errx(1, "out of memory");
	}
	for (int i = -LEARN; i < TICKS; i++) {
		traffic(b, overload && i >= -LEARN / 4);
		double begun = cpu_s();
		double reading = tick(b, &before, of, past, &settings);
		if (i < 0)
			continue;
		spent.tick[i] = cpu_s() - begun;
		spent.reading[i] = reading;
	}
	result_print(name, &spent, (overload ? CROWD : 1) * PACKETS * SERVICES, json);
	for (size_t i = 0; i < SERVICES; i++) {
		adapt_service_destroy(of[i]);
		signals_past_clear(&past[i]);
	}
	reading_destroy(before);
	free(b);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	if (argc > 2 || (argc == 2 && !json)) {
		fprintf(stderr, "usage: weir-adapt-bench [--json]\n");
		return 2;
	}
	case_run("calm", false, json);
	case_run("overload", true, json);
	return 0;
}
