/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report.h"
#include "dataplane/api/histogram.h"
#include "tests/unit/report/region.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct model_backend web_backends[] = {
	{ .port = 8080, .weight = 100 },
	{ .port = 8080, .weight = 50 },
	{ .port = 8080, .weight = 10 },
};

static struct model_service services[] = {
	{ .name = "web",
		.prefix_length = 128,
		.port = 80,
		.protocol = MODEL_TCP,
		.mode = MODEL_NAT,
		.limits = { 1000000, MODEL_UNLIMITED, 0, 10000000,
			{ 24, 64, MODEL_UNLIMITED, 100, 60000000, 0 } },
		.backends = web_backends,
		.backend_count = 3 },
	{ .name = "unknown", /* configured, but not yet in the data plane */
		.prefix_length = 120,
		.port = 0,
		.protocol = MODEL_UDP,
		.mode = MODEL_DSR,
		.limits = { MODEL_UNLIMITED, MODEL_UNLIMITED, MODEL_UNLIMITED, 0,
			{ 32, 64, MODEL_UNLIMITED, MODEL_UNLIMITED, 0, 0 } } },
};

static struct model_port ports[] = {
	{ .name = "front", .device = "eth1" },
	{ .name = "gone", .device = "eth9" },
};

static struct model model = {
	.services = services, .service_count = 2, .ports = ports, .port_count = 2
};

/* Set in each test, so that they do not depend on each other. */
static struct region *start(void)
{
	region_address(services[0].address.bytes, 10);
	region_address(services[1].address.bytes, 0);
	/* In another order than their slots: the third has no slot at all. */
	region_address(web_backends[0].address.bytes, 12);
	region_address(web_backends[1].address.bytes, 11);
	region_address(web_backends[2].address.bytes, 13);
	return region_create();
}

static struct snapshot *taken(const struct region *r, uint64_t now_ns)
{
	struct snapshot *s = NULL;
	CU_ASSERT_EQUAL_FATAL(snapshot_take(&r->t, sizeof(*r), now_ns, &s), 0);
	return s;
}

/* Follow "a.b.0.c" through objects and arrays. */
static const json_t *at(const json_t *j, const char *path)
{
	char copy[128], *state = NULL;
	strncpy(copy, path, sizeof(copy) - 1);
	copy[sizeof(copy) - 1] = '\0';
	for (char *key = strtok_r(copy, ".", &state); key != NULL;
		key = strtok_r(NULL, ".", &state))
		j = json_is_array(j) ? json_array_get(j, strtoul(key, NULL, 10)) :
				       json_object_get(j, key);
	return j;
}

static long long integer_at(const json_t *j, const char *path)
{
	const json_t *v = at(j, path);
	return json_is_integer(v) ? json_integer_value(v) : -1;
}

static const char *string_at(const json_t *j, const char *path)
{
	const json_t *v = at(j, path);
	return json_is_string(v) ? json_string_value(v) : "(no string)";
}

static bool near(const json_t *j, const char *path, double expected)
{
	const json_t *v = at(j, path);
	return json_is_real(v) && fabs(json_real_value(v) - expected) <= 0.03 * expected;
}

