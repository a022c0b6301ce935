/* SPDX-License-Identifier: BSD-3-Clause */

#include <weir/policy.h>

WEIR_POLICY(empty)
{
	return WEIR_PASS;
}
