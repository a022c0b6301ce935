/* SPDX-License-Identifier: BSD-3-Clause */

/* For tests: one verdict for what comes from some addresses, passing for all else. */

#include <weir/policy.h>

WEIR_PARAM __u32 verdict = WEIR_ROUTE(1);
WEIR_PARAM __u32 source = 3; /* the last byte of the address; 256: any */

WEIR_POLICY(chosen)
{
	return source > 255 || (bpf_ntohl(ctx->saddr[3]) & 0xff) == source ? verdict : WEIR_PASS;
}
