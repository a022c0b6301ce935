/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: ring is of type 27 */

#include <weir/policy.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

WEIR_POLICY(ring_buffer)
{
	return bpf_ringbuf_query(&ring, 0) ? WEIR_PASS : WEIR_DROP;
}
