/* SPDX-License-Identifier: BSD-3-Clause */

/* Policies in the way of packets: verdicts, classes, pools, maps, what goes wrong. */

#include "dataplane/api/validate.h"
#include "dataplane/core/core.h"
#include "tests/unit/fastpath/policy_bed.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

enum {
	WEB_1,
	WEB_2,
	REPLICA
};

/* Two backends, one in a pool, two classes; policy 1 with these parameters. */
static struct weir_config_policy *judged_start(struct bed *b, uint8_t mode, uint8_t protocol,
	bool ipv6, uint32_t cores, const char *const *sets)
{
	bed_start(b, cores, 2);
	bed_add_service(b, "web", mode, protocol, ipv6 ? "2001:db8::10" : SERVICE, 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::11" : "10.0.0.11", 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::12" : "10.0.0.12", 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::21" : "10.0.0.21", 80)->pool = 1;
	b->service[0].pool_count = 1;
	class_add(b, "slow");
	policy_stage(b, say, 1, sets);
	return policy_add(b, 1);
}

static struct bed_packet client(const struct bed *b, uint8_t protocol, uint16_t sport)
{
	const bool ipv6 = b->service[0].address[0] == 0x20;
	struct bed_packet p = bed_client(
		ipv6 ? "2001:db8::7" : CLIENT, sport, ipv6 ? "2001:db8::10" : SERVICE, 80);

	p.protocol = protocol;
	return p;
}

/* Which backend 32 new flows went to, as bits; how many got through in ret_passed. */
static uint32_t flows_go(struct bed *b, uint8_t protocol, uint16_t first, uint32_t *ret_passed)
{
	uint32_t found = 0;

	*ret_passed = 0;
	for (uint16_t i = 0; i < 32; i++) {
		struct bed_packet p = client(b, protocol, (uint16_t)(first + i));
		struct bed_packet to;

		if (!bed_exchange(b, 0, &p, &to))
			continue;
		found |= 1u << to.dmac[5];
		++*ret_passed;
	}
	return found;
}

struct expected {
	const char *const *sets;
	uint8_t on_error;
	uint32_t action; /* counted */
	uint32_t passed; /* of 32 */
	uint32_t backends;
	uint32_t reason; /* of drops */
};

static void verdict_check(
	const struct expected *e, uint8_t mode, uint8_t protocol, bool ipv6, bool observe)
{
	const uint32_t main_pool = 1u << WEB_1 | 1u << WEB_2;
	struct bed b;
	uint32_t passed, found;
	struct weir_config_policy *p = judged_start(&b, mode, protocol, ipv6, 1, e->sets);

	p->on_error = e->on_error;
	p->mode = observe ? WEIR_POLICY_OBSERVE : WEIR_POLICY_ENFORCE;
	bed_apply(&b);
	found = flows_go(&b, protocol, 20000, &passed);
	CU_ASSERT_EQUAL(passed, observe ? 32 : e->passed);
	CU_ASSERT_EQUAL(found, observe ? main_pool : e->backends);
	CU_ASSERT_EQUAL(verdicts(&b, 0, e->action), 32);
	CU_ASSERT_EQUAL(judged(&b, 0), 32);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 32 - passed);
	if (passed == 0)
		CU_ASSERT_EQUAL(bed_dropped(&b, 0, e->reason), 32);
	CU_ASSERT_EQUAL(
		policy_entry(&b, 0)->state, observe ? WEIR_POLICY_OBSERVED : WEIR_POLICY_RUNNING);
	CU_ASSERT_EQUAL(policy_entry(&b, 0)->id, 1);
	bed_stop(&b);
}

