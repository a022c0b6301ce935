/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/buckets.h"

#include <string.h>

static bool number_parse(const char **text, uint32_t *ret_number)
{
	const char *at = *text;
	uint32_t number = 0;

	while (*at >= '0' && *at <= '9' && number < BUCKETS_COUNT)
		number = number * 10 + (uint32_t)(*at++ - '0');
	if (at == *text || number >= BUCKETS_COUNT)
		return false;
	*text = at;
	*ret_number = number;
	return true;
}

bool buckets_parse(const char *text, uint8_t ret_buckets[BUCKETS_COUNT / 8])
{
	uint32_t first, last;

	memset(ret_buckets, 0, BUCKETS_COUNT / 8);
	do {
		if (!number_parse(&text, &first))
			return false;
		last = first;
		if (*text == '-') {
			text++;
			if (!number_parse(&text, &last) || last < first)
				return false;
		}
		for (uint32_t b = first; b <= last; b++)
			ret_buckets[b / 8] |= (uint8_t)(1u << (b % 8));
	} while (*text == ',' && text++);
	return *text == '\0';
}
