/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A key or a value of a policy's map, as an operator types it: what is taken must be shown as a text that is
 * taken for the same bytes. The first byte says what the map looks like.
 */

#include "control/report/map_text.h"
#include "tests/fuzz/fuzz.h"

#include <linux/bpf.h>

#include <string.h>

static const struct map_shape shapes[] = {
	{ BPF_MAP_TYPE_LPM_TRIE, 20, 4 },
	{ BPF_MAP_TYPE_LPM_TRIE, 8, 8 },
	{ BPF_MAP_TYPE_LPM_TRIE, 12, 2 },
	{ BPF_MAP_TYPE_HASH, 16, 1 },
	{ BPF_MAP_TYPE_ARRAY, 4, 32 },
	{ BPF_MAP_TYPE_HASH, 64, 5 },
	{ BPF_MAP_TYPE_HASH, 8, 64 },
};

static void check_key(const struct map_shape *m, const char *text)
{
	uint8_t key[64], again[64];
	char err[256];

	if (!map_key_read(m, text, key, err, sizeof(err)))
		return;
	json_t *document = map_key_document(m, key);

	FUZZ_CHECK(document != NULL);
	FUZZ_CHECK(map_key_read(m, json_string_value(document), again, err, sizeof(err)));
	FUZZ_CHECK(memcmp(key, again, m->key_size) == 0);
	json_decref(document);
}

static void check_value(const struct map_shape *m, const char *text)
{
	uint8_t value[64], again[64];
	char err[256];

	if (!map_value_read(m, text, value, err, sizeof(err)))
		return;
	json_t *document = map_value_document(m, value);

	FUZZ_CHECK(document != NULL);
	if (json_is_string(document)) {
		FUZZ_CHECK(map_value_read(m, json_string_value(document), again, err, sizeof(err)));
		FUZZ_CHECK(memcmp(value, again, m->value_size) == 0);
	}
	json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const struct map_shape *m = &shapes[data[0] % (sizeof(shapes) / sizeof(shapes[0]))];
	char *text = strndup((const char *)data + 1, size - 1);

	FUZZ_CHECK(text != NULL);
	check_key(m, text);
	check_value(m, text);
	/* Bytes from the data plane are anything. */
	if (size > 128) {
		json_t *key = map_key_document(m, data + 1);
		json_t *value = map_value_document(m, data + 65);

		FUZZ_CHECK(key != NULL && value != NULL);
		json_decref(key);
		json_decref(value);
	}
	free(text);
	return 0;
}
