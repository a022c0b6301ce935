/* SPDX-License-Identifier: BSD-3-Clause */

/* refused: ^infinite loop detected */

#include <weir/policy.h>

WEIR_POLICY(no_progress)
{
	for (;;) /* here */
		;
}
