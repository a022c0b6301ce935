/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/units.h"
#include "tests/unit/config/config_text.h"

#include <errno.h>
#include <netinet/in.h>

#define HEAD "version: 1\nports: [{name: front, device: eth1}, {name: back, device: eth2}]\n"
#define WEB                                                                           \
	"  - name: web\n    address: 203.0.113.10\n    port: 80\n    protocol: tcp\n" \
	"    mode: nat\n    source-addresses: [10.0.0.1]\n"
#define NAMES                                                                                  \
	"  - {name: names, address: \"2001:db8::/64\", port: any, protocol: udp, mode: dsr,\n" \
	"     backends: [{address: \"2001:db8:1::1\"}]}\n"

static void defaults(void)
{
	struct model *m = model_of(HEAD "services:\n" WEB "    backends: [{address: 10.0.0.11}]\n");
	const struct model_service *s = &m->services[0];
	CU_ASSERT_EQUAL(m->dataplane.core_count, 0);
	CU_ASSERT_PTR_NULL(m->dataplane.cores);
	CU_ASSERT_EQUAL(m->dataplane.idle, MODEL_IDLE_SLEEP);
	CU_ASSERT_EQUAL(m->dataplane.early_drops, MODEL_EARLY_DROPS_KERNEL);
	CU_ASSERT_EQUAL(m->dataplane.hugepages, MODEL_HUGEPAGES_AUTO);
	CU_ASSERT_EQUAL(m->dataplane.memory_bytes, UINT64_C(512) << 20);
	CU_ASSERT_FALSE(m->metrics.set);
	CU_ASSERT_EQUAL(m->neighbour_count, 0);
	CU_ASSERT_EQUAL(s->cores.min, 1);
	CU_ASSERT_EQUAL(s->cores.max, 1);
	CU_ASSERT_EQUAL(s->limits.packets, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(s->limits.bits, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(s->limits.connections, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(s->limits.burst_ns, 10000000);
	CU_ASSERT_EQUAL(s->limits.per_source.packets, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(s->limits.per_source.connections, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(s->limits.per_source.prefix4, 32);
	CU_ASSERT_EQUAL(s->limits.per_source.prefix6, 64);
	CU_ASSERT_EQUAL(s->limits.per_source.entries, 0);
	CU_ASSERT_EQUAL(s->backends[0].port, 80);
	CU_ASSERT_EQUAL(s->backends[0].weight, 100);
	CU_ASSERT_EQUAL(s->health.type, MODEL_HEALTH_TCP);
	CU_ASSERT_EQUAL(s->health.interval_ns, 1000000000);
	CU_ASSERT_EQUAL(s->health.timeout_ns, 200000000);
	CU_ASSERT_EQUAL(s->health.rise, 2);
	CU_ASSERT_EQUAL(s->health.fall, 3);
	model_destroy(m);
}

/* On where there is an objective and something to go by, and what is said holds. */
static void adaptation(void)
{
	struct model *m =
		model_of(HEAD "services:\n" WEB "    backends: [{address: 10.0.0.11}]\n" NAMES);
	CU_ASSERT_EQUAL(m->services[0].objective.p99_ns, 0);
	CU_ASSERT_EQUAL(m->services[0].adapt.weights, MODEL_ADAPT_OFF);
	CU_ASSERT_EQUAL(m->services[0].adapt.sources, MODEL_ADAPT_OFF);
	char *before = model_to_yaml(m);
	CU_ASSERT_PTR_NULL(strstr(before, "adapt"));
	CU_ASSERT_PTR_NULL(strstr(before, "objective"));
	struct model *with = model_of(HEAD "services:\n" WEB "    objective: {p99: 20ms}\n"
					   "    adapt: {sources: observe, forecast: off}\n"
					   "    backends: [{address: 10.0.0.11}]\n" NAMES);
	const struct model_service *s = &with->services[0];
	CU_ASSERT_EQUAL(s->objective.p99_ns, 20000000);
	CU_ASSERT_EQUAL(s->adapt.weights, MODEL_ADAPT_ON);
	CU_ASSERT_EQUAL(s->adapt.shed, MODEL_ADAPT_ON);
	CU_ASSERT_EQUAL(s->adapt.sources, MODEL_ADAPT_OBSERVE);
	CU_ASSERT_EQUAL(s->adapt.forecast, MODEL_ADAPT_OFF);
	char *diff = model_diff(m, with);
	CU_ASSERT_STRING_EQUAL(diff,
		"+ services.web.objective.p99: 20ms\n"
		"+ services.web.adapt.weights: on\n"
		"+ services.web.adapt.shed: on\n"
		"+ services.web.adapt.sources: observe\n"
		"+ services.web.adapt.forecast: off\n");
	char *yaml = model_to_yaml(with);
	struct model *again = model_of(yaml);
	CU_ASSERT_EQUAL(model_digest(with), model_digest(again));
	free(yaml);
	free(diff);
	free(before);
	model_destroy(again);
	model_destroy(with);
	model_destroy(m);
	with = model_of(
		"version: 1\nports: [{name: front, device: eth1}]\nservices:\n"
		"  - {name: names, address: 10.0.0.1, port: any, protocol: udp, mode: dsr,\n"
		"     objective: {p99: 1s}, backends: [{address: 10.0.0.2}]}\n");
	CU_ASSERT_EQUAL(with->services[0].adapt.weights, MODEL_ADAPT_OFF);
	CU_ASSERT_EQUAL(with->services[0].adapt.shed, MODEL_ADAPT_OFF);
	CU_ASSERT_EQUAL(with->services[0].adapt.sources, MODEL_ADAPT_ON);
	CU_ASSERT_EQUAL(with->services[0].adapt.forecast, MODEL_ADAPT_ON);
	model_destroy(with);
}

static void values(void)
{
	struct model *m = model_of(
		"version: 1\n"
		"dataplane: {cores: [7, 1, 3-4], idle: spin, early-drops: weir, hugepages: required, memory: 1.5GiB}\n"
		"ports: [{name: front, device: eth1}, {name: back, device: eth2.100}]\n"
		"services:\n" WEB "    cores: 2\n"
		"    limits: {packets: 1.5M, bits: 10G, connections: 0, burst: 1.5ms}\n"
		"    backends: [{address: 10.0.0.11, port: 8080, weight: 0}]\n"
		"    health: {type: http, path: /h?x=1, interval: 0.5s, timeout: 1ms, rise: 1, fall: 5}\n" NAMES
		"neighbours: [{address: 10.0.0.11, mac: \"02:00:00:00:00:Ab\", port: back}]\n"
		"metrics: {listen: \"[::1]:9464\"}\n");
	static const uint16_t cores[] = { 1, 3, 4, 7 };
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 0xab };
	const struct model_service *s = &m->services[0];
	CU_ASSERT_EQUAL_FATAL(m->dataplane.core_count, 4);
	CU_ASSERT_EQUAL(memcmp(m->dataplane.cores, cores, sizeof(cores)), 0);
	CU_ASSERT_EQUAL(m->dataplane.idle, MODEL_IDLE_SPIN);
	CU_ASSERT_EQUAL(m->dataplane.early_drops, MODEL_EARLY_DROPS_WEIR);
	CU_ASSERT_EQUAL(m->dataplane.hugepages, MODEL_HUGEPAGES_REQUIRED);
	CU_ASSERT_EQUAL(m->dataplane.memory_bytes, UINT64_C(1536) << 20);
	CU_ASSERT_STRING_EQUAL(m->ports[1].device, "eth2.100");
	CU_ASSERT_EQUAL(s->cores.min, 2);
	CU_ASSERT_EQUAL(s->cores.max, 2);
	CU_ASSERT_EQUAL(s->limits.packets, 1500000);
	CU_ASSERT_EQUAL(s->limits.bits, UINT64_C(10000000000));
	CU_ASSERT_EQUAL(s->limits.connections, 0);
	CU_ASSERT_EQUAL(s->limits.burst_ns, 1500000);
	CU_ASSERT_EQUAL(s->prefix_length, 128);
	CU_ASSERT_FALSE(s->ipv6);
	CU_ASSERT_EQUAL(s->backends[0].port, 8080);
	CU_ASSERT_EQUAL(s->backends[0].weight, 0);
	CU_ASSERT_EQUAL(s->health.type, MODEL_HEALTH_HTTP);
	CU_ASSERT_STRING_EQUAL(s->health.path, "/h?x=1");
	CU_ASSERT_EQUAL(s->health.interval_ns, 500000000);
	CU_ASSERT_EQUAL(s->health.timeout_ns, 1000000);
	CU_ASSERT_EQUAL(s->health.rise, 1);
	CU_ASSERT_EQUAL(s->health.fall, 5);
	CU_ASSERT_EQUAL(m->services[1].prefix_length, 64);
	CU_ASSERT_TRUE(m->services[1].ipv6);
	CU_ASSERT_EQUAL(m->services[1].port, 0);
	CU_ASSERT_EQUAL(m->services[1].protocol, MODEL_UDP);
	CU_ASSERT_EQUAL(m->services[1].mode, MODEL_DSR);
	CU_ASSERT_EQUAL(m->services[1].backends[0].port, 0);
	CU_ASSERT_EQUAL(m->services[1].health.type, MODEL_HEALTH_NONE);
	CU_ASSERT_EQUAL(m->neighbours[0].port, 1);
	CU_ASSERT_EQUAL(memcmp(m->neighbours[0].mac, mac, sizeof(mac)), 0);
	CU_ASSERT_TRUE(m->metrics.set);
	CU_ASSERT_EQUAL(m->metrics.port, 9464);
	model_destroy(m);
}

static void limits_per_source(void)
{
	struct model *m =
		model_of(HEAD "services:\n" WEB
			      "    limits: {burst: 20ms, per-source: {prefix4: 24, prefix6: 56, "
			      "packets: 10k, connections: 100, entries: 4096}}\n");
	const struct model_per_source *p = &m->services[0].limits.per_source;
	CU_ASSERT_EQUAL(p->prefix4, 24);
	CU_ASSERT_EQUAL(p->prefix6, 56);
	CU_ASSERT_EQUAL(p->packets, 10000);
	CU_ASSERT_EQUAL(p->connections, 100);
	CU_ASSERT_EQUAL(p->entries, 4096);
	CU_ASSERT_EQUAL(p->burst_ns, 20000000);
	model_destroy(m);
	m = model_of(
		HEAD "services:\n" WEB "    limits: {per-source: {connections: 0, burst: 1s}}\n");
	p = &m->services[0].limits.per_source;
	CU_ASSERT_EQUAL(p->packets, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(p->connections, 0);
	CU_ASSERT_EQUAL(p->burst_ns, 1000000000);
	model_destroy(m);
}

static void single_limits(void)
{
	struct model *m = model_of(HEAD "services:\n" WEB "    limits: {packets: 1M}\n");
	struct model_limits *l = &m->services[0].limits;
	static const char *const bad[][2] = { { "packets", "fast" }, { "packets", "11G" },
		{ "burst", "10" }, { "burst", "none" }, { "per-source", "1" },
		{ "per-source.", "1" }, { "per-source.bits", "1" }, { "packets.x", "1" },
		{ "", "1" }, { "per-source.prefix4", "33" }, { "per-source.entries", "5" } };
	char err[512], buf[32];

	CU_ASSERT_STRING_EQUAL(model_limit_print(l, "packets", buf, sizeof(buf)), "1M");
	CU_ASSERT_STRING_EQUAL(
		model_limit_print(l, "per-source.packets", buf, sizeof(buf)), "none");
	CU_ASSERT_EQUAL(model_limit_set(l, "packets", "2.5k", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(l->packets, 2500);
	CU_ASSERT_EQUAL(model_limit_set(l, "per-source.connections", "7", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(l->per_source.connections, 7);
	CU_ASSERT_EQUAL(model_limit_set(l, "burst", "50ms", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(l->burst_ns, 50000000);
	CU_ASSERT_EQUAL(l->per_source.burst_ns, 50000000);
	CU_ASSERT_EQUAL(model_limit_set(l, "per-source.burst", "1s", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(model_limit_set(l, "burst", "20ms", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(l->per_source.burst_ns, 1000000000);
	CU_ASSERT_EQUAL(model_limit_set(l, "per-source.prefix4", "24", err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(model_limit_print(l, "per-source.prefix4", buf, sizeof(buf)), "24");
	CU_ASSERT_EQUAL(model_limit_set(l, "packets", "none", err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(l->packets, MODEL_UNLIMITED);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct model_limits before = *l;
		err[0] = '\0';
		CU_ASSERT_NOT_EQUAL(model_limit_set(l, bad[i][0], bad[i][1], err, sizeof(err)), 0);
		CU_ASSERT_NOT_EQUAL(err[0], '\0');
		CU_ASSERT_EQUAL(memcmp(&before, l, sizeof(before)), 0);
	}
	CU_ASSERT_NOT_EQUAL(model_limit_set(l, "rate", "1", err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(err,
		"rate is no limit, expected one of packets, bits, connections, burst, "
		"per-source.prefix4, per-source.prefix6, per-source.packets, "
		"per-source.connections, per-source.burst, per-source.entries");
	model_destroy(m);
}

#define POLICY                                                                                    \
	"    policy: {object: \"g o.o\", mode: observe, on-error: drop, budget: 500,\n"           \
	"      set: {rate: 500, low: -0x3}}\n"                                                    \
	"    classes: [{name: slow, packets: 10k}, {name: none, connections: 0, burst: 1s}]\n"    \
	"    pools: [{name: replicas, backends: [{address: 10.0.0.21}, {address: 10.0.0.22}]}]\n" \
	"    backends: [{address: 10.0.0.11}]\n"                                                  \
	"    fallback: [{address: 10.0.0.99}]\n"                                                  \
	"policy: [{object: a.o}, {object: b.o}]\n"

static void policies(void)
{
	struct model *m = model_of(HEAD "services:\n" WEB POLICY);
	const struct model_service *s = &m->services[0];

	CU_ASSERT_EQUAL_FATAL(s->policy_count, 1);
	CU_ASSERT_STRING_EQUAL(s->policies[0].object, "g o.o");
	CU_ASSERT_EQUAL(s->policies[0].mode, MODEL_POLICY_OBSERVE);
	CU_ASSERT_EQUAL(s->policies[0].on_error, MODEL_POLICY_ERROR_DROP);
	CU_ASSERT_EQUAL(s->policies[0].budget, 500);
	CU_ASSERT_EQUAL(s->policies[0].line, 10);
	CU_ASSERT_EQUAL_FATAL(s->policies[0].set_count, 2);
	CU_ASSERT_STRING_EQUAL(s->policies[0].sets[0], "rate=500");
	CU_ASSERT_STRING_EQUAL(s->policies[0].sets[1], "low=-0x3");
	CU_ASSERT_EQUAL_FATAL(s->class_count, 2);
	CU_ASSERT_EQUAL(s->classes[0].packets, 10000);
	CU_ASSERT_EQUAL(s->classes[0].bits, MODEL_UNLIMITED);
	CU_ASSERT_EQUAL(s->classes[0].burst_ns, 10000000);
	CU_ASSERT_EQUAL(s->classes[1].connections, 0);
	CU_ASSERT_EQUAL_FATAL(m->policy_count, 2);
	CU_ASSERT_STRING_EQUAL(m->policies[1].object, "b.o");
	CU_ASSERT_EQUAL(m->policies[1].mode, MODEL_POLICY_ENFORCE);
	CU_ASSERT_EQUAL(m->policies[1].on_error, MODEL_POLICY_ERROR_PASS);
	CU_ASSERT_EQUAL(m->policies[1].budget, 2000);
	CU_ASSERT_EQUAL_FATAL(model_backend_total(s), 4);
	CU_ASSERT_EQUAL(model_backend_at(s, 3)->address.bytes[15], 22);
	CU_ASSERT_EQUAL(model_backend_at(s, 3)->port, 80);
	CU_ASSERT_EQUAL(model_backend_pool(s, 1), 0);
	CU_ASSERT_EQUAL(model_backend_pool(s, 2), 1);
	CU_ASSERT(model_backend_is_fallback(s, 1));
	CU_ASSERT_FALSE(model_backend_is_fallback(s, 2));
	model_destroy(m);
}

static void ipv4_prefix(void)
{
	struct model *m = model_of(HEAD "services: [{name: a, address: 203.0.113.64/28, port: any, "
					"protocol: tcp, mode: dsr}]\n");
	CU_ASSERT_EQUAL(m->services[0].prefix_length, 124);
	CU_ASSERT_FALSE(m->services[0].ipv6);
	CU_ASSERT_EQUAL(m->services[0].health.type, MODEL_HEALTH_NONE);
	model_destroy(m);
}

static void short_interval(void)
{
	struct model *m = model_of(HEAD "services:\n" WEB "    health: {interval: 100ms}\n");
	CU_ASSERT_EQUAL(m->services[0].health.timeout_ns, 50000000);
	model_destroy(m);
}

static void both_families(void)
{
	struct model *m = model_of(
		HEAD "services:\n"
		     "  - name: web\n    address: 203.0.113.10\n    port: 80\n    protocol: tcp\n"
		     "    mode: nat\n    source-addresses: [\"fd00::1\", 10.0.0.1, fd00::2]\n");
	char text[INET6_ADDRSTRLEN];
	CU_ASSERT_EQUAL_FATAL(m->services[0].source_count, 1);
	CU_ASSERT_STRING_EQUAL(
		address_print(&m->services[0].sources[0], text, sizeof(text)), "10.0.0.1");
	model_destroy(m);
}

static void byte_order_mark(void)
{
	struct model *m = model_of("\xef\xbb\xbf" HEAD);
	CU_ASSERT_EQUAL(m->port_count, 2);
	model_destroy(m);
}

static void round_trip(const char *text)
{
	struct model *m = model_of(text);
	char *yaml = model_to_yaml(m);
	CU_ASSERT_PTR_NOT_NULL_FATAL(yaml);
	struct model *again = model_of(yaml);
	char *yaml_again = model_to_yaml(again);
	CU_ASSERT_STRING_EQUAL(yaml, yaml_again);
	CU_ASSERT_EQUAL(model_digest(m), model_digest(again));
	char *diff = model_diff(m, again);
	CU_ASSERT_STRING_EQUAL(diff, "");
	free(diff);
	free(yaml_again);
	free(yaml);
	model_destroy(again);
	model_destroy(m);
}

static void round_trips(void)
{
	round_trip(HEAD);
	round_trip(HEAD "services:\n" WEB NAMES);
	/* Names and paths that YAML would take for something else. */
	round_trip(
		"version: 1\nports: [{name: \"null\", device: \"1e3\"}, {name: 5, device: '~'}]\n"
		"services:\n"
		"  - {name: 'any', address: 10.1.0.1, port: 1, protocol: tcp, mode: nat,\n"
		"     source-addresses: [10.0.0.1], health: {type: http, path: \"/it's:-{x}\"}}\n"
		"neighbours: [{address: 10.0.0.9, mac: \"02:00:00:00:00:01\", port: 'null'}]\n");
	round_trip(HEAD "services:\n" WEB POLICY);
	round_trip(HEAD "services:\n" WEB "    proxy-protocol: v2\n    no-backend: drop\n");
	round_trip(HEAD "services:\n" WEB "    cores: {min: 1, max: 64}\n");
	round_trip(HEAD "services:\n" WEB "    cores: {min: 1, max: 2}\n    adapt: {cores: off}\n");
	round_trip(HEAD "services:\n" WEB "    affinity: {type: source, places: 2000}\n");
	round_trip(HEAD "services:\n" WEB "    fallback: [{address: 10.0.0.99, weight: 0}]\n");
	round_trip(
		HEAD "services:\n" WEB
		     "    limits: {packets: 0, bits: 12345, connections: 1.234k, burst: 100.5us}\n"
		     "    health: {type: none}\n");
	round_trip(HEAD
		"services:\n" WEB
		"    limits: {per-source: {packets: 5k, prefix6: 48, burst: 1s, entries: 2048}}\n");
	round_trip(HEAD "services:\n" WEB "    limits: {per-source: {connections: 0}}\n");
#ifdef WEIR_HAVE_KAFKA
	round_trip(HEAD "stream: {brokers: [\"k-1.example:9092\", \"[::1]:1\"], topic: \"1\"}\n");
	round_trip(HEAD "probes: {listen: \"[::1]:9469\", key-file: keys/probe.key}\n");
	round_trip(HEAD "stream: {brokers: [k:65535], summaries: false, queue: 100}\n");
#endif
}

static void canonical_text(void)
{
	struct model *m =
		model_of(HEAD "services:\n" NAMES "metrics: {listen: \"127.0.0.1:80\"}\n");
	char *yaml = model_to_yaml(m);
	CU_ASSERT_STRING_EQUAL(yaml,
		"version: 1\n"
		"dataplane:\n"
		"  idle: sleep\n"
		"  hugepages: auto\n"
		"  memory: 512M\n"
		"ports:\n"
		"  - name: front\n"
		"    device: eth1\n"
		"  - name: back\n"
		"    device: eth2\n"
		"services:\n"
		"  - name: names\n"
		"    address: \"2001:db8::/64\"\n"
		"    port: any\n"
		"    protocol: udp\n"
		"    mode: dsr\n"
		"    cores: 1\n"
		"    limits:\n"
		"      burst: 10ms\n"
		"    backends:\n"
		"      - address: \"2001:db8:1::1\"\n"
		"        weight: 100\n"
		"    health:\n"
		"      type: none\n"
		"metrics:\n"
		"  listen: \"127.0.0.1:80\"\n");
	free(yaml);
	model_destroy(m);
}

static void digests(void)
{
	struct model *a = model_of(HEAD "services:\n" WEB);
	struct model *b = model_of("# the same, written differently\n" HEAD "services:\n" WEB
				   "    cores: 1\n    limits: {burst: 0.01s}\n");
	struct model *c = model_of(HEAD "services:\n" WEB "    cores: 2\n");
	CU_ASSERT_EQUAL(model_digest(a), model_digest(b));
	CU_ASSERT_NOT_EQUAL(model_digest(a), model_digest(c));
	/* Data planes keep it longer than one version of this program lives. */
	CU_ASSERT_EQUAL(model_digest(a), UINT64_C(0x4986653004e9185f));
	model_destroy(a);
	model_destroy(b);
	model_destroy(c);
}

static void expect_diff(const char *before, const char *after, const char *expected);

/* A range of cores is adapted without an objective; a number alone is both of its ends. */
static void cores_range(void)
{
	struct model *m = model_of(HEAD "services:\n" WEB "    cores: {max: 4, min: 2}\n");
	struct model *fixed = model_of(HEAD "services:\n" WEB "    cores: {min: 3, max: 3}\n");
	char *yaml = model_to_yaml(m);
	CU_ASSERT_EQUAL(m->services[0].cores.min, 2);
	CU_ASSERT_EQUAL(m->services[0].cores.max, 4);
	CU_ASSERT_EQUAL(m->services[0].adapt.cores, MODEL_ADAPT_ON);
	CU_ASSERT_EQUAL(m->services[0].adapt.weights, MODEL_ADAPT_OFF);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(yaml, "    cores: {min: 2, max: 4}\n    adapt:\n      cores: on\n"));
	CU_ASSERT_EQUAL(fixed->services[0].adapt.cores, MODEL_ADAPT_OFF);
	free(yaml);
	yaml = model_to_yaml(fixed);
	CU_ASSERT_PTR_NOT_NULL(strstr(yaml, "    cores: 3\n"));
	CU_ASSERT_PTR_NULL(strstr(yaml, "adapt"));
	free(yaml);
	model_destroy(fixed);
	model_destroy(m);
	expect_diff(HEAD "services:\n" WEB "    cores: 2\n",
		HEAD "services:\n" WEB "    cores: {min: 1, max: 2}\n",
		"~ services.web.cores: 2 -> {min: 1, max: 2}\n"
		"+ services.web.adapt.cores: on\n");
}

static void expect_diff(const char *before, const char *after, const char *expected)
{
	struct model *from = before ? model_of(before) : NULL;
	struct model *to = model_of(after);
	char *diff = model_diff(from, to);
	CU_ASSERT_STRING_EQUAL(diff, expected);
	if (strcmp(diff, expected) != 0)
		fprintf(stderr, "# found:\n%s", diff);
	free(diff);
	model_destroy(from);
	model_destroy(to);
}

static void diff_stream(void)
{
#ifdef WEIR_HAVE_KAFKA
	expect_diff(HEAD "stream: {brokers: [k:1]}\n",
		HEAD "stream: {brokers: [k:1, l:2], queue: 500}\n",
		"~ stream.brokers: [\"k:1\"] -> [\"k:1\", \"l:2\"]\n"
		"~ stream.queue: 10000 -> 500\n");
	expect_diff(HEAD "stream: {brokers: [k:1]}\n", HEAD,
		"- stream.brokers: [\"k:1\"]\n"
		"- stream.topic: weir-events\n"
		"- stream.summaries: true\n"
		"- stream.queue: 10000\n");
#endif
}

static void diff_values(void)
{
	expect_diff(HEAD "services:\n" WEB "    limits: {packets: 1M}\n    cores: 1\n",
		"dataplane: {cores: [1-3]}\n" HEAD "services:\n" WEB
		"    limits: {packets: 2M, bits: 1G}\n    cores: 2\n",
		"+ dataplane.cores: [1-3]\n"
		"~ services.web.cores: 1 -> 2\n"
		"~ services.web.limits.packets: 1M -> 2M\n"
		"+ services.web.limits.bits: 1G\n");
}

/* Their order is part of their meaning. */
static void diff_policies(void)
{
	expect_diff(HEAD "services:\n" WEB POLICY,
		HEAD "services:\n" WEB
		     "    policy: [{object: a.o, mode: observe}, {object: \"g o.o\"}]\n"
		     "    classes: [{name: none, connections: 1}, {name: slow, packets: 10k}]\n"
		     "    pools: [{name: replicas, backends: [{address: 10.0.0.21}]}]\n"
		     "    backends: [{address: 10.0.0.11}]\n",
		"- services.web.policy.1.set: {rate: 500, low: -0x3}\n"
		"- services.web.classes.1-slow\n"
		"- services.web.classes.2-none\n"
		"- services.web.pools.1-replicas.backends.10.0.0.22:80\n"
		"- services.web.fallback.10.0.0.99:80\n"
		"- policy.1\n"
		"- policy.2\n"
		"~ services.web.policy.1.object: 'g o.o' -> a.o\n"
		"~ services.web.policy.1.on-error: drop -> pass\n"
		"~ services.web.policy.1.budget: 500 -> 2000\n"
		"+ services.web.policy.2\n"
		"+ services.web.classes.1-none\n"
		"+ services.web.classes.2-slow\n");
}

static void diff_elements(void)
{
	expect_diff(HEAD "services:\n" WEB NAMES,
		"version: 1\nports: [{name: front, device: eth1}]\nservices:\n" WEB
		"    backends: [{address: 10.0.0.11}, {address: 10.0.0.12, port: 81}]\n"
		"  - {name: web.v6, address: \"2001:db8::1\", port: 1, protocol: tcp, mode: dsr}\n"
		"neighbours: [{address: 10.0.0.9, mac: \"02:00:00:00:00:01\", port: front}]\n",
		"- ports.back\n"
		"- services.names\n"
		"+ services.web.backends.10.0.0.11:80\n"
		"+ services.web.backends.10.0.0.12:81\n"
		"+ services.web.v6\n"
		"+ neighbours.10.0.0.9@front\n");
}

static void diff_fallback(void)
{
	expect_diff(HEAD "services:\n" WEB
			 "    fallback: [{address: 10.0.0.98}, {address: 10.0.0.99, port: 81}]\n",
		HEAD "services:\n" WEB "    backends: [{address: 10.0.0.98}]\n"
		     "    fallback: [{address: 10.0.0.99, port: 81, weight: 1}]\n",
		"- services.web.fallback.10.0.0.98:80\n"
		"+ services.web.backends.10.0.0.98:80\n"
		"~ services.web.fallback.10.0.0.99:81.weight: 100 -> 1\n");
}

static void diff_proxy(void)
{
	expect_diff(HEAD "services:\n" WEB "    proxy-protocol: none\n",
		HEAD "services:\n" WEB "    proxy-protocol: v2\n",
		"+ services.web.proxy-protocol: v2\n");
}

static void diff_affinity(void)
{
	expect_diff(HEAD "services:\n" WEB "    affinity: {type: none}\n",
		HEAD "services:\n" WEB "    affinity: {type: source, prefix4: 24}\n",
		"+ services.web.affinity.type: source\n"
		"+ services.web.affinity.prefix4: 24\n"
		"+ services.web.affinity.prefix6: 128\n"
		"+ services.web.affinity.timeout: 1h\n"
		"+ services.web.affinity.places: 65536\n");
}

static void diff_order(void)
{
	expect_diff(HEAD "services:\n" WEB
			 "    backends: [{address: 10.0.0.11}, {address: 10.0.0.12}]\n",
		HEAD "services:\n" WEB
		     "    backends: [{address: 10.0.0.12}, {address: 10.0.0.11, weight: 50}]\n",
		"~ services.web.backends.10.0.0.11:80.weight: 100 -> 50\n");
}

static void diff_first(void)
{
	expect_diff(NULL, HEAD,
		"+ dataplane.idle: sleep\n"
		"+ dataplane.hugepages: auto\n"
		"+ dataplane.memory: 512M\n"
		"+ ports.front\n"
		"+ ports.back\n");
	struct model *m = model_of(HEAD);
	char *diff = model_diff(NULL, m);
	CU_ASSERT_PTR_NULL(strstr(diff, "version"));
	free(diff);
	model_destroy(m);
}

static void addresses(void)
{
	static const char *const good[] = { "10.0.0.1:80", "[2001:db8::1]:443", "0.0.0.0:0" };
	static const char *const bad[] = { "", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536",
		"10.0.0.1:080", "10.0.0.1:8a", "2001:db8::1:80", "[10.0.0.1]:80", "[2001:db8::1]",
		"[2001:db8::1:80", "[::ffff:1.2.3.4]:80", "[]:80", "10.0.0:80",
		"[2001:db8::1]x:80" };
	struct address a;
	uint16_t port;
	char text[INET6_ADDRSTRLEN + 8];
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_TRUE(address_port_parse(good[i], &a, &port));
		CU_ASSERT_STRING_EQUAL(address_port_print(&a, port, text, sizeof(text)), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(address_port_parse(bad[i], &a, &port));
	CU_ASSERT_TRUE(address_port_parse("10.0.0.1:any", &a, &port) && port == 0);
}

static void units(void)
{
	static const struct {
		enum unit_kind kind;
		const char *text;
		uint64_t value;
	} good[] = {
		{ UNIT_RATE, "0", 0 },
		{ UNIT_RATE, "1.5M", 1500000 },
		{ UNIT_RATE, "0.001k", 1 },
		{ UNIT_SIZE, "1K", 1024 },
		{ UNIT_SIZE, "1.5KiB", 1536 },
		{ UNIT_SIZE, "2GiB", UINT64_C(2) << 30 },
		{ UNIT_TIME, "1us", 1000 },
		{ UNIT_TIME, "0.001us", 1 },
		{ UNIT_TIME, "1.5m", UINT64_C(90000000000) },
		{ UNIT_TIME, "1h", UINT64_C(3600000000000) },
		{ UNIT_NONE, "18446744073709551615", UINT64_MAX },
	};
	static const struct {
		enum unit_kind kind;
		const char *text;
		const char *wrong;
	} bad[] = {
		{ UNIT_NONE, "18446744073709551616", "is too large" },
		{ UNIT_RATE, "18446744073710M", "is too large" },
		{ UNIT_SIZE, "17179869183.9999999999G", "is not a whole number" },
		{ UNIT_RATE, "1.0000000000000000001G", "has too many digits" },
		{ UNIT_RATE, "", "is not a number" },
		{ UNIT_RATE, ".5M", "is not a number" },
		{ UNIT_RATE, "1.M", "is not a number" },
		{ UNIT_RATE, "1K", "has an unknown unit" },
		{ UNIT_RATE, "1 k", "has an unknown unit" },
		{ UNIT_TIME, "1.5", "has no unit" },
		{ UNIT_TIME, "0.0001us", "is not a whole number" },
		{ UNIT_NONE, "1k", "is not a whole number" },
		{ UNIT_NONE, "+1", "is not a number" },
		{ UNIT_NONE, "0x10", "is not a whole number" },
	};
	uint64_t value;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[32];
		CU_ASSERT_PTR_NULL(unit_parse(good[i].kind, good[i].text, &value));
		CU_ASSERT_EQUAL(value, good[i].value);
		unit_print(good[i].kind, value, text, sizeof(text));
		CU_ASSERT_PTR_NULL(unit_parse(good[i].kind, text, &value));
		CU_ASSERT_EQUAL(value, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *wrong = unit_parse(bad[i].kind, bad[i].text, &value);
		CU_ASSERT_PTR_NOT_NULL_FATAL(wrong);
		CU_ASSERT_STRING_EQUAL(wrong, bad[i].wrong);
	}
}

static void examples(void)
{
	static const char *const files[] = {
		"minimal", "web-nat", "dsr",
#ifdef WEIR_HAVE_KAFKA
		"full", /* which has a stream */
#endif
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/config/%s.yaml", TEST_SOURCE_ROOT, files[i]);
		char *text = text_of_file(path);
		round_trip(text);
		free(text);
	}
}

static void reference_page(void)
{
	char made[1 << 16] = "";
	FILE *from = popen(TEST_SCHEMA_DOC, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(from);
	size_t length = fread(made, 1, sizeof(made) - 1, from);
	CU_ASSERT_EQUAL(pclose(from), 0);
	CU_ASSERT(length > 1000 && length < sizeof(made) - 1);
	char *page = text_of_file(TEST_SOURCE_ROOT "/docs/operators/configuration.md");
	CU_ASSERT_STRING_EQUAL(page, made);
	free(page);
}

static const struct tap_case cases[] = {
	{ "a short file gets the documented defaults", defaults },
	{ "cores may be a range, which they move in", cores_range },
	{ "adaptation is on by default where there is an objective", adaptation },
	{ "every value is read as written", values },
	{ "limits per source are read, with their defaults", limits_per_source },
	{ "single limits are set as a file would, or refused and left", single_limits },
	{ "policies, and the classes and pools that they name", policies },
	{ "an IPv4 prefix is a prefix of the mapped address", ipv4_prefix },
	{ "the default timeout is half of a short interval", short_interval },
	{ "source addresses of both families are filtered by the service's", both_families },
	{ "a byte order mark is skipped", byte_order_mark },
	{ "what is written reads back to the same model", round_trips },
	{ "the canonical text is stable", canonical_text },
	{ "the digest depends on the meaning only", digests },
	{ "changed values are lines with both values", diff_values },
	{ "no stream is no line", diff_stream },
	{ "policies change by their place", diff_policies },
	{ "elements come and go by name", diff_elements },
	{ "the order of elements is no difference", diff_order },
	{ "a fallback pool is shown as one in differences", diff_fallback },
	{ "no affinity is no line", diff_affinity },
	{ "no PROXY protocol is no line", diff_proxy },
	{ "the first configuration is all additions", diff_first },
	{ "addresses with ports read and print", addresses },
	{ "units are exact", units },
	{ "the example files are good", examples },
	{ "the reference page is what the schema says", reference_page },
};

TAP_MAIN("configuration model", cases)
