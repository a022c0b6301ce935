/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/plan/plan.h"
#include "control/plan/ports.h"
#include "control/plan/steering.h"
#include "dataplane/api/validate.h"
#include "tests/unit/config/config_text.h"

#include <errno.h>
#include <netinet/in.h>

#define HEAD "version: 1\nports: [{name: front, device: eth1}, {name: back, device: eth2}]\n"
#define NEIGHBOURS                                                           \
	"neighbours:\n"                                                      \
	"  - {address: 10.0.0.11, mac: \"02:00:00:00:00:11\", port: back}\n" \
	"  - {address: 10.0.0.254, mac: \"02:00:00:00:00:fe\", port: back}\n"
#define SERVICE(name, address, protocol)                                           \
	"  - {name: " name ", address: " address ", port: 80, protocol: " protocol \
	", mode: nat,\n"                                                           \
	"     source-addresses: [10.0.0.1],\n"                                     \
	"     backends: [{address: 10.0.0.11}, {address: 10.0.0.12, weight: 7}]}\n"
#define A SERVICE("a", "203.0.113.1", "tcp")
#define B SERVICE("b", "203.0.113.2", "tcp")
#define C SERVICE("c", "203.0.113.3", "tcp")
#define U SERVICE("u", "203.0.113.1", "udp")
#define DSR                                                                                \
	"  - {name: d, address: \"2001:db8::/64\", port: any, protocol: udp, mode: dsr,\n" \
	"     cores: {min: 3, max: 5},\n"                                                  \
	"     limits: {packets: 5, bits: 6k, connections: 0, burst: 1s,\n"                 \
	"              per-source: {connections: 7, prefix6: 56, entries: 3000}},\n"       \
	"     backends: [{address: \"2001:db8:1::1\"}]}\n"

struct plan_fixture {
	void *body;
	struct weir_config_view view;
	char err[256];
};

/* Plan a text, and let the data plane's own check look at the message. */
static int plan_text(struct plan_fixture *f, const char *text, const struct plan_world *world,
	struct plan_ports *ports, bool replay)
{
	struct model *m = model_of(text);
	size_t length = 0;
	*f = (struct plan_fixture){ 0 };
	int r = plan_build(m, world, ports, replay, &f->body, &length, f->err, sizeof(f->err));
	if (r == 0) {
		char err[256] = "";
		CU_ASSERT_EQUAL(weir_config_validate(f->body, length, err, sizeof(err)), 0);
		CU_ASSERT_STRING_EQUAL(err, "");
		weir_config_view(f->body, &f->view);
		CU_ASSERT_EQUAL(f->view.header->digest, model_digest(m));
	}
	model_destroy(m);
	return r;
}

static void plan_fixture_fini(struct plan_fixture *f)
{
	free(f->body);
}

static void replan(const char *text, const struct plan_world *world, struct plan_ports *ports)
{
	struct plan_fixture f;
	CU_ASSERT_EQUAL(plan_text(&f, text, world, ports, false), 0);
	plan_fixture_fini(&f);
}

/* ---- a world of the test's own ---- */

struct test_world {
	bool has_route;
	bool two_routers;
	bool resolved;
	bool owns;
};

static size_t test_next_hops(
	void *ctx, const struct address *to, struct plan_hop ret_hops[WEIR_MAX_HOPS])
{
	struct test_world *w = ctx;
	if (!w->has_route)
		return 0;
	/* 10.0.0.12 is on link behind front; all else is behind a router there. */
	ret_hops[0] = (struct plan_hop){ .via = *to, .weight = 1 };
	if (to->bytes[15] == 12)
		return 1;
	address_parse("10.0.0.253", &ret_hops[0].via);
	if (!w->two_routers)
		return 1;
	/* The kernel's order differs from one answer to the next. */
	ret_hops[1] = ret_hops[0];
	ret_hops[1].port_index = 1;
	ret_hops[1].weight = 3;
	if (to->bytes[15] % 2)
		return 2;
	ret_hops[2] = ret_hops[0];
	ret_hops[0] = ret_hops[1];
	ret_hops[1] = ret_hops[2];
	return 2;
}

