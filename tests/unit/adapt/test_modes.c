/* SPDX-License-Identifier: BSD-3-Clause */

/* What controllers leave alone: where they observe, are off or paused, or have nothing to go by. */

#include "control/adapt/service.h"
#include "tests/unit/adapt/calm.h"
#include "tests/unit/tap.h"

#include <string.h>

static void decide_ejections(void *ctx, const struct adapt_decision *d)
{
	if (strcmp(d->action, "eject") == 0)
		decide(ctx, d);
}

static const struct adapt_log log_ejections = { NULL, decide_ejections };

static void pause_observes(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	for (int i = 0; i < 30; i++) {
		calm_tick();
		backends[1].answered_s = 50 * 0.1;
		d = adapt_service_step(a, &signals, &settings, true, &log_all);
	}
	CU_ASSERT_EQUAL(d->backends[1].weight, 100);
	CU_ASSERT(decided > 0);
	CU_ASSERT_TRUE(last.observed);
	adapt_service_destroy(a);
}

/* Ejects the second backend by `before`; returns the caps of it and of another after two seconds with `after`. */
static void caps_with_one_out(
	enum adapt_mode before, enum adapt_mode after, uint32_t *ret_dead, uint32_t *ret_other)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	settings.mode[ADAPT_WEIGHTS] = before;
	for (int i = 0; i < 50; i++) {
		calm_tick();
		if (i >= 20) {
			backends[1].syn_answered = backends[1].answered = 0;
			backends[1].in_flight = 1000;
		}
		if (i == 30) {
			CU_ASSERT_STRING_EQUAL(last.action, "eject");
			CU_ASSERT_EQUAL(d->backends[1].ejected, before == ADAPT_ON);
			settings.mode[ADAPT_WEIGHTS] = after;
		}
		d = adapt_service_step(a, &signals, &settings, false, &log_ejections);
	}
	CU_ASSERT_EQUAL(d->backends[1].ejected, after == ADAPT_ON);
	*ret_dead = d->backends[1].cap;
	*ret_other = d->backends[0].cap;
	adapt_service_destroy(a);
}

/* Who has been ejected needs no cap; who only would have been has the one that it has without. */
static void who_would_be_out_has_its_cap(void)
{
	uint32_t dead, other, alone;
	caps_with_one_out(ADAPT_ON, ADAPT_ON, &dead, &other);
	CU_ASSERT_EQUAL(dead, ADAPT_NO_CAP);
	CU_ASSERT(other < ADAPT_NO_CAP);
	caps_with_one_out(ADAPT_ON, ADAPT_OFF, &dead, &other);
	CU_ASSERT(dead < ADAPT_NO_CAP);
	CU_ASSERT(other < ADAPT_NO_CAP);
	caps_with_one_out(ADAPT_OBSERVE, ADAPT_OFF, &alone, &other);
	caps_with_one_out(ADAPT_OBSERVE, ADAPT_OBSERVE, &dead, &other);
	CU_ASSERT_EQUAL(dead, alone);
	CU_ASSERT(dead < other);
}

/* A rise, seen by a service with the forecast in a mode, while the second backend starts slowly. */
static double cap_of_rise(enum adapt_mode mode)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	settings.mode[ADAPT_FORECAST] = mode;
	for (size_t i = 0; i < BACKENDS; i++)
		backends[i].whole = 100;
	backends[1].weight = 10;
	for (int i = 0; i < 360; i++) {
		calm_tick();
		signals.offered += i < 300 ? 0 : (uint64_t)(10 * (i - 300));
		for (size_t k = 0; k < BACKENDS; k++)
			backends[k].in_flight_peak = 60;
		d = adapt_service_step(a, &signals, &settings, false, &log_all);
		if (mode == ADAPT_ON)
			continue;
		CU_ASSERT_EQUAL(d->headroom, 1);
		CU_ASSERT_EQUAL(d->room, 1);
		CU_ASSERT_EQUAL(d->backends[1].share, 0);
	}
	CU_ASSERT_EQUAL(decided > 0, mode != ADAPT_OFF);
	if (mode == ADAPT_ON) {
		CU_ASSERT(d->headroom > 1.6);
		CU_ASSERT(d->backends[1].share > 0.1);
	}
	double cap = d->backends[0].cap;
	adapt_service_destroy(a);
	return cap;
}

static void forecasts_by_mode(void)
{
	double off = cap_of_rise(ADAPT_OFF);
	CU_ASSERT_EQUAL(cap_of_rise(ADAPT_OBSERVE), off);
	CU_ASSERT_TRUE(last.observed);
	CU_ASSERT(cap_of_rise(ADAPT_ON) > off);
}

