/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/export/metrics_private.h"
#include "control/export/metrics_server.h"
#include "dataplane/api/histogram.h"
#include "tests/unit/tap.h"

#include <event2/buffer.h>
#include <event2/event.h>

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
	struct snapshot snapshot;
	struct snapshot_service service;
	struct snapshot_backend backend;
	struct snapshot_class classes[2];
	struct snapshot_port port;
	struct snapshot_core core;
	struct metrics_input in;
};

static void histogram_put(struct weir_histogram *h, uint64_t ns, uint64_t count)
{
	h->bucket[weir_histogram_index(ns)] += count;
	h->count += count;
	h->sum_ns += ns * count;
}

static struct world *world_create(void)
{
	struct world *w = calloc(1, sizeof(*w));

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	snprintf(w->service.entry.name, sizeof(w->service.entry.name), "web");
	w->service.sum.packets_received = UINT64_C(12345678901234567);
	w->service.sum.new_flows = 10;
	w->service.sum.closed_flows = 4;
	w->service.sum.dropped[WEIR_DROP_LIMIT_PACKETS] = 3;
	w->service.entry.source_entries = 1024;
	w->service.sum.sources_tracked = 77;
	w->service.sum.busy_cycles = 250;
	w->service.entry.worker_mask = 6;
	w->service.entry.cores_wanted = 3;
	w->service.entry.cores_short = 1;
	w->service.sum.sources_known = 5;
	w->service.sum.sources_overflow = 9;
	histogram_put(&w->service.sum.residence, 1500, 5);
	histogram_put(&w->service.sum.residence, 5000, 2);
	histogram_put(&w->service.sum.residence, UINT64_C(50000000000), 1);
	w->service.backends = &w->backend;
	w->service.backend_count = 1;
	w->service.classes = w->classes;
	w->service.entry.class_count = 2;
	for (size_t i = 0; i < 2; i++) {
		struct snapshot_class *c = &w->classes[i];

		snprintf(c->entry.name, sizeof(c->entry.name), i ? "south" : "north");
		c->entry.limit_connections = UINT64_MAX;
		c->entry.connections_in_force = i ? 250 : UINT64_MAX;
		c->sum.packets = 30 + i;
		c->sum.new_flows = 20 + i;
		c->sum.dropped_connections = 10 * i;
	}
	w->backend.entry.state = WEIR_BACKEND_DRAINING;
	w->backend.entry.weight = 100;
	w->backend.entry.weight_in_force = 100 * WEIR_WEIGHT_UNIT;
	w->backend.entry.port = 8080;
	w->backend.entry.address[0] = 0xfd;
	w->backend.entry.address[15] = 1;
	histogram_put(&w->backend.sum.connect, 1000000, 100);
	snprintf(w->port.entry.name, sizeof(w->port.entry.name), "front");
	w->port.entry.link_up = 1;
	w->service.entry.memory_police = 4096;
	w->core.entry.cpu = 3;
	w->core.cell.busy_cycles = 250;
	w->core.cell.idle_cycles = 750;
	w->core.cell.gaps.count = 4;
	w->core.cell.gaps.sum_ns = 400000000;
	w->core.cell.gaps.recent[0] = (struct weir_gap){ .end_ns = 1, .length_ns = 300000000 };
	histogram_put(&w->core.cell.wakeup, 5000, 6);
	w->snapshot = (struct snapshot){ .services = &w->service,
		.service_count = 1,
		.ports = &w->port,
		.port_count = 1,
		.cores = &w->core,
		.core_count = 1,
		.tsc_hz = 1000,
		.generation = 7 };
	static const struct metrics_event event = { .kind = "health", .count = 3 };

	static const struct metrics_stream stream = { .sent = 70, .lost = 8, .queued = 9 };

	w->in = (struct metrics_input){ .instance = "default",
		.version = "1.2",
		.dataplane_up = true,
		.events = &event,
		.event_count = 1,
		.stream = &stream,
		.now = &w->snapshot };
	return w;
}

