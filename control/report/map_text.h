/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Keys and values of policies' maps as people write them. The size says what they are, as in the public
 * header: 1, 2, 4 and 8 bytes are numbers, a key of 16 is a struct weir_address, a key of 20 in a
 * longest-prefix map a struct weir_prefix (8: the same of IPv4 alone), longer ones that hold a text filled up
 * with zeroes are that text; hexadecimal bytes ("0x" and two digits for each) can be given for anything,
 * and are what all else is shown as. Pure.
 */

#ifndef WEIR_REPORT_MAP_TEXT_H
#define WEIR_REPORT_MAP_TEXT_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a map looks like. */
struct map_shape {
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size;
	uint32_t value_size;
};

/* Read a text into key_size or value_size bytes. Returns false with what is wrong in err. */
bool map_key_read(
	const struct map_shape *m, const char *text, uint8_t *ret_key, char *err, size_t err_size);
bool map_value_read(const struct map_shape *m, const char *text, uint8_t *ret_value, char *err,
	size_t err_size);

/* A string; reads back as the same bytes. NULL when out of memory. */
json_t *map_key_document(const struct map_shape *m, const uint8_t *key);
/* A number where that is what it is, else a string. */
json_t *map_value_document(const struct map_shape *m, const uint8_t *value);

#endif
