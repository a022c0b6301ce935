/* SPDX-License-Identifier: BSD-3-Clause */

/* The rules one by one, on made-up signals. */

#include "control/adapt/decision.h"
#include "control/adapt/forecast.h"
#include "control/adapt/service.h"
#include "dataplane/api/histogram.h"
#include "tests/unit/adapt/calm.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void an_outlier_is_cut_at_once(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	for (int i = 0; i < 20; i++) {
		calm_tick();
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
	}
	CU_ASSERT_EQUAL(decided, 0);
	CU_ASSERT_DOUBLE_EQUAL(d->backends[1].weight, 100, 0);
	for (int i = 0; i < 2; i++) {
		calm_tick();
		backends[1].answered_s = 50 * 0.1;
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
	}
	CU_ASSERT(d->backends[1].weight < 20);
	CU_ASSERT_DOUBLE_EQUAL(d->backends[0].weight, 100, 0);
	CU_ASSERT_STRING_EQUAL(last.object, "10.0.0.2:80");
	adapt_service_destroy(a);
}

/* No answer comes, so no latency changes; what is in flight tells. */
static void a_stall_is_seen_before_any_answer(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	for (int i = 0; i < 20; i++) {
		calm_tick();
		adapt_service_step(a, &signals, &settings, false, &log_all);
	}
	for (int i = 1; i <= 3; i++) {
		calm_tick();
		backends[2].answered = 0;
		backends[2].answered_s = 0;
		backends[2].in_flight = 5 + 50 * i;
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
	}
	CU_ASSERT(d->backends[2].factor < 0.2);
	adapt_service_destroy(a);
}

/* The whole machine stands still: its slowest backend is not to blame. What piles up then comes at once. */
static void a_silence_is_nobodys_wait(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	settings.objective_s = 2;
	adapt_gain_set(&settings.gains, "weights.out", 100);
	adapt_gain_set(&settings.gains, "weights.band", 100);
	for (int i = 0; i < 60; i++) {
		struct adapt_backend_signals *slow = &backends[2];
		bool still = i >= 20 && i < 40;
		calm_tick();
		/* A request a tick, each of 200 ms. */
		slow->requests = slow->answered = slow->new_flows = slow->syn_sent = 1;
		slow->answered_s = 0.2;
		slow->in_flight = still ? 5 : 2;
		if (i == 40)
			slow->requests = slow->new_flows = slow->in_flight = 45;
		if (i == 41) {
			slow->answered = 0;
			slow->in_flight = 46;
		}
		for (size_t j = 0; still && j < BACKENDS; j++)
			backends[j].requests = backends[j].answered = backends[j].new_flows =
				backends[j].syn_sent = backends[j].syn_answered = 0;
		signals.offered = still ? 0 : signals.offered;
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
		CU_ASSERT_EQUAL(d->backends[2].factor, 1);
	}
	CU_ASSERT_EQUAL(decided, 0);
	adapt_service_destroy(a);
}

static void a_wait_is_not_longer_than_the_watch(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	adapt_gain_set(&settings.gains, "weights.out", 100);
	adapt_gain_set(&settings.gains, "weights.band", 100);
	for (int i = 1; i <= 40; i++) {
		calm_tick();
		backends[2].requests = backends[2].answered = backends[2].new_flows = 0;
		backends[2].in_flight = 20;
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
		/* A hundred times 10 ms are a second, and it takes two ticks in a row. */
		CU_ASSERT_EQUAL(d->backends[2].factor == 1, i < 12);
	}
	adapt_service_destroy(a);
}

static void old_signals_are_not_acted_on(void)
{
	struct adapt_service *a = adapt_service_create();
	begin();
	calm_tick();
	CU_ASSERT_PTR_NOT_NULL(adapt_service_step(a, &signals, &settings, false, NULL));
	signals.age_ns = ADAPT_STALE_NS + 1;
	CU_ASSERT_PTR_NULL(adapt_service_step(a, &signals, &settings, false, NULL));
	signals.age_ns = 0;
	signals.elapsed_ns = ADAPT_STALE_NS + 1;
	CU_ASSERT_PTR_NULL(adapt_service_step(a, &signals, &settings, false, NULL));
	signals.elapsed_ns = 0;
	CU_ASSERT_PTR_NULL(adapt_service_step(a, &signals, &settings, false, NULL));
	adapt_service_destroy(a);
}