static void every_verdict(void)
{
	const uint32_t main_pool = 1u << WEB_1 | 1u << WEB_2;
	const struct expected all[] = {
		{ SETS("verdict=2"), 0, WEIR_ACTION_PASS, 32, main_pool, 0 },
		{ SETS("verdict=0x301"), 0, WEIR_ACTION_DROP, 0, 0, WEIR_DROP_POLICY },
		{ SETS("verdict=0"), 0, WEIR_ACTION_ABORTED, 32, main_pool, 0 },
		{ SETS("verdict=0"), 1, WEIR_ACTION_ABORTED, 0, 0, WEIR_DROP_POLICY_ERROR },
		{ SETS("verdict=0x103"), 0, WEIR_ACTION_LIMIT, 32, main_pool, 0 },
		{ SETS("verdict=0x104"), 0, WEIR_ACTION_ROUTE, 32, 1u << REPLICA, 0 },
		/* What there is not. */
		{ SETS("verdict=7"), 1, WEIR_ACTION_ABORTED, 0, 0, WEIR_DROP_POLICY_ERROR },
		{ SETS("verdict=0x1000002"), 1, WEIR_ACTION_ABORTED, 0, 0, WEIR_DROP_POLICY_ERROR },
		{ SETS("verdict=0x203"), 1, WEIR_ACTION_ABORTED, 0, 0, WEIR_DROP_POLICY_ERROR },
		{ SETS("verdict=0x003"), 0, WEIR_ACTION_ABORTED, 32, main_pool, 0 },
		{ SETS("verdict=0x204"), 0, WEIR_ACTION_ABORTED, 32, main_pool, 0 },
		{ SETS("loops=5000"), 1, WEIR_ACTION_ABORTED, 0, 0, WEIR_DROP_POLICY_ERROR },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (uint32_t kind = 0; kind < 8; kind++)
			verdict_check(&all[i], kind & 1 ? WEIR_MODE_NAT : WEIR_MODE_DSR,
				kind & 2 ? 6 : 17, kind & 4, false);
		verdict_check(&all[i], WEIR_MODE_NAT, 6, false, true);
	}
}

static void drops_by_reason(void)
{
	struct bed b;
	uint32_t passed;

	judged_start(&b, WEIR_MODE_DSR, 17, false, 1, SETS("verdict=0x301"));
	bed_apply(&b);
	flows_go(&b, 17, 20000, &passed);
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 32);
	policy_stage(&b, say, 2, SETS("verdict=0x100001")); /* reason 4096 */
	b.policy[0].id = 2;
	bed_apply(&b);
	flows_go(&b, 17, 20000, &passed);
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 0);
	CU_ASSERT_EQUAL(reasons(&b, 0, WEIR_POLICY_REASONS - 1), 32);
	CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_POLICY), 64);
	bed_stop(&b);
}

/* The context is the packet's: what the policy noted is what was sent. Replies are not judged. */
static void contexts_are_right(void)
{
	for (uint32_t kind = 0; kind < 4; kind++) {
		const bool ipv6 = kind & 1;
		struct bed b;
		struct bed_packet p, to;
		uint64_t word[4] = { 0 };

		judged_start(&b, WEIR_MODE_NAT, 6, ipv6, kind & 2 ? 3 : 1, SETS("verdict=2"));
		b.service[0].cores = 2;
		bed_apply(&b);
		p = client(&b, 6, 30000);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		to = bed_reply(&to, BED_SYN | BED_ACK, 0);
		CU_ASSERT_TRUE(bed_exchange(&b, 1, &to, &p));
		CU_ASSERT_EQUAL(judged(&b, 0), 1);
		for (uint32_t i = 0; i < 4; i++) {
			struct {
				struct weir_policy_map head;
				uint32_t key;
			} get = { .head = { .service = "web",
					  .map = "seen",
					  .op = WEIR_POLICY_MAP_GET,
					  .key_bytes = 4,
					  .count = 1 },
				.key = i };
			struct weir_policy_map_reply *r = NULL;
			size_t length = 0;

			CU_ASSERT_EQUAL_FATAL(fastpath_policy_map(b.fp, &get.head, (void **)&r,
						      &length, b.err, sizeof(b.err)),
				0);
			CU_ASSERT_EQUAL(r->count, 1);
			CU_ASSERT_EQUAL(length, sizeof(*r) + 12);
			memcpy(&word[i], (uint8_t *)(r + 1) + 4, 8);
			free(r);
		}
		CU_ASSERT_EQUAL(word[0], 1);
		CU_ASSERT_EQUAL(word[1], ipv6);
		CU_ASSERT_EQUAL(word[2], 1);
		CU_ASSERT_EQUAL(word[3], ipv6 ? 74u : 54u);
		bed_stop(&b);
	}
}

