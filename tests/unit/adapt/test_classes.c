/* SPDX-License-Identifier: BSD-3-Clause */

/* Shares of classes, on made-up signals: who is held back, who is not, and until when. */

#include "control/adapt/classes.h"
#include "control/adapt/service.h"
#include "tests/unit/adapt/told.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY 1000.0 /* new flows per second */

static struct classes_state state;
static struct adapt_policing policing;
static struct adapt_class_signals classes[3];
static struct adapt_signals signals;
static struct adapt_settings settings;
static struct adapt_directive directive;

static void begin(size_t class_count)
{
	static const char *const names[] = { "north", "south", "east" };
	decided = 0;
	state = (struct classes_state){ 0 };
	settings = (struct adapt_settings){ .mode = { ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON },
		.gains = adapt_gains_preset };
	signals = (struct adapt_signals){ .now_ns = 1000 * ADAPT_TICK_NS,
		.elapsed_ns = ADAPT_TICK_NS,
		.classes = classes,
		.class_count = class_count };
	for (size_t i = 0; i < class_count; i++) {
		classes[i] = (struct adapt_class_signals){ .configured = WEIR_UNLIMITED };
		strcpy(classes[i].name, names[i]);
	}
}

static double rate_of(const char *name)
{
	for (size_t i = 0; i < directive.class_count; i++)
		if (strcmp(directive.classes[i].name, name) == 0)
			return directive.classes[i].rate;
	return INFINITY;
}

/*
 * So much is asked for per second in each class, and outside of them. What is in force holds back, as the data
 * plane would; of what is left the pool serves what it can, and refuses the rest.
 */
static void run(double seconds, const double asked[3], double outside)
{
	struct estimate_service e;
	estimate_service_init(&e);
	for (double at = 0; at < seconds - 0.05; at += 0.1) {
		double offered = outside, admitted = outside;
		for (size_t i = 0; i < signals.class_count; i++) {
			double most = fmin(rate_of(classes[i].name),
				classes[i].configured == WEIR_UNLIMITED ?
					INFINITY :
					(double)classes[i].configured);
			offered += asked[i];
			admitted += fmin(asked[i], most);
			classes[i].new_flows = (uint64_t)(asked[i] / 10);
		}
		double served = fmin(admitted, CAPACITY);
		signals.now_ns += ADAPT_TICK_NS;
		signals.offered = (uint64_t)(offered / 10);
		signals.forwarded = (uint64_t)(served / 10);
		signals.shed = (uint64_t)((admitted - served) / 10);
		directive = (struct adapt_directive){ .policing = &policing };
		classes_step(&state, &e, &signals, &settings, &directive, &log_all);
	}
}

static const double calm[3] = { 300, 200, 100 };

static void the_one_that_floods(void)
{
	begin(3);
	run(20, calm, 100);
	CU_ASSERT_EQUAL(decided, 0);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	CU_ASSERT_DOUBLE_EQUAL(state.of[0].habit, 300, 20);
	CU_ASSERT_DOUBLE_EQUAL(state.of[3].habit, 100, 10);
	run(2, (const double[]){ 300, 5000, 100 }, 100);
	CU_ASSERT_EQUAL_FATAL(directive.class_count, 1);
	CU_ASSERT_EQUAL(decided, 1);
	CU_ASSERT_STRING_EQUAL(last.action, "class");
	CU_ASSERT_STRING_EQUAL(last.object, "south");
	CU_ASSERT_PTR_NOT_NULL(strstr(last.reason, "new flows per second, usually for "));
	/* The others get all of theirs, and it what is left. */
	double lowest = INFINITY, highest = 0;
	for (int i = 0; i < 100; i++) {
		run(0.1, (const double[]){ 300, 5000, 100 }, 100);
		CU_ASSERT_EQUAL_FATAL(directive.class_count, 1);
		lowest = fmin(lowest, rate_of("south"));
		highest = fmax(highest, rate_of("south"));
	}
	CU_ASSERT(lowest >= 100 && lowest < 500);
	CU_ASSERT(highest > 300 && highest < 900);
	/* It goes on for ten seconds, and is given up. */
	run(9, calm, 100);
	CU_ASSERT_EQUAL(directive.class_count, 1);
	run(5, calm, 100);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	CU_ASSERT_EQUAL(decided, 2);
	CU_ASSERT_STRING_EQUAL(last.action, "class-end");
	CU_ASSERT_STRING_EQUAL(last.object, "south");
}

static void all_alike(void)
{
	begin(3);
	run(20, calm, 100);
	run(20, (const double[]){ 1500, 1000, 500 }, 500);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	CU_ASSERT_EQUAL(decided, 0);
}

/* A class that asks for what it always did is not to blame for less capacity, nor is one of many that has grown a bit. */
static void little_growth(void)
{
	begin(3);
	run(20, (const double[]){ 500, 200, 100 }, 100);
	run(10, (const double[]){ 900, 200, 100 }, 100);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	CU_ASSERT_EQUAL(decided, 0);
}

