/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The life of a trace: cores get it and lose it between two rounds. Main thread.
 */

#include "dataplane/stage/trace/trace.h"

#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/core.h"
#include "dataplane/net/filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Let every core see the trace, or none; when this returns no core is in a round that saw it otherwise. */
static void cores_tell(struct fastpath *fp, struct trace *t)
{
	for (uint32_t i = 0; i < fp->core_count; i++)
		if (!t || !core_is_fenced(fp->core[i]))
			__atomic_store_n(&fp->core[i]->stage.trace, t ? trace_core_of(t, i) : NULL,
				__ATOMIC_RELEASE);
	if (!fp->single_threaded)
		grace_wait(fp);
}

/* Slot of a service by name; -1: there is none. */
static int service_slot(const struct fastpath *fp, const char *name)
{
	const struct service *s = fastpath_service(fp, name);

	return s ? s->slot : -1;
}

static int port_index(const struct fastpath *fp, const char *name)
{
	for (int i = 0; i < WEIR_MAX_PORTS; i++)
		if (fp->telemetry->port[i].used && strcmp(fp->telemetry->port[i].name, name) == 0)
			return i;
	return -1;
}

static int target_find(const struct fastpath *fp, const struct weir_trace_start *start,
	struct trace_params *params, char *err, size_t err_size)
{
	int service = start->service[0] ? service_slot(fp, start->service) : TRACE_ANY_SERVICE;
	int port = start->port[0] ? port_index(fp, start->port) : TRACE_ANY_PORT;

	if (service < 0) {
		snprintf(err, err_size, "there is no service %s", start->service);
		return -ENOENT;
	}
	if (port < 0) {
		snprintf(err, err_size, "there is no port %s", start->port);
		return -ENOENT;
	}
	params->service = (uint16_t)service;
	params->port = (uint8_t)port;
	return 0;
}

int fastpath_trace_start(struct fastpath *fp, const struct weir_trace_start *start, uint64_t now_ms,
	struct weir_trace_started *ret_started, char *err, size_t err_size)
{
	const void *behind = start + 1;
	int node[WEIR_MAX_CORES];
	struct trace_params params = {
		.core_count = fp->core_count,
		.core_node = node,
		.sample = start->sample,
		.count = start->count,
		.snaplen = start->snaplen,
		.seed = fp->seed.k[0],
		.session = fp->traced.session + 1,
		.program = behind,
		.instruction_count = start->instruction_count,
	};
	struct trace *t;
	int rc;

	if (fp->traced.trace) {
		snprintf(err, err_size,
			"another trace is on (of %s); there is one at a time, and one that nobody "
			"reads ends after %d s",
			fp->traced.name, WEIR_TRACE_PATIENCE_MS / 1000);
		return -EBUSY;
	}
	rc = filter_check(behind, start->instruction_count, err, err_size);
	if (rc == 0)
		rc = target_find(fp, start, &params, err, err_size);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < fp->core_count; i++) {
		node[i] = fp->core[i]->node;
		if (fp->telemetry->core[i].roles & WEIR_CORE_F_RECEIVE)
			params.receives |= UINT64_C(1) << i;
	}
	rc = trace_create(&params, &t);
	if (rc < 0) {
		snprintf(err, err_size,
			"no memory for a trace: a shorter --snaplen or more memory: would help");
		return rc;
	}
	fp->traced = (struct traced){
		.trace = t, .session = params.session, .service = params.service, .read_ms = now_ms
	};
	snprintf(fp->traced.name, sizeof(fp->traced.name), "%s",
		start->service[0]      ? start->service :
			start->port[0] ? start->port :
					 "all packets");
	cores_tell(fp, t);
	ret_started->session = params.session;
	ret_started->slots = trace_slots(t);
	return 0;
}

static void trace_kept_free(struct fastpath *fp, void *what)
{
	RTE_SET_USED(fp);
	trace_destroy(what);
}

static void trace_end(struct fastpath *fp)
{
	struct trace *t = fp->traced.trace;

	fp->traced.trace = NULL;
	cores_tell(fp, NULL);
	fence_keep(fp, fence_holders(fp), trace_kept_free, t);
}