static void new_flows_are_known(void)
{
	for (uint32_t kind = 0; kind < 2; kind++) {
		const uint8_t protocol = kind ? 6 : 17;
		struct bed b;
		struct bed_packet p, to;

		judged_start(
			&b, WEIR_MODE_NAT, protocol, false, 1, SETS("new_only=1", "verdict=0x104"));
		bed_apply(&b);
		p = client(&b, protocol, 30000);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_EQUAL(to.dmac[5], REPLICA);
		CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_ROUTE), 1);
		p.tcp_flags = BED_ACK;
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_EQUAL(to.dmac[5], REPLICA);
		CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_ROUTE), 1);
		CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_PASS), 1);
		bed_stop(&b);
	}
}

/* The first class and the first pool hold, a drop is the end, and marks go from one to the next. */
static void several_in_order(void)
{
	struct bed b;
	uint32_t passed;

	judged_start(&b, WEIR_MODE_DSR, 17, false, 1, SETS("verdict=0x104", "mark=5"));
	policy_stage(&b, say, 2, SETS("want_mark=5", "verdict=0x103", "mark=2"));
	policy_add(&b, 2);
	policy_stage(&b, say, 3, SETS("odd=1", "want_mark=7", "verdict=0x201"));
	policy_add(&b, 3);
	policy_stage(&b, say, 4, SETS("verdict=0x204"));
	policy_add(&b, 4);
	bed_add_backend(&b, 0, "10.0.0.31", 80)->pool = 2;
	b.service[0].pool_count = 2;
	bed_apply(&b);
	CU_ASSERT_EQUAL(flows_go(&b, 17, 20000, &passed), 1u << REPLICA);
	CU_ASSERT_EQUAL(passed, 16);
	CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_ROUTE), 32);
	CU_ASSERT_EQUAL(verdicts(&b, 1, WEIR_ACTION_LIMIT), 32);
	CU_ASSERT_EQUAL(verdicts(&b, 2, WEIR_ACTION_DROP), 16);
	CU_ASSERT_EQUAL(verdicts(&b, 2, WEIR_ACTION_PASS), 16);
	CU_ASSERT_EQUAL(judged(&b, 3), 16);
	CU_ASSERT_EQUAL(class_sum(&b, 0, 0), 16);
	bed_stop(&b);
}

/* Two thousand a second for a class, and ten thousand come: two seconds. */
/* The first class or pool that is enforced is the packet's; those that are only observed give it none. */
static void first_class_counts(void)
{
	for (uint32_t observed = 0; observed < 2; observed++) {
		struct weir_config_policy *p;
		struct bed b;
		uint32_t passed;

		p = judged_start(&b, WEIR_MODE_DSR, 17, false, 1, SETS("verdict=0x103"));
		p->mode = observed ? WEIR_POLICY_OBSERVE : WEIR_POLICY_ENFORCE;
		class_add(&b, "slower");
		policy_stage(&b, say, 2, SETS("verdict=0x203"));
		policy_add(&b, 2);
		bed_apply(&b);
		flows_go(&b, 17, 20000, &passed);
		CU_ASSERT_EQUAL(passed, 32);
		CU_ASSERT_EQUAL(verdicts(&b, 0, WEIR_ACTION_LIMIT), 32);
		CU_ASSERT_EQUAL(verdicts(&b, 1, WEIR_ACTION_LIMIT), 32);
		CU_ASSERT_EQUAL(class_sum(&b, 0, 0), observed ? 0 : 32);
		CU_ASSERT_EQUAL(class_sum(&b, 1, 0), observed ? 32 : 0);
		bed_stop(&b);
	}
}

