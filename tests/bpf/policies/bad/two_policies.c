/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: two policies */

#include <weir/policy.h>

WEIR_POLICY(first)
{
	return ctx->mark;
}

SEC("weir")
int second(struct weir_ctx *ctx)
{
	return ctx->mark;
}