static void calm_weather(void)
{
	begin(3);
	run(20, calm, 100);
	/* Much more of one, but there is enough for all. */
	run(20, (const double[]){ 300, 500, 0 }, 0);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	CU_ASSERT_EQUAL(decided, 0);
}

static void nobody_to_protect(void)
{
	begin(1);
	run(20, calm, 0);
	run(10, (const double[]){ 5000, 0, 0 }, 0);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	/* A class, and what is in none. */
	begin(1);
	run(20, calm, 300);
	run(5, (const double[]){ 5000, 0, 0 }, 300);
	CU_ASSERT_EQUAL(directive.class_count, 1);
	CU_ASSERT(rate_of("north") >= 150 && rate_of("north") < 900);
	/* What floods is in no class. */
	begin(2);
	run(20, calm, 100);
	run(5, calm, 5000);
	CU_ASSERT_EQUAL(directive.class_count, 0);
}

/* What is configured bounds what is asked for, and what is in force. */
static void configured(void)
{
	begin(3);
	classes[1].configured = 150;
	run(20, calm, 100);
	for (int i = 0; i < 100; i++) {
		run(0.1, (const double[]){ 300, 5000, 100 }, 100);
		CU_ASSERT_EQUAL(directive.class_count, 0);
	}
	classes[1].configured = 600;
	run(20, (const double[]){ 300, 100, 100 }, 100);
	for (int i = 0; i < 100; i++) {
		run(0.1, (const double[]){ 300, 5000, 100 }, 100);
		if (directive.class_count == 1)
			CU_ASSERT(rate_of("south") <= 600);
	}
	CU_ASSERT_EQUAL(directive.class_count, 1);
}

static void early_and_gone(void)
{
	begin(3);
	/* Nothing is known yet. */
	run(2, calm, 100);
	run(10, (const double[]){ 300, 5000, 100 }, 100);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	/* One of them goes: the others keep what is known. */
	begin(3);
	run(20, calm, 100);
	run(5, (const double[]){ 300, 5000, 100 }, 100);
	CU_ASSERT_EQUAL_FATAL(directive.class_count, 1);
	classes[0] = classes[1];
	signals.class_count = 1;
	run(0.1, (const double[]){ 5000, 0, 0 }, 500);
	CU_ASSERT_EQUAL_FATAL(directive.class_count, 1);
	CU_ASSERT(rate_of("south") < CAPACITY);
	CU_ASSERT_DOUBLE_EQUAL(state.of[0].habit, 200, 20);
	/* And all of them. */
	signals.class_count = 0;
	run(0.1, calm, 500);
	CU_ASSERT_EQUAL(directive.class_count, 0);
	CU_ASSERT_EQUAL(state.count, 0);
}

/* As a part of the service's controllers: it is in force only where sources are policed. */
static void modes(void)
{
	static const enum adapt_mode all[] = { ADAPT_OFF, ADAPT_OBSERVE, ADAPT_ON };
	for (size_t m = 0; m < 3; m++) {
		struct adapt_service *a = adapt_service_create();
		const struct adapt_directive *d = NULL;
		struct adapt_summary summary;
		begin(3);
		memset(settings.mode, 0, sizeof(settings.mode));
		settings.mode[ADAPT_SOURCES] = all[m];
		size_t held = 0;
		for (int tick = 0; tick < 300; tick++) {
			bool floods = tick >= 200;
			signals.now_ns += ADAPT_TICK_NS;
			classes[0].new_flows = classes[2].new_flows = 30;
			classes[1].new_flows = floods ? 500 : 20;
			signals.offered = floods ? 560 : 80;
			signals.forwarded = floods ? 100 : 80;
			signals.shed = signals.offered - signals.forwarded;
			d = adapt_service_step(a, &signals, &settings, false, &log_all);
			held += d->class_count;
		}
		adapt_service_summary(a, &summary);
		CU_ASSERT_EQUAL(summary.classes, d->class_count);
		CU_ASSERT_EQUAL(d->class_count, all[m] == ADAPT_ON);
		CU_ASSERT_EQUAL(held > 0, all[m] == ADAPT_ON);
		CU_ASSERT_EQUAL(decided, all[m] != ADAPT_OFF);
		if (all[m] != ADAPT_OFF)
			CU_ASSERT_EQUAL(last.observed, all[m] == ADAPT_OBSERVE);
		if (all[m] == ADAPT_ON)
			CU_ASSERT_STRING_EQUAL(d->classes[0].name, "south");
		adapt_service_destroy(a);
	}
}

static const struct tap_case cases[] = {
	{ "a class that floods is held back alone, and let go", the_one_that_floods },
	{ "when all grow alike it is nobody", all_alike },
	{ "it is nobody who has hardly grown", little_growth },
	{ "nor anybody while there is enough", calm_weather },
	{ "it takes somebody to protect", nobody_to_protect },
	{ "configured limits hold", configured },
	{ "habits come first, and go with the class", early_and_gone },
	{ "nothing is in force but where it is on", modes },
};

TAP_MAIN("adapt classes", cases)