static void a_service_has_the_fields_of_the_interface(void)
{
	struct region *r = start();
	r->web[0].packets_received = 10;
	r->web[1].packets_received = 5;
	r->web[1].packets_transmitted = 12;
	r->web[1].bytes_received = 1500;
	r->web[1].bytes_transmitted = 1200;
	r->web[1].new_flows = 9;
	r->web[1].closed_flows = 4;
	r->web[0].dropped[WEIR_DROP_LIMIT_PACKETS] = 3;
	region_measure(&r->web[1].residence, 20000, 100);
	struct snapshot *now = taken(r, 5000);
	json_t *list = report_service_list(&model, now, NULL);

	CU_ASSERT_EQUAL_FATAL(json_array_size(list), 2);
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.name"), "web");
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.address"), "203.0.113.10");
	CU_ASSERT_EQUAL(integer_at(list, "0.port"), 80);
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.protocol"), "tcp");
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.mode"), "nat");
	CU_ASSERT_EQUAL(json_array_size(at(list, "0.cores")), 1);
	CU_ASSERT_EQUAL(integer_at(list, "0.cores.0"), 3);
	CU_ASSERT_EQUAL(integer_at(list, "0.packets_received"), 15);
	CU_ASSERT_EQUAL(integer_at(list, "0.packets_transmitted"), 12);
	CU_ASSERT_EQUAL(integer_at(list, "0.bytes_received"), 1500);
	CU_ASSERT_EQUAL(integer_at(list, "0.bytes_transmitted"), 1200);
	CU_ASSERT_EQUAL(integer_at(list, "0.flows"), 5);
	CU_ASSERT_EQUAL(integer_at(list, "0.memory.flows"), 4096 * 64);
	CU_ASSERT_EQUAL(integer_at(list, "0.memory.policing"), 4096);
	CU_ASSERT_EQUAL(integer_at(list, "0.memory.total"), 4096 * 65);
	CU_ASSERT_EQUAL(integer_at(list, "0.new_flows"), 9);
	CU_ASSERT_EQUAL(json_object_size(at(list, "0.dropped")), 1);
	CU_ASSERT_EQUAL(integer_at(list, "0.dropped.limit_packets"), 3);
	CU_ASSERT(near(list, "0.residence.p50", 20e-6));
	CU_ASSERT(near(list, "0.residence.p99", 20e-6));
	CU_ASSERT(near(list, "0.residence.p999", 20e-6));
	CU_ASSERT(near(list, "0.residence.p9999", 20e-6));
	json_decref(list);
	snapshot_destroy(now);
	free(r);
}

static void a_service_without_data_plane_shows_zeros_and_nulls(void)
{
	struct region *r = start();
	struct snapshot *now = taken(r, 5000);
	const struct snapshot *cases[] = { now, NULL };
	for (int i = 0; i < 2; i++) {
		json_t *list = report_service_list(&model, cases[i], NULL);
		CU_ASSERT_STRING_EQUAL(string_at(list, "1.address"), "203.0.113.0/24");
		CU_ASSERT_STRING_EQUAL(string_at(list, "1.port"), "any");
		CU_ASSERT_STRING_EQUAL(string_at(list, "1.mode"), "dsr");
		CU_ASSERT_EQUAL(integer_at(list, "1.packets_received"), 0);
		CU_ASSERT_EQUAL(json_object_size(at(list, "1.dropped")), 0);
		CU_ASSERT(json_is_array(at(list, "1.cores")));
		CU_ASSERT(json_is_null(at(list, "1.residence.p50")));
		CU_ASSERT(json_is_null(at(list, "1.residence.p999")));
		CU_ASSERT(json_is_null(at(list, "1.residence.p9999")));
		json_decref(list);
	}
	json_t *none = report_service_list(NULL, now, NULL);
	CU_ASSERT_EQUAL(json_array_size(none), 0);
	CU_ASSERT(json_is_array(none));
	json_decref(none);
	snapshot_destroy(now);
	free(r);
}

static void percentiles_are_of_what_came_since_the_base(void)
{
	struct region *r = start();
	region_measure(&r->web[1].residence, 10000, 1000);
	struct snapshot *base = taken(r, 1000000000);
	struct snapshot *same = taken(r, 2000000000);
	region_measure(&r->web[1].residence, 800000, 10);
	struct snapshot *now = taken(r, 3000000000);

	json_t *list = report_service_list(&model, now, base);
	CU_ASSERT(near(list, "0.residence.p50", 800e-6));
	json_decref(list);
	list = report_service_list(&model, now, NULL);
	CU_ASSERT(near(list, "0.residence.p50", 10e-6));
	json_decref(list);
	list = report_service_list(&model, same, base); /* nothing came: all since the start */
	CU_ASSERT(near(list, "0.residence.p50", 10e-6));
	json_decref(list);
	/* The slot has got another owner, so its older figures are not ours. */
	base->services[0].entry.epoch++;
	list = report_service_list(&model, now, base);
	CU_ASSERT(near(list, "0.residence.p50", 10e-6));
	json_decref(list);
	base->services[0].entry.epoch--;
	base->start_ns++; /* another run of the data plane */
	list = report_service_list(&model, now, base);
	CU_ASSERT(near(list, "0.residence.p50", 10e-6));
	json_decref(list);
	snapshot_destroy(base);
	snapshot_destroy(same);
	snapshot_destroy(now);
	free(r);
}