/* A service that does not see replies has nothing to go by. */
static void dsr_is_left_alone(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	settings.sees_replies = false;
	for (int i = 0; i < 100; i++) {
		calm_tick();
		for (size_t j = 0; j < BACKENDS; j++) {
			backends[j].answered = backends[j].requests = backends[j].syn_answered = 0;
			backends[j].in_flight = 10000;
		}
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
	}
	for (size_t j = 0; j < BACKENDS; j++) {
		CU_ASSERT_EQUAL(d->backends[j].weight, 100);
		CU_ASSERT_EQUAL(d->backends[j].cap, ADAPT_NO_CAP);
		CU_ASSERT_FALSE(d->backends[j].ejected);
	}
	CU_ASSERT_EQUAL(decided, 0);
	adapt_service_destroy(a);
}

/*
 * The first backend gets so many SYNs or requests in one tick, and never answers, but for a packet in the tick
 * heard_at; returns after how many ticks it is out, or 0.
 */
static int ejected_after(uint64_t syns, uint64_t requests, bool others, int heard_at)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	int out = 0;
	begin();
	for (int i = -20; i < 20 && out == 0; i++) {
		calm_tick();
		for (size_t j = 0; i >= 0 && j < (others ? 1 : BACKENDS); j++) {
			struct adapt_backend_signals *b = &backends[j];
			b->answered = b->new_flows = b->syn_answered = 0;
			b->requests = i == 0 ? requests : 0;
			b->syn_sent = i == 0 ? syns : 0;
			b->unheard = heard_at != i;
		}
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
		if (d->backends[0].ejected)
			out = i + 1;
	}
	for (size_t j = 0; j < BACKENDS; j++)
		backends[j].unheard = 0;
	adapt_service_destroy(a);
	return out;
}

static void silence_ejects(void)
{
	CU_ASSERT_EQUAL(ejected_after(6, 0, true, -1), 2);
	CU_ASSERT_EQUAL(ejected_after(2, 1, true, -1), 3);
	CU_ASSERT_TRUE(strstr(last.reason, "not a packet for 0.3 s, 3 SYNs and requests") != NULL);
	CU_ASSERT_EQUAL(ejected_after(0, 3, true, -1), 3);
	CU_ASSERT_EQUAL(ejected_after(1, 1, true, -1), 0);
	CU_ASSERT_EQUAL(ejected_after(0, 40, true, 1), 0); /* slow, but its kernel is there */
	CU_ASSERT_EQUAL(ejected_after(1, 2, false, -1), 0); /* nobody is heard */
}

static void pools_change(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	struct adapt_backend_signals swap;
	begin();
	for (int i = 0; i < 30; i++) {
		calm_tick();
		backends[1].answered_s = 50 * 0.1;
		d = adapt_service_step(a, &signals, &settings, false, NULL);
	}
	CU_ASSERT(d->backends[1].factor < 0.1);
	/* Another order, and one less: the slow one is known by its address. */
	swap = backends[0];
	backends[0] = backends[1];
	backends[1] = swap;
	signals.backend_count = 2;
	signals.now_ns += ADAPT_TICK_NS;
	d = adapt_service_step(a, &signals, &settings, false, NULL);
	CU_ASSERT_EQUAL(d->backend_count, 2);
	CU_ASSERT(d->backends[0].factor < 0.1);
	CU_ASSERT_EQUAL(d->backends[1].factor, 1);
	/* It was away: what was known of it is forgotten. */
	backends[0].usable = false;
	adapt_service_step(a, &signals, &settings, false, NULL);
	backends[0].usable = true;
	backends[0].answered = 0;
	d = adapt_service_step(a, &signals, &settings, false, NULL);
	CU_ASSERT_EQUAL(d->backends[0].factor, 1);
	adapt_service_destroy(a);
}

/* The forecast alone, in ticks at a rate. */
struct foresight {
	struct forecast_state f;
	struct forecast_backend of[BACKENDS];
	struct adapt_backend_directive told[BACKENDS];
	struct adapt_directive to;
};