static int session_check(
	const struct fastpath *fp, const struct weir_trace_read *read, char *err, size_t err_size)
{
	if (fp->traced.trace && fp->traced.session == read->session)
		return 0;
	snprintf(err, err_size, "the trace has ended: nobody read it for %d s, or it was stopped",
		WEIR_TRACE_PATIENCE_MS / 1000);
	return -ENOENT;
}

/* Nothing more will come of it. */
static bool has_ended(const struct fastpath *fp)
{
	const struct traced *d = &fp->traced;

	if (trace_is_complete(d->trace))
		return true;
	return d->service != TRACE_ANY_SERVICE &&
		(!fp->service[d->service] ||
			strcmp(fp->service[d->service]->identity.name, d->name) != 0);
}

static void clock_make(const struct fastpath *fp, uint64_t now_ns, struct trace_clock *ret_clock)
{
	const struct stage_core *c = &fp->core[0]->stage;

	ret_clock->core = c;
	ret_clock->now_ticks = stage_clock(c);
	ret_clock->now_ns = c->made_up_clock ? stage_ns(c, c->now) : now_ns;
}

static void places_fill(
	const struct fastpath *fp, const struct trace_places *at, struct weir_trace_record *r)
{
	const struct weir_telemetry *t = fp->telemetry;

	if (at->service < WEIR_MAX_SERVICES && fp->service[at->service])
		memcpy(r->service, fp->service[at->service]->identity.name, sizeof(r->service));
	memcpy(r->port_in, t->port[at->port_in].name, sizeof(r->port_in));
	if (at->port_out < WEIR_MAX_PORTS)
		memcpy(r->port_out, t->port[at->port_out].name, sizeof(r->port_out));
	r->cpu_in = (uint16_t)t->core[at->core_in].cpu;
	r->cpu_work = (uint16_t)t->core[at->core_work].cpu;
}

int fastpath_trace_read(struct fastpath *fp, const struct weir_trace_read *read, uint64_t now_ms,
	uint64_t now_ns, struct weir_trace_batch **ret_batch, size_t *ret_length, char *err,
	size_t err_size)
{
	int rc = session_check(fp, read, err, err_size);
	struct trace *t = fp->traced.trace;
	struct trace_clock clock;
	struct trace_places places;

	if (rc < 0)
		return rc;
	/* Asked before: what ends meanwhile is read next time. */
	bool ended = has_ended(fp);
	char *buf =
		malloc(sizeof(struct weir_trace_batch) + (size_t)read->limit * trace_record_max(t));
	if (!buf)
		return -ENOMEM;
	struct weir_trace_batch *batch = (void *)buf;
	size_t length = sizeof(*batch);
	*batch = (struct weir_trace_batch){ .count = 0 };
	fp->traced.read_ms = now_ms;
	clock_make(fp, now_ns, &clock);
	trace_poll(t);
	while (batch->count < read->limit && trace_take(t, &clock, buf + length, &places)) {
		struct weir_trace_record *r = (void *)(buf + length);

		places_fill(fp, &places, r);
		length += r->size;
		batch->count++;
	}
	batch->lost = trace_lost(t);
	if (ended && batch->count < read->limit)
		batch->flags |= WEIR_TRACE_F_ENDED;
	*ret_batch = batch;
	*ret_length = length;
	return 0;
}

int fastpath_trace_stop(struct fastpath *fp, const struct weir_trace_read *read,
	struct weir_trace_batch *ret_batch, char *err, size_t err_size)
{
	int rc = session_check(fp, read, err, err_size);

	if (rc < 0)
		return rc;
	*ret_batch = (struct weir_trace_batch){ .lost = trace_lost(fp->traced.trace),
		.flags = WEIR_TRACE_F_ENDED };
	trace_end(fp);
	return 0;
}

void fastpath_trace_tick(struct fastpath *fp, uint64_t now_ms)
{
	if (!fp->traced.trace)
		return;
	trace_poll(fp->traced.trace);
	if (now_ms - fp->traced.read_ms > WEIR_TRACE_PATIENCE_MS)
		trace_end(fp);
}

void fastpath_trace_end(struct fastpath *fp)
{
	if (fp->traced.trace)
		trace_end(fp);
}