static void a_service_shown_has_limits_rates_and_backends(void)
{
	struct region *r = start();
	r->web[0].packets_received = 100;
	struct snapshot *base = taken(r, 1000000000);
	r->web[0].packets_received = 1100;
	r->web[0].bytes_received = 1000;
	r->web[0].dropped[WEIR_DROP_NO_FLOW] = 4;
	r->web[0].dropped[WEIR_DROP_MALFORMED] = 6;
	struct snapshot *now = taken(r, 3000000000);

	json_t *o = report_service(&model, &services[0], now, base);
	CU_ASSERT(near(o, "rates.packets_received", 500));
	CU_ASSERT(near(o, "rates.bits_received", 4000));
	CU_ASSERT(near(o, "rates.dropped", 5));
	CU_ASSERT_EQUAL(integer_at(o, "limits.packets.configured"), 1000000);
	CU_ASSERT_EQUAL(json_array_size(at(o, "backends")), 3);
	CU_ASSERT_EQUAL(integer_at(o, "packets_received"), 1100);
	json_decref(o);
	o = report_service(&model, &services[0], now, NULL);
	CU_ASSERT(json_is_null(at(o, "rates")));
	json_decref(o);
	snapshot_destroy(base);
	snapshot_destroy(now);
	free(r);
}

static void limits_that_are_not_set_are_null_and_zero_is_not(void)
{
	json_t *o = report_limits(&services[0], &services[0].limits);
	CU_ASSERT_STRING_EQUAL(string_at(o, "service"), "web");
	CU_ASSERT_EQUAL(integer_at(o, "packets.configured"), 1000000);
	CU_ASSERT_EQUAL(integer_at(o, "packets.in_force"), 1000000);
	CU_ASSERT(json_is_null(at(o, "bits")));
	CU_ASSERT_EQUAL(integer_at(o, "connections.configured"), 0);
	CU_ASSERT(json_is_null(at(o, "per_source.packets")));
	CU_ASSERT_EQUAL(integer_at(o, "per_source.connections.configured"), 100);
	CU_ASSERT_EQUAL(integer_at(o, "per_source.connections.in_force"), 100);
	CU_ASSERT_EQUAL(integer_at(o, "per_source.prefix4"), 24);
	CU_ASSERT_EQUAL(integer_at(o, "per_source.prefix6"), 64);
	CU_ASSERT(near(o, "per_source.burst", 0.06));
	CU_ASSERT(near(o, "burst", 0.01));
	json_decref(o);
	o = report_limits(&services[1], &services[1].limits);
	CU_ASSERT(json_is_null(at(o, "packets")));
	CU_ASSERT(json_is_null(at(o, "per_source")));
	json_decref(o);
	/* In force is another one than the file's, or one where the file has none. */
	o = report_limits(&services[0], &services[1].limits);
	CU_ASSERT(json_is_null(at(o, "packets.configured")));
	CU_ASSERT_EQUAL(integer_at(o, "packets.in_force"), 1000000);
	json_decref(o);
	o = report_limits(&services[1], &services[0].limits);
	CU_ASSERT_EQUAL(integer_at(o, "packets.configured"), 1000000);
	CU_ASSERT(json_is_null(at(o, "packets.in_force")));
	CU_ASSERT_EQUAL(integer_at(o, "per_source.connections.configured"), 100);
	CU_ASSERT(json_is_null(at(o, "per_source.connections.in_force")));
	json_decref(o);
}