static void foresee(struct foresight *v, uint64_t offered)
{
	signals.now_ns += ADAPT_TICK_NS;
	signals.offered = offered;
	memset(v->told, 0, sizeof(v->told));
	v->to = (struct adapt_directive){ .headroom = 1, .room = 1, .backends = v->told };
	forecast_step(&v->f, NULL, v->of, &signals, &settings, &v->to, &log_all);
}

static void a_rise_is_foreseen(void)
{
	struct foresight v = { 0 };
	begin();
	for (int i = 0; i < 300; i++)
		foresee(&v, 100);
	CU_ASSERT_DOUBLE_EQUAL(v.f.h.ahead, 1000, 20);
	CU_ASSERT_EQUAL(v.to.headroom, 1);
	CU_ASSERT_EQUAL(decided, 0);
	double most = 1;
	for (int i = 0; i < 150; i++) {
		foresee(&v, (uint64_t)(100 + 2 * i));
		most = fmax(most, v.to.headroom);
		/* That no rise was foreseen before it began is nothing against it. */
		CU_ASSERT(i < 40 || v.to.headroom > 1.2);
		CU_ASSERT_DOUBLE_EQUAL(v.to.room, fmax(1, v.to.headroom / 1.6), 1e-9);
	}
	CU_ASSERT(most > 1.3 && most <= 4);
	CU_ASSERT(v.f.h.ahead > 4200 && v.f.h.ahead < 7000);
	for (int i = 0; i < 100; i++)
		foresee(&v, 400);
	CU_ASSERT_EQUAL(v.to.headroom, 1);
}

/* Up and down again, each time before the rise that was promised had come. */
static void rises_that_do_not_come_are_not_believed(void)
{
	struct foresight v = { 0 };
	size_t early = 0, late = 0;
	begin();
	for (int i = 0; i < 3000; i++) {
		int phase = i % 100;
		foresee(&v, (uint64_t)(100 + 2 * (phase < 50 ? phase : 100 - phase)));
		early += i < 600 && v.to.headroom > 1;
		late += i >= 1200 && v.to.headroom > 1;
	}
	CU_ASSERT(early > 0);
	CU_ASSERT_EQUAL(late, 0);
}

static void a_rise_shortens_a_slow_start(void)
{
	struct foresight v = { 0 };
	begin();
	for (size_t i = 0; i < BACKENDS; i++)
		backends[i].whole = 100;
	backends[1].usable = false;
	for (int i = 0; i < 300; i++)
		foresee(&v, 100);
	backends[0].weight = 10;
	foresee(&v, 100);
	CU_ASSERT_EQUAL(v.told[0].share, 0);
	for (int i = 0; i < 60; i++)
		foresee(&v, (uint64_t)(100 + 2 * i));
	CU_ASSERT(v.told[0].share > 0.3 && v.told[0].share < 0.7);
	CU_ASSERT_STRING_EQUAL(last.action, "lift");
	CU_ASSERT_EQUAL(v.told[1].share, 0);
	CU_ASSERT_EQUAL(v.told[2].share, 0);
	/* What it has it keeps when the rise is over, and it is whole ten seconds after it began to be lifted. */
	double had = v.told[0].share;
	for (int i = 0; i < 40; i++)
		foresee(&v, 220);
	CU_ASSERT(v.told[0].share >= had);
	for (int i = 0; i < 70; i++)
		foresee(&v, (uint64_t)(220 + 5 * i));
	CU_ASSERT_EQUAL(v.told[0].share, 1);
	/* Away and back again: another slow start. */
	backends[0].usable = false;
	foresee(&v, 500);
	CU_ASSERT_EQUAL(v.told[0].share, 0);
}

static void a_bad_forecast_switches_itself_off(void)
{
	struct foresight v = { 0 };
	bool was_off = false;
	begin();
	for (int i = 0; i < 1200; i++) {
		foresee(&v, i / 40 % 2 ? 1000 : 10);
		was_off |= v.f.h.off;
		if (v.f.h.off)
			CU_ASSERT_EQUAL(v.to.headroom, 1);
	}
	CU_ASSERT_TRUE(was_off);
	for (int i = 0; i < 600; i++)
		foresee(&v, 1000);
	CU_ASSERT_FALSE(v.f.h.off);
}

