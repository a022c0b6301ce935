/* SPDX-License-Identifier: BSD-3-Clause */

/* Reading a scalar's text into its field of the model. */

#include "control/config/model.h"
#include "control/config/schema.h"
#include "control/config/units.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTED "\"%.80s\""

static void number_store(const struct schema_key *k, uint64_t value, void *field)
{
	uint16_t v16 = (uint16_t)value;
	uint32_t v32 = (uint32_t)value;
	if (k->size == sizeof(v16))
		memcpy(field, &v16, sizeof(v16));
	else if (k->size == sizeof(v32))
		memcpy(field, &v32, sizeof(v32));
	else
		memcpy(field, &value, sizeof(value));
}

static bool read_number(
	const struct schema_key *k, const char *text, void *field, char *what, size_t size)
{
	uint64_t value;
	const char *wrong = unit_parse(schema_unit(k->type), text, &value);
	if (wrong != NULL) {
		snprintf(what, size, QUOTED " %s", text, wrong);
		return false;
	}
	if (value < k->min || value > k->max) {
		snprintf(what, size, "%.80s is out of range", text);
		return false;
	}
	number_store(k, value, field);
	return true;
}

/* A number alone is both ends of a span. */
static bool read_span(
	const struct schema_key *k, const char *text, void *field, char *what, size_t size)
{
	struct model_span *span = field;
	struct schema_key number = *k;
	number.type = SCHEMA_NUMBER;
	number.size = sizeof(span->min);
	if (!read_number(&number, text, &span->min, what, size))
		return false;
	span->max = span->min;
	return true;
}

static bool read_choice(
	const struct schema_key *k, const char *text, void *field, char *what, size_t size)
{
	for (const struct schema_choice *c = k->choices; c->name != NULL; c++) {
		if (strcmp(c->name, text) != 0)
			continue;
		memcpy(field, &c->value, sizeof(c->value));
		return true;
	}
	snprintf(what, size, QUOTED " is unknown", text);
	return false;
}

static bool read_name(const char *text, char *field, char *what, size_t size)
{
	size_t length = strlen(text);
	bool good = length >= 1 && length <= MODEL_NAME_MAX && isalnum((unsigned char)text[0]);
	for (size_t i = 0; i < length; i++)
		good = good && (isalnum((unsigned char)text[i]) || strchr("._-", text[i]) != NULL);
	if (!good) {
		snprintf(what, size, QUOTED " is not a name", text);
		return false;
	}
	memcpy(field, text, length + 1);
	return true;
}

/* domain:bus:device.function, the domain may be left out; as the kernel writes it, or false */
static bool read_pci(const char *text, struct model_port *port)
{
	unsigned int domain = 0;
	unsigned int bus;
	unsigned int device;
	unsigned int function;
	int end = 0;
	bool good =
		sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) == 4 &&
		text[end] == '\0';
	if (!good) {
		domain = 0;
		good = sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &end) == 3 &&
			text[end] == '\0';
	}
	if (!good || device > 0x1f || function > 7 ||
		strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return false;
	snprintf(port->device, sizeof(port->device), "%04x:%02x:%02x.%x", domain, bus, device,
		function);
	port->kind = MODEL_DEVICE_PCI;
	return true;
}

static bool read_device(const char *text, struct model_port *port, char *what, size_t size)
{
	size_t length = strlen(text);
	if (read_pci(text, port))
		return true;
	bool good =
		length >= 1 && length <= 15 && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
	for (size_t i = 0; i < length; i++)
		good = good && isgraph((unsigned char)text[i]) &&
			strchr("/:,=\"'\\", text[i]) == NULL;
	if (!good) {
		snprintf(what, size, QUOTED " is neither an interface nor a PCI address", text);
		return false;
	}
	memcpy(port->device, text, length + 1);
	port->kind = MODEL_DEVICE_INTERFACE;
	return true;
}