static char *render(const struct metrics_input *in)
{
	struct evbuffer *out = evbuffer_new();

	metrics_render(in, out);
	evbuffer_add(out, "", 1);
	char *text = strdup((const char *)evbuffer_pullup(out, -1));

	evbuffer_free(out);
	return text;
}

static void expect_line(const char *text, const char *line)
{
	char wanted[512];

	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (!strstr(text, wanted))
		printf("# missing: %s\n", line);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted));
}

static void test_samples(void)
{
	struct world *w = world_create();
	char *text = render(&w->in);

	expect_line(text, "weir_build_info{weir_instance=\"default\",version=\"1.2\"} 1");
	expect_line(text, "weir_dataplane_up{weir_instance=\"default\"} 1");
	expect_line(text,
		"weir_service_packets_received_total{weir_instance=\"default\","
		"service=\"web\"} 12345678901234567");
	expect_line(text, "weir_service_flows{weir_instance=\"default\",service=\"web\"} 6");
	expect_line(text,
		"weir_service_dropped_total{weir_instance=\"default\",service=\"web\","
		"reason=\"limit_packets\"} 3");
	expect_line(text,
		"weir_service_memory_bytes{weir_instance=\"default\",service=\"web\",table=\"policing\"} "
		"4096");
	expect_line(text, "weir_service_cores{weir_instance=\"default\",service=\"web\"} 2");
	expect_line(text, "weir_service_cores_wanted{weir_instance=\"default\",service=\"web\"} 3");
	expect_line(
		text, "weir_service_cores_lacking{weir_instance=\"default\",service=\"web\"} 1");
	expect_line(
		text, "weir_service_sources_room{weir_instance=\"default\",service=\"web\"} 1024");
	expect_line(
		text, "weir_service_sources_tracked{weir_instance=\"default\",service=\"web\"} 77");
	expect_line(
		text, "weir_service_sources_known{weir_instance=\"default\",service=\"web\"} 5");
	expect_line(text,
		"weir_service_source_overflow_packets_total{weir_instance=\"default\","
		"service=\"web\"} 9");
	expect_line(text,
		"weir_backend_state{weir_instance=\"default\",service=\"web\","
		"backend=\"[fd00::1]:8080\",state=\"draining\"} 1");
	expect_line(text,
		"weir_backend_state{weir_instance=\"default\",service=\"web\","
		"backend=\"[fd00::1]:8080\",state=\"up\"} 0");
	expect_line(text,
		"weir_backend_weight{weir_instance=\"default\",service=\"web\","
		"backend=\"[fd00::1]:8080\"} 0");
	expect_line(text,
		"weir_class_packets_total{weir_instance=\"default\",service=\"web\",class=\"north\"} 30");
	expect_line(text,
		"weir_class_new_flows_total{weir_instance=\"default\",service=\"web\",class=\"south\"} "
		"21");
	expect_line(text,
		"weir_class_new_flows_limit{weir_instance=\"default\",service=\"web\",class=\"south\"} "
		"250");
	CU_ASSERT_PTR_NULL(strstr(text,
		"weir_class_new_flows_limit{weir_instance=\"default\",service=\"web\",class=\"north\"}"));
	expect_line(text,
		"weir_class_dropped_total{weir_instance=\"default\",service=\"web\",class=\"south\","
		"limit=\"connections\"} 10");
	expect_line(text, "weir_port_up{weir_instance=\"default\",port=\"front\"} 1");
	expect_line(text, "weir_core_busy_ratio{weir_instance=\"default\",cpu=\"3\"} 0.25");
	expect_line(text, "weir_core_gaps_total{weir_instance=\"default\",cpu=\"3\"} 4");
	expect_line(text, "weir_core_gap_seconds_total{weir_instance=\"default\",cpu=\"3\"} 0.4");
	expect_line(text, "weir_core_gap_longest_seconds{weir_instance=\"default\",cpu=\"3\"} 0.3");
	expect_line(text, "weir_core_wakeup_seconds_count{weir_instance=\"default\",cpu=\"3\"} 6");
	expect_line(text, "weir_config_generation{weir_instance=\"default\"} 7");
	expect_line(text, "weir_events_total{weir_instance=\"default\",kind=\"health\"} 3");
	expect_line(text, "weir_stream_sent_total{weir_instance=\"default\"} 70");
	expect_line(text, "weir_stream_lost_total{weir_instance=\"default\"} 8");
	expect_line(text, "weir_stream_queued{weir_instance=\"default\"} 9");
	free(text);
	w->in.stream = NULL;
	text = render(&w->in);
	CU_ASSERT_PTR_NULL(strstr(text, "weir_stream"));
	free(text);
	free(w);
}

