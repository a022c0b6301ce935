/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/histogram.h"

#include "control/report/report_private.h"

#include <stdlib.h>

static json_t *buckets(const struct weir_histogram *h)
{
	json_t *list = json_array();
	for (uint32_t i = 0; list != NULL && i < WEIR_HIST_BUCKETS; i++)
		if (h->bucket[i] != 0)
			json_array_append_new(list,
				json_pack("[f, o]", (double)weir_histogram_value(i) / 1e9,
					report_count(h->bucket[i])));
	return list;
}

static json_t *shape(const struct weir_histogram *h)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < WEIR_HIST_BUCKETS; i++)
		count += h->bucket[i];
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "count", report_count(count),
		"mean", report_number(report_share((double)h->sum_ns / 1e9, (double)h->count)),
		"p50", report_number(weir_histogram_quantile(h, 0.50)), "p90",
		report_number(weir_histogram_quantile(h, 0.90)), "p99",
		report_number(weir_histogram_quantile(h, 0.99)), "p999",
		report_number(weir_histogram_quantile(h, 0.999)), "p9999",
		report_number(weir_histogram_quantile(h, 0.9999)), "buckets", buckets(h));
}

/* What came since an older snapshot, and all since the start. */
struct both {
	struct weir_histogram recent;
	struct weir_histogram total;
};

static void both_add(
	struct both *b, const struct weir_histogram *now, const struct weir_histogram *before)
{
	weir_histogram_add(&b->recent, now, before);
	weir_histogram_add(&b->total, now, NULL);
}

static json_t *both_document(const struct both *b)
{
	return json_pack("{s:o, s:o}", "recent", shape(&b->recent), "total", shape(&b->total));
}

json_t *report_histograms(const struct model_service *s, const struct model_backend *backend,
	const struct snapshot *now, const struct snapshot *base)
{
	struct both *sums = calloc(3, sizeof(*sums));
	if (sums == NULL)
		return NULL;
	const struct snapshot_service *found = snapshot_find_service(now, s->name);
	const struct snapshot_service *before = snapshot_before_service(now, base, found);
	if (found != NULL)
		both_add(&sums[0], &found->sum.residence,
			before != NULL ? &before->sum.residence : NULL);
	for (size_t i = 0; i < model_backend_total(s); i++) {
		const struct model_backend *b = model_backend_at(s, i);
		const struct snapshot_backend *n = report_find_backend(found, b, i);
		const struct snapshot_backend *o = snapshot_before_backend(before, n);
		if (n == NULL || (backend != NULL && b != backend))
			continue;
		both_add(&sums[1], &n->sum.connect, o != NULL ? &o->sum.connect : NULL);
		both_add(&sums[2], &n->sum.first_byte, o != NULL ? &o->sum.first_byte : NULL);
	}
	char text[80];
	json_t *document = json_pack("{s:s, s:s?, s:o, s:o, s:o}", "service", s->name, "backend",
		backend != NULL ?
			address_port_print(&backend->address, backend->port, text, sizeof(text)) :
			NULL,
		"residence", both_document(&sums[0]), "connect", both_document(&sums[1]),
		"first_byte", both_document(&sums[2]));
	free(sums);
	return document;
}