static void sources_are_shown_where_they_are_limited(void)
{
	struct region *r = start();
	struct snapshot *now = taken(r, 5000);
	json_t *o = report_service(&model, &services[0], now, NULL);

	CU_ASSERT(json_is_null(at(o, "sources")));
	json_decref(o);
	snapshot_destroy(now);
	r->t.service[0].source_entries = 65536;
	/* What one core gained another lost: the sum counts. */
	r->web[0].sources_tracked = 40;
	r->web[0].sources_known = UINT64_MAX - 4;
	r->web[1].sources_tracked = 2;
	r->web[1].sources_known = 12;
	r->web[1].sources_overflow = 99;
	now = taken(r, 5000);
	o = report_service(&model, &services[0], now, NULL);
	CU_ASSERT_EQUAL(integer_at(o, "sources.entries"), 65536);
	CU_ASSERT_EQUAL(integer_at(o, "sources.tracked"), 42);
	CU_ASSERT_EQUAL(integer_at(o, "sources.known"), 7);
	CU_ASSERT_EQUAL(integer_at(o, "sources.overflow"), 99);
	json_decref(o);
	snapshot_destroy(now);
	free(r);
}

static void backends_show_state_and_weight_in_force(void)
{
	struct region *r = start();
	r->web_backend[0].weight_in_force = 70 * WEIR_WEIGHT_UNIT;
	r->web_backend[0].weight = 70; /* 203.0.113.11, up */
	r->web_backend[0].cap = 16;
	r->web_backend[1].cap = WEIR_NO_CAP;
	r->web_backend_cell[0][0].new_flows = 8;
	r->web_backend_cell[1][0].closed_flows = 3;
	r->web_backend_cell[1][0].packets = 99;
	region_measure(&r->web_backend_cell[1][0].connect, 300000, 5);
	struct snapshot *now = taken(r, 5000);
	json_t *list = report_backend_list(&model, NULL, now, NULL);

	CU_ASSERT_EQUAL_FATAL(json_array_size(list), 3);
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.address"), "203.0.113.12");
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.state"), "draining");
	CU_ASSERT_EQUAL(integer_at(list, "0.weight"), 100);
	CU_ASSERT_EQUAL(integer_at(list, "0.weight_in_force"), 0);
	CU_ASSERT(json_is_null(at(list, "0.connect.p50")));
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.service"), "web");
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.address"), "203.0.113.11");
	CU_ASSERT_EQUAL(integer_at(list, "1.port"), 8080);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.state"), "up");
	CU_ASSERT_EQUAL(integer_at(list, "1.weight"), 50);
	CU_ASSERT_EQUAL(integer_at(list, "1.weight_in_force"), 70);
	CU_ASSERT_EQUAL(integer_at(list, "1.cap"), 16);
	CU_ASSERT(json_is_null(at(list, "0.cap")));
	CU_ASSERT(json_is_null(at(list, "2.cap")));
	CU_ASSERT_EQUAL(integer_at(list, "1.flows"), 5);
	CU_ASSERT_EQUAL(integer_at(list, "1.new_flows"), 8);
	CU_ASSERT_EQUAL(integer_at(list, "1.packets"), 99);
	CU_ASSERT(near(list, "1.connect.p50", 300e-6));
	CU_ASSERT(near(list, "1.connect.p99", 300e-6));
	CU_ASSERT(json_is_null(at(list, "1.first_byte.p99")));
	CU_ASSERT_STRING_EQUAL(string_at(list, "2.state"), "down");
	CU_ASSERT_EQUAL(integer_at(list, "2.weight"), 10);
	CU_ASSERT_EQUAL(integer_at(list, "2.weight_in_force"), 0);
	json_decref(list);
	list = report_backend_list(&model, &services[1], now, NULL);
	CU_ASSERT_EQUAL(json_array_size(list), 0);
	json_decref(list);
	snapshot_destroy(now);
	free(r);
}

