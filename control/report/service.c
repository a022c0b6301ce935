/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char *protocol_label(enum model_protocol protocol)
{
	return protocol == MODEL_TCP ? "tcp" : "udp";
}

/* "203.0.113.10", or "203.0.113.0/24" where the service is a prefix. */
static json_t *service_address(const struct model_service *s)
{
	char text[INET6_ADDRSTRLEN];
	address_print(&s->address, text, sizeof(text));
	if (s->prefix_length >= 128)
		return json_string(text);
	return json_sprintf("%s/%d", text, s->ipv6 ? s->prefix_length : s->prefix_length - 96);
}

static json_t *worker_cpus(const struct snapshot_service *s, const struct snapshot *now)
{
	json_t *cpus = json_array();
	for (size_t i = 0; s != NULL && i < now->core_count; i++)
		if (s->entry.worker_mask & (UINT64_C(1) << i))
			json_array_append_new(cpus, json_integer(now->cores[i].entry.cpu));
	return cpus;
}

/* How many of the service's buckets each CPU has. */
static json_t *bucket_counts(const struct snapshot_service *s, const struct snapshot *now)
{
	json_t *counts = json_object();
	char cpu[16];
	for (size_t i = 0; s != NULL && i < now->core_count; i++) {
		if (s->entry.bucket_count[i] == 0)
			continue;
		snprintf(cpu, sizeof(cpu), "%u", now->cores[i].entry.cpu);
		json_object_set_new(counts, cpu, json_integer(s->entry.bucket_count[i]));
	}
	return counts;
}

/* How many cores there may be, are to be, and are not to be had. */
static json_t *core_range(const struct model_service *s, const struct snapshot_service *found)
{
	return json_pack("{s:i, s:i, s:o, s:i}", "min", (int)s->cores.min, "max", (int)s->cores.max,
		"wanted", found != NULL ? json_integer(found->entry.cores_wanted) : json_null(),
		"lacking", found != NULL ? (int)found->entry.cores_short : 0);
}

/* Cells are read one after the other while packets go on: a close may be seen before its opening. */
static uint64_t open_flows(uint64_t opened, uint64_t closed)
{
	return opened > closed ? opened - closed : 0;
}

/* Of limits per source: null where there are none. */
static json_t *source_places(const struct snapshot_service *found)
{
	if (found == NULL || found->entry.source_entries == 0)
		return json_null();
	/* Shares of several cores, read one after the other: the sum may be a little off. */
	int64_t tracked = (int64_t)found->sum.sources_tracked;
	int64_t known = (int64_t)found->sum.sources_known;
	return json_pack("{s:I, s:I, s:I, s:o}", "entries", (json_int_t)found->entry.source_entries,
		"tracked", (json_int_t)(tracked > 0 ? tracked : 0), "known",
		(json_int_t)(known > 0 ? known : 0), "overflow",
		report_count(found->sum.sources_overflow));
}

static uint64_t dropped_total(const struct weir_service_cell *c)
{
	uint64_t total = 0;
	for (int i = 0; i < WEIR_DROP_COUNT; i++)
		total += c->dropped[i];
	return total;
}

json_t *report_service_memory(const struct snapshot_service *s)
{
	const struct weir_service_entry *e = &s->entry;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "flows",
		report_count(e->memory_flows), "sources", report_count(e->memory_sources),
		"policing", report_count(e->memory_police), "ports", report_count(e->memory_ports),
		"pools", report_count(e->memory_pools), "workers", report_count(e->memory_workers),
		"total",
		report_count(e->memory_flows + e->memory_sources + e->memory_police +
			e->memory_ports + e->memory_pools + e->memory_workers));
}

/* Packets that were received and neither sent nor dropped yet; cells are read one after the other. */
static uint64_t packets_waiting(const struct weir_service_cell *c)
{
	uint64_t gone = c->packets_transmitted + dropped_total(c);

	return c->packets_received > gone ? c->packets_received - gone : 0;
}

json_t *report_service_entry(
	const struct model_service *s, const struct snapshot *now, const struct snapshot *base)
{
	static const struct weir_service_cell zero;
	const struct snapshot_service *found = snapshot_find_service(now, s->name);
	const struct snapshot_service *before = snapshot_before_service(now, base, found);
	const struct weir_service_cell *sum = found != NULL ? &found->sum : &zero;

	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o,"
			 " s:o, s:o, s:o, s:o, s:o, s:o, s:o,"
			 " s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}",
		"name", s->name, "address", service_address(s), "port", report_port_number(s->port),
		"protocol", protocol_label(s->protocol), "mode", model_mode_label(s->mode), "cores",
		worker_cpus(found, now), "cores_range", core_range(s, found), "buckets",
		bucket_counts(found, now), "packets_received", report_count(sum->packets_received),
		"packets_transmitted", report_count(sum->packets_transmitted), "bytes_received",
		report_count(sum->bytes_received), "bytes_transmitted",
		report_count(sum->bytes_transmitted), "packets_from_backends",
		report_count(sum->packets_from_backends), "bytes_from_backends",
		report_count(sum->bytes_from_backends), "flows",
		report_count(open_flows(sum->new_flows, sum->closed_flows)), "new_flows",
		report_count(sum->new_flows), "stateless", report_count(sum->stateless),
		"flow_capacity", (json_int_t)(found != NULL ? found->entry.flow_capacity : 0),
		"memory", found != NULL ? report_service_memory(found) : json_null(), "waiting",
		report_count(packets_waiting(sum)), "sources", source_places(found), "dropped",
		report_dropped(sum->dropped), "residence",
		report_percentiles(
			&sum->residence, before != NULL ? &before->sum.residence : NULL, true));
}

