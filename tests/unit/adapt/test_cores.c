/* SPDX-License-Identifier: BSD-3-Clause */

/* Cores that move by load: the rule in a loop with a service whose load is made up, and a data plane that obeys. */

#include "control/adapt/decision.h"
#include "control/adapt/service.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct world {
	struct adapt_service *service;
	struct adapt_settings settings;
	struct adapt_signals signals;
	double load; /* in cores */
	double noise; /* at most so much more or less, as a share */
	uint64_t random;
	unsigned int cores; /* it has */
	unsigned int free; /* the most it gets */
	double now_s;
	/* of what was decided */
	struct adapt_decision last;
	double last_s;
	size_t grown, shrunk, lacked;
	unsigned int least, most;
};

static void decide(void *ctx, const struct adapt_decision *d)
{
	struct world *w = ctx;
	if (d->controller != ADAPT_CORES)
		return;
	w->last = *d;
	w->last_s = w->now_s;
	if (strcmp(d->action, "cores") != 0)
		w->lacked++;
	else if (d->to > d->from)
		w->grown++;
	else
		w->shrunk++;
}

static void begin(struct world *w, unsigned int min, unsigned int max, double load)
{
	*w = (struct world){ .service = adapt_service_create(),
		.settings = { .gains = adapt_gains_preset, .cores_min = min, .cores_max = max },
		.load = load,
		.random = 1,
		.cores = min,
		.free = max,
		.now_s = 1000,
		.least = min };
	w->settings.mode[ADAPT_CORES] = ADAPT_ON;
}

static void end(struct world *w)
{
	adapt_service_destroy(w->service);
}

static double chance(struct world *w)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double)(w->random >> 33) / (double)(1u << 31);
}

/* A tick of 100 ms. Returns what the directive says. */
static unsigned int tick(struct world *w)
{
	struct adapt_log log = { w, decide };
	double load = w->load * (1 + w->noise * (2 * chance(w) - 1));
	struct adapt_signals *s = &w->signals;
	w->now_s += 0.1;
	s->now_ns = (uint64_t)llround(w->now_s * 1e9);
	s->elapsed_ns = ADAPT_TICK_NS;
	s->cores = w->cores;
	s->cores_busy = fmin(1, load / w->cores);
	s->cores_load = fmin(w->cores, load);
	const struct adapt_directive *d =
		adapt_service_step(w->service, s, &w->settings, false, &log);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d);
	if (d->cores != 0) {
		s->cores_wanted = d->cores;
		w->cores = d->cores < w->free ? d->cores : w->free;
		s->cores_short = d->cores - w->cores;
	}
	if (w->cores > w->most)
		w->most = w->cores;
	return d->cores;
}

/* Until something is decided, or so many seconds have passed; returns how many have. */
static double run(struct world *w, double seconds)
{
	double from = w->now_s;
	size_t before = w->grown + w->shrunk;
	while (w->now_s - from < seconds - 1e-6 && w->grown + w->shrunk == before)
		tick(w);
	return w->now_s - from;
}

static void pass(struct world *w, double seconds)
{
	double until = w->now_s + seconds - 1e-6;
	while (w->now_s < until)
		tick(w);
}

static void at_once(void)
{
	struct world w;
	char text[256];
	begin(&w, 1, 4, 0.2);
	pass(&w, 60);
	CU_ASSERT_EQUAL(w.grown, 0);
	w.load = 0.87;
	CU_ASSERT_DOUBLE_EQUAL(run(&w, 10), 0.2, 1e-6);
	CU_ASSERT_EQUAL(w.cores, 2);
	decision_sentence(&w.last, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "cores 1 -> 2: busy 0.87");
	end(&w);
	/* A single reading, as of a standstill of the machine, is none. */
	begin(&w, 1, 4, 0.2);
	pass(&w, 60);
	w.load = 1;
	tick(&w);
	w.load = 0.2;
	pass(&w, 60);
	CU_ASSERT_EQUAL(w.grown, 0);
	end(&w);
}

static void all_that_is_needed(void)
{
	struct world w;
	begin(&w, 1, 8, 0.2);
	pass(&w, 30);
	w.load = 4;
	/* Of a core that is full nobody knows how much more there is: twice as many, and again. */
	run(&w, 10);
	CU_ASSERT_EQUAL(w.cores, 2);
	double second = run(&w, 10);
	CU_ASSERT_EQUAL(w.cores, 4);
	CU_ASSERT(second >= 1 - 1e-6 && second < 1.3);
	CU_ASSERT(run(&w, 10) >= 1 - 1e-6);
	CU_ASSERT_EQUAL(w.cores, 7);
	pass(&w, 600);
	CU_ASSERT(w.cores >= 7);
	CU_ASSERT_EQUAL(w.shrunk, 0);
	end(&w);
}

