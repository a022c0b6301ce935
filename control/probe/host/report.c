/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/probe/host/report.h"

#include <string.h>

struct report {
	struct probe_writer w;
	const struct probe_message *head;
	const struct probe_key *key;
	const struct report_out *out;
	int sent;
	int err;
};

static void datagram_begin(struct report *r)
{
	struct probe_message head = *r->head;

	head.sequence += (uint64_t)r->sent;
	probe_writer_begin(&r->w, &head);
}

static void datagram_end(struct report *r)
{
	int err = probe_writer_end(&r->w, r->key);

	r->sent++;
	if (err)
		r->err = err;
	else
		r->out->send(r->out->ctx, r->w.data, r->w.length);
}

static void service_write(struct report *r, const struct probe_service *s)
{
	if (probe_writer_service(&r->w, s))
		return;
	datagram_end(r);
	datagram_begin(r);
	probe_writer_service(&r->w, s);
}

static void pair_write(
	struct report *r, const struct probe_service *s, bool is_connect, struct probe_pair pair)
{
	struct probe_service rest = {
		.port = s->port, .protocol = s->protocol, .flags = PROBE_SERVICE_F_MORE
	};

	if (probe_writer_pair(&r->w, is_connect, pair))
		return;
	memcpy(rest.address, s->address, sizeof(rest.address));
	datagram_end(r);
	datagram_begin(r);
	probe_writer_service(&r->w, &rest);
	probe_writer_pair(&r->w, is_connect, pair);
}

static void buckets_write(struct report *r, const struct probe_service *s, bool is_connect,
	const uint32_t *before, const uint32_t *now)
{
	for (uint16_t i = 0; i < WEIR_HIST_BUCKETS; i++) {
		/* They may have begun anew at 0. */
		uint32_t count = now[i] - before[i];

		while (count) {
			uint16_t part = count < UINT16_MAX ? (uint16_t)count : UINT16_MAX;

			pair_write(r, s, is_connect, (struct probe_pair){ i, part });
			count -= part;
		}
	}
}

static uint32_t gauge(int64_t value)
{
	/* A sum over CPUs, which are read one after the other. */
	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

int report_write(const struct report_service *services, size_t count,
	const struct probe_message *head, const struct probe_key *key, const struct report_out *out)
{
	struct report r = { .head = head, .key = key, .out = out };

	datagram_begin(&r);
	for (size_t i = 0; i < count; i++) {
		const struct probe_figures *now = &services[i].now, *before = &services[i].before;
		struct probe_service s = { .port = services[i].key.port,
			.protocol = services[i].key.protocol,
			.open = gauge(now->open),
			.waiting = gauge(now->waiting),
			.requests = (uint32_t)(now->requests - before->requests),
			.syns = (uint32_t)(now->syns - before->syns),
			.connect_ns = now->connect_ns - before->connect_ns,
			.first_byte_ns = now->first_byte_ns - before->first_byte_ns };

		memcpy(s.address, services[i].key.address, sizeof(s.address));
		service_write(&r, &s);
		buckets_write(&r, &s, true, before->connect, now->connect);
		buckets_write(&r, &s, false, before->first_byte, now->first_byte);
	}
	datagram_end(&r);
	return r.err ? r.err : r.sent;
}