static bool address_is_unicast(const struct address *a)
{
	static const uint8_t zero[16];
	static const uint8_t one[16] = { [15] = 1 };
	const uint8_t *b = a->bytes;
	if (address_is_ipv4(a))
		return b[12] != 0 && b[12] != 127 && b[12] < 224;
	return b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80) &&
		memcmp(b, zero, sizeof(zero)) != 0 && memcmp(b, one, sizeof(one)) != 0;
}

static bool read_address(const char *text, void *field, char *what, size_t size)
{
	struct address a;
	if (!address_parse(text, &a)) {
		snprintf(what, size, QUOTED " is not an address", text);
		return false;
	}
	if (!address_is_unicast(&a)) {
		snprintf(what, size,
			"%s is a loopback, link-local, multicast or unspecified address", text);
		return false;
	}
	memcpy(field, &a, sizeof(a));
	return true;
}

/* Clear the bits behind the prefix; returns whether one was set. */
static bool address_mask(struct address *a, unsigned int prefix_length)
{
	bool was_set = false;
	for (unsigned int bit = prefix_length; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80u >> (bit % 8));
		was_set = was_set || (a->bytes[bit / 8] & mask) != 0;
		a->bytes[bit / 8] &= (uint8_t)~mask;
	}
	return was_set;
}

static bool read_prefix(const char *text, struct model_service *s, char *what, size_t size)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	struct address a;
	if (length >= sizeof(host))
		length = sizeof(host) - 1; /* too long for an address; refused next */
	memcpy(host, text, length);
	host[length] = '\0';
	if (!address_parse(host, &a)) {
		snprintf(what, size, QUOTED " is not an address or prefix", text);
		return false;
	}
	unsigned int longest = address_is_ipv4(&a) ? 32 : 128;
	uint64_t bits = longest;
	if (slash != NULL &&
		(unit_parse(UNIT_NONE, slash + 1, &bits) != NULL || bits < 1 || bits > longest)) {
		snprintf(
			what, size, QUOTED " has a prefix length that is not 1..%u", text, longest);
		return false;
	}
	unsigned int mapped = (unsigned int)bits + (128 - longest);
	struct address masked = a;
	if (address_mask(&masked, mapped)) {
		address_print(&masked, host, sizeof(host));
		snprintf(what, size, "%s has bits set behind its prefix (%s/%u has none)", text,
			host, (unsigned int)bits);
		return false;
	}
	if (bits == longest && !address_is_unicast(&a))
		return read_address(host, &a, what, size);
	s->address = a;
	s->prefix_length = (uint8_t)mapped;
	s->ipv6 = longest == 128;
	return true;
}

static bool read_port(
	const struct schema_key *k, const char *text, void *field, char *what, size_t size)
{
	uint16_t any = 0;
	if (k->type == SCHEMA_PORT_OR_ANY && strcmp(text, "any") == 0) {
		memcpy(field, &any, sizeof(any));
		return true;
	}
	return read_number(k, text, field, what, size);
}

static bool read_url_path(const char *text, char **field, char *what, size_t size)
{
	bool good = text[0] == '/' && strlen(text) <= 1024;
	for (const char *p = text; *p != '\0'; p++)
		good = good && *p > 0x20 && *p < 0x7f && *p != '#';
	if (!good) {
		snprintf(what, size, QUOTED " is not a path", text);
		return false;
	}
	free(*field);
	*field = strdup(text);
	if (*field == NULL)
		snprintf(what, size, "no memory");
	return *field != NULL;
}

static bool read_file(const char *text, char **field, char *what, size_t size)
{
	bool good = *text != '\0' && strlen(text) < 1024;
	for (const char *p = text; *p != '\0'; p++)
		good = good && (unsigned char)*p >= 0x20 && *p != 0x7f;
	if (!good) {
		snprintf(what, size, QUOTED " is not a path", text);
		return false;
	}
	free(*field);
	*field = strdup(text);
	if (*field == NULL)
		snprintf(what, size, "no memory");
	return *field != NULL;
}