static void test_histogram(void)
{
	struct world *w = world_create();
	char *text = render(&w->in);

#define BUCKET(le)                                                                                 \
	"weir_service_residence_seconds_bucket{weir_instance=\"default\",service=\"web\",le=\"" le \
	"\"} "
	expect_line(text, BUCKET("1.024e-06") "0");
	expect_line(text, BUCKET("2.048e-06") "5");
	expect_line(text, BUCKET("4.096e-06") "5");
	expect_line(text, BUCKET("8.192e-06") "7");
	expect_line(text, BUCKET("34.359738368") "7");
	expect_line(text, BUCKET("+Inf") "8");
	expect_line(text,
		"weir_service_residence_seconds_count{weir_instance=\"default\","
		"service=\"web\"} 8");
	free(text);
	free(w);
}

static double sample(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? atof(at + strlen(name)) : -1;
}

static void test_summary(void)
{
	struct world *w = world_create();
	struct world *before = world_create();
	char *text = render(&w->in);

#define CONNECT \
	"weir_backend_connect_seconds{weir_instance=\"default\",service=\"web\",backend=\"[fd00::1]:8080\",quantile="
	CU_ASSERT_DOUBLE_EQUAL(sample(text, CONNECT "\"0.99\"} "), 0.001, 0.00003);
	free(text);
	/* Quantiles are of what came since; the sums are of all. */
	histogram_put(&w->backend.sum.connect, 5000000, 10);
	w->in.base = &before->snapshot;
	text = render(&w->in);
	CU_ASSERT_DOUBLE_EQUAL(sample(text, CONNECT "\"0.5\"} "), 0.005, 0.00015);
	expect_line(text,
		"weir_backend_connect_seconds_count{weir_instance=\"default\","
		"service=\"web\",backend=\"[fd00::1]:8080\"} 110");
	free(text);
	/* Another backend in the same slot has nothing in common. */
	before->backend.entry.epoch = 1;
	text = render(&w->in);
	CU_ASSERT_DOUBLE_EQUAL(sample(text, CONNECT "\"0.5\"} "), 0.001, 0.00003);
	free(text);
	free(before);
	free(w);
}

static void test_tail(void)
{
	struct world *w = world_create();
	struct world *before = world_create();

#define TAIL \
	"weir_service_residence_tail_seconds{weir_instance=\"default\",service=\"web\",quantile="
	histogram_put(&w->service.sum.residence, 3000000, 20000);
	histogram_put(&w->service.sum.residence, 90000000, 3);
	w->in.base = &before->snapshot;
	char *text = render(&w->in);

	CU_ASSERT_DOUBLE_EQUAL(sample(text, TAIL "\"0.99\"} "), 0.003, 0.00005);
	CU_ASSERT_DOUBLE_EQUAL(sample(text, TAIL "\"0.999\"} "), 0.003, 0.00005);
	CU_ASSERT_DOUBLE_EQUAL(sample(text, TAIL "\"0.9999\"} "), 0.09, 0.0015);
	free(text);
	/* Another service in the same slot has nothing in common: all since the start. */
	before->service.entry.epoch = 1;
	text = render(&w->in);
	CU_ASSERT_DOUBLE_EQUAL(sample(text, TAIL "\"0.9999\"} "), 0.09, 0.0015);
	free(text);
	free(before);
	free(w);
}

