/* SPDX-License-Identifier: BSD-3-Clause */

/* From telemetry to signals, and signals in files. */

#include "control/adapt/recording.h"
#include "control/adapt/signals.h"
#include "tests/unit/report/region.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TICK ADAPT_TICK_NS

static unsigned int want = READING_COUNTERS;

static unsigned int wish(void *ctx, const char *service)
{
	return strcmp(service, "web") == 0 ? want : READING_NOT;
}

static struct reading *read_at(const struct region *r, uint64_t now_ns)
{
	struct reading *reading = NULL;
	CU_ASSERT_EQUAL_FATAL(reading_take(&r->t, sizeof(*r), now_ns, wish, NULL, &reading), 0);
	return reading;
}

static int between(const struct reading *before, const struct reading *now,
	struct signals_past *past, struct adapt_signals *ret)
{
	CU_ASSERT_EQUAL_FATAL(now->service_count, 1);
	return signals_between(before, now, &now->services[0], past, ret);
}

static void differences(void)
{
	struct region *r = region_create();
	struct signals_past past = { 0 };
	struct adapt_signals s;
	want = READING_COUNTERS | READING_TAILS;
	r->web_backend_cell[0][0].packets_from = 100;
	r->web_backend_cell[1][0].packets_from = 7;
	struct reading *before = read_at(r, 10 * TICK);
	CU_ASSERT_EQUAL(before->service_count, 1);
	CU_ASSERT_EQUAL(between(NULL, before, &past, &s), -EAGAIN);
	r->web[0].offered += 30;
	r->web[1].offered += 12;
	r->web[1].new_flows += 40;
	r->web_backend_cell[1][0].packets_from++;
	r->web[0].dropped[WEIR_DROP_WORKER_RING_FULL] += 3;
	r->web_backend_cell[0][0].requests += 7;
	r->web_backend_cell[1][0].requests += 5;
	r->web_backend_cell[1][0].in_flight += 4;
	r->web_backend_cell[0][0].in_flight -= 1; /* a share of a sum */
	region_measure(&r->web_backend_cell[0][0].first_byte, 20000000, 6);
	r->t.heartbeat_ns = 11 * TICK - 5;
	struct reading *now = read_at(r, 11 * TICK);
	CU_ASSERT_EQUAL_FATAL(between(before, now, &past, &s), 0);
	CU_ASSERT_EQUAL(s.elapsed_ns, TICK);
	CU_ASSERT_EQUAL(s.age_ns, 5);
	CU_ASSERT_EQUAL(s.offered, 42);
	CU_ASSERT_EQUAL(s.forwarded, 40);
	CU_ASSERT_EQUAL(s.ring_full, 3);
	CU_ASSERT_EQUAL(s.backend_count, 2);
	CU_ASSERT_EQUAL(s.backends[0].requests, 12);
	CU_ASSERT_EQUAL(s.backends[0].answered, 6);
	CU_ASSERT_DOUBLE_EQUAL(s.backends[0].answered_s, 0.12, 1e-9);
	CU_ASSERT_TRUE(s.backends[0].usable);
	CU_ASSERT_EQUAL(s.backends[1].requests, 0);
	CU_ASSERT_EQUAL(s.backends[0].unheard, 0);
	CU_ASSERT_EQUAL(s.backends[1].unheard, 0); /* no packet of it was ever seen */
	signals_free(&s);
	/* The tails: only what came since they were read. */
	region_measure(&r->web_backend_cell[1][0].first_byte, 40000000, 9);
	for (int i = 0; i < 2; i++) {
		r->web_backend_cell[i][0].found.count[3] += 2;
		r->web_backend_cell[i][0].found.sum_ns[3] += 80000000;
	}
	struct reading *later = read_at(r, 12 * TICK);
	CU_ASSERT_EQUAL_FATAL(between(now, later, &past, &s), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.backends[0].tail);
	CU_ASSERT_EQUAL(s.backends[0].tail->count, 9);
	CU_ASSERT_EQUAL(s.backends[0].found->count[3], 4);
	CU_ASSERT_DOUBLE_EQUAL(s.backends[0].found->sum_s[3], 0.16, 1e-9);
	CU_ASSERT_EQUAL(s.backends[0].found->count[2], 0);
	CU_ASSERT_EQUAL(s.backends[0].unheard, 1);
	CU_ASSERT_DOUBLE_EQUAL(adapt_histogram_quantile(s.backends[0].tail, 0.5), 0.04, 0.002);
	signals_free(&s);
	signals_past_clear(&past);
	reading_destroy(before);
	reading_destroy(now);
	reading_destroy(later);
	free(r);
}