static void a_fallback_pool_is_shown_as_one(void)
{
	struct region *r = start();
	struct model_backend fallback = web_backends[0];
	r->web_backend[2].state = WEIR_BACKEND_UP;
	r->web_backend[2].fallback = 1;
	services[0].fallback = &fallback;
	services[0].fallback_count = 1;
	services[0].backends = web_backends + 1;
	services[0].backend_count = 1;
	struct snapshot *now = taken(r, 5000);
	json_t *list = report_backend_list(&model, NULL, now, NULL);

	CU_ASSERT_EQUAL_FATAL(json_array_size(list), 2);
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.state"), "up");
	CU_ASSERT_EQUAL(integer_at(list, "0.weight_in_force"), 100);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.address"), "203.0.113.12");
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.state"), "fallback");
	CU_ASSERT_EQUAL(integer_at(list, "1.weight"), 100);
	CU_ASSERT_EQUAL(integer_at(list, "1.weight_in_force"), 0);
	json_decref(list);
	snapshot_destroy(now);

	r->web_backend[0].weight_in_force = 0 * WEIR_WEIGHT_UNIT;
	r->web_backend[0].weight = 0; /* then it is the fallback's turn */
	now = taken(r, 6000);
	list = report_backend_list(&model, NULL, now, NULL);
	CU_ASSERT_EQUAL(integer_at(list, "0.weight_in_force"), 0);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.state"), "fallback");
	CU_ASSERT_EQUAL(integer_at(list, "1.weight_in_force"), 100);
	json_decref(list);
	snapshot_destroy(now);

	r->web_backend[2].state = WEIR_BACKEND_DOWN;
	now = taken(r, 7000);
	list = report_backend_list(&model, NULL, now, NULL);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.state"), "down");
	json_decref(list);
	snapshot_destroy(now);
	services[0].fallback = NULL;
	services[0].fallback_count = 0;
	services[0].backends = web_backends;
	services[0].backend_count = 3;
	free(r);
}

static void ports_show_what_is_open_and_what_is_missing(void)
{
	struct region *r = start();
	r->core[1].port[1].packets_received = 12;
	r->core[1].port[1].dropped[WEIR_DROP_NO_SERVICE] = 2;
	memset(r->t.port[1].driver, '\xff', 4); /* not a text */
	r->t.port[1].checksums = WEIR_PORT_CHECKSUM_RX_IPV4;
	struct snapshot *now = taken(r, 5000);
	json_t *list = report_port_list(&model, now, NULL);
	CU_ASSERT_EQUAL_FATAL(json_array_size(list), 2);
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.name"), "front");
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.device"), "eth1");
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.driver"), "?");
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.steering"), "dispatcher");
	CU_ASSERT(json_is_true(at(list, "0.link")));
	CU_ASSERT(json_is_null(at(list, "0.node")));
	CU_ASSERT_EQUAL(integer_at(list, "0.packets_received"), 12);
	CU_ASSERT_EQUAL(integer_at(list, "0.dropped.no_service"), 2);
	CU_ASSERT_STRING_EQUAL(string_at(list, "0.checksums.0"), "receive-ipv4");
	CU_ASSERT_EQUAL(json_array_size(at(list, "0.checksums")), 1);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.name"), "gone");
	CU_ASSERT(json_is_array(at(list, "1.checksums")));
	CU_ASSERT_EQUAL(json_array_size(at(list, "1.checksums")), 0);
	CU_ASSERT(json_is_false(at(list, "1.link")));
	CU_ASSERT(json_is_null(at(list, "1.driver")));
	CU_ASSERT_EQUAL(json_object_size(at(list, "0")), json_object_size(at(list, "1")));
	json_decref(list);
	snapshot_destroy(now);
	free(r);
}