static void over_the_threshold(void)
{
	struct world w;
	begin(&w, 1, 4, 0.72);
	w.noise = 0.05;
	/* From a standing start: what is smoothed has to get there. */
	w.load = 0.2;
	pass(&w, 30);
	w.load = 0.78;
	CU_ASSERT(run(&w, 30) < 10);
	CU_ASSERT_EQUAL(w.cores, 2);
	end(&w);
	begin(&w, 1, 4, 0.66);
	w.noise = 0.05;
	pass(&w, 3600);
	CU_ASSERT_EQUAL(w.grown + w.shrunk, 0);
	end(&w);
}

static void before_it_is_needed(void)
{
	struct world w;
	begin(&w, 1, 4, 0.1);
	pass(&w, 60);
	for (int i = 0; i < 600 && w.grown == 0; i++) {
		w.load += 0.005; /* a core in 20 s */
		tick(&w);
	}
	CU_ASSERT_EQUAL(w.grown, 1);
	CU_ASSERT(w.load < 0.65);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.last.reason, "expected in 10 s"));
	end(&w);
}

static void given_back(void)
{
	struct world w;
	begin(&w, 1, 4, 2);
	pass(&w, 30);
	CU_ASSERT_EQUAL(w.cores, 4);
	w.load = 0.1;
	double first = run(&w, 100);
	CU_ASSERT(first >= 30 && first < 35);
	CU_ASSERT_EQUAL(w.cores, 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.last.reason, "for 30 s"));
	double second = run(&w, 100);
	CU_ASSERT(second >= 30 - 1e-6 && second < 31);
	pass(&w, 100);
	CU_ASSERT_EQUAL(w.cores, 1);
	CU_ASSERT_EQUAL(w.shrunk, 3);
	/* Not while it is interrupted. */
	end(&w);
	begin(&w, 1, 2, 1);
	pass(&w, 30);
	CU_ASSERT_EQUAL(w.cores, 2);
	for (int i = 0; i < 20; i++) {
		w.load = 0.1;
		pass(&w, 25);
		w.load = 1;
		pass(&w, 5);
	}
	CU_ASSERT_EQUAL(w.shrunk, 0);
	end(&w);
}

/* Whatever the load is, cores come to rest, wherever they began. */
static void steady_load_moves_nothing(void)
{
	for (unsigned int from = 1; from <= 4; from++)
		for (double load = 0.05; load < 4.2; load += 0.05) {
			struct world w;
			begin(&w, 1, 4, load);
			w.noise = 0.06;
			w.cores = from;
			pass(&w, 240);
			size_t grown = w.grown, shrunk = w.shrunk;
			CU_ASSERT(grown <= 4 && shrunk <= 4);
			pass(&w, 1200);
			CU_ASSERT_EQUAL(w.grown, grown);
			CU_ASSERT_EQUAL(w.shrunk, shrunk);
			if (w.grown != grown || w.shrunk != shrunk)
				printf("# from %u cores at %.2f: %zu, %zu\n", from, load,
					w.grown - grown, w.shrunk - shrunk);
			CU_ASSERT(load / w.cores < 0.72 || w.cores == 4);
			end(&w);
		}
}

static void around_the_thresholds(void)
{
	struct world w;
	/* Just over what grows: then half as busy, which is below what is quiet. */
	begin(&w, 1, 2, 0.72);
	pass(&w, 600);
	CU_ASSERT_EQUAL(w.cores, 2);
	CU_ASSERT_EQUAL(w.grown, 1);
	CU_ASSERT_EQUAL(w.shrunk, 0);
	w.load = 0.62;
	pass(&w, 600);
	CU_ASSERT_EQUAL(w.shrunk, 0);
	w.load = 0.58;
	pass(&w, 600);
	CU_ASSERT_EQUAL(w.shrunk, 1);
	CU_ASSERT_EQUAL(w.grown, 1);
	end(&w);
}

static void missed_cores_stay_longer(void)
{
	struct world w;
	double waited[5];
	begin(&w, 1, 2, 0.1);
	for (int i = 0; i < 5; i++) {
		w.load = 1;
		pass(&w, 10);
		CU_ASSERT_EQUAL(w.cores, 2);
		w.load = 0.1;
		waited[i] = run(&w, 2000);
		CU_ASSERT_EQUAL(w.cores, 1);
	}
	for (int i = 1; i < 5; i++)
		CU_ASSERT(waited[i] > 1.8 * waited[i - 1] && waited[i] < 2.2 * waited[i - 1]);
	/* Ten quiet minutes, and it is as before. */
	pass(&w, 700);
	w.load = 1;
	pass(&w, 10);
	w.load = 0.1;
	CU_ASSERT(run(&w, 2000) < 35);
	end(&w);
}

static void clamps(void)
{
	struct world w;
	begin(&w, 2, 3, 8);
	pass(&w, 60);
	CU_ASSERT_EQUAL(w.cores, 3);
	w.load = 0;
	pass(&w, 300);
	CU_ASSERT_EQUAL(w.cores, 2);
	w.load = 8;
	pass(&w, 60);
	/* Another configuration. */
	w.settings.cores_min = 1;
	w.settings.cores_max = 2;
	CU_ASSERT_EQUAL(tick(&w), 2);
	w.settings.cores_min = 5;
	w.settings.cores_max = 6;
	w.free = 6;
	CU_ASSERT(tick(&w) >= 5);
	w.settings.cores_min = w.settings.cores_max = 6;
	CU_ASSERT_EQUAL(tick(&w), 0);
	end(&w);
}

