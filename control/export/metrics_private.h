/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files that render metrics. */

#ifndef WEIR_EXPORT_METRICS_PRIVATE_H
#define WEIR_EXPORT_METRICS_PRIVATE_H

#include "control/export/metrics_text.h"

/* # HELP and # TYPE of a family; its samples follow. */
void metrics_family(struct evbuffer *out, const char *name, const char *type, const char *help);

/*
 * The labels of one sample: `{instance="default",service="web"` and so on, values escaped. Too long
 * ones cannot be: every name has a bounded size.
 */
struct labels {
	char text[1024];
	size_t length;
};

void labels_begin(struct labels *l, const char *instance);
void labels_add(struct labels *l, const char *name, const char *value);

void metrics_sample_u64(
	struct evbuffer *out, const char *name, const struct labels *l, uint64_t value);
/* NAN and infinities as the format has them. */
void metrics_sample_double(
	struct evbuffer *out, const char *name, const struct labels *l, double value);

/* Histograms and summaries: the samples of one set of labels, with _bucket, _sum and _count. */
void metrics_histogram(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h);
/* base may be NULL. */
void metrics_summary(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h, const struct weir_histogram *base);

/* p99, p99.9 and p99.99, of a summary that has no sum of its own; base may be NULL. */
void metrics_tail(struct evbuffer *out, const char *name, const struct labels *l,
	const struct weir_histogram *h, const struct weir_histogram *base);

/* The families of services and of their backends. */
void metrics_services(const struct metrics_input *in, struct evbuffer *out);
void metrics_backends(const struct metrics_input *in, struct evbuffer *out);

/* metrics_cores.c */
void metrics_core_labels(
	struct labels *l, const struct metrics_input *in, const struct snapshot_core *c);
void metrics_core_delays(const struct metrics_input *in, struct evbuffer *out);
void metrics_service_cores(const struct metrics_input *in, struct evbuffer *out);

/* What adaptation does; metrics_adapt.c. */
void metrics_adaptation(const struct metrics_input *in, struct evbuffer *out);
void metrics_policies(const struct metrics_input *in, struct evbuffer *out);

#endif