static void class_limits(void)
{
	static const struct {
		size_t word;
		uint64_t packets;
		uint64_t bits;
		uint64_t connections;
	} limits[] = {
		{ offsetof(struct weir_class_cell, dropped_packets) / 8, 2000, WEIR_UNLIMITED,
			WEIR_UNLIMITED },
		{ offsetof(struct weir_class_cell, dropped_bits) / 8, WEIR_UNLIMITED,
			UINT64_C(2000) * 60 * 8, WEIR_UNLIMITED },
		{ offsetof(struct weir_class_cell, dropped_connections) / 8, WEIR_UNLIMITED,
			WEIR_UNLIMITED, 2000 },
	};

	for (uint32_t i = 0; i < 3; i++) {
		uint64_t passed = 0, others = 0;
		struct bed b;

		judged_start(&b, WEIR_MODE_DSR, 17, false, 3, SETS("odd=1", "verdict=0x103"));
		b.service[0].cores = 2;
		b.class[0].packets = limits[i].packets;
		b.class[0].bits = limits[i].bits;
		b.class[0].connections = limits[i].connections;
		bed_apply(&b);
		for (uint32_t k = 0; k < 40000; k++) {
			struct bed_packet p = client(&b, 17, (uint16_t)(1000 + k));
			struct bed_packet to;

			p.payload = 18;
			b.now += BED_SECOND / 20000;
			if (!bed_exchange(&b, 0, &p, &to))
				continue;
			passed += p.sport & 1;
			others += !(p.sport & 1);
		}
		CU_ASSERT_EQUAL(others, 20000);
		CU_ASSERT_TRUE(passed >= 3920 && passed <= 4080);
		CU_ASSERT_EQUAL(class_sum(&b, 0, 0), 20000);
		CU_ASSERT_EQUAL(class_sum(&b, 0, limits[i].word), 20000 - passed);
		CU_ASSERT_EQUAL(bed_dropped(&b, 0, WEIR_DROP_LIMIT_CLASS), 20000 - passed);
		bed_stop(&b);
	}
}

static void pools_serve(void)
{
	for (uint32_t mode = WEIR_MODE_NAT; mode <= WEIR_MODE_DSR; mode++) {
		const uint32_t main_pool = 1u << WEB_1 | 1u << WEB_2;
		struct bed b;
		struct bed_packet p, to;
		uint32_t passed;

		judged_start(&b, (uint8_t)mode, 6, false, 1, SETS("odd=1", "verdict=0x104"));
		bed_apply(&b);
		CU_ASSERT_EQUAL(bed_backend_entry(&b, 0, REPLICA)->pool, 1);
		CU_ASSERT_EQUAL(b.telemetry->service[0].pool_count, 1);
		CU_ASSERT_EQUAL(flows_go(&b, 6, 20000, &passed), main_pool | 1u << REPLICA);
		/* A known flow stays, whatever is said of it later. */
		p = client(&b, 6, 20001);
		p.tcp_flags = BED_ACK;
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_EQUAL(to.dmac[5], REPLICA);
		policy_stage(&b, say, 2, SETS("verdict=2"));
		b.policy[0].id = 2;
		bed_apply(&b);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_EQUAL(to.dmac[5], REPLICA);
		CU_ASSERT_EQUAL(flows_go(&b, 6, 21000, &passed), main_pool);
		/* Nobody there: the main pool serves, also those that were known. */
		policy_stage(&b, say, 3, SETS("verdict=0x104"));
		b.policy[0].id = 3;
		bed_apply(&b);
		CU_ASSERT_EQUAL(bed_backend_state(&b, 0, REPLICA, WEIR_BACKEND_DRAINING, 100), 0);
		CU_ASSERT_EQUAL(flows_go(&b, 6, 22000, &passed), main_pool);
		CU_ASSERT_EQUAL(bed_sum(&b, 0, pool_empty), 32);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_EQUAL(to.dmac[5], REPLICA);
		CU_ASSERT_EQUAL(bed_backend_state(&b, 0, REPLICA, WEIR_BACKEND_DOWN, 100), 0);
		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &to));
		CU_ASSERT_NOT_EQUAL(to.dmac[5], REPLICA);
		/* And the other way round: the main pool is down, the named one is not. */
		CU_ASSERT_EQUAL(bed_backend_state(&b, 0, REPLICA, WEIR_BACKEND_UP, 100), 0);
		CU_ASSERT_EQUAL(bed_backend_state(&b, 0, WEB_1, WEIR_BACKEND_DOWN, 100), 0);
		CU_ASSERT_EQUAL(bed_backend_state(&b, 0, WEB_2, WEIR_BACKEND_DOWN, 100), 0);
		CU_ASSERT_EQUAL(flows_go(&b, 6, 23000, &passed), 1u << REPLICA);
		CU_ASSERT_EQUAL(passed, 32);
		bed_stop(&b);
	}
}

struct map_call {
	struct weir_policy_map head;
	uint8_t records[512];
};