static void test_empty(void)
{
	struct world *w = world_create();

	memset(&w->backend.sum, 0, sizeof(w->backend.sum));
	char *text = render(&w->in);

	expect_line(text, CONNECT "\"0.5\"} NaN");
	free(text);
	w->in.now = NULL;
	w->in.dataplane_up = false;
	text = render(&w->in);
	expect_line(text, "weir_dataplane_up{weir_instance=\"default\"} 0");
	CU_ASSERT_PTR_NULL(strstr(text, "weir_service_"));
	free(text);
	free(w);
}

static void test_escaping(void)
{
	struct labels l;

	labels_begin(&l, "a\"b\\c\nd");
	CU_ASSERT_STRING_EQUAL(l.text, "{weir_instance=\"a\\\"b\\\\c\\nd\"");
	labels_add(&l, "x", "y");
	CU_ASSERT_STRING_EQUAL(l.text, "{weir_instance=\"a\\\"b\\\\c\\nd\",x=\"y\"");
}

/* Every sample belongs to the family that was announced last, and no family comes twice. */
static void test_families(void)
{
	struct world *w = world_create();
	char *text = render(&w->in);
	char family[128] = "";
	char *save = NULL;
	size_t samples = 0;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[128];

		if (!strncmp(line, "# HELP ", 7))
			continue;
		if (sscanf(line, "# TYPE %127s", name) == 1) {
			CU_ASSERT_STRING_NOT_EQUAL(name, family);
			snprintf(family, sizeof(family), "%s", name);
			continue;
		}
		CU_ASSERT_EQUAL(strncmp(line, family, strlen(family)), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(line, "} "));
		samples++;
	}
	CU_ASSERT(samples > 80);
	free(text);
	free(w);
}

static void render_nothing(void *ctx, struct evbuffer *out)
{
	evbuffer_add_printf(out, "x 1\n");
}

static void test_server(void)
{
	struct event_base *base = event_base_new();
	struct metrics_server *s, *second = NULL;
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof(a);
	struct address loopback;
	char answer[1024] = "";
	size_t length = 0;

	/* A port that is free, more likely than not. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CU_ASSERT_FATAL(!bind(fd, (const struct sockaddr *)&a, size) &&
		!getsockname(fd, (struct sockaddr *)&a, &size));
	close(fd);
	address_parse("127.0.0.1", &loopback);
	CU_ASSERT_EQUAL_FATAL(
		metrics_server_start(base, &loopback, ntohs(a.sin_port), render_nothing, NULL, &s),
		0);
	CU_ASSERT_EQUAL(metrics_server_start(
				base, &loopback, ntohs(a.sin_port), render_nothing, NULL, &second),
		-EADDRINUSE);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CU_ASSERT_FATAL(
		!connect(fd, (const struct sockaddr *)&a, sizeof(a)) || errno == EINPROGRESS);
	for (int i = 0; i < 100 && length < sizeof(answer) - 1; i++) {
		static const char get[] = "GET /metrics HTTP/1.0\r\n\r\n";

		if (i == 1)
			CU_ASSERT_EQUAL(send(fd, get, sizeof(get) - 1, 0), sizeof(get) - 1);
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
		ssize_t n = recv(fd, answer + length, sizeof(answer) - 1 - length, 0);

		if (n == 0)
			break;
		length += n > 0 ? (size_t)n : 0;
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "200 OK"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "text/plain; version=0.0.4"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\r\n\r\nx 1\n"));
	close(fd);
	metrics_server_stop(s);
	event_base_free(base);
}

static const struct tap_case cases[] = {
	{ "counters, gauges and states have their samples", test_samples },
	{ "histogram buckets are cumulative and end in the count", test_histogram },
	{ "quantiles are of what came since the older snapshot", test_summary },
	{ "the tail of the time in Weir is of what came since", test_tail },
	{ "what is empty is NaN, and without a data plane there is little", test_empty },
	{ "label values are escaped", test_escaping },
	{ "every sample stands under its family", test_families },
	{ "the server answers, and says when its address is taken", test_server },
};

TAP_MAIN("metrics", cases)
