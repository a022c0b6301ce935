/* SPDX-License-Identifier: BSD-3-Clause */

/* The verifier's logs as people are told them, and contexts beside what the data plane parses. */

#include "dataplane/net/parse.h"
#include "ebpf/engine/trial.h"
#include "ebpf/engine/verify.h"
#include "tests/unit/fastpath/net_frames.h"
#include "tests/unit/tap.h"

static struct policy_objection explained(const char *log)
{
	struct policy_objection o;

	policy_log_explain(log, 31, &o);
	return o;
}

static void the_message_and_its_instruction_are_found(void)
{
	struct policy_objection o = explained(
		"0: R1=ctx() R10=fp0\n0: (bf) r6 = r1                      ; R1=ctx() R6_w=ctx()\n"
		"caller:\n R6=ctx() R10=fp0\ncallee:\n frame1: R1=fp[0]-96 R10=fp0\n"
		"; __u8 *d = ctx->data; @ a.c:2\n31: (79) r1 = *(u64 *)(r1 +0)        ; R1=pkt(r=0)\n"
		"32: (71) r1 = *(u8 *)(r1 +40)\n"
		"invalid access to packet, off=40 size=1, R1(id=0,off=40,r=0)\n"
		"R1 offset is outside of the packet\n"
		"processed 30 insns (limit 1000000) max_states_per_insn 0 total_states 1\n");

	CU_ASSERT_EQUAL(o.insn, 1);
	CU_ASSERT_STRING_EQUAL(o.message, "R1 offset is outside of the packet");
	CU_ASSERT_PTR_NOT_NULL_FATAL(o.hint);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.hint, "weir_at"));
}

static void states_are_not_messages(void)
{
	struct policy_objection o = explained("40: (79) r2 = *(u64 *)(r0 +0)\n"
					      "R0 invalid mem access 'map_value_or_null'\n"
					      "R1=ctx() R2_w=scalar() R10=fp0\n"
					      "from 39 to 41: frame1: R0=0\n"
					      "verification time 100 usec\nstack depth 0+16\n"
					      "processed 38 insns\n");

	CU_ASSERT_EQUAL(o.insn, 9);
	CU_ASSERT_STRING_EQUAL(o.message, "R0 invalid mem access 'map_value_or_null'");
	CU_ASSERT_PTR_NOT_NULL(strstr(o.hint, "NULL"));
	o = explained("31: (05) goto pc-1\n"
		      "infinite loop detected at insn 31\n"
		      "cur state: frame1: R1=fp[0]-96 R2=pkt_end() R10=fp0\n"
		      "old state: frame1: R1=fp[0]-96 R2=pkt_end() R10=fp0\n"
		      "processed 32 insns\n");
	CU_ASSERT_STRING_EQUAL(o.message, "infinite loop detected at insn 31");
	CU_ASSERT_PTR_NOT_NULL_FATAL(o.hint);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.hint, "constant bound"));
}

static void what_says_nothing_is_said_to_say_nothing(void)
{
	struct policy_objection o = explained("");

	CU_ASSERT_EQUAL(o.insn, UINT32_MAX);
	CU_ASSERT_PTR_NULL(o.hint);
	CU_ASSERT(o.message[0] != 0);
	/* In the harness: no line of the author's. */
	CU_ASSERT_EQUAL(
		explained("3: (79) r2 = *(u64 *)(r7 +16)\nsomething new\n").insn, UINT32_MAX);
	CU_ASSERT_STRING_EQUAL(explained("something new\n").message, "something new");
	/* A hint comes behind a full stop of its own. */
	CU_ASSERT_STRING_EQUAL(explained("too complex.\n").message, "too complex");
}

/* A policy that was tried out sees in the data plane what it saw then. */
static void contexts_are_what_the_data_plane_parses(void)
{
	static const uint8_t options[8] = { 6, 0, 1, 4, 0, 0, 0, 0 };
	struct random random = { 1 };

	for (unsigned int i = 0; i < 64; i++) {
		struct frame_shape shape = {
			.ipv6 = i & 1,
			.tags = i >> 1 & 1,
			.l4_proto = i & 4 ? 6 : 17,
			.ipv4_options = i & 8 ? 12 : 0,
			.tcp_options = i & 16 ? 8 : 0,
			.extensions = i & 32 ? options : NULL,
			.extension_bytes = i & 32 ? 8 : 0,
			.first_header = 60,
			.payload_bytes = 33,
		};
		struct frame f;
		struct weir_ctx ctx;
		struct packet p;
		uint8_t chain[8];

		memcpy(chain, options, 8);
		chain[0] = shape.l4_proto;
		shape.extensions = shape.extensions ? chain : NULL;
		frame_make(&f, &shape, &random);
		packet_reset(&p, 1, 0, f.bytes);
		CU_ASSERT_EQUAL(parse_one(f.data, f.bytes, f.bytes, &p), PARSE_OK);
		policy_context_parse(&ctx, f.data, f.bytes, f.bytes);
		CU_ASSERT_EQUAL(ctx.l3_off, p.l3_offset);
		CU_ASSERT_EQUAL(ctx.l4_off, p.l4_offset);
		CU_ASSERT_EQUAL(ctx.pl_off, p.payload_offset);
		CU_ASSERT_EQUAL(ctx.l4_proto, p.l4_proto);
		CU_ASSERT_EQUAL(ctx.tcp_flags, p.tcp_flags);
		CU_ASSERT_EQUAL(ctx.sport, p.sport);
		CU_ASSERT_EQUAL(ctx.dport, p.dport);
		CU_ASSERT_EQUAL(!(ctx.flags & WEIR_F_IPV6), !(p.flags & PACKET_F_IPV6));
		CU_ASSERT_EQUAL(!(ctx.flags & WEIR_F_VLAN), !(p.flags & PACKET_F_VLAN));
	}
}

static const struct tap_case cases[] = {
	{ "the message and its instruction are found", the_message_and_its_instruction_are_found },
	{ "states are not messages", states_are_not_messages },
	{ "what says nothing is said to say nothing", what_says_nothing_is_said_to_say_nothing },
	{ "contexts are what the data plane parses", contexts_are_what_the_data_plane_parses },
};

TAP_MAIN("policy admission", cases)