static void gains_have_ranges(void)
{
	struct adapt_gains g = adapt_gains_preset;
	CU_ASSERT_TRUE(adapt_gain_set(&g, "weights.up", 1.3));
	CU_ASSERT_DOUBLE_EQUAL(g.weights_up, 1.3, 0);
	CU_ASSERT_FALSE(adapt_gain_set(&g, "weights.up", 0.5));
	CU_ASSERT_FALSE(adapt_gain_set(&g, "weights.up", NAN));
	CU_ASSERT_FALSE(adapt_gain_set(&g, "weights.sideways", 1));
	for (size_t i = 0; i < adapt_gain_count; i++)
		CU_ASSERT_TRUE(
			adapt_gain_set(&g, adapt_gain_rows[i].name, adapt_gain_rows[i].preset));
}

static void quantiles_are_near(void)
{
	struct adapt_histogram h = { 0 };
	CU_ASSERT(isnan(adapt_histogram_quantile(&h, 0.99)));
	h.count = 100;
	h.bucket[weir_histogram_index(10000000) >> ADAPT_HIST_SHIFT] = 99;
	h.bucket[weir_histogram_index(500000000) >> ADAPT_HIST_SHIFT] = 1;
	CU_ASSERT_DOUBLE_EQUAL(adapt_histogram_quantile(&h, 0.99), 0.01, 0.0005);
	CU_ASSERT_DOUBLE_EQUAL(adapt_histogram_quantile(&h, 0.995), 0.5, 0.025);
	memset(&h, 0, sizeof(h));
	h.count = 1;
	h.bucket[ADAPT_HIST_BUCKETS - 1] = 1;
	CU_ASSERT(adapt_histogram_quantile(&h, 0.5) > 60);
}

static void decisions_read_as_sentences(void)
{
	char text[512];
	begin();
	struct adapt_decision d = decision_make(&signals, ADAPT_WEIGHTS, "weight", &backends[2]);
	d.from = 100;
	d.to = 31;
	decision_reason(&d, "p50 %s against the pool's %s", "84 ms", "9 ms");
	decision_figure(&d, "latency", 0.084);
	decision_figure(&d, "p99", NAN);
	decision_tell(&d, &settings, &log_all);
	decision_sentence(&d, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(
		text, "10.0.0.3:80 weight 100 -> 31: p50 84 ms against the pool's 9 ms");
	json_t *json = decision_document(&d, "web", 1.5);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "controller")), "weights");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json, "service")), "web");
	CU_ASSERT_EQUAL(json_number_value(json_object_get(json, "from")), 100);
	json_t *inputs = json_object_get(json, "inputs");
	CU_ASSERT_EQUAL(json_object_size(inputs), 2);
	CU_ASSERT_DOUBLE_EQUAL(json_number_value(json_object_get(inputs, "latency")), 0.084, 1e-12);
	json_decref(json);
	settings.mode[ADAPT_WEIGHTS] = ADAPT_OBSERVE;
	d.from = NAN;
	decision_tell(&d, &settings, &log_all);
	decision_sentence(&last, text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "weight to 31: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "(observed only)"));
}

static const struct tap_case cases[] = {
	{ "an outlier is cut at once, the others are not", an_outlier_is_cut_at_once },
	{ "a backend that stalls is seen before it answers", a_stall_is_seen_before_any_answer },
	{ "a silence of all is nobody's wait", a_silence_is_nobodys_wait },
	{ "a wait is not longer than it was watched for", a_wait_is_not_longer_than_the_watch },
	{ "old signals are not acted on", old_signals_are_not_acted_on },
	{ "a service whose replies are not seen is left alone", dsr_is_left_alone },
	{ "little is enough of a backend of which not a packet comes while others are heard",
		silence_ejects },
	{ "backends are followed by address when the pool changes", pools_change },
	{ "a rise is foreseen", a_rise_is_foreseen },
	{ "rises that are promised and do not come are not believed",
		rises_that_do_not_come_are_not_believed },
	{ "a rise that is foreseen shortens a slow start, and never takes anything back",
		a_rise_shortens_a_slow_start },
	{ "a bad forecast switches itself off and on again", a_bad_forecast_switches_itself_off },
	{ "constants have ranges", gains_have_ranges },
	{ "quantiles of coarse histograms", quantiles_are_near },
	{ "decisions read as sentences and as JSON", decisions_read_as_sentences },
};

TAP_MAIN("adapt rules", cases)