static struct adapt_signals cores_between(
	struct region *r, uint64_t web, uint64_t busy, uint64_t idle)
{
	struct signals_past past = { 0 };
	struct adapt_signals s;
	want = READING_COUNTERS;
	struct reading *before = read_at(r, 10 * TICK);
	r->core[1].busy_cycles += busy;
	r->core[1].idle_cycles += idle;
	r->web[1].busy_cycles += web;
	struct reading *now = read_at(r, 11 * TICK);
	CU_ASSERT_EQUAL_FATAL(between(before, now, &past, &s), 0);
	const struct adapt_signals found = s; /* its lists are gone */
	signals_free(&s);
	signals_past_clear(&past);
	reading_destroy(before);
	reading_destroy(now);
	return found;
}

/* How busy a core is of a service's: its own part, of what others leave it, and at least an equal part. */
static void shares_of_cores(void)
{
	struct region *r = region_create();
	r->t.service[0].cores_wanted = 3;
	r->t.service[0].cores_short = 2;
	r->t.service[2].cores_short = 4;
	struct reading *reading = read_at(r, TICK);
	CU_ASSERT_EQUAL(reading->services[0].cores_wanted, 3);
	CU_ASSERT_EQUAL(reading->services[0].cores_short, 2);
	CU_ASSERT_EQUAL(reading->cores_short, 6);
	CU_ASSERT_EQUAL(reading->core[1].services, 1);
	reading_destroy(reading);
	/* Alone, it has what is not spent on others: nobody's rounds are not there to be had, either. */
	CU_ASSERT_EQUAL(cores_between(r, 0, 0, 0).cores, 1);
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 0, 0, 0).cores_busy, 0, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 300, 300, 700).cores_busy, 0.3, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 300, 300, 700).cores_load, 0.3, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 2000, 1000, 0).cores_busy, 1, 1e-9);
	/* With another one there: the other's flood is not its load, and cannot take its half. */
	r->t.service[2].worker_mask = 2;
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 300, 700, 300).cores_busy, 0.3 / 0.6, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 50, 1000, 0).cores_busy, 0.1, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(cores_between(r, 950, 1000, 0).cores_busy, 1, 1e-9);
	struct adapt_signals s = cores_between(r, 0, 0, 100);
	CU_ASSERT_EQUAL(s.cores_short, 2);
	CU_ASSERT_EQUAL(s.cores_sought, 4);
	CU_ASSERT_EQUAL(s.cores_wanted, 3);
	free(r);
}

/* Another data plane, another service in the slot, another backend in its: nothing to compare with. */
static void others_counters_do_not_count(void)
{
	struct region *r = region_create();
	struct signals_past past = { 0 };
	struct adapt_signals s;
	want = READING_COUNTERS;
	struct reading *before = read_at(r, 10 * TICK);
	r->t.start_ns++;
	struct reading *now = read_at(r, 11 * TICK);
	CU_ASSERT_EQUAL(between(before, now, &past, &s), -EAGAIN);
	reading_destroy(before);
	r->t.service[0].epoch++;
	before = now;
	now = read_at(r, 12 * TICK);
	CU_ASSERT_EQUAL(between(before, now, &past, &s), -EAGAIN);
	reading_destroy(before);
	r->web_backend[0].epoch++;
	r->web_backend_cell[0][0].requests = 1000;
	before = now;
	now = read_at(r, 13 * TICK);
	CU_ASSERT_EQUAL_FATAL(between(before, now, &past, &s), 0);
	CU_ASSERT_EQUAL(s.backends[0].requests, 0);
	signals_free(&s);
	reading_destroy(before);
	reading_destroy(now);
	signals_past_clear(&past);
	free(r);
}

static void bad_regions_are_refused(void)
{
	struct region *r = region_create();
	struct reading *reading = NULL;
	want = READING_COUNTERS | READING_TAILS | READING_HEAVY;
	CU_ASSERT_EQUAL(reading_take(&r->t, 100, 1, wish, NULL, &reading), -EPROTO);
	r->t.service[0].heavy_offset[1] = sizeof(*r) - 8;
	CU_ASSERT_EQUAL(reading_take(&r->t, sizeof(*r), 1, wish, NULL, &reading), -EPROTO);
	r->t.service[0].heavy_offset[1] = 0;
	r->t.service[0].backend_cell_offset[1] = sizeof(*r);
	CU_ASSERT_EQUAL(reading_take(&r->t, sizeof(*r), 1, wish, NULL, &reading), -EPROTO);
	CU_ASSERT_PTR_NULL(reading);
	free(r);
}

static void heavy_add(struct weir_heavy *h, uint8_t last, uint64_t flows, uint64_t packets)
{
	struct weir_heavy_set *set = &h->set[last % WEIR_HEAVY_SETS];
	size_t way = last / WEIR_HEAVY_SETS;
	set->tag[way] = last;
	region_address(set->entry[way].address, last);
	set->entry[way].flows += flows;
	set->entry[way].packets += packets;
}

