/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: variable that it has not written */

#include <weir/policy.h>

struct key {
	__u8 protocol;
	__u32 address;
};

WEIR_HASH(seen, struct key, __u64, 16);

WEIR_POLICY(unwritten_key)
{
	struct key key;

	key.protocol = ctx->l4_proto;
	key.address = ctx->saddr[3];
	return bpf_map_lookup_elem(&seen, &key) ? WEIR_PASS : WEIR_DROP; /* here */
}