json_t *report_service_list(
	const struct model *m, const struct snapshot *now, const struct snapshot *base)
{
	json_t *list = json_array();
	for (size_t i = 0; list != NULL && m != NULL && i < m->service_count; i++) {
		if (json_array_append_new(list, report_service_entry(&m->services[i], now, base)) !=
			0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *rate(uint64_t now, uint64_t before, double factor, double seconds)
{
	return report_number(now >= before ? (double)(now - before) * factor / seconds : 0);
}

/* Per second since base; null when there is nothing to compare with. */
static json_t *service_rates(const struct snapshot *now, const struct snapshot_service *found,
	const struct snapshot_service *before, double seconds)
{
	if (found == NULL || before == NULL || seconds <= 0)
		return json_null();
	const struct weir_service_cell *n = &found->sum;
	const struct weir_service_cell *b = &before->sum;
	double hz = now->tsc_hz ? (double)now->tsc_hz : 1;
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cores_busy",
		rate(n->busy_cycles, b->busy_cycles, 1 / hz, seconds), "packets_received",
		rate(n->packets_received, b->packets_received, 1, seconds), "packets_transmitted",
		rate(n->packets_transmitted, b->packets_transmitted, 1, seconds), "bits_received",
		rate(n->bytes_received, b->bytes_received, 8, seconds), "bits_transmitted",
		rate(n->bytes_transmitted, b->bytes_transmitted, 8, seconds), "new_flows",
		rate(n->new_flows, b->new_flows, 1, seconds), "dropped",
		rate(dropped_total(n), dropped_total(b), 1, seconds));
}

json_t *report_service(const struct model *m, const struct model_service *s,
	const struct snapshot *now, const struct snapshot *base)
{
	const struct snapshot_service *found = snapshot_find_service(now, s->name);
	const struct snapshot_service *before = snapshot_before_service(now, base, found);
	double seconds = before != NULL && now->taken_ns > base->taken_ns ?
		(double)(now->taken_ns - base->taken_ns) / 1e9 :
		0;
	json_t *o = report_service_entry(s, now, base);
	if (o == NULL)
		return NULL;
	int err = json_object_set_new(o, "limits", report_limits(s, &s->limits));
	err |= json_object_set_new(o, "rates", service_rates(now, found, before, seconds));
	err |= json_object_set_new(o, "backends", report_backend_list(m, s, now, base));
	err |= json_object_set_new(o, "policies", report_policies(s, now, base));
	err |= json_object_set_new(o, "classes", report_classes(s, now));
	if (err != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *limit_number(uint64_t limit)
{
	return limit == MODEL_UNLIMITED ? json_null() : report_count(limit);
}

static json_t *limit(uint64_t configured, uint64_t in_force)
{
	if (configured == MODEL_UNLIMITED && in_force == MODEL_UNLIMITED)
		return json_null();
	return json_pack("{s:o, s:o}", "configured", limit_number(configured), "in_force",
		limit_number(in_force));
}

static bool source_is_limited(const struct model_per_source *p)
{
	return p->packets != MODEL_UNLIMITED || p->connections != MODEL_UNLIMITED;
}

static json_t *limits_per_source(
	const struct model_per_source *p, const struct model_per_source *configured)
{
	if (!source_is_limited(p) && !source_is_limited(configured))
		return json_null();
	return json_pack("{s:i, s:i, s:o, s:o, s:o}", "prefix4", p->prefix4, "prefix6", p->prefix6,
		"packets", limit(configured->packets, p->packets), "connections",
		limit(configured->connections, p->connections), "burst",
		report_number((double)p->burst_ns / 1e9));
}

json_t *report_limits(const struct model_service *s, const struct model_limits *configured)
{
	const struct model_limits *l = &s->limits;

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "service", s->name, "packets",
		limit(configured->packets, l->packets), "bits", limit(configured->bits, l->bits),
		"connections", limit(configured->connections, l->connections), "per_source",
		limits_per_source(&l->per_source, &configured->per_source), "burst",
		report_number((double)l->burst_ns / 1e9));
}