static void return_paths_say_what_is_not_probed(void)
{
	static const struct {
		uint8_t kind, steering, mode, protocol;
		const char *text;
	} expected[] = {
		{ WEIR_PORT_PCI, 1, MODEL_NAT, MODEL_UDP,
			"TCP: probed before clients come; "
			"UDP: not probed; judged by the first replies" },
		{ WEIR_PORT_PCI, 1, MODEL_NAT, MODEL_TCP, "TCP: probed before clients come" },
		{ WEIR_PORT_PCI, 1, MODEL_DSR, MODEL_UDP, "TCP: probed before clients come" },
		{ WEIR_PORT_PCI, 0, MODEL_NAT, MODEL_UDP, NULL },
		{ WEIR_PORT_KERNEL, 0, MODEL_NAT, MODEL_UDP, NULL },
	};
	const struct model_service before = services[1];

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		struct region *r = start();
		r->t.port[1].kind = expected[i].kind;
		r->t.port[1].steering = expected[i].steering;
		services[1].mode = expected[i].mode;
		services[1].protocol = expected[i].protocol;
		struct snapshot *now = taken(r, 5000);
		json_t *list = report_port_list(&model, now, NULL);
		if (expected[i].text != NULL)
			CU_ASSERT_STRING_EQUAL(string_at(list, "0.return_path"), expected[i].text)
		else
			CU_ASSERT(json_is_null(at(list, "0.return_path")))
		json_decref(list);
		snapshot_destroy(now);
		free(r);
	}
	services[0].mode = MODEL_DSR;
	services[1].mode = MODEL_NAT;
	services[1].protocol = MODEL_UDP;
	struct region *r = start();
	r->t.port[1].kind = WEIR_PORT_PCI;
	r->t.port[1].steering = 1;
	struct snapshot *now = taken(r, 5000);
	json_t *list = report_port_list(&model, now, NULL);
	CU_ASSERT_STRING_EQUAL(
		string_at(list, "0.return_path"), "UDP: not probed; judged by the first replies");
	json_decref(list);
	snapshot_destroy(now);
	free(r);
	services[0].mode = MODEL_NAT;
	services[1] = before;
}

static void cores_show_busy_share_and_cycles_since_the_base(void)
{
	struct region *r = start();
	r->core[1].loops = 10;
	r->core[1].busy_cycles = 1000000;
	r->core[1].packets = 1;
	r->web[1].busy_cycles = 900000;
	struct snapshot *base = taken(r, 1000);
	r->core[1].loops = 20;
	r->core[1].busy_cycles += 250;
	r->web[1].busy_cycles += 200;
	r->core[1].idle_cycles += 750;
	r->core[1].packets += 10;
	r->core[1].bursts += 5;
	r->core[1].stage_cycles[WEIR_STAGE_FLOW] = 90;
	r->core[1].stage_packets[WEIR_STAGE_FLOW] = 3;
	struct snapshot *now = taken(r, 2000);
	json_t *list = report_core_list(&model, now, base);
	CU_ASSERT_EQUAL_FATAL(json_array_size(list), 2);
	CU_ASSERT_EQUAL(integer_at(list, "1.cpu"), 3);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.services.0"), "web");
	CU_ASSERT_EQUAL(json_array_size(at(list, "0.services")), 0);
	CU_ASSERT(near(list, "1.busy", 0.25));
	CU_ASSERT(near(list, "1.busy_with.web", 0.2));
	CU_ASSERT_EQUAL(json_object_size(at(list, "1.busy_with")), 1);
	CU_ASSERT_EQUAL(json_object_size(at(list, "0.busy_with")), 0);
	CU_ASSERT(near(list, "1.packets_per_burst", 2));
	CU_ASSERT(near(list, "1.cycles_per_packet", 25));
	CU_ASSERT(near(list, "1.stages.flow", 30));
	CU_ASSERT_EQUAL(json_object_size(at(list, "1.stages")), 1);
	CU_ASSERT_EQUAL(integer_at(list, "1.packets"), 11);
	CU_ASSERT(json_is_null(at(list, "0.busy")));
	json_decref(list);
	snapshot_destroy(base);
	snapshot_destroy(now);
	free(r);
}