static void modes(void)
{
	struct world w;
	begin(&w, 1, 8, 1.5);
	w.settings.mode[ADAPT_CORES] = ADAPT_OBSERVE;
	for (int i = 0; i < 3000; i++)
		CU_ASSERT_EQUAL(tick(&w), 0);
	/* It is as busy as before, but has decided what is enough: no more than once or twice. */
	CU_ASSERT(w.grown >= 1 && w.grown <= 2);
	CU_ASSERT_EQUAL(w.cores, 1);
	CU_ASSERT_TRUE(w.last.observed);
	w.settings.mode[ADAPT_CORES] = ADAPT_OFF;
	CU_ASSERT_EQUAL(tick(&w), 0);
	w.settings.mode[ADAPT_CORES] = ADAPT_ON;
	CU_ASSERT_EQUAL(tick(&w), 1);
	pass(&w, 30);
	CU_ASSERT_EQUAL(w.cores, 3);
	end(&w);
}

/* A daemon that begins takes over what there is; as it does with what was moved by hand. */
static void takes_over(void)
{
	struct world w;
	begin(&w, 1, 4, 1.2);
	w.cores = 3;
	CU_ASSERT_EQUAL(tick(&w), 3);
	w.signals.cores_wanted = 3;
	pass(&w, 60);
	CU_ASSERT_EQUAL(w.grown + w.shrunk, 0);
	end(&w);
	begin(&w, 1, 4, 0.9);
	w.cores = 2;
	pass(&w, 10);
	w.cores = 4;
	w.signals.cores_wanted = 2;
	struct adapt_log log = { &w, decide };
	for (int i = 0; i < 30; i++) {
		w.now_s += 0.1;
		w.signals.now_ns = (uint64_t)llround(w.now_s * 1e9);
		w.signals.cores = 4;
		w.signals.cores_busy = 0.225;
		const struct adapt_directive *d =
			adapt_service_step(w.service, &w.signals, &w.settings, false, &log);
		CU_ASSERT_EQUAL(d->cores, i < 20 ? 2 : 4);
	}
	CU_ASSERT_EQUAL(w.grown, 0);
	end(&w);
}

static void none_is_free(void)
{
	struct world w;
	begin(&w, 1, 4, 3);
	w.free = 1;
	pass(&w, 120);
	/* It has asked, has said so each time it asked for more, and goes on as it is. */
	CU_ASSERT_EQUAL(w.cores, 1);
	CU_ASSERT(w.lacked >= 1 && w.lacked <= 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.last.reason, "no other core is free"));
	size_t lacked = w.lacked;
	pass(&w, 120);
	CU_ASSERT_EQUAL(w.lacked, lacked);
	w.free = 4;
	pass(&w, 5);
	CU_ASSERT_EQUAL(w.cores, 4);
	/* Others lack cores: what is quiet is given back sooner. */
	w.load = 0.1;
	w.signals.cores_sought = 1;
	double waited = run(&w, 100);
	CU_ASSERT(waited >= 3 && waited < 8);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.last.reason, "others lack cores"));
	end(&w);
}

static void one_flow_fills_a_core(void)
{
	struct world w;
	begin(&w, 1, 4, 1);
	pass(&w, 10);
	struct adapt_log log = { &w, decide };
	size_t grown = w.grown;
	for (int i = 0; i < 300; i++) {
		w.now_s += 0.1;
		w.signals.now_ns = (uint64_t)llround(w.now_s * 1e9);
		w.signals.cores_busy = 1;
		w.signals.cores_load = 0.45 * w.cores;
		adapt_service_step(w.service, &w.signals, &w.settings, false, &log);
	}
	CU_ASSERT_EQUAL(w.grown, grown);
	end(&w);
}

static const struct tap_case cases[] = {
	{ "a core that is over 85 % busy brings another at once", at_once },
	{ "as many come as are needed, with a pause between", all_that_is_needed },
	{ "one that is over 70 % busy brings another, one below does not", over_the_threshold },
	{ "a rise that goes on brings a core before it is needed", before_it_is_needed },
	{ "a core is given back after 30 s of quiet, one at a time", given_back },
	{ "steady load moves nothing, whatever it is", steady_load_moves_nothing },
	{ "after growing, half the share is no reason to shrink", around_the_thresholds },
	{ "a core that was missed stays longer the next time", missed_cores_stay_longer },
	{ "cores stay inside their range, also when it changes", clamps },
	{ "observe and off move nothing", modes },
	{ "what there is, and what was moved by hand, is taken over", takes_over },
	{ "where no core is free that is said once, and waited for", none_is_free },
	{ "a core that one flow fills brings no other", one_flow_fills_a_core },
};

TAP_MAIN("adapt cores", cases)
