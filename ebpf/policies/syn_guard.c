/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A guard against floods of SYNs. While fewer than `calm` SYNs a second come (by worker), it does nothing but learn:
 * a source that sends a SYN and then an ACK has completed a handshake, so its address is not made
 * up, and it is known. In a flood SYNs of known sources pass; the others share `strangers` SYNs a second and
 * the rest is dropped. A client whose SYN was dropped tries again, and becomes known when it gets through.
 */

#include <weir/policy.h>

WEIR_PARAM __u64 calm = 1000; /* SYNs a second and worker that are no flood */
WEIR_PARAM __u64 strangers = 200; /* SYNs a second and worker of unknown sources, in a flood */

#define SYN    0x02
#define RST    0x04
#define ACK    0x10
#define SECOND 1000000000ULL

struct rate {
	__u64 start; /* of the current second */
	__u64 syns; /* in it */
	__u64 before; /* in the second before */
	__u64 admitted; /* of strangers, in it */
};

WEIR_LRU_HASH(asked, struct weir_address, __u64, 65536);
WEIR_LRU_HASH(known, struct weir_address, __u64, 262144);
WEIR_WORKER_ARRAY(rates, struct rate, 1);

weir_inline int stranger(struct rate *r, const struct weir_address *source, __u64 now)
{
	/* Only an ACK that follows tells more. */
	bpf_map_update_elem(&asked, source, &now, BPF_ANY);
	if (r->syns <= calm && r->before <= calm)
		return WEIR_PASS;
	if (r->admitted >= strangers)
		return WEIR_DROP_AS(1);
	r->admitted++;
	return WEIR_PASS;
}

WEIR_POLICY(syn_guard)
{
	struct weir_address source = { { ctx->saddr[0], ctx->saddr[1], ctx->saddr[2],
		ctx->saddr[3] } };
	__u64 now = ctx->now_ns;
	__u32 zero = 0;

	if (ctx->l4_proto != IPPROTO_TCP || !ctx->l4_off)
		return WEIR_PASS;
	if ((ctx->tcp_flags & (SYN | ACK | RST)) == ACK) {
		if (bpf_map_lookup_elem(&asked, &source)) {
			bpf_map_update_elem(&known, &source, &now, BPF_ANY);
			bpf_map_delete_elem(&asked, &source);
		}
		return WEIR_PASS;
	}
	if ((ctx->tcp_flags & (SYN | ACK)) != SYN)
		return WEIR_PASS;
	struct rate *r = bpf_map_lookup_elem(&rates, &zero);

	if (!r)
		return WEIR_PASS;
	if (now - r->start >= SECOND) {
		r->before = now - r->start < 2 * SECOND ? r->syns : 0;
		r->start = now;
		r->syns = 0;
		r->admitted = 0;
	}
	r->syns++;
	if (bpf_map_lookup_elem(&known, &source))
		return WEIR_PASS;
	return stranger(r, &source, now);
}