static int map_do(struct bed *b, const char *map, enum weir_policy_map_op op, const void *records,
	uint32_t count, uint32_t key, uint32_t value, struct weir_policy_map_reply **ret_reply)
{
	struct map_call call = { .head = { .service = "web",
					 .op = op,
					 .count = count,
					 .key_bytes = key,
					 .value_bytes = value } };
	const size_t bytes = op == WEIR_POLICY_MAP_DUMP ? 0 : (size_t)count * (key + value);
	void *body = NULL;
	size_t length;

	snprintf(call.head.map, sizeof(call.head.map), "%s", map);
	if (bytes)
		memcpy(call.records, records, bytes);
	CU_ASSERT_EQUAL(
		weir_policy_map_validate(&call, sizeof(call.head) + bytes, b->err, sizeof(b->err)),
		0);
	b->err[0] = 0;
	int rc = fastpath_policy_map(b->fp, &call.head, &body, &length, b->err, sizeof(b->err));

	CU_ASSERT_EQUAL(rc == 0, b->err[0] == 0);
	if (ret_reply && rc == 0)
		*ret_reply = body;
	else
		free(body);
	return rc;
}

static void maps_by_hand(void)
{
	const uint32_t block[] = { 20003, 4, 20007, 5 };
	const uint64_t many[] = { 77 };
	struct weir_policy_map_reply *r;
	struct bed b;
	uint32_t passed;

	judged_start(&b, WEIR_MODE_DSR, 17, false, 3, SETS("verdict=2"));
	bed_apply(&b);
	CU_ASSERT_EQUAL(map_do(&b, "blocked", WEIR_POLICY_MAP_SET, block, 2, 4, 4, &r), 0);
	CU_ASSERT_EQUAL(r->count, 2);
	free(r);
	flows_go(&b, 17, 20000, &passed);
	CU_ASSERT_EQUAL(passed, 30);
	CU_ASSERT_EQUAL(reasons(&b, 0, 4), 1);
	CU_ASSERT_EQUAL(reasons(&b, 0, 5), 1);
	CU_ASSERT_EQUAL(map_do(&b, "blocked", WEIR_POLICY_MAP_DUMP, NULL, 9, 0, 0, &r), 0);
	CU_ASSERT_EQUAL(r->count, 2);
	CU_ASSERT_EQUAL(r->next, 0);
	free(r);
	CU_ASSERT_EQUAL(map_do(&b, "blocked", WEIR_POLICY_MAP_DUMP, NULL, 1, 0, 0, &r), 0);
	CU_ASSERT_EQUAL(r->count, 1);
	CU_ASSERT_NOT_EQUAL(r->next, 0);
	free(r);
	/* An apply that keeps the policy keeps its maps; another policy has its own. */
	b.service[0].limit_packets = 1000000;
	bed_apply(&b);
	CU_ASSERT_EQUAL(map_do(&b, "blocked", WEIR_POLICY_MAP_DELETE, block, 1, 4, 0, NULL), 0);
	CU_ASSERT_EQUAL(
		map_do(&b, "blocked", WEIR_POLICY_MAP_DELETE, block, 1, 4, 0, NULL), -ENOENT);
	CU_ASSERT_STRING_EQUAL(b.err, "map blocked: entry 1 of 1: there is no such entry");
	flows_go(&b, 17, 20000, &passed);
	CU_ASSERT_EQUAL(passed, 31);
	CU_ASSERT_EQUAL(judged(&b, 0), 64);
	/* One value of each core, and one that all get. */
	CU_ASSERT_EQUAL(map_do(&b, "by_worker", WEIR_POLICY_MAP_SET, &(struct {
		uint32_t key;
		uint32_t low, high;
	}){ 0, 77, 0 },
				1, 4, 8, NULL),
		0);
	CU_ASSERT_EQUAL(
		map_do(&b, "by_worker", WEIR_POLICY_MAP_GET, &(uint32_t){ 0 }, 1, 4, 0, &r), 0);
	CU_ASSERT_EQUAL(r->values, 3);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(memcmp((uint8_t *)(r + 1) + 4 + i * 8, many, 8), 0);
	free(r);
	policy_stage(&b, say, 2, SETS("verdict=2"));
	b.policy[0].id = 2;
	bed_apply(&b);
	CU_ASSERT_EQUAL(map_do(&b, "blocked", WEIR_POLICY_MAP_DUMP, NULL, 9, 0, 0, &r), 0);
	CU_ASSERT_EQUAL(r->count, 0);
	free(r);
	/* What cannot be. */
	CU_ASSERT_EQUAL(map_do(&b, "nothing", WEIR_POLICY_MAP_DUMP, NULL, 9, 0, 0, NULL), -ENOENT);
	CU_ASSERT_EQUAL(map_do(&b, "blocked", WEIR_POLICY_MAP_GET, block, 1, 8, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(map_do(&b, "seen", WEIR_POLICY_MAP_DELETE, block, 1, 4, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(map_do(&b, ".rodata", WEIR_POLICY_MAP_DUMP, NULL, 9, 0, 0, NULL), 0);
	bed_stop(&b);
}

static void refused_ones_change_nothing(void)
{
	struct weir_policy_stage stage = { .id = 9, .image_bytes = say->size };
	struct policy_image *broken;
	struct bed b;
	uint32_t passed;

	judged_start(&b, WEIR_MODE_DSR, 17, false, 1, SETS("verdict=2"));
	bed_apply(&b);
	b.policy[0].id = 7;
	CU_ASSERT_EQUAL(bed_try_apply(&b), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "has not been handed over"));
	flows_go(&b, 17, 20000, &passed);
	CU_ASSERT_EQUAL(judged(&b, 0), 32);
	broken = malloc(say->size);
	memcpy(broken, say, say->size);
	broken->magic++;
	CU_ASSERT_EQUAL(fastpath_policy_stage(b.fp, &stage, broken, NULL, 1, b.err, 256), -EINVAL);
	memcpy(broken, say, say->size);
	image_insns(broken)[0].code = 0xff;
	CU_ASSERT_EQUAL(fastpath_policy_stage(b.fp, &stage, broken, NULL, 1, b.err, 256), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "instruction 0"));
	free(broken);
	/* Staged, and forgotten: when its client goes, and when another configuration is in force. */
	policy_stage(&b, say, 7, NULL);
	fastpath_policy_forget(b.fp, 1);
	CU_ASSERT_EQUAL(bed_try_apply(&b), -ENOENT);
	policy_stage(&b, say, 7, NULL);
	b.policy[0].id = 1;
	bed_apply(&b); /* as when a port comes back */
	fastpath_policy_forget(b.fp, 2);
	b.policy[0].id = 7;
	bed_apply(&b);
	policy_stage(&b, say, 1, SETS("verdict=2"));
	b.policy[0].id = 1;
	bed_apply(&b);
	flows_go(&b, 17, 20000, &passed);
	fastpath_policy_forget(b.fp, FASTPATH_ANY_CLIENT);
	b.policy[0].id = 7;
	CU_ASSERT_EQUAL(bed_try_apply(&b), -ENOENT);
	/* A policy that runs is known for as long as it does. */
	b.policy[0].id = 1;
	bed_apply(&b);
	CU_ASSERT_EQUAL(judged(&b, 0), 32);
	bed_stop(&b);
}

static void the_interpreter_says_the_same(void)
{
	struct bed b;
	uint32_t passed;

	judged_start(&b, WEIR_MODE_NAT, 6, false, 1, SETS("verdict=2"));
	CU_ASSERT_EQUAL(policy_stage_as(&b, say, 2, SETS("odd=1", "verdict=0x301"), 0), 0);
	b.policy[0].id = 2;
	bed_apply(&b);
	CU_ASSERT_EQUAL(policy_entry(&b, 0)->compiled, 0);
	flows_go(&b, 6, 20000, &passed);
	CU_ASSERT_EQUAL(passed, 16);
	CU_ASSERT_EQUAL(reasons(&b, 0, 3), 16);
	bed_stop(&b);
}

static char detached_text[256];

static void detached(void *ctx, const char *object, const char *text)
{
	++*(uint32_t *)ctx;
	snprintf(detached_text, sizeof(detached_text), "%s: %s", object, text);
}

/* The made-up clock stands still beside the cycles, which are real: a slow one, so that they are a share of it. */
static void tick(struct bed *b, uint64_t ms, uint32_t *events)
{
	uint64_t hz = b->fp->tsc_hz;

	b->fp->tsc_hz = 1000;
	fastpath_policy_tick(b->fp, ms, detached, events);
	b->fp->tsc_hz = hz;
}

static void budgets(void)
{
	for (uint32_t on_error = 0; on_error < 2; on_error++) {
		struct bed b;
		uint32_t events = 0, passed;
		struct weir_config_policy *p =
			judged_start(&b, WEIR_MODE_DSR, 17, false, 1, SETS("verdict=2"));

		p->budget_cycles = 1;
		p->on_error = (uint8_t)on_error;
		bed_apply(&b);
		for (uint32_t ms = 0; ms < 4000; ms += 100) {
			tick(&b, ms, &events);
			/* Too few to judge by in a second; enough after two and a bit. */
			if (ms < 2500)
				flows_go(&b, 17, 20000, &passed);
			if (ms < 2000)
				flows_go(&b, 17, 20000, &passed);
			CU_ASSERT_EQUAL(events, ms >= 1600);
		}
		CU_ASSERT_EQUAL(policy_entry(&b, 0)->state, WEIR_POLICY_DETACHED);
		CU_ASSERT_PTR_NOT_NULL(strstr(detached_text, "web: policy say-1.o took"));
		uint64_t before = judged(&b, 0);

		bed_apply(&b);
		flows_go(&b, 17, 20000, &passed);
		CU_ASSERT_EQUAL(passed, on_error ? 0 : 32);
		CU_ASSERT_EQUAL(judged(&b, 0), before);
		if (on_error)
			CU_ASSERT_TRUE(bed_dropped(&b, 0, WEIR_DROP_POLICY_ERROR) >= 32);
		/* Loaded again, with room. */
		policy_stage(&b, say, 2, SETS("verdict=2"));
		p->id = 2;
		p->budget_cycles = 1000000000;
		bed_apply(&b);
		for (uint32_t ms = 4000; ms < 8000; ms += 100) {
			flows_go(&b, 17, 20000, &passed);
			tick(&b, ms, &events);
		}
		CU_ASSERT_EQUAL(passed, 32);
		CU_ASSERT_EQUAL(events, 1);
		CU_ASSERT_EQUAL(policy_entry(&b, 0)->state, WEIR_POLICY_RUNNING);
		bed_stop(&b);
	}
}

/* Packets that no service has: dropped, or the kernel's. */
/* However much is seen before: a second has to pass. */
static void budgets_take_a_second(void)
{
	struct bed b;
	uint32_t events = 0, passed;

	judged_start(&b, WEIR_MODE_DSR, 17, false, 1, SETS("verdict=2"))->budget_cycles = 1;
	bed_apply(&b);
	for (uint32_t ms = 0; ms <= 1000; ms += 100) {
		tick(&b, ms, &events);
		CU_ASSERT_EQUAL(events, ms >= 1000);
		for (uint32_t i = 0; i < 40; i++)
			flows_go(&b, 17, 20000, &passed);
	}
	bed_stop(&b);
}

static void of_no_service(void)
{
	struct bed b;

	bed_start(&b, 1, 1);
	b.port[0].port.kind = WEIR_PORT_CAPTURE;
	bed_add_service(&b, "web", WEIR_MODE_DSR, 17, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	policy_stage(&b, say, 1, SETS("odd=1", "verdict=0x201"));
	policy_add(&b, 1);
	b.service[0].policy_count = 0;
	b.outside_count = 1;
	bed_apply(&b);
	for (uint16_t i = 0; i < 32; i++) {
		struct bed_packet p = bed_client(CLIENT, (uint16_t)(20000 + i), SERVICE, 81);
		struct bed_packet own = bed_client(CLIENT, (uint16_t)(20000 + i), SERVICE, 80);

		own.protocol = 17;
		bed_send(&b, 0, &p);
		bed_send(&b, 0, &own);
	}
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 32);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].packets_to_kernel, 16);
	CU_ASSERT_EQUAL(bed_core(&b, 0)->port[0].dropped[WEIR_DROP_POLICY], 16);
	CU_ASSERT_EQUAL(b.telemetry->outside_policy_count, 1);
	const struct weir_policy_entry *e =
		(const void *)((const char *)b.telemetry + b.telemetry->outside_policy_offset);

	CU_ASSERT_EQUAL(policy_sum(&b, e, POLICY_WORD(reasons) + 2), 16);
	CU_ASSERT_EQUAL(policy_sum(&b, e, POLICY_WORD(verdicts) + WEIR_ACTION_PASS), 16);
	b.policy_count = b.outside_count = 0;
	bed_apply(&b);
	CU_ASSERT_EQUAL(b.telemetry->outside_policy_count, 0);
	bed_stop(&b);
}

