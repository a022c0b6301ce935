/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/export/metrics_private.h"
#include "dataplane/api/histogram.h"

#include <event2/buffer.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void metrics_family(struct evbuffer *out, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void labels_append(struct labels *l, char c)
{
	if (l->length + 1 < sizeof(l->text))
		l->text[l->length++] = c;
	l->text[l->length] = 0;
}

void labels_add(struct labels *l, const char *name, const char *value)
{
	labels_append(l, l->length ? ',' : '{');
	while (*name)
		labels_append(l, *name++);
	labels_append(l, '=');
	labels_append(l, '"');
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			labels_append(l, '\\');
		if (*value == '\n') {
			labels_append(l, '\\');
			labels_append(l, 'n');
		} else {
			labels_append(l, *value);
		}
	}
	labels_append(l, '"');
}

void labels_begin(struct labels *l, const char *instance)
{
	l->length = 0;
	labels_add(l, "weir_instance", instance);
}

void metrics_sample_u64(
	struct evbuffer *out, const char *name, const struct labels *l, uint64_t value)
{
	evbuffer_add_printf(out, "%s%s} %" PRIu64 "\n", name, l->text, value);
}

void metrics_sample_double(
	struct evbuffer *out, const char *name, const struct labels *l, double value)
{
	if (isnan(value))
		evbuffer_add_printf(out, "%s%s} NaN\n", name, l->text);
	else
		evbuffer_add_printf(out, "%s%s} %.12g\n", name, l->text, value);
}

/*
 * One `le` for each power of two that the fine buckets are cut at, so that the counts are exact: from
 * 1.024 us to 34 s in steps of two.
 */
void metrics_histogram(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h)
{
	uint64_t below = 0;
	uint64_t all = 0;
	uint32_t next = 0;

	for (uint32_t i = 0; i < WEIR_HIST_BUCKETS; i++)
		all += h->bucket[i];
	for (unsigned int shift = WEIR_HIST_MIN_SHIFT; shift < WEIR_HIST_MAX_SHIFT; shift++) {
		uint32_t end = weir_histogram_index(UINT64_C(1) << shift);

		while (next < end)
			below += h->bucket[next++];
		evbuffer_add_printf(out, "%s_bucket%s,le=\"%.12g\"} %" PRIu64 "\n", name, l->text,
			(double)(UINT64_C(1) << shift) / 1e9, below);
	}
	/* What the buckets sum up to, as they and the count are not read at the same moment. */
	evbuffer_add_printf(out, "%s_bucket%s,le=\"+Inf\"} %" PRIu64 "\n", name, l->text, all);
	evbuffer_add_printf(out, "%s_sum%s} %.9g\n", name, l->text, (double)h->sum_ns / 1e9);
	evbuffer_add_printf(out, "%s_count%s} %" PRIu64 "\n", name, l->text, all);
}

struct quantile {
	double share;
	const char *text;
};

static void quantiles(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h, const struct weir_histogram *base, const struct quantile *q,
	size_t count)
{
	/* Of most backends there is nothing new, and there are thousands. */
	const bool is_empty = h->count == (base ? base->count : 0);
	struct weir_histogram recent;

	if (!is_empty) {
		memset(&recent, 0, sizeof(recent));
		weir_histogram_add(&recent, h, base);
	}
	for (size_t i = 0; i < count; i++) {
		struct labels with = *l;

		labels_add(&with, "quantile", q[i].text);
		metrics_sample_double(out, name, &with,
			is_empty ? NAN : weir_histogram_quantile(&recent, q[i].share));
	}
}

void metrics_tail(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h, const struct weir_histogram *base)
{
	static const struct quantile tail[] = { { 0.99, "0.99" }, { 0.999, "0.999" },
		{ 0.9999, "0.9999" } };

	quantiles(out, name, l, h, base, tail, sizeof(tail) / sizeof(tail[0]));
}

void metrics_summary(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h, const struct weir_histogram *base)
{
	static const struct quantile usual[] = { { 0.5, "0.5" }, { 0.99, "0.99" } };

	quantiles(out, name, l, h, base, usual, sizeof(usual) / sizeof(usual[0]));
	evbuffer_add_printf(out, "%s_sum%s} %.9g\n", name, l->text, (double)h->sum_ns / 1e9);
	evbuffer_add_printf(out, "%s_count%s} %" PRIu64 "\n", name, l->text, h->count);
}
