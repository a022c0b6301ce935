/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/text_mark.h"

uint64_t text_mark(const char *text, size_t length)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		h = (h ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	return h;
}