static struct weir_heavy *heavy_copy(const struct weir_heavy *tables)
{
	struct weir_heavy *copy = malloc(2 * sizeof(*copy));
	memcpy(copy, tables, 2 * sizeof(*copy));
	return copy;
}

/* The tables of two cores, one after the other in one reading. */
static void sources_of_cores_are_one(void)
{
	struct weir_heavy *tables = calloc(2, sizeof(*tables));
	struct reading_service service = { .name = "web", .worker_mask = 3, .heavy_count = 2 };
	struct reading before = { .taken_ns = 10 * TICK, .services = &service, .service_count = 1 };
	struct reading now = before;
	struct signals_past past = { 0 };
	struct adapt_signals s;
	heavy_add(&tables[0], 7, 100, 1000);
	now.taken_ns += TICK;
	service.heavy = heavy_copy(tables);
	CU_ASSERT_EQUAL_FATAL(between(&before, &now, &past, &s), 0);
	CU_ASSERT_EQUAL(s.sources_ns, 0);
	signals_free(&s);
	heavy_add(&tables[0], 7, 10, 100);
	heavy_add(&tables[1], 7, 5, 50);
	heavy_add(&tables[1], 40, 1, 10);
	before.taken_ns = now.taken_ns;
	now.taken_ns += TICK;
	service.heavy = heavy_copy(tables);
	CU_ASSERT_EQUAL_FATAL(between(&before, &now, &past, &s), 0);
	CU_ASSERT_EQUAL(s.sources_ns, TICK);
	CU_ASSERT_EQUAL_FATAL(s.source_count, 2);
	CU_ASSERT_DOUBLE_EQUAL(s.sources[0].rate[ADAPT_FLOWS], 150, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(s.sources[0].rate[ADAPT_PACKETS], 1500, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(s.sources[1].rate[ADAPT_FLOWS], 10, 1e-6);
	signals_free(&s);
	/* It lost its place, and began anew: what it has now is new. */
	tables[0].set[7].entry[0].flows = 3;
	now.taken_ns += TICK;
	service.heavy = heavy_copy(tables);
	CU_ASSERT_EQUAL_FATAL(between(&before, &now, &past, &s), 0);
	CU_ASSERT_EQUAL(s.source_count, 1);
	CU_ASSERT_DOUBLE_EQUAL(s.sources[0].rate[ADAPT_FLOWS], 30, 1e-6);
	signals_free(&s);
	signals_past_clear(&past);
	free(tables);
}

/* Counted between two readings by name; one that is new has asked for nothing yet. */
static void classes_are_known_by_name(void)
{
	struct reading_class then[] = { { "north", WEIR_UNLIMITED, 100 }, { "south", 50, 7 } };
	struct reading_class now_has[] = { { "south", 60, 10 }, { "east", WEIR_UNLIMITED, 9 },
		{ "north", WEIR_UNLIMITED, 140 } };
	struct reading_service service = { .name = "web", .classes = then, .class_count = 2 };
	struct reading_service later = { .name = "web", .classes = now_has, .class_count = 3 };
	struct reading before = { .taken_ns = 10 * TICK, .services = &service, .service_count = 1 };
	struct reading now = { .taken_ns = 11 * TICK, .services = &later, .service_count = 1 };
	struct signals_past past = { 0 };
	struct adapt_signals s;
	CU_ASSERT_EQUAL_FATAL(between(&before, &now, &past, &s), 0);
	CU_ASSERT_EQUAL_FATAL(s.class_count, 3);
	CU_ASSERT_STRING_EQUAL(s.classes[0].name, "south");
	CU_ASSERT_EQUAL(s.classes[0].new_flows, 3);
	CU_ASSERT_EQUAL(s.classes[0].configured, 60);
	CU_ASSERT_EQUAL(s.classes[1].new_flows, 0);
	CU_ASSERT_EQUAL(s.classes[2].new_flows, 40);
	signals_free(&s);
	signals_past_clear(&past);
}

static void recordings_read_back(void)
{
	struct adapt_settings settings = { .objective_s = 0.02,
		.mode = { ADAPT_ON, ADAPT_OBSERVE, ADAPT_OFF, ADAPT_ON, ADAPT_ON },
		.cores_min = 1,
		.cores_max = 4,
		.sees_replies = true,
		.sticks = true };
	struct adapt_settings settings_back;
	struct adapt_histogram tail = { .count = 5, .bucket = { [3] = 2, [400] = 3 } };
	struct adapt_found found = { .count = { [31] = 4 }, .sum_s = { [31] = 0.25 } };
	struct adapt_backend_signals backend = { .address = { 1, 2 },
		.port = 80,
		.weight = 30,
		.whole = 100,
		.usable = true,
		.requests = 7,
		.in_flight = 2.5,
		.answered_s = 0.125,
		.tail = &tail,
		.found = &found };
	struct adapt_source_signals source = { .prefix = { 9 }, .rate = { 1.5, 20 } };
	struct adapt_class_signals classes[] = {
		{ .name = "north", .new_flows = 12, .configured = WEIR_UNLIMITED },
		{ .name = "south", .new_flows = 3, .configured = 500 },
	};
	struct adapt_signals back,
		s = { .now_ns = UINT64_C(123456789012345678),
			.elapsed_ns = TICK,
			.busy = 0.25,
			.cores = 2,
			.cores_short = 1,
			.cores_busy = 0.75,
			.sources_ns = TICK,
			.backends = &backend,
			.backend_count = 1,
			.sources = &source,
			.source_count = 1,
			.classes = classes,
			.class_count = 2 };
	char name[WEIR_NAME_SIZE], err[160];
	char *header = recording_header("web", &settings);
	char *tick = recording_tick(&s);
	CU_ASSERT_EQUAL(recording_read_header(
				header, strlen(header), name, &settings_back, err, sizeof(err)),
		0);
	CU_ASSERT_STRING_EQUAL(name, "web");
	CU_ASSERT_EQUAL(settings_back.mode[ADAPT_SHED], ADAPT_OBSERVE);
	CU_ASSERT_TRUE(settings_back.sticks);
	CU_ASSERT_DOUBLE_EQUAL(settings_back.objective_s, 0.02, 1e-12);
	CU_ASSERT_EQUAL_FATAL(recording_read_tick(tick, strlen(tick), &back, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(settings_back.mode[ADAPT_CORES], ADAPT_ON);
	CU_ASSERT_EQUAL(settings_back.cores_min, 1);
	CU_ASSERT_EQUAL(settings_back.cores_max, 4);
	CU_ASSERT_EQUAL(back.now_ns, s.now_ns);
	CU_ASSERT_EQUAL(back.cores, 2);
	CU_ASSERT_EQUAL(back.cores_short, 1);
	CU_ASSERT_DOUBLE_EQUAL(back.cores_busy, 0.75, 0);
	CU_ASSERT_EQUAL(back.backends[0].requests, 7);
	CU_ASSERT_EQUAL(back.backends[0].weight, 30);
	CU_ASSERT_EQUAL(back.backends[0].whole, 100);
	CU_ASSERT_DOUBLE_EQUAL(back.backends[0].in_flight, 2.5, 0);
	CU_ASSERT_EQUAL(back.backends[0].tail->count, 5);
	CU_ASSERT_EQUAL(back.backends[0].tail->bucket[400], 3);
	CU_ASSERT_EQUAL(back.backends[0].found->count[31], 4);
	CU_ASSERT_DOUBLE_EQUAL(back.backends[0].found->sum_s[31], 0.25, 0);
	CU_ASSERT_DOUBLE_EQUAL(back.sources[0].rate[ADAPT_PACKETS], 20, 0);
	CU_ASSERT_EQUAL_FATAL(back.class_count, 2);
	CU_ASSERT_STRING_EQUAL(back.classes[0].name, "north");
	CU_ASSERT_EQUAL(back.classes[0].new_flows, 12);
	CU_ASSERT_EQUAL(back.classes[0].configured, WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(back.classes[1].configured, 500);
	signals_free(&back);
	/* Of earlier times: it says nothing of what requests found, nor of classes. */
	backend.found = NULL;
	s.class_count = 0;
	char *old = recording_tick(&s);
	CU_ASSERT_EQUAL_FATAL(recording_read_tick(old, strlen(old), &back, err, sizeof(err)), 0);
	CU_ASSERT_PTR_NULL(back.backends[0].found);
	CU_ASSERT_EQUAL(back.class_count, 0);
	CU_ASSERT_EQUAL(back.backends[0].tail->count, 5);
	signals_free(&back);
	free(old);
	static const char *const bad[] = { "", "[]", "{}", "{\"now_ns\": 1}",
		"{\"weir_recording\": 2, \"service\": \"web\"}" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_EQUAL(
			recording_read_tick(bad[i], strlen(bad[i]), &back, err, sizeof(err)),
			-EINVAL);
		CU_ASSERT_EQUAL(recording_read_header(bad[i], strlen(bad[i]), name, &settings_back,
					err, sizeof(err)),
			-EINVAL);
	}
	free(header);
	free(tick);
}

static const struct tap_case cases[] = {
	{ "how busy cores are of a service's packets", shares_of_cores },
	{ "signals are what changed between two readings", differences },
	{ "counters of another owner do not count", others_counters_do_not_count },
	{ "a region that contradicts itself is refused", bad_regions_are_refused },
	{ "a source is one over all cores", sources_of_cores_are_one },
	{ "a class is known by its name", classes_are_known_by_name },
	{ "recordings read back as they were", recordings_read_back },
};

TAP_MAIN("adapt signals", cases)
