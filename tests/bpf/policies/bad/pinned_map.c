/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: pinned */

#include <weir/policy.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} kept SEC(".maps");

WEIR_POLICY(pinned_map)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&kept, &key) ? WEIR_PASS : WEIR_DROP;
}
