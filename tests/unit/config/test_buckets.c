/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/buckets.h"
#include "tests/unit/tap.h"

static uint32_t count_of(const char *text)
{
	uint8_t buckets[BUCKETS_COUNT / 8];
	uint32_t count = 0;

	if (!buckets_parse(text, buckets))
		return 0;
	for (uint32_t i = 0; i < BUCKETS_COUNT; i++)
		count += buckets[i / 8] >> (i % 8) & 1;
	return count;
}

static void good(void)
{
	uint8_t buckets[BUCKETS_COUNT / 8];

	CU_ASSERT_EQUAL(count_of("0-255"), 256);
	CU_ASSERT_EQUAL(count_of("7"), 1);
	CU_ASSERT_EQUAL(count_of("0-3,9,2-4"), 6);
	CU_ASSERT_TRUE(buckets_parse("255,8", buckets));
	CU_ASSERT_EQUAL(buckets[31], 0x80);
	CU_ASSERT_EQUAL(buckets[1], 1);
}

static void bad(void)
{
	const char *const texts[] = { "", "256", "3-", "-3", "4-3", "1,", ",1", "1 2", "a", "1-2-3",
		"99999999999999999999", "0-256", " 1" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CU_ASSERT_EQUAL(count_of(texts[i]), 0);
}

static const struct tap_case cases[] = {
	{ "numbers and ranges name buckets", good },
	{ "what is neither is refused", bad },
};

TAP_MAIN("buckets", cases)