bool schema_setting_is_good(const char *name, const char *value)
{
	size_t length = strlen(name);
	char *end;
	bool good = length >= 1 && length <= MODEL_NAME_MAX && !isdigit((unsigned char)name[0]);
	for (size_t i = 0; i < length; i++)
		good = good && (isalnum((unsigned char)name[i]) || name[i] == '_');
	const char *digits = value + (value[0] == '-');
	if (!good || !isdigit((unsigned char)digits[0]))
		return false;
	errno = 0;
	if (value[0] == '-')
		(void)strtoll(value, &end, 0);
	else
		(void)strtoull(value, &end, 0);
	return *end == '\0' && errno == 0;
}

bool schema_host_is_good(const char *text)
{
	const char *host = text;
	const char *colon = strrchr(text, ':');
	uint64_t port;
	if (colon == NULL || colon == text || strlen(text) > 260 ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
		unit_parse(UNIT_NONE, colon + 1, &port) != NULL || port < 1 || port > 65535)
		return false;
	struct address a;
	uint16_t number;
	if (text[0] == '[')
		return address_port_parse(text, &a, &number);
	while (host < colon && (isalnum((unsigned char)*host) || strchr("._-", *host) != NULL))
		host++;
	return host == colon;
}

static bool read_mac(const char *text, uint8_t *field, char *what, size_t size)
{
	static const uint8_t zero[6];
	unsigned int v[6];
	int end = 0;
	bool good = strlen(text) == 17 && strspn(text, "0123456789abcdefABCDEF:") == 17 &&
		sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
			&end) == 6 &&
		end == 17;
	if (!good) {
		snprintf(what, size, QUOTED " is not a MAC address", text);
		return false;
	}
	uint8_t mac[6];
	for (size_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	if ((mac[0] & 1) != 0 || memcmp(mac, zero, sizeof(mac)) == 0) {
		snprintf(what, size, "%s is not the MAC address of one host", text);
		return false;
	}
	memcpy(field, mac, sizeof(mac));
	return true;
}

static bool read_listen(const char *text, struct model_listen *listen, char *what, size_t size)
{
	uint16_t port;
	if (!address_port_parse(text, &listen->address, &port) || port == 0) {
		snprintf(what, size, QUOTED " is not an address and port", text);
		return false;
	}
	listen->port = port;
	listen->set = true;
	return true;
}

bool schema_read(
	const struct schema_key *k, const char *text, void *object, char *what, size_t size)
{
	void *field = (char *)object + k->offset;
	switch (k->type) {
	case SCHEMA_NAME:
		return read_name(text, field, what, size);
	case SCHEMA_DEVICE:
		return read_device(text, object, what, size);
	case SCHEMA_ADDRESS:
		return read_address(text, field, what, size);
	case SCHEMA_PREFIX:
		return read_prefix(text, object, what, size);
	case SCHEMA_PORT:
	case SCHEMA_PORT_OR_ANY:
		return read_port(k, text, field, what, size);
	case SCHEMA_CHOICE:
		return read_choice(k, text, field, what, size);
	case SCHEMA_NUMBER:
	case SCHEMA_RATE:
	case SCHEMA_SIZE:
	case SCHEMA_TIME:
		return read_number(k, text, field, what, size);
	case SCHEMA_SPAN:
		return read_span(k, text, field, what, size);
	case SCHEMA_URL_PATH:
		return read_url_path(text, field, what, size);
	case SCHEMA_FILE:
		return read_file(text, field, what, size);
	case SCHEMA_MAC:
		return read_mac(text, field, what, size);
	case SCHEMA_LISTEN:
		return read_listen(text, field, what, size);
	case SCHEMA_VERSION:
		if (strcmp(text, "1") == 0)
			return true;
		snprintf(what, size, QUOTED " is not supported", text);
		return false;
	case SCHEMA_MAP:
	case SCHEMA_LIST:
	case SCHEMA_ADDRESS_LIST:
	case SCHEMA_CPU_LIST:
	case SCHEMA_SETTINGS:
	case SCHEMA_HOST_LIST:
	case SCHEMA_PORT_NAME: /* these need more than the text; see bind.c */
		break;
	}
	snprintf(what, size, "is not a single value");
	return false;
}
