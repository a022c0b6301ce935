/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"

#include <math.h>
#include <string.h>

static const char *state_label(const struct weir_backend_entry *e)
{
	switch (e->state) {
	case WEIR_BACKEND_UP:
		return e->fallback ? "fallback" : "up";
	case WEIR_BACKEND_DRAINING:
		return "draining";
	default:
		return "down";
	}
}

const struct snapshot_backend *report_find_backend(
	const struct snapshot_service *s, const struct model_backend *b, size_t index)
{
	if (s != NULL && index < s->backend_count) {
		const struct snapshot_backend *guess = &s->backends[index];
		if (guess->entry.port == b->port &&
			memcmp(guess->entry.address, b->address.bytes, 16) == 0)
			return guess;
	}
	return snapshot_find_backend(s, b->address.bytes, b->port);
}

/* Name of the pool that policies route to; null for the others. */
static json_t *pool_name(const struct model_service *s, size_t index)
{
	size_t pool = model_backend_pool(s, index);
	return pool > 0 ? json_string(s->pools[pool - 1].name) : json_null();
}

/* Whole where it is, so that what nobody adapts reads as it was written. */
static json_t *report_weight(double weight)
{
	return weight == floor(weight) ? json_integer((json_int_t)weight) : json_real(weight);
}

/* Of requests in flight; null where nothing is in force. */
static json_t *report_cap(const struct snapshot_backend *b)
{
	bool none = b == NULL || b->entry.cap == 0 || b->entry.cap == WEIR_NO_CAP;
	return none ? json_null() : json_integer(b->entry.cap);
}

static json_t *backend_entry(const char *service, const struct model_backend *b,
	const struct snapshot_backend *found, const struct snapshot_backend *before,
	double weight_in_force)
{
	static const struct snapshot_backend unknown;
	const struct snapshot_backend *n = found != NULL ? found : &unknown;
	const struct weir_backend_cell *sum = &n->sum;
	uint64_t flows =
		sum->new_flows > sum->closed_flows ? sum->new_flows - sum->closed_flows : 0;

	return json_pack("{s:s, s:o, s:o, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"service", service, "address", report_address(&b->address), "port",
		report_port_number(b->port), "state", state_label(&n->entry), "weight",
		(int)b->weight, "weight_in_force", report_weight(weight_in_force), "flows",
		report_count(flows), "new_flows", report_count(sum->new_flows), "packets",
		report_count(sum->packets), "bytes", report_count(sum->bytes), "packets_from",
		report_count(sum->packets_from), "bytes_from", report_count(sum->bytes_from),
		"connect",
		report_percentiles(
			&sum->connect, before != NULL ? &before->sum.connect : NULL, false),
		"first_byte",
		report_percentiles(
			&sum->first_byte, before != NULL ? &before->sum.first_byte : NULL, false));
}

static int append_backends(json_t *list, const struct model_service *s, const struct snapshot *now,
	const struct snapshot *base)
{
	const struct snapshot_service *found = snapshot_find_service(now, s->name);
	const struct snapshot_service *before = snapshot_before_service(now, base, found);
	for (size_t i = 0; i < model_backend_total(s); i++) {
		const struct model_backend *of = model_backend_at(s, i);
		const struct snapshot_backend *b = report_find_backend(found, of, i);
		json_t *entry = backend_entry(s->name, of, b, snapshot_before_backend(before, b),
			snapshot_weight_in_force(found, b));
		json_object_set_new(entry, "cap", report_cap(b));
		json_object_set_new(entry, "pool", pool_name(s, i));
		if (json_array_append_new(list, entry) != 0)
			return -1;
	}
	return 0;
}

json_t *report_backend_list(const struct model *m, const struct model_service *service,
	const struct snapshot *now, const struct snapshot *base)
{
	json_t *list = json_array();
	int err = list == NULL ? -1 : 0;
	if (service != NULL && err == 0)
		err = append_backends(list, service, now, base);
	for (size_t i = 0; service == NULL && m != NULL && err == 0 && i < m->service_count; i++)
		err = append_backends(list, &m->services[i], now, base);
	if (err != 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}
