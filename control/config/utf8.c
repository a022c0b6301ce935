/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/utf8.h"

#include <stdint.h>

size_t utf8_length(const unsigned char *p, size_t left)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (p[0] < 0x80)
		return p[0] == '\t' || p[0] == '\n' || p[0] == '\r' ||
				(p[0] >= 0x20 && p[0] != 0x7f) ?
			1 :
			0;
	size_t length = (p[0] & 0xe0) == 0xc0 ? 2 :
		(p[0] & 0xf0) == 0xe0	      ? 3 :
		(p[0] & 0xf8) == 0xf0	      ? 4 :
						0;
	if (length == 0 || length > left)
		return 0;
	uint32_t c = p[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if ((c < 0xa0 && c != 0x85) || c == 0xfeff || c == 0xfffe || c == 0xffff)
		return 0;
	return length;
}
