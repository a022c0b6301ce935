/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/map_text.h"

#include "control/config/model.h"

#include <linux/bpf.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTED "\"%.80s\""

struct prefix {
	uint32_t bits;
	uint8_t address[16];
};

static bool is_number(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9'  ? c - '0' :
		c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		c >= 'A' && c <= 'F' ? c - 'A' + 10 :
				       -1;
}

/* "0x", then two digits for each of exactly `size` bytes. */
static bool hex_read(const char *text, uint8_t *to, uint32_t size)
{
	if (strncmp(text, "0x", 2) != 0 || strlen(text) != 2 + 2 * (size_t)size)
		return false;
	for (uint32_t i = 0; i < size; i++) {
		int high = digit_of(text[2 + 2 * i]);
		int low = digit_of(text[3 + 2 * i]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Decimal, or 0x with as many digits as it needs; negative ones as the machine has them. */
static bool number_read(const char *text, uint8_t *to, uint32_t size, char *err, size_t err_size)
{
	const char *digits = text + (*text == '-');
	bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	uint64_t most = size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
	char *end;

	errno = 0;
	uint64_t value = strtoull(digits, &end, hexadecimal ? 16 : 10);

	if (!isxdigit((unsigned char)digits[0]) || *end) {
		snprintf(err, err_size, QUOTED " is not a number", text);
		return false;
	}
	if (errno || value > (*text == '-' ? most / 2 + 1 : most)) {
		snprintf(err, err_size, "%.80s does not fit into %" PRIu32 " byte%s", text, size,
			size == 1 ? "" : "s");
		return false;
	}
	if (*text == '-')
		value = -value;
	memcpy(to, &value, size); /* little-endian, as all that Weir runs on */
	return true;
}

static bool address_read(const char *text, uint8_t to[16])
{
	struct address a;

	if (!address_parse(text, &a))
		return false;
	memcpy(to, a.bytes, 16);
	return true;
}

static bool bits_behind(const uint8_t address[16], uint32_t bits)
{
	for (uint32_t bit = bits; bit < 128; bit++)
		if (address[bit / 8] & (0x80u >> (bit % 8)))
			return true;
	return false;
}

/* ret: IPv4 as mapped, with 96 more bits. */
static bool prefix_read(const char *text, struct prefix *ret, char *err, size_t err_size)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char *end;

	memcpy(host, text, length < sizeof(host) ? length : 0);
	host[length < sizeof(host) ? length : 0] = 0;
	if (!address_read(host, ret->address)) {
		snprintf(err, err_size, QUOTED " is not an address or prefix", text);
		return false;
	}
	uint32_t most = strchr(host, ':') ? 128 : 32;
	unsigned long bits = slash ? strtoul(slash + 1, &end, 10) : most;

	if (slash && (!isdigit((unsigned char)slash[1]) || *end || bits > most)) {
		snprintf(err, err_size, QUOTED " has a prefix length that is not 0..%" PRIu32, text,
			most);
		return false;
	}
	ret->bits = (uint32_t)bits + 128 - most;
	if (bits_behind(ret->address, ret->bits)) {
		snprintf(err, err_size, "%.80s has bits set behind its prefix", text);
		return false;
	}
	return true;
}

static bool is_prefix(const struct map_shape *m)
{
	return m->type == BPF_MAP_TYPE_LPM_TRIE && (m->key_size == 20 || m->key_size == 8);
}

static bool prefix_key_read(
	const struct map_shape *m, const char *text, uint8_t *to, char *err, size_t err_size)
{
	struct prefix p;

	if (!prefix_read(text, &p, err, err_size))
		return false;
	if (m->key_size == 20) {
		memcpy(to, &p.bits, 4);
		memcpy(to + 4, p.address, 16);
		return true;
	}
	if (p.bits < 96 || strchr(text, ':')) {
		snprintf(err, err_size,
			QUOTED " is not an IPv4 address or prefix, which this map has", text);
		return false;
	}
	p.bits -= 96;
	memcpy(to, &p.bits, 4);
	memcpy(to + 4, p.address + 12, 4);
	return true;
}

static bool text_read(const char *text, uint8_t *to, uint32_t size, char *err, size_t err_size)
{
	size_t length = strlen(text);

	if (length >= size || length == 0) {
		snprintf(err, err_size,
			QUOTED " is neither a text of less than %" PRIu32 " letters nor 0x and the "
			       "hexadecimal digits of %" PRIu32 " bytes",
			text, size, size);
		return false;
	}
	memset(to, 0, size);
	memcpy(to, text, length);
	return true;
}

bool map_key_read(
	const struct map_shape *m, const char *text, uint8_t *ret_key, char *err, size_t err_size)
{
	if (is_prefix(m)) {
		/* 0x is no beginning of an address. */
		return hex_read(text, ret_key, m->key_size) ||
			prefix_key_read(m, text, ret_key, err, err_size);
	}
	if (is_number(m->key_size))
		return number_read(text, ret_key, m->key_size, err, err_size);
	if (hex_read(text, ret_key, m->key_size))
		return true;
	if (m->key_size == 16) {
		if (address_read(text, ret_key))
			return true;
		snprintf(err, err_size, QUOTED " is not an address", text);
		return false;
	}
	return text_read(text, ret_key, m->key_size, err, err_size);
}

bool map_value_read(
	const struct map_shape *m, const char *text, uint8_t *ret_value, char *err, size_t err_size)
{
	if (is_number(m->value_size))
		return number_read(text, ret_value, m->value_size, err, err_size);
	return hex_read(text, ret_value, m->value_size) ||
		text_read(text, ret_value, m->value_size, err, err_size);
}

static json_t *hex_document(const uint8_t *bytes, uint32_t size)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * (size_t)size + 3);

	if (!text)
		return NULL;
	memcpy(text, "0x", 2);
	for (uint32_t i = 0; i < size; i++) {
		text[2 + 2 * i] = digits[bytes[i] >> 4];
		text[3 + 2 * i] = digits[bytes[i] & 15];
	}
	text[2 + 2 * (size_t)size] = 0;
	json_t *document = json_string(text);

	free(text);
	return document;
}

