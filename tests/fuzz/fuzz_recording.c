/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A recording of adaptation's signals: the first line says of whom, the others are ticks, which go through
 * all controllers. Whatever they say, what comes out stays inside the clamps.
 */

#include "control/adapt/recording.h"
#include "control/adapt/service.h"
#include "control/adapt/signals.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <string.h>

static void directive_check(const struct adapt_directive *d, const struct adapt_signals *s,
	const struct adapt_settings *settings)
{
	FUZZ_CHECK(d->cores == 0 ||
		(d->cores >= settings->cores_min && d->cores <= settings->cores_max));
	FUZZ_CHECK(d->backend_count == s->backend_count);
	FUZZ_CHECK(d->headroom >= 1 && d->headroom <= 4);
	for (size_t i = 0; i < d->backend_count; i++) {
		const struct adapt_backend_directive *b = &d->backends[i];
		FUZZ_CHECK(b->weight >= 0 && b->weight <= 2.0 * s->backends[i].weight);
		FUZZ_CHECK(b->close_idle >= 0 && b->close_idle <= 1);
		FUZZ_CHECK(b->cap >= 1);
	}
	FUZZ_CHECK(d->class_count <= WEIR_MAX_CLASSES_PER_SERVICE);
	for (size_t i = 0; i < d->class_count; i++)
		FUZZ_CHECK(d->classes[i].rate >= 0);
	if (d->policing == NULL || !d->policing->on)
		return;
	FUZZ_CHECK(d->policing->rate[ADAPT_FLOWS] >= 1);
	FUZZ_CHECK(d->policing->yellow >= 2 && d->policing->yellow <= 64);
	FUZZ_CHECK(d->policing->weight_count <= ADAPT_SOURCES_MAX);
	FUZZ_CHECK(d->policing->box_count <= ADAPT_SOURCES_MAX);
}

static void tick_check(struct adapt_service *a, const struct adapt_settings *settings,
	const char *line, size_t size)
{
	struct adapt_signals s;
	char err[160] = "";
	if (recording_read_tick(line, size, &s, err, sizeof(err)) != 0) {
		FUZZ_CHECK(*err != '\0');
		return;
	}
	char *again = recording_tick(&s);
	struct adapt_signals twice;
	FUZZ_CHECK(again != NULL);
	FUZZ_CHECK(recording_read_tick(again, strlen(again), &twice, err, sizeof(err)) == 0);
	FUZZ_CHECK(twice.backend_count == s.backend_count && twice.offered == s.offered);
	signals_free(&twice);
	free(again);
	const struct adapt_directive *d = adapt_service_step(a, &s, settings, false, NULL);
	if (d != NULL)
		directive_check(d, &s, settings);
	signals_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct adapt_settings settings = { .objective_s = 0.06,
		.mode = { ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON, ADAPT_ON },
		.cores_min = 1,
		.cores_max = 4,
		.sees_replies = true,
		.is_tcp = true,
		.gains = adapt_gains_preset };
	struct adapt_service *a = adapt_service_create();
	char service[WEIR_NAME_SIZE], err[160] = "";
	bool first = true;
	FUZZ_CHECK(a != NULL);
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t length = end != NULL ? (size_t)(end - text) : size;
		if (first &&
			recording_read_header(text, length, service, &settings, err, sizeof(err)) !=
				0)
			FUZZ_CHECK(*err != '\0');
		if (!first)
			tick_check(a, &settings, text, length);
		first = false;
		size -= end != NULL ? length + 1 : length;
		text += length + 1;
	}
	adapt_service_destroy(a);
	return 0;
}
