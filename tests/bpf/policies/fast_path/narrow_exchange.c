/* SPDX-License-Identifier: BSD-3-Clause */

/* Takes turns by an exchange of 32 bits. */

#include <weir/policy.h>

WEIR_ARRAY(turn, __u32, 1);

WEIR_POLICY(narrow_exchange)
{
	__u32 zero = 0, *at = bpf_map_lookup_elem(&turn, &zero);

	return at && __sync_val_compare_and_swap(at, 0, 1) == 0 ? WEIR_PASS : WEIR_DROP;
}