static void traces_tell(void)
{
	struct weir_trace_start start = { .service = "web", .sample = 1, .count = 1 };
	struct weir_trace_started started;
	struct weir_trace_batch *batch = NULL;
	struct bed b;
	struct bed_packet p, to;
	size_t length;

	judged_start(&b, WEIR_MODE_NAT, 6, false, 1, SETS("verdict=0x103", "mark=5"));
	policy_stage(&b, say, 2, SETS("verdict=0x501", "mark=100"));
	policy_add(&b, 2)->mode = WEIR_POLICY_OBSERVE;
	policy_stage(&b, say, 3, SETS("verdict=0x104", "mark=2"));
	policy_add(&b, 3);
	bed_apply(&b);
	CU_ASSERT_EQUAL_FATAL(
		fastpath_trace_start(b.fp, &start, 1, &started, b.err, sizeof(b.err)), 0);
	p = client(&b, 6, 30000);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &to));
	const struct weir_trace_read read = { .session = started.session, .limit = 10 };

	CU_ASSERT_EQUAL_FATAL(fastpath_trace_read(b.fp, &read, 2, BED_SECOND, &batch, &length,
				      b.err, sizeof(b.err)),
		0);
	CU_ASSERT_EQUAL_FATAL(batch->count, 1);
	const struct weir_trace_record *r = (const void *)(batch + 1);

	CU_ASSERT_TRUE(r->stages & 1u << WEIR_STAGE_POLICY);
	CU_ASSERT_EQUAL(r->policy_count, 3);
	CU_ASSERT_EQUAL(r->policy[0].action, WEIR_POLICY_LIMIT);
	CU_ASSERT_EQUAL(r->policy[0].argument, 1);
	CU_ASSERT_EQUAL(r->policy[1].action, WEIR_POLICY_DROP);
	CU_ASSERT_EQUAL(r->policy[1].argument, 5);
	CU_ASSERT_EQUAL(r->policy[1].observed, 1);
	CU_ASSERT_EQUAL(r->policy[2].action, WEIR_POLICY_ROUTE);
	CU_ASSERT_EQUAL(r->mark, 7);
	CU_ASSERT_EQUAL(r->pool, 1);
	CU_ASSERT_EQUAL(r->policy_class, 1);
	CU_ASSERT_EQUAL(r->verdict, WEIR_TRACE_TRANSMITTED);
	free(batch);
	bed_stop(&b);
}