static void cores_show_their_gaps(void)
{
	struct region *r = start();
	struct weir_core_gaps *g = &r->core[1].gaps;
	uint64_t now_ns = 200 * 1000000000ull;
	r->t.start_ns = 50 * 1000000000ull;
	r->t.start_time_ns = 1700000000 * 1000000000ull;
	g->count = 3;
	g->sum_ns = 340000000;
	g->longest[0] = (struct weir_gap){ 60 * 1000000000ull, 300000000, WEIR_GAP_PACKETS, 32 };
	g->longest[1] = (struct weir_gap){ now_ns - 1000, 30000000, WEIR_GAP_ASLEEP, 0 };
	g->recent[7] = g->longest[0];
	g->recent[3] = g->longest[1];
	r->core[1].wakeup.count = 1;
	r->core[1].wakeup.bucket[weir_histogram_index(70000)] = 1;
	struct snapshot *now = taken(r, now_ns);
	json_t *list = report_core_list(&model, now, NULL);
	CU_ASSERT_EQUAL_FATAL(json_array_size(list), 2);
	CU_ASSERT_EQUAL(integer_at(list, "1.gaps.count"), 3);
	CU_ASSERT(near(list, "1.gaps.total", 0.34));
	/* The longest one is too long ago. */
	CU_ASSERT(near(list, "1.gaps.last_minute", 0.03));
	CU_ASSERT_EQUAL(json_array_size(at(list, "1.gaps.longest")), 2);
	CU_ASSERT(near(list, "1.gaps.longest.0.length", 0.3));
	CU_ASSERT_EQUAL(json_real_value(at(list, "1.gaps.longest.0.time")), 1700000010);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.gaps.longest.0.during"), "packets");
	CU_ASSERT_EQUAL(integer_at(list, "1.gaps.longest.0.packets"), 32);
	CU_ASSERT_STRING_EQUAL(string_at(list, "1.gaps.longest.1.during"), "asleep");
	CU_ASSERT(near(list, "1.gaps.recent.0.length", 0.3));
	CU_ASSERT(near(list, "1.gaps.recent.1.length", 0.03));
	CU_ASSERT(near(list, "1.wakeup.p99", 70e-6));
	CU_ASSERT(json_is_null(at(list, "0.gaps.last_minute")));
	CU_ASSERT(json_is_null(at(list, "0.wakeup.p99")));
	json_t *one = report_core(now, NULL, 3);
	CU_ASSERT(json_equal(one, at(list, "1")));
	CU_ASSERT_PTR_NULL(report_core(now, NULL, 77));
	json_decref(one);
	json_decref(list);
	snapshot_destroy(now);
	/* A core that ended inside a change has none to show. */
	g->seq = 1;
	now = taken(r, now_ns);
	CU_ASSERT_EQUAL(now->cores[1].cell.gaps.count, 0);
	snapshot_destroy(now);
	free(r);
}

static void the_replay_report_balances(void)
{
	struct region *r = start();
	r->core[0].port[1].packets_received = 100;
	r->core[1].port[1].packets_transmitted = 64;
	r->core[1].port[1].originated = 4;
	r->core[0].port[1].packets_to_kernel = 30;
	r->core[0].port[1].dropped[WEIR_DROP_NO_SERVICE] = 3;
	r->web[1].dropped[WEIR_DROP_NO_SERVICE] = 1;
	r->web[1].dropped[WEIR_DROP_LIMIT_BITS] = 5;
	r->dns[0].dropped[WEIR_DROP_TOO_BIG] = 1;
	struct snapshot *now = taken(r, 5000);
	json_t *o = report_replay(&model, now);
	CU_ASSERT_EQUAL(integer_at(o, "received"), 100);
	CU_ASSERT_EQUAL(integer_at(o, "transmitted"), 60);
	CU_ASSERT_EQUAL(integer_at(o, "passed_to_kernel"), 30);
	CU_ASSERT_EQUAL(integer_at(o, "originated"), 4);
	CU_ASSERT_EQUAL(integer_at(o, "dropped.no_service"), 4);
	CU_ASSERT_EQUAL(integer_at(o, "dropped.limit_bits"), 5);
	CU_ASSERT_EQUAL(integer_at(o, "dropped.too_big"), 1);
	CU_ASSERT_EQUAL(json_array_size(at(o, "services")), 2);
	CU_ASSERT_EQUAL(json_array_size(at(o, "services.0.backends")), 3);
	json_decref(o);
	snapshot_destroy(now);
	free(r);
}