/* Printable, not hexadecimal itself, and nothing but zeroes behind it. */
static bool is_text(const uint8_t *bytes, uint32_t size)
{
	uint32_t length = 0;

	while (length < size && bytes[length] > 0x20 && bytes[length] < 0x7f)
		length++;
	for (uint32_t i = length; i < size; i++)
		if (bytes[i])
			return false;
	return size > 8 && length > 0 && length < size && memcmp(bytes, "0x", 2) != 0;
}

static uint64_t number_of(const uint8_t *bytes, uint32_t size)
{
	uint64_t value = 0;

	memcpy(&value, bytes, size);
	return value;
}

static json_t *prefix_document(const struct map_shape *m, const uint8_t *key)
{
	struct address a = { .bytes = { [10] = 0xff, [11] = 0xff } };
	char text[INET6_ADDRSTRLEN];
	uint32_t bits;

	memcpy(&bits, key, 4);
	if (m->key_size == 20)
		memcpy(a.bytes, key + 4, 16);
	else
		memcpy(a.bytes + 12, key + 4, 4);
	bits += m->key_size == 20 ? 0 : 96;
	/* A key in the policy may have anything; and a short prefix of IPv6 is no IPv4. */
	if (bits > 128 || bits_behind(a.bytes, bits))
		return hex_document(key, m->key_size);
	if (address_is_ipv4(&a) && bits >= 96)
		return json_sprintf(
			"%s/%" PRIu32, address_print(&a, text, sizeof(text)), bits - 96);
	if (!inet_ntop(AF_INET6, a.bytes, text, sizeof(text)))
		return NULL;
	return json_sprintf("%s/%" PRIu32, text, bits);
}

json_t *map_key_document(const struct map_shape *m, const uint8_t *key)
{
	char text[INET6_ADDRSTRLEN];
	struct address a;

	if (is_prefix(m))
		return prefix_document(m, key);
	if (is_number(m->key_size))
		return json_sprintf("%" PRIu64, number_of(key, m->key_size));
	if (m->key_size == 16) {
		memcpy(a.bytes, key, 16);
		return json_string(address_print(&a, text, sizeof(text)));
	}
	return is_text(key, m->key_size) ? json_string((const char *)key) :
					   hex_document(key, m->key_size);
}

json_t *map_value_document(const struct map_shape *m, const uint8_t *value)
{
	uint64_t number;

	if (!is_number(m->value_size))
		return is_text(value, m->value_size) ? json_string((const char *)value) :
						       hex_document(value, m->value_size);
	number = number_of(value, m->value_size);
	/* More than JSON's numbers hold here. */
	return number > INT64_MAX ? json_sprintf("%" PRIu64, number) :
				    json_integer((json_int_t)number);
}
