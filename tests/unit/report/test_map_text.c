/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/map_text.h"
#include "tests/unit/tap.h"

#include <linux/bpf.h>

#include <stdlib.h>
#include <string.h>

static const struct map_shape prefixes = { BPF_MAP_TYPE_LPM_TRIE, 20, 4 };
static const struct map_shape prefixes4 = { BPF_MAP_TYPE_LPM_TRIE, 8, 8 };
static const struct map_shape addresses = { BPF_MAP_TYPE_LRU_HASH, 16, 8 };
static const struct map_shape numbers = { BPF_MAP_TYPE_ARRAY, 4, 1 };
static const struct map_shape names = { BPF_MAP_TYPE_HASH, 64, 32 };

/* The text becomes these bytes, in hexadecimal, and they become `shown`; shown NULL: it is refused. */
static void key(const struct map_shape *m, const char *text, const char *bytes, const char *shown)
{
	uint8_t read[64], wanted[64];
	char err[256] = "";

	CU_ASSERT_EQUAL(map_key_read(m, text, read, err, sizeof(err)), shown != NULL);
	CU_ASSERT_EQUAL(err[0] != '\0', shown == NULL);
	if (!shown)
		return;
	for (size_t i = 0; bytes && i < m->key_size; i++) {
		const char digits[] = { bytes[2 * i], bytes[2 * i + 1], 0 };

		wanted[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if (bytes)
		CU_ASSERT_EQUAL(memcmp(read, wanted, m->key_size), 0);
	json_t *document = map_key_document(m, read);

	CU_ASSERT_STRING_EQUAL(json_string_value(document), shown);
	json_decref(document);
}

static void prefixes_are_those_of_the_header(void)
{
	key(&prefixes, "192.0.2.0/24",
		"78000000"
		"00000000"
		"00000000"
		"0000ffff"
		"c0000200",
		"192.0.2.0/24");
	key(&prefixes, "192.0.2.7",
		"80000000"
		"00000000"
		"00000000"
		"0000ffff"
		"c0000207",
		"192.0.2.7/32");
	key(&prefixes, "0.0.0.0/0", NULL, "0.0.0.0/0");
	key(&prefixes, "::/0",
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000",
		"::/0");
	key(&prefixes, "2001:db8::/32", NULL, "2001:db8::/32");
	key(&prefixes, "0x7800000000000000000000000000ffffc0000200", NULL, "192.0.2.0/24");
	key(&prefixes4, "10.0.0.0/8",
		"08000000"
		"0a000000",
		"10.0.0.0/8");
	key(&prefixes4, "::1", NULL, NULL);
	key(&prefixes, "192.0.2.1/24", NULL, NULL);
	key(&prefixes, "192.0.2.0/33", NULL, NULL);
	key(&prefixes, "192.0.2.0/", NULL, NULL);
	key(&prefixes, "192.0.2.0/2x", NULL, NULL);
	key(&prefixes, "192.0.2", NULL, NULL);
	key(&prefixes, "", NULL, NULL);
}

static void addresses_are_those_of_the_header(void)
{
	key(&addresses, "192.0.2.7",
		"00000000"
		"00000000"
		"0000ffff"
		"c0000207",
		"192.0.2.7");
	key(&addresses, "2001:db8::1", NULL, "2001:db8::1");
	key(&addresses, "host", NULL, NULL);
}

static void numbers_fit_or_are_refused(void)
{
	const struct map_shape wide = { BPF_MAP_TYPE_HASH, 8, 8 };

	key(&numbers, "258", "02010000", "258");
	key(&numbers, "0x102", "02010000", "258");
	key(&numbers, "-1", "ffffffff", "4294967295");
	key(&numbers, "4294967296", NULL, NULL);
	key(&numbers, "12a", NULL, NULL);
	key(&numbers, "-", NULL, NULL);
	key(&numbers, "0x", NULL, NULL);
	key(&wide, "18446744073709551615", "ffffffffffffffff", "18446744073709551615");
	key(&wide, "18446744073709551616", NULL, NULL);
}

static void long_keys_are_texts(void)
{
	char longest[66];

	key(&names, "www.example.com", NULL, "www.example.com");
	memset(longest, 'a', 64);
	longest[64] = 0;
	key(&names, longest, NULL, NULL);
	longest[63] = 0;
	key(&names, longest, NULL, longest);
	key(&names, "0x12", NULL,
		"0x30783132"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000"
		"00000000");
}

static void values_are_numbers_where_they_can_be(void)
{
	const struct map_shape wide = { BPF_MAP_TYPE_HASH, 8, 8 };
	uint8_t bytes[32];
	char err[256];

	CU_ASSERT(map_value_read(&prefixes, "7", bytes, err, sizeof(err)));
	json_t *document = map_value_document(&prefixes, bytes);

	CU_ASSERT_EQUAL(json_integer_value(document), 7);
	json_decref(document);
	CU_ASSERT(map_value_read(&wide, "-1", bytes, err, sizeof(err)));
	document = map_value_document(&wide, bytes);
	CU_ASSERT_STRING_EQUAL(json_string_value(document), "18446744073709551615");
	json_decref(document);
	CU_ASSERT_FALSE(map_value_read(&numbers, "256", bytes, err, sizeof(err)));
	CU_ASSERT_STRING_EQUAL(err, "256 does not fit into 1 byte");
	memset(bytes, 0xab, sizeof(bytes));
	document = map_value_document(&names, bytes);
	CU_ASSERT_EQUAL(strlen(json_string_value(document)), 66);
	json_decref(document);
}

static const struct tap_case cases[] = {
	{ "prefixes are those of the public header", prefixes_are_those_of_the_header },
	{ "addresses are those of the public header", addresses_are_those_of_the_header },
	{ "numbers fit, or are refused", numbers_fit_or_are_refused },
	{ "long keys are texts", long_keys_are_texts },
	{ "values are numbers where they can be", values_are_numbers_where_they_can_be },
};

TAP_MAIN("map texts", cases)