/* The daemon has asked the kernel; who runs policies need not be able to. */
static void capabilities_drop(void)
{
	struct __user_cap_header_struct whose = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	CU_ASSERT_EQUAL_FATAL(syscall(SYS_capset, &whose, none), 0);
}

static const struct tap_case cases[] = {
	{ "a policy's object is read", say_read },
	{ "all that follows needs no capability", capabilities_drop },
	{ "every verdict does what it says, and none of it when observed", every_verdict },
	{ "drops are counted by the policy's reason", drops_by_reason },
	{ "a policy sees the packet, and no replies", contexts_are_right },
	{ "a policy knows which packets open a flow", new_flows_are_known },
	{ "several policies run in order", several_in_order },
	{ "the first class that is enforced counts", first_class_counts },
	{ "a class keeps to its limits, over two workers", class_limits },
	{ "pools serve what is routed to them", pools_serve },
	{ "maps are read and changed by hand", maps_by_hand },
	{ "what is refused changes nothing", refused_ones_change_nothing },
	{ "what nobody verified runs in the interpreter", the_interpreter_says_the_same },
	{ "a policy over its budget is detached", budgets },
	{ "but not before a second has passed", budgets_take_a_second },
	{ "packets of no service have policies of their own", of_no_service },
	{ "a trace tells each policy's verdict", traces_tell },
	{ "and its image is let go", say_free },
};

TAP_MAIN("policy", cases)