/* The counts of the buckets, and whether they are in order. */
static double counted(const json_t *histogram)
{
	json_t *pair;
	size_t i;
	double sum = 0, last = 0;
	json_array_foreach(json_object_get(histogram, "buckets"), i, pair)
	{
		CU_ASSERT(json_real_value(json_array_get(pair, 0)) > last);
		last = json_real_value(json_array_get(pair, 0));
		sum += (double)json_integer_value(json_array_get(pair, 1));
	}
	return sum;
}

static void histograms_are_recent_and_total_of_one_backend_or_all(void)
{
	struct region *r = start();
	region_measure(&r->web[1].residence, 5000, 10);
	region_measure(&r->web_backend_cell[1][0].connect, 1000000, 3);
	struct snapshot *base = taken(r, 2000);
	region_measure(&r->web[0].residence, 9000, 2);
	region_measure(&r->web_backend_cell[1][2].connect, 2000000, 1);
	struct snapshot *now = taken(r, 3000);
	json_t *o = report_histograms(&services[0], NULL, now, base);
	CU_ASSERT_STRING_EQUAL(json_string_value(at(o, "service")), "web");
	CU_ASSERT(json_is_null(at(o, "backend")));
	CU_ASSERT_EQUAL(integer_at(o, "residence.total.count"), 12);
	CU_ASSERT_EQUAL(integer_at(o, "residence.recent.count"), 2);
	CU_ASSERT_EQUAL(json_array_size(at(o, "residence.total.buckets")), 2);
	CU_ASSERT_EQUAL(counted(at(o, "residence.total")), 12);
	CU_ASSERT(near(o, "residence.recent.mean", 9e-6));
	CU_ASSERT_EQUAL(integer_at(o, "connect.total.count"), 4);
	CU_ASSERT_EQUAL(integer_at(o, "connect.recent.count"), 1);
	CU_ASSERT_EQUAL(integer_at(o, "first_byte.total.count"), 0);
	CU_ASSERT(json_is_null(at(o, "first_byte.total.p99")));
	json_decref(o);
	o = report_histograms(&services[0], &web_backends[1], now, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(at(o, "backend")), "203.0.113.11:8080");
	CU_ASSERT_EQUAL(integer_at(o, "connect.total.count"), 3);
	CU_ASSERT_EQUAL(integer_at(o, "connect.recent.count"), 3);
	json_decref(o);
	o = report_histograms(&services[1], NULL, now, base);
	CU_ASSERT_EQUAL(integer_at(o, "residence.total.count"), 0);
	json_decref(o);
	snapshot_destroy(base);
	snapshot_destroy(now);
	free(r);
}

static const struct tap_case cases[] = {
	{ "a service has the fields of the interface", a_service_has_the_fields_of_the_interface },
	{ "a service without data plane shows zeros and nulls",
		a_service_without_data_plane_shows_zeros_and_nulls },
	{ "percentiles are of what came since the base",
		percentiles_are_of_what_came_since_the_base },
	{ "a service shown has limits, rates and backends",
		a_service_shown_has_limits_rates_and_backends },
	{ "limits that are not set are null, and zero is not",
		limits_that_are_not_set_are_null_and_zero_is_not },
	{ "sources are shown where they are limited", sources_are_shown_where_they_are_limited },
	{ "backends show state and weight in force", backends_show_state_and_weight_in_force },
	{ "a fallback pool is shown as one", a_fallback_pool_is_shown_as_one },
	{ "ports show what is open and what is missing",
		ports_show_what_is_open_and_what_is_missing },
	{ "a port that steers says how its return path is found out, and of what it is not",
		return_paths_say_what_is_not_probed },
	{ "cores show busy share and cycles since the base",
		cores_show_busy_share_and_cycles_since_the_base },
	{ "cores show the longest times that they were away, and how late they wake",
		cores_show_their_gaps },
	{ "histograms are recent and total, of one backend or all",
		histograms_are_recent_and_total_of_one_backend_or_all },
	{ "the replay report balances", the_replay_report_balances },
};

TAP_MAIN("report", cases)
