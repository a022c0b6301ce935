/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/histogram.h"
#include "tests/tools/weir_load.h"

#include <jansson.h>

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKEND_MAX 64
#define KEPT_MAX    20

static const char *const failure_name[LOAD_FAILURE_COUNT] = {
	[LOAD_FAILURE_CONNECT] = "connect",
	[LOAD_FAILURE_TIMEOUT] = "timeout",
	[LOAD_FAILURE_CLOSED] = "closed",
	[LOAD_FAILURE_STATUS] = "status",
	[LOAD_FAILURE_ANSWER] = "answer",
	[LOAD_FAILURE_BUSY] = "busy",
};

struct backend {
	char name[64];
	uint64_t failed;
	uint64_t max_ns;
	uint64_t bytes;
	struct weir_histogram latency;
};

struct kept_failure {
	enum load_failure why;
	double at;
	int error;
	char backend[64];
};

struct tally {
	uint64_t failed[LOAD_FAILURE_COUNT];
	struct backend all;
	struct backend *backend[BACKEND_MAX]; /* owned */
	size_t backend_count;
	struct kept_failure kept[KEPT_MAX];
	size_t kept_count;
};

static void *must_have(void *memory)
{
	if (!memory)
		errx(1, "out of memory");
	return memory;
}

struct tally *tally_create(void)
{
	return must_have(calloc(1, sizeof(struct tally)));
}

void tally_destroy(struct tally *t)
{
	for (size_t i = 0; i < t->backend_count; i++)
		free(t->backend[i]);
	free(t);
}

static struct backend *backend_get(struct tally *t, const char *name)
{
	for (size_t i = 0; i < t->backend_count; i++)
		if (strcmp(t->backend[i]->name, name) == 0)
			return t->backend[i];
	if (t->backend_count == BACKEND_MAX)
		errx(1, "more than %d backends answer", BACKEND_MAX);
	struct backend *b = must_have(calloc(1, sizeof(*b)));
	snprintf(b->name, sizeof(b->name), "%s", name);
	t->backend[t->backend_count++] = b;
	return b;
}

static void backend_ok(struct backend *b, uint64_t latency_ns, uint64_t bytes)
{
	b->latency.count++;
	b->latency.sum_ns += latency_ns;
	b->latency.bucket[weir_histogram_index(latency_ns)]++;
	b->bytes += bytes;
	if (latency_ns > b->max_ns)
		b->max_ns = latency_ns;
}

void tally_ok(struct tally *t, const char *backend, uint64_t latency_ns, uint64_t bytes)
{
	backend_ok(&t->all, latency_ns, bytes);
	backend_ok(backend_get(t, backend), latency_ns, bytes);
}

void tally_failure(
	struct tally *t, enum load_failure why, const char *backend, double at, int error)
{
	t->failed[why]++;
	t->all.failed++;
	if (backend && *backend)
		backend_get(t, backend)->failed++;
	if (t->kept_count == KEPT_MAX)
		return;
	struct kept_failure *k = &t->kept[t->kept_count++];
	k->why = why;
	k->at = at;
	k->error = error;
	snprintf(k->backend, sizeof(k->backend), "%s", backend ? backend : "");
}

uint64_t tally_done(const struct tally *t)
{
	return t->all.latency.count + t->all.failed;
}

bool tally_failed(const struct tally *t)
{
	return t->all.failed != 0;
}

static json_t *quantile(const struct backend *b, double share)
{
	double value = weir_histogram_quantile(&b->latency, share);
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *backend_json(const struct backend *b)
{
	return must_have(json_pack("{s:I, s:I, s:I, s:o, s:o, s:f}", "ok",
		(json_int_t)b->latency.count, "failed", (json_int_t)b->failed, "bytes",
		(json_int_t)b->bytes, "p50", quantile(b, 0.5), "p99", quantile(b, 0.99), "max",
		(double)b->max_ns / 1e9));
}

void tally_print(const struct tally *t, double elapsed, bool final)
{
	json_t *doc = backend_json(&t->all);
	json_t *failures = must_have(json_object());
	for (int why = 0; why < LOAD_FAILURE_COUNT; why++)
		if (t->failed[why])
			json_object_set_new(failures, failure_name[why],
				json_integer((json_int_t)t->failed[why]));
	json_t *backends = must_have(json_object());
	for (size_t i = 0; i < t->backend_count; i++)
		json_object_set_new(backends, t->backend[i]->name, backend_json(t->backend[i]));
	json_t *kept = must_have(json_array());
	for (size_t i = 0; i < t->kept_count; i++) {
		const struct kept_failure *k = &t->kept[i];
		json_array_append_new(kept,
			json_pack("{s:s, s:f, s:s, s:s}", "why", failure_name[k->why], "at", k->at,
				"error", k->error ? strerror(k->error) : "", "backend",
				k->backend));
	}
	json_object_set_new(doc, "final", json_boolean(final));
	json_object_set_new(doc, "elapsed", json_real(elapsed));
	json_object_set_new(
		doc, "rate", json_real(elapsed > 0 ? (double)tally_done(t) / elapsed : 0));
	json_object_set_new(doc, "failures", failures);
	json_object_set_new(doc, "first_failures", kept);
	json_object_set_new(doc, "backends", backends);
	json_dumpf(doc, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	putchar('\n');
	fflush(stdout);
	json_decref(doc);
}
