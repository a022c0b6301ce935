/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policy ABI, version 1: the one structure that a policy, the kernel's verifier and Weir's engine share.
 * Little-endian, 64 bits, no padding that is not named. It only grows at its end: the reserved bytes
 * are zero until a later version gives them a meaning, so an object built for version 1 runs for ever.
 *
 * Compiled by clang for BPF and by the C compiler of Weir itself; both check every offset.
 */

#ifndef WEIR_POLICY_ABI_H
#define WEIR_POLICY_ABI_H

#include <linux/types.h>

#define WEIR_POLICY_ABI		1
/* The section that an object's version stands in, as a 32-bit number; policy.h puts it there. */
#define WEIR_POLICY_ABI_SECTION "weir.abi"
/* The section of the policy itself. */
#define WEIR_POLICY_SECTION	"weir"

/* A verdict: bits 0-7 are the action, bits 8-23 its argument, the rest is zero. */
#define WEIR_ACTION_ABORTED 0u /* the service's on-error decides */
#define WEIR_ACTION_DROP    1u /* argument: a reason of the policy's own to count it under */
#define WEIR_ACTION_PASS    2u /* goes on as without a policy */
#define WEIR_ACTION_LIMIT   3u /* argument: the limiter class that polices it */
#define WEIR_ACTION_ROUTE   4u /* argument: the pool that serves it */
#define WEIR_ACTION_COUNT   5u

#define WEIR_VERDICT(action, argument) ((__u32)(action) | ((__u32)(__u16)(argument) << 8))
#define WEIR_VERDICT_ACTION(verdict)   ((verdict)&0xffu)
#define WEIR_VERDICT_ARGUMENT(verdict) (((verdict) >> 8) & 0xffffu)

#define WEIR_DROP	  WEIR_VERDICT(WEIR_ACTION_DROP, 0)
#define WEIR_DROP_AS(n)	  WEIR_VERDICT(WEIR_ACTION_DROP, n)
#define WEIR_PASS	  WEIR_VERDICT(WEIR_ACTION_PASS, 0)
#define WEIR_LIMIT(class) WEIR_VERDICT(WEIR_ACTION_LIMIT, class)
#define WEIR_ROUTE(pool)  WEIR_VERDICT(WEIR_ACTION_ROUTE, pool)

/* weir_ctx.flags */
#define WEIR_F_IPV6	1u
#define WEIR_F_FRAGMENT 2u /* not the first fragment: there is no L4 header */
#define WEIR_F_VLAN	4u
#define WEIR_F_MULTISEG 8u /* data..data_end is only the beginning of the packet */
#define WEIR_F_NEW_FLOW 16u /* no flow is known for it */

/* weir_ctx.stage: where the policy runs */
#define WEIR_STAGE_FAST	 0u
#define WEIR_STAGE_XDP	 1u
#define WEIR_STAGE_CHECK 2u /* weirctl policy check, weirctl policy run */

#define WEIR_NO_SERVICE 0xffffu

struct weir_ctx {
#ifdef __bpf__
	void *data; /* 0: the Ethernet header */
	void *data_end; /* 8: behind the last byte that can be read */
#else
	__u64 data;
	__u64 data_end;
#endif
	__u64 now_ns; /* 16: CLOCK_MONOTONIC, the same for all packets of a burst */
	__u32 flow_hash; /* 24: what balances the flow */
	__u16 service_id; /* 28: or WEIR_NO_SERVICE */
	__u16 port_id; /* 30 */
	__u16 l3_off; /* 32: offsets from data; 0 when there is no such header */
	__u16 l4_off; /* 34 */
	__u16 pl_off; /* 36: L4 payload */
	__u8 l4_proto; /* 38 */
	__u8 tcp_flags; /* 39: byte 13 of the TCP header */
	__u16 sport; /* 40: network order, like all that comes from the packet */
	__u16 dport; /* 42 */
	__u16 flags; /* 44: WEIR_F_* */
	__u8 stage; /* 46: WEIR_STAGE_* */
	__u8 queue; /* 47 */
	__u32 pkt_len; /* 48: the whole packet */
	__u32 mark; /* 52: the policy may write it; later stages and traces see it */
	__u32 saddr[4]; /* 56: network order; IPv4 as ::ffff:a.b.c.d */
	__u32 daddr[4]; /* 72 */
	__u64 reserved; /* 88 */
};

#define WEIR_CTX_SIZE	 96
/*
 * The kernel lets a policy touch the stack frame of who calls it from 512 bytes below its end up. The
 * context lies at that end, so whoever calls a policy owns this many bytes below the context.
 */
#define WEIR_FRAME_BELOW (512 - WEIR_CTX_SIZE)

#define WEIR_CTX_AT(field, offset) \
	_Static_assert(__builtin_offsetof(struct weir_ctx, field) == (offset), #field " moved")
WEIR_CTX_AT(data, 0);
WEIR_CTX_AT(data_end, 8);
WEIR_CTX_AT(now_ns, 16);
WEIR_CTX_AT(flow_hash, 24);
WEIR_CTX_AT(service_id, 28);
WEIR_CTX_AT(port_id, 30);
WEIR_CTX_AT(l3_off, 32);
WEIR_CTX_AT(l4_off, 34);
WEIR_CTX_AT(pl_off, 36);
WEIR_CTX_AT(l4_proto, 38);
WEIR_CTX_AT(tcp_flags, 39);
WEIR_CTX_AT(sport, 40);
WEIR_CTX_AT(dport, 42);
WEIR_CTX_AT(flags, 44);
WEIR_CTX_AT(stage, 46);
WEIR_CTX_AT(queue, 47);
WEIR_CTX_AT(pkt_len, 48);
WEIR_CTX_AT(mark, 52);
WEIR_CTX_AT(saddr, 56);
WEIR_CTX_AT(daddr, 72);
WEIR_CTX_AT(reserved, 88);
#undef WEIR_CTX_AT
_Static_assert(sizeof(struct weir_ctx) == WEIR_CTX_SIZE, "the context's size is ABI");

#endif