/* Nothing tells of a backend any more: it is as configured. */
static void blind_ones_are_as_configured(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	settings.sees_replies = false;
	settings.probed = true;
	for (int i = 0; i < 40; i++) {
		calm_tick();
		backends[1].answered_s = 50 * 0.1;
		if (i >= 30)
			backends[1] = (struct adapt_backend_signals){ .port = 80,
				.weight = 100,
				.usable = true,
				.blind = true,
				.address = { [10] = 255, 255, 10, 0, 0, 2 } };
		d = adapt_service_step(a, &signals, &settings, false, NULL);
		CU_ASSERT(i != 29 || d->backends[1].factor < 0.1);
		CU_ASSERT(i < 30 || d->backends[1].factor == 1);
	}
	adapt_service_destroy(a);
}

/* What opens no connections is not ejected for SYNs that have no answer. */
static void udp_is_not_ejected(void)
{
	struct adapt_service *a = adapt_service_create();
	const struct adapt_directive *d = NULL;
	begin();
	settings.is_tcp = false;
	for (int i = 0; i < 30; i++) {
		calm_tick();
		backends[1].syn_answered = backends[1].answered = 0;
		backends[1].unheard = 1;
		d = adapt_service_step(a, &signals, &settings, false, NULL);
		CU_ASSERT_FALSE(d->backends[1].ejected);
	}
	adapt_service_destroy(a);
}

/* The first backend is slow, the second dead; returns what status says then. */
static struct adapt_summary summary_of(struct adapt_service *a, enum adapt_mode mode)
{
	struct adapt_summary summary;
	begin();
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		settings.mode[i] = mode;
	settings.cores_min = 1;
	settings.cores_max = 4;
	for (int i = 0; i < 40; i++) {
		calm_tick();
		signals.cores = 1;
		signals.cores_busy = signals.cores_load = signals.cores_short = 1;
		backends[0].answered_s = 50 * 0.1;
		backends[1].syn_answered = backends[1].answered = 0;
		adapt_service_step(a, &signals, &settings, false, &log_all);
	}
	adapt_service_summary(a, &summary);
	return summary;
}

static void status_is_of_what_is_in_force(void)
{
	struct adapt_service *a = adapt_service_create();
	struct adapt_summary on = summary_of(a, ADAPT_ON);
	adapt_service_destroy(a);
	CU_ASSERT_EQUAL(on.ejected, 1);
	CU_ASSERT_EQUAL(on.shifted, 1);
	CU_ASSERT(on.cores > 1);
	a = adapt_service_create();
	struct adapt_summary observed = summary_of(a, ADAPT_OBSERVE);
	adapt_service_destroy(a);
	CU_ASSERT(decided > 0);
	CU_ASSERT_EQUAL(observed.ejected, 0);
	CU_ASSERT_EQUAL(observed.shifted, 0);
	CU_ASSERT_EQUAL(observed.cores, 0);
	CU_ASSERT(observed.pool_latency > 0);
}

/* A panic is one only where something is done about it. */
static void observed_panics(void)
{
	for (enum adapt_mode mode = ADAPT_OBSERVE; mode <= ADAPT_ON; mode++) {
		struct adapt_service *a = adapt_service_create();
		struct adapt_summary summary;
		begin();
		settings.mode[ADAPT_WEIGHTS] = mode;
		for (int i = 0; i < 30; i++) {
			calm_tick();
			for (size_t k = 0; i > 10 && k < 2; k++)
				backends[k].syn_answered = backends[k].answered = 0;
			adapt_service_step(a, &signals, &settings, false, &log_all);
		}
		adapt_service_summary(a, &summary);
		CU_ASSERT_EQUAL(summary.panic, mode == ADAPT_ON);
		adapt_service_destroy(a);
	}
}

/* All were off for a while: what was learned before is no longer true. */
static void begun_anew(void)
{
	struct adapt_service *a = adapt_service_create();
	struct adapt_summary summary = summary_of(a, ADAPT_ON);
	CU_ASSERT_EQUAL(summary.ejected, 1);
	adapt_service_forget(a);
	adapt_service_summary(a, &summary);
	CU_ASSERT_EQUAL(summary.ejected + summary.shifted + summary.cores, 0);
	calm_tick();
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		settings.mode[i] = ADAPT_ON;
	const struct adapt_directive *d =
		adapt_service_step(a, &signals, &settings, false, &log_all);
	for (size_t i = 0; i < BACKENDS; i++) {
		CU_ASSERT_EQUAL(d->backends[i].weight, 100);
		CU_ASSERT_FALSE(d->backends[i].ejected);
	}
	adapt_service_destroy(a);
}

static const struct tap_case cases[] = {
	{ "a pause observes", pause_observes },
	{ "status tells what is in force, not what would be", status_is_of_what_is_in_force },
	{ "a panic is in force, or none", observed_panics },
	{ "controllers that were all off begin anew", begun_anew },
	{ "one that is not ejected in force has its cap", who_would_be_out_has_its_cap },
	{ "a forecast that observes prepares nothing", forecasts_by_mode },
	{ "a backend that nothing tells of is as configured", blind_ones_are_as_configured },
	{ "ejection is for TCP", udp_is_not_ejected },
};

TAP_MAIN("adapt modes", cases)