static bool test_link_address(
	void *ctx, const struct address *via, size_t port_index, uint8_t ret_mac[6])
{
	struct test_world *w = ctx;
	memset(ret_mac, 0x22, 6);
	return w->resolved;
}

static void test_backend(void *ctx, const struct model_service *s, const struct model_backend *b,
	uint8_t *ret_state, uint16_t *ret_weight)
{
	if (b->address.bytes[15] == 12) {
		*ret_state = WEIR_BACKEND_DRAINING;
		*ret_weight = 0;
	}
}

static bool test_host_owns(void *ctx, const struct address *a)
{
	return ((struct test_world *)ctx)->owns;
}

static struct plan_world world_of(struct test_world *w)
{
	return (struct plan_world){
		.ctx = w,
		.backend = test_backend,
		.next_hops = test_next_hops,
		.link_address = test_link_address,
		.host_owns = test_host_owns,
		.ephemeral_first = 32768,
		.ephemeral_last = 60999,
	};
}

/* ---- the message ---- */

static void equal_paths_make_a_group(void)
{
	struct plan_fixture f;
	struct test_world w = { .has_route = true, .two_routers = true, .resolved = true };
	struct plan_world world = world_of(&w);
	struct plan_ports *ports = plan_ports_create();
	const char *text =
		HEAD "services:\n"
		     "  - {name: a, address: 203.0.113.1, port: 80, protocol: udp, mode: dsr,\n"
		     "     backends: [{address: 10.0.0.20}, {address: 10.0.0.21}, {address: "
		     "10.0.0.12}]}\n";
	CU_ASSERT_EQUAL(plan_text(&f, text, &world, ports, false), 0);
	/* The router on two ports, and the backend that is on link. */
	CU_ASSERT_EQUAL(f.view.header->neighbour_count, 3);
	/* Both backends have the same, in whichever order the kernel named its hops. */
	CU_ASSERT_EQUAL_FATAL(f.view.header->hop_group_count, 1);
	CU_ASSERT_EQUAL(f.view.backends[0].neighbour, WEIR_HOP_GROUP);
	CU_ASSERT_EQUAL(f.view.backends[1].neighbour, WEIR_HOP_GROUP);
	CU_ASSERT_EQUAL(f.view.backends[2].neighbour, 2);
	const struct weir_config_hop_group *g = f.view.hop_groups;
	CU_ASSERT_EQUAL_FATAL(g->hop_count, 2);
	CU_ASSERT_EQUAL(f.view.neighbours[g->neighbour[0]].port, 0);
	CU_ASSERT_EQUAL(g->weight[0], 1);
	CU_ASSERT_EQUAL(f.view.neighbours[g->neighbour[1]].port, 1);
	CU_ASSERT_EQUAL(g->weight[1], 3);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

static void message_of_replay(void)
{
	struct plan_fixture f;
	struct plan_ports *ports = plan_ports_create();
	CU_ASSERT_EQUAL(plan_text(&f, HEAD "services:\n" A DSR NEIGHBOURS, NULL, ports, true), 0);
	CU_ASSERT_EQUAL(f.view.header->port_count, 2);
	CU_ASSERT_EQUAL(f.view.header->service_count, 2);
	CU_ASSERT_EQUAL(f.view.header->backend_count, 3);
	CU_ASSERT_EQUAL(f.view.header->source_count, 1);
	CU_ASSERT_EQUAL(f.view.header->neighbour_count, 1);
	CU_ASSERT_STRING_EQUAL(f.view.ports[1].name, "back");
	CU_ASSERT_STRING_EQUAL(f.view.ports[1].device, "");
	CU_ASSERT_EQUAL(f.view.ports[1].kind, WEIR_PORT_CAPTURE);
	CU_ASSERT_EQUAL(f.view.backends[0].neighbour, 0);
	CU_ASSERT_EQUAL(f.view.backends[0].state, WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(f.view.backends[1].weight, 7);
	CU_ASSERT_EQUAL(f.view.backends[1].neighbour, WEIR_NO_NEIGHBOUR);
	CU_ASSERT_EQUAL(f.view.neighbours[0].resolved, 1);
	CU_ASSERT_EQUAL(f.view.neighbours[0].port, 1);
	CU_ASSERT_EQUAL(f.view.neighbours[0].mac[5], 0x11);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

static void message_of_service(void)
{
	struct plan_fixture f;
	struct plan_ports *ports = plan_ports_create();
	CU_ASSERT_EQUAL(plan_text(&f, HEAD "services:\n" A DSR, NULL, ports, false), 0);
	const struct weir_config_service *s = f.view.services;
	CU_ASSERT_EQUAL(f.view.ports[0].kind, WEIR_PORT_KERNEL);
	CU_ASSERT_STRING_EQUAL(f.view.ports[0].device, "eth1");
	CU_ASSERT_EQUAL(s[0].mode, WEIR_MODE_NAT);
	CU_ASSERT_EQUAL(s[0].port, 80);
	CU_ASSERT_EQUAL(s[0].limit_packets, WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(s[0].burst_ns, 10000000);
	CU_ASSERT_EQUAL(s[0].per_source_packets, WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(s[0].per_source_connections, WEIR_UNLIMITED);
	CU_ASSERT_STRING_EQUAL(s[1].name, "d");
	CU_ASSERT_EQUAL(s[1].prefix_length, 64);
	CU_ASSERT_EQUAL(s[1].mode, WEIR_MODE_DSR);
	CU_ASSERT_EQUAL(s[1].protocol, 17);
	CU_ASSERT_EQUAL(s[1].port, 0);
	CU_ASSERT_EQUAL(s[0].cores, 1);
	CU_ASSERT_EQUAL(s[0].cores_max, 1);
	CU_ASSERT_EQUAL(s[1].cores, 3);
	CU_ASSERT_EQUAL(s[1].cores_max, 5);
	CU_ASSERT_EQUAL(s[1].limit_packets, 5);
	CU_ASSERT_EQUAL(s[1].limit_bits, 6000);
	CU_ASSERT_EQUAL(s[1].limit_connections, 0);
	CU_ASSERT_EQUAL(s[1].burst_ns, 1000000000);
	CU_ASSERT_EQUAL(s[1].per_source_packets, WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(s[1].per_source_connections, 7);
	CU_ASSERT_EQUAL(s[1].per_source_burst_ns, 1000000000);
	CU_ASSERT_EQUAL(s[1].per_source_entries, 3000);
	CU_ASSERT_EQUAL(s[1].per_source_prefix, 56);
	CU_ASSERT_EQUAL(s[1].first_backend, 2);
	CU_ASSERT_EQUAL(s[1].backend_count, 1);
	CU_ASSERT_EQUAL(s[1].source_count, 0);
	CU_ASSERT_EQUAL(f.view.backends[2].port, 0);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

static void message_of_fallback(void)
{
	struct plan_fixture f;
	struct plan_ports *ports = plan_ports_create();
	CU_ASSERT_EQUAL(
		plan_text(&f,
			HEAD "services:\n" DSR
			     "  - {name: a, address: 203.0.113.1, port: 80, protocol: tcp,\n"
			     "     mode: nat, source-addresses: [10.0.0.1],\n"
			     "     fallback: [{address: 10.0.0.98, weight: 3}],\n"
			     "     backends: [{address: 10.0.0.11}, {address: 10.0.0.12}]}\n",
			NULL, ports, false),
		0);
	CU_ASSERT_EQUAL(f.view.header->backend_count, 4);
	CU_ASSERT_EQUAL(f.view.services[1].first_backend, 1);
	CU_ASSERT_EQUAL_FATAL(f.view.services[1].backend_count, 3);
	const struct weir_config_backend *b = f.view.backends + 1;
	CU_ASSERT_EQUAL(b[0].fallback, 0);
	CU_ASSERT_EQUAL(b[1].fallback, 0);
	CU_ASSERT_EQUAL(b[2].fallback, 1);
	CU_ASSERT_EQUAL(b[2].address[15], 98);
	CU_ASSERT_EQUAL(b[2].port, 80);
	CU_ASSERT_EQUAL(b[2].weight, 3);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

/* Those outside come first; who has no image is left out; a pool's backends know its number. */
static void message_of_policies(void)
{
	struct model *m = model_of(
		HEAD "services:\n"
		     "  - {name: a, address: 203.0.113.1, port: 80, protocol: tcp, mode: nat,\n"
		     "     source-addresses: [10.0.0.1], policy: {object: a.o, mode: observe},\n"
		     "     classes: [{name: x}, {name: y, packets: 7, burst: 1s}],\n"
		     "     pools: [{name: p, backends: [{address: 10.0.0.13}]},\n"
		     "             {name: q, backends: [{address: 10.0.0.14}]}],\n"
		     "     backends: [{address: 10.0.0.11}], fallback: [{address: 10.0.0.12}]}\n"
		     "  - {name: b, address: 203.0.113.2, port: 80, protocol: tcp, mode: nat,\n"
		     "     source-addresses: [10.0.0.1], classes: [{name: z}],\n"
		     "     policy: [{object: a.o}, {object: b.o, on-error: drop, budget: 9}]}\n"
		     "policy: {object: out.o}\n");
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	struct model_policy *policy;
	struct weir_config_policy p[3];
	struct weir_config_class y;
	size_t position, length;
	uint64_t id = 0;
	char err[256] = "";
	void *body;
	while ((policy = model_policy_next(m, &c, &s, &position)) != NULL) {
		id++;
		policy->id = id == 2 ? 0 : id; /* the first one of b */
		snprintf(policy->name, sizeof(policy->name), "p%d", (int)id);
	}
	CU_ASSERT_EQUAL(id, 4);
	struct plan_ports *ports = plan_ports_create();
	CU_ASSERT_EQUAL_FATAL(
		plan_build(m, NULL, ports, false, &body, &length, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(weir_config_validate(body, length, err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(err, "");
	struct weir_config_view v;
	weir_config_view(body, &v);
	CU_ASSERT_EQUAL_FATAL(v.header->policy_count, 3);
	CU_ASSERT_EQUAL_FATAL(v.header->class_count, 3);
	CU_ASSERT_EQUAL(v.header->outside_policy_count, 1);
	/* They need not be aligned there. */
	memcpy(p, v.policies, sizeof(p));
	memcpy(&y, (const char *)v.classes + sizeof(y), sizeof(y));
	CU_ASSERT_EQUAL(p[0].id, 4);
	CU_ASSERT_EQUAL(p[1].id, 1);
	CU_ASSERT_EQUAL(p[1].mode, WEIR_POLICY_OBSERVE);
	CU_ASSERT_EQUAL(p[2].id, 3);
	CU_ASSERT_EQUAL(p[2].on_error, WEIR_POLICY_ERROR_DROP);
	CU_ASSERT_EQUAL(p[2].budget_cycles, 9);
	CU_ASSERT_STRING_EQUAL(p[2].name, "p3");
	CU_ASSERT_EQUAL(v.services[0].first_policy, 1);
	CU_ASSERT_EQUAL(v.services[0].policy_count, 1);
	CU_ASSERT_EQUAL(v.services[0].class_count, 2);
	CU_ASSERT_EQUAL(v.services[0].pool_count, 2);
	CU_ASSERT_EQUAL(v.services[1].first_policy, 2);
	CU_ASSERT_EQUAL(v.services[1].policy_count, 1);
	CU_ASSERT_EQUAL(v.services[1].first_class, 2);
	CU_ASSERT_EQUAL(y.packets, 7);
	CU_ASSERT_EQUAL(y.bits, WEIR_UNLIMITED);
	CU_ASSERT_EQUAL(v.backends[1].fallback, 1);
	CU_ASSERT_EQUAL(v.backends[1].pool, 0);
	CU_ASSERT_EQUAL(v.backends[2].pool, 1);
	CU_ASSERT_EQUAL(v.backends[3].pool, 2);
	CU_ASSERT_EQUAL(v.backends[3].fallback, 0);
	free(body);
	plan_ports_destroy(ports);
	model_destroy(m);
}

static void message_of_affinity(void)
{
	struct plan_fixture f;
	struct plan_ports *ports = plan_ports_create();
	CU_ASSERT_EQUAL(
		plan_text(&f,
			HEAD
			"services:\n"
			"  - {name: a, address: 203.0.113.1, port: 80, protocol: tcp, mode: dsr,\n"
			"     affinity: {type: source, prefix4: 24, timeout: 10m}}\n"
			"  - {name: b, address: \"2001:db8::1\", port: 80, protocol: tcp, mode: dsr,\n"
			"     affinity: {type: source, prefix6: 56, places: 5000}}\n"
			"  - {name: c, address: 203.0.113.3, port: 80, protocol: tcp, mode: nat,\n"
			"     source-addresses: [10.0.0.1], proxy-protocol: v2}\n",
			NULL, ports, false),
		0);
	const struct weir_config_service *s = f.view.services;
	CU_ASSERT_EQUAL(s[0].affinity_places, 65536);
	CU_ASSERT_EQUAL(s[0].affinity_prefix, 24);
	CU_ASSERT_EQUAL(s[0].affinity_timeout_ns, UINT64_C(600000000000));
	CU_ASSERT_EQUAL(s[1].affinity_places, 5000);
	CU_ASSERT_EQUAL(s[1].affinity_prefix, 56);
	CU_ASSERT_EQUAL(s[1].affinity_timeout_ns, UINT64_C(3600000000000));
	CU_ASSERT_EQUAL(s[2].affinity_places, 0);
	CU_ASSERT_EQUAL(s[0].proxy_protocol, 0);
	CU_ASSERT_EQUAL(s[2].proxy_protocol, 2);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

static void world_is_asked(void)
{
	struct plan_fixture f;
	struct test_world w = { .has_route = true, .resolved = true };
	struct plan_world world = world_of(&w);
	struct plan_ports *ports = plan_ports_create();
	const char *text = HEAD "services:\n" A B DSR NEIGHBOURS;
	CU_ASSERT_EQUAL(plan_text(&f, text, &world, ports, false), 0);
	/* static 10.0.0.11 and on-link 10.0.0.12, shared by both services, and the router */
	CU_ASSERT_EQUAL_FATAL(f.view.header->neighbour_count, 3);
	CU_ASSERT_EQUAL(f.view.neighbours[0].address[15], 11);
	CU_ASSERT_EQUAL(f.view.neighbours[0].port, 1);
	CU_ASSERT_EQUAL(f.view.neighbours[1].address[15], 12);
	CU_ASSERT_EQUAL(f.view.neighbours[1].mac[0], 0x22);
	CU_ASSERT_EQUAL(f.view.neighbours[2].address[15], 253);
	CU_ASSERT_EQUAL(f.view.backends[2].neighbour, 0);
	CU_ASSERT_EQUAL(f.view.backends[3].neighbour, 1);
	CU_ASSERT_EQUAL(f.view.backends[4].neighbour, 2);
	CU_ASSERT_EQUAL(f.view.backends[0].state, WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(f.view.backends[0].weight, 100);
	CU_ASSERT_EQUAL(f.view.backends[1].state, WEIR_BACKEND_DRAINING);
	CU_ASSERT_EQUAL(f.view.backends[1].weight, 0);
	plan_fixture_fini(&f);
	w.resolved = false;
	CU_ASSERT_EQUAL(plan_text(&f, text, &world, ports, false), 0);
	CU_ASSERT_EQUAL(f.view.neighbours[0].resolved, 1);
	CU_ASSERT_EQUAL(f.view.neighbours[1].resolved, 0);
	CU_ASSERT_EQUAL(f.view.neighbours[1].mac[0], 0);
	plan_fixture_fini(&f);
	w.has_route = false;
	CU_ASSERT_EQUAL(plan_text(&f, text, &world, ports, false), 0);
	CU_ASSERT_EQUAL(f.view.header->neighbour_count, 1);
	CU_ASSERT_EQUAL(f.view.backends[1].neighbour, WEIR_NO_NEIGHBOUR);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

static void message_empty(void)
{
	struct plan_fixture f;
	struct plan_ports *ports = plan_ports_create();
	CU_ASSERT_EQUAL(plan_text(&f, HEAD, NULL, ports, false), 0);
	CU_ASSERT_EQUAL(f.view.header->service_count, 0);
	plan_fixture_fini(&f);
	plan_ports_destroy(ports);
}

static void message_repeats(void)
{
	struct plan_fixture f;
	struct plan_fixture g;
	struct plan_ports *p = plan_ports_create();
	struct plan_ports *q = plan_ports_create();
	CU_ASSERT_EQUAL(plan_text(&f, HEAD "services:\n" A B U DSR NEIGHBOURS, NULL, p, false), 0);
	CU_ASSERT_EQUAL(plan_text(&g, HEAD "services:\n" A B U DSR NEIGHBOURS, NULL, q, false), 0);
	size_t length =
		(size_t)((const char *)(f.view.neighbours + f.view.header->neighbour_count) -
			(const char *)f.body);
	CU_ASSERT_EQUAL(memcmp(f.body, g.body, length), 0);
	plan_fixture_fini(&f);
	plan_fixture_fini(&g);
	plan_ports_destroy(p);
	plan_ports_destroy(q);
}

/* ---- port blocks ---- */

static const struct plan_share *share_of(
	const struct plan_ports *p, const char *service, uint8_t protocol)
{
	struct address a;
	address_parse("10.0.0.1", &a);
	return plan_ports_find(p, service, &a, protocol);
}

static unsigned int share_size(const struct plan_ports *p, const char *service, uint8_t protocol)
{
	const struct plan_share *s = share_of(p, service, protocol);
	unsigned int count = 0;
	for (unsigned int i = 0; s != NULL && i < WEIR_PORT_BLOCKS; i++)
		count += s->blocks[i / 8] >> (i % 8) & 1;
	return count;
}

static unsigned int share_runs(const struct plan_ports *p, const char *service, uint8_t protocol)
{
	const struct plan_share *s = share_of(p, service, protocol);
	unsigned int runs = 0;
	unsigned int last = 0;
	for (unsigned int i = 0; s != NULL && i < WEIR_PORT_BLOCKS; i++) {
		unsigned int bit = s->blocks[i / 8] >> (i % 8) & 1;
		runs += bit && !last;
		last = bit;
	}
	return runs;
}

static void blocks_first_plan(void)
{
	struct plan_ports *p = plan_ports_create();
	replan(HEAD "services:\n" A B U, NULL, p);
	CU_ASSERT_EQUAL(share_size(p, "a", 6), 84); /* 252 / 3 */
	CU_ASSERT_EQUAL(share_size(p, "b", 6), 84);
	CU_ASSERT_EQUAL(share_size(p, "u", 17), 126); /* 252 / 2: udp has ports of its own */
	CU_ASSERT_EQUAL(share_runs(p, "a", 6), 1);
	CU_ASSERT_EQUAL(share_runs(p, "b", 6), 1);
	CU_ASSERT_EQUAL(share_of(p, "a", 6)->blocks[0], 0xf0); /* not the well-known ports */
	plan_ports_destroy(p);
}

static void blocks_stay(void)
{
	struct plan_ports *p = plan_ports_create();
	replan(HEAD "services:\n" A B, NULL, p);
	struct plan_share a = *share_of(p, "a", 6);
	replan(HEAD "services:\n" C A B, NULL, p);
	CU_ASSERT_EQUAL(memcmp(&a.blocks, share_of(p, "a", 6)->blocks, BLOCK_BYTES), 0);
	CU_ASSERT_EQUAL(share_size(p, "c", 6), 42); /* half of what was left */
	replan(HEAD "services:\n" A C, NULL, p);
	CU_ASSERT_EQUAL(memcmp(&a.blocks, share_of(p, "a", 6)->blocks, BLOCK_BYTES), 0);
	CU_ASSERT_PTR_NULL(share_of(p, "b", 6));
	CU_ASSERT_EQUAL(share_size(p, "c", 6), 42);
	replan(HEAD "services:\n" A B C, NULL, p);
	CU_ASSERT_EQUAL(share_size(p, "b", 6), 63); /* half of 84 + 42 */
	CU_ASSERT_EQUAL(share_runs(p, "b", 6), 1);
	plan_ports_destroy(p);
}

static void blocks_of_host(void)
{
	struct test_world w = { .owns = true };
	struct plan_world world = world_of(&w);
	struct plan_ports *p = plan_ports_create();
	replan(HEAD "services:\n" A, &world, p);
	CU_ASSERT_EQUAL(
		share_size(p, "a", 6), 70); /* (252 - 111) / 2; 32768..60999 are 111 blocks */
	const struct plan_share *s = share_of(p, "a", 6);
	for (unsigned int i = 128; i <= 238; i++)
		CU_ASSERT_EQUAL(s->blocks[i / 8] >> (i % 8) & 1, 0);
	/* What a service has it keeps, also when the host takes to using the address. */
	struct plan_ports *q = plan_ports_create();
	w.owns = false;
	replan(HEAD "services:\n" A B, &world, q);
	struct plan_share before = *share_of(q, "b", 6);
	w.owns = true;
	replan(HEAD "services:\n" A B, &world, q);
	CU_ASSERT_EQUAL(memcmp(&before.blocks, share_of(q, "b", 6)->blocks, BLOCK_BYTES), 0);
	plan_ports_destroy(p);
	plan_ports_destroy(q);
}

/* n nat services on one source address. malloc'ed. */
static char *services_text(unsigned int n)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	fputs(HEAD "services:\n", to);
	for (unsigned int i = 0; i < n; i++)
		fprintf(to,
			"  - {name: s%u, address: 203.0.%u.%u, port: 80, protocol: tcp, mode: nat,\n"
			"     source-addresses: [10.0.0.1]}\n",
			i, i / 250, i % 250 + 1);
	fclose(to);
	return text;
}

static void blocks_exhausted(void)
{
	struct plan_fixture f;
	struct plan_ports *p = plan_ports_create();
	char *most = services_text(252);
	char *over = services_text(253);
	replan(most, NULL, p);
	CU_ASSERT_EQUAL(share_size(p, "s0", 6), 1);
	CU_ASSERT_EQUAL(share_size(p, "s251", 6), 1);
	char *before = plan_ports_save(p);
	CU_ASSERT_EQUAL(plan_text(&f, over, NULL, p, false), -ENOSPC);
	CU_ASSERT_STRING_EQUAL(f.err,
		"service s252: all ports of 10.0.0.1 are given to other services; add a source "
		"address");
	char *after = plan_ports_save(p);
	CU_ASSERT_STRING_EQUAL(before, after); /* a failed plan changes nothing */
	free(before);
	free(after);
	free(most);
	free(over);
	plan_ports_destroy(p);
}

static void blocks_scattered(void)
{
	struct plan_ports *p = plan_ports_create();
	replan(HEAD "services:\n" A B C, NULL, p); /* 63 each, 63 left */
	replan(HEAD "services:\n" B, NULL, p); /* 63 free, b, 126 free */
	replan(HEAD "services:\n" B C, NULL, p);
	CU_ASSERT_EQUAL(share_size(p, "c", 6), 94); /* half of 189, in the run of 126 */
	CU_ASSERT_EQUAL(share_runs(p, "c", 6), 1);
	plan_ports_destroy(p);
}

static void blocks_saved(void)
{
	static const char *const bad[] = {
		"",
		"weir-port-blocks 2\n",
		"weir-port-blocks 1\nweb tcp 10.0.0.1\n",
		"weir-port-blocks 1\nweb sctp 10.0.0.1 "
		"0000000000000000000000000000000000000000000000000000000000000000\n",
		"weir-port-blocks 1\nweb tcp 10.0.0 "
		"0000000000000000000000000000000000000000000000000000000000000000\n",
		"weir-port-blocks 1\nweb tcp 10.0.0.1 00\n",
		"weir-port-blocks 1\n"
		"a tcp 10.0.0.1 f000000000000000000000000000000000000000000000000000000000000000\n"
		"b tcp 10.0.0.1 1000000000000000000000000000000000000000000000000000000000000000\n",
	};
	struct plan_ports *p = plan_ports_create();
	replan(HEAD "services:\n" A B U, NULL, p);
	char *text = plan_ports_save(p);
	struct plan_ports *q = plan_ports_load(text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(q);
	char *again = plan_ports_save(q);
	CU_ASSERT_STRING_EQUAL(text, again);
	replan(HEAD "services:\n" C A B U, NULL, q);
	CU_ASSERT_EQUAL(
		memcmp(share_of(p, "b", 6)->blocks, share_of(q, "b", 6)->blocks, BLOCK_BYTES), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_PTR_NULL(plan_ports_load(bad[i]));
	free(text);
	free(again);
	plan_ports_destroy(p);
	plan_ports_destroy(q);
}

/* Services come and go at random: shares never overlap, never change, never touch blocks 0 to 3. */
static void blocks_random(void)
{
	struct plan_ports *p = plan_ports_create();
	uint32_t random = 12345;
	for (int round = 0; round < 200; round++) {
		char *text = NULL;
		size_t size;
		FILE *to = open_memstream(&text, &size);
		fputs(HEAD "services:\n", to);
		for (unsigned int i = 0; i < 12; i++) {
			random = random * 1664525u + 1013904223u;
			if (i == 0 || random >> 31)
				fprintf(to,
					"  - {name: s%u, address: 203.0.113.%u, port: 80, protocol: "
					"tcp, mode: nat,\n     source-addresses: [10.0.0.1]}\n",
					i, i + 1);
		}
		fclose(to);
		struct plan_ports *before = plan_ports_copy(p);
		replan(text, NULL, p);
		uint8_t taken[BLOCK_BYTES] = { 0x0f };
		for (size_t i = 0; i < p->count; i++) {
			const struct plan_share *s = &p->shares[i];
			const struct plan_share *old = share_of(before, s->service, 6);
			CU_ASSERT(share_size(p, s->service, 6) > 0);
			CU_ASSERT(old == NULL || memcmp(old->blocks, s->blocks, BLOCK_BYTES) == 0);
			for (size_t j = 0; j < BLOCK_BYTES; j++) {
				CU_ASSERT_EQUAL(taken[j] & s->blocks[j], 0);
				taken[j] |= s->blocks[j];
			}
		}
		plan_ports_destroy(before);
		free(text);
	}
	plan_ports_destroy(p);
}

static void steering_entries(void)
{
	struct model *m = model_of(HEAD "services:\n" A B U DSR);
	struct plan_ports *p = plan_ports_create();
	struct plan_steering s;
	void *body;
	size_t length;
	char err[256];
	CU_ASSERT_EQUAL(plan_build(m, NULL, p, false, &body, &length, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL_FATAL(plan_steering_build(m, p, &s), 0);
	CU_ASSERT_EQUAL(s.service_count, 4);
	CU_ASSERT_EQUAL(s.services[3].prefix_length, 64);
	CU_ASSERT_EQUAL(s.services[3].port, 0);
	CU_ASSERT_EQUAL(s.services[3].protocol, 17);
	CU_ASSERT_EQUAL_FATAL(s.source_count, 2); /* 10.0.0.1, tcp of a and b together, and udp */
	for (size_t i = 0; i < BLOCK_BYTES; i++) {
		CU_ASSERT_EQUAL(s.sources[0].blocks[i],
			share_of(p, "a", 6)->blocks[i] | share_of(p, "b", 6)->blocks[i]);
		CU_ASSERT_EQUAL(s.sources[1].blocks[i], share_of(p, "u", 17)->blocks[i]);
	}
	plan_steering_fini(&s);
	free(body);
	plan_ports_destroy(p);
	model_destroy(m);
}

static const struct tap_case cases[] = {
	{ "replay has captures, static neighbours and backends that are up", message_of_replay },
	{ "a service's values are in the message", message_of_service },
	{ "a fallback pool is behind the backends, and marked", message_of_fallback },
	{ "policies, classes and pools are numbered as the message wants them",
		message_of_policies },
	{ "affinity is by the prefix of the service's family", message_of_affinity },
	{ "equal paths make a group, the same for all in the same position",
		equal_paths_make_a_group },
	{ "the world says states, routes and link addresses", world_is_asked },
	{ "a configuration without services is a message", message_empty },
	{ "the same input gives the same bytes", message_repeats },
	{ "the first plan divides the blocks and leaves a part", blocks_first_plan },
	{ "blocks stay while services come and go", blocks_stay },
	{ "ephemeral ports of the host are not given away", blocks_of_host },
	{ "running out of blocks is refused and changes nothing", blocks_exhausted },
	{ "a new share is one run where there is room", blocks_scattered },
	{ "blocks are saved and loaded, damaged files refused", blocks_saved },
	{ "random changes keep shares apart and in place", blocks_random },
	{ "steering entries are the services and their blocks", steering_entries },
};

TAP_MAIN("plan", cases)
