/* SPDX-License-Identifier: BSD-3-Clause */

/* Writing a field of the model as YAML; what types_read.c reads again. */

#include "control/config/model.h"
#include "control/config/schema.h"
#include "control/config/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint64_t number_load(const struct schema_key *k, const void *field)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;
	if (k->size == sizeof(v16))
		return memcpy(&v16, field, sizeof(v16)), v16;
	if (k->size == sizeof(v32))
		return memcpy(&v32, field, sizeof(v32)), v32;
	return memcpy(&v64, field, sizeof(v64)), v64;
}

/* Words that other readers of YAML, or ours, would not take for a text. */
static bool text_needs_quotes(const char *text)
{
	static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y",
		"n", "any" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(words[i], text) == 0)
			return true;
	}
	if (!isalpha((unsigned char)text[0]) && text[0] != '/')
		return true;
	for (const char *p = text; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && strchr("._-/", *p) == NULL)
			return true;
	}
	return false;
}

static char *write_text(const char *text)
{
	char *out;
	if (!text_needs_quotes(text))
		return strdup(text);
	/* Single quotes know one escape only: the quote itself, doubled. */
	size_t length = strlen(text);
	out = malloc(2 * length + 3);
	if (out == NULL)
		return NULL;
	char *to = out;
	*to++ = '\'';
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'')
			*to++ = '\'';
		*to++ = *p;
	}
	*to++ = '\'';
	*to = '\0';
	return out;
}

static char *write_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *write_format(const char *format, ...)
{
	char *text;
	va_list args;
	va_start(args, format);
	int r = vasprintf(&text, format, args);
	va_end(args);
	return r < 0 ? NULL : text;
}

static char *write_address(const struct address *a)
{
	char text[INET6_ADDRSTRLEN];
	address_print(a, text, sizeof(text));
	return address_is_ipv4(a) ? strdup(text) : write_format("\"%s\"", text);
}

static char *write_prefix(const struct model_service *s)
{
	char text[INET6_ADDRSTRLEN];
	if (s->prefix_length == 128)
		return write_address(&s->address);
	address_print(&s->address, text, sizeof(text));
	if (s->ipv6)
		return write_format("\"%s/%u\"", text, s->prefix_length);
	return write_format("%s/%u", text, s->prefix_length - 96u);
}

static char *write_choice(const struct schema_key *k, const void *field)
{
	int value;
	memcpy(&value, field, sizeof(value));
	for (const struct schema_choice *c = k->choices; c->name != NULL; c++) {
		if (c->value == value)
			return strdup(c->name);
	}
	return strdup("unknown");
}

static char *write_address_list(const struct address *items, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fputc('[', to);
	for (size_t i = 0; i < count; i++) {
		char *item = write_address(&items[i]);
		fprintf(to, "%s%s", i ? ", " : "", item ? item : "");
		free(item);
	}
	fputc(']', to);
	return fclose(to) == 0 ? text : NULL;
}

static char *write_cpu_list(const uint16_t *cpus, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fputc('[', to);
	for (size_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && cpus[next] == cpus[next - 1] + 1; next++)
			;
		fprintf(to, "%s%u", i ? ", " : "", cpus[i]);
		if (next > i + 1)
			fprintf(to, "-%u", cpus[next - 1]);
	}
	fputc(']', to);
	return fclose(to) == 0 ? text : NULL;
}

static char *write_settings(char *const *items, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fputc('{', to);
	for (size_t i = 0; i < count; i++) {
		int name = (int)strcspn(items[i], "=");
		fprintf(to, "%s%.*s: %s", i ? ", " : "", name, items[i], items[i] + name + 1);
	}
	fputc('}', to);
	return fclose(to) == 0 ? text : NULL;
}

static char *write_host_list(char *const *items, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (to == NULL)
		return NULL;
	fputc('[', to);
	for (size_t i = 0; i < count; i++)
		fprintf(to, "%s\"%s\"", i ? ", " : "", items[i]);
	fputc(']', to);
	return fclose(to) == 0 ? text : NULL;
}

static char *write_number(const struct schema_key *k, const void *field)
{
	char text[32];
	uint64_t value = number_load(k, field);
	return strdup(unit_print(schema_unit(k->type), value, text, sizeof(text)));
}

static char *write_span(const struct model_span *span)
{
	if (span->min == span->max)
		return write_format("%u", span->min);
	return write_format("{min: %u, max: %u}", span->min, span->max);
}

static char *write_port(const struct schema_key *k, const void *field)
{
	uint64_t port = number_load(k, field);
	return port == 0 ? strdup("any") : write_format("%" PRIu64, port);
}

static char *write_mac(const uint8_t *mac)
{
	return write_format("\"%02x:%02x:%02x:%02x:%02x:%02x\"", mac[0], mac[1], mac[2], mac[3],
		mac[4], mac[5]);
}

static char *write_listen(const struct model_listen *listen)
{
	char text[INET6_ADDRSTRLEN + 8];
	address_port_print(&listen->address, listen->port, text, sizeof(text));
	return write_format("\"%s\"", text);
}

static bool field_is_set(const struct schema_key *k, const void *object, const void *field)
{
	size_t count;
	char *text;
	uint16_t port;
	if (k->applies != NULL && !k->applies(object))
		return false;
	switch (k->type) {
	case SCHEMA_ADDRESS_LIST:
	case SCHEMA_CPU_LIST:
	case SCHEMA_SETTINGS:
	case SCHEMA_HOST_LIST:
		memcpy(&count, (const char *)object + k->count_offset, sizeof(count));
		return count > 0;
	case SCHEMA_RATE:
		return number_load(k, field) != MODEL_UNLIMITED;
	case SCHEMA_PORT:
		memcpy(&port, field, sizeof(port));
		return port != 0;
	case SCHEMA_URL_PATH:
	case SCHEMA_FILE:
		memcpy(&text, field, sizeof(text));
		return text != NULL;
	case SCHEMA_LISTEN:
		return ((const struct model_listen *)field)->set;
	default:
		return true;
	}
}

static char *write_field(const struct schema_key *k, const struct model *m, const void *object)
{
	const void *field = (const char *)object + k->offset;
	const void *const *pointer = field;
	size_t count = 0;
	if (k->type == SCHEMA_ADDRESS_LIST || k->type == SCHEMA_CPU_LIST ||
		k->type == SCHEMA_SETTINGS || k->type == SCHEMA_HOST_LIST)
		memcpy(&count, (const char *)object + k->count_offset, sizeof(count));
	switch (k->type) {
	case SCHEMA_NAME:
	case SCHEMA_DEVICE:
		return write_text(field);
	case SCHEMA_PORT_NAME:
		return write_text(m->ports[*(const size_t *)field].name);
	case SCHEMA_URL_PATH:
	case SCHEMA_FILE:
		return write_text(*pointer);
	case SCHEMA_ADDRESS:
		return write_address(field);
	case SCHEMA_PREFIX:
		return write_prefix(object);
	case SCHEMA_PORT:
	case SCHEMA_PORT_OR_ANY:
		return write_port(k, field);
	case SCHEMA_CHOICE:
		return write_choice(k, field);
	case SCHEMA_NUMBER:
	case SCHEMA_RATE:
	case SCHEMA_SIZE:
	case SCHEMA_TIME:
		return write_number(k, field);
	case SCHEMA_SPAN:
		return write_span(field);
	case SCHEMA_MAC:
		return write_mac(field);
	case SCHEMA_LISTEN:
		return write_listen(field);
	case SCHEMA_VERSION:
		return strdup("1");
	case SCHEMA_ADDRESS_LIST:
		return write_address_list(*pointer, count);
	case SCHEMA_CPU_LIST:
		return write_cpu_list(*pointer, count);
	case SCHEMA_SETTINGS:
		return write_settings(*pointer, count);
	case SCHEMA_HOST_LIST:
		return write_host_list(*pointer, count);
	case SCHEMA_MAP:
	case SCHEMA_LIST:
		break;
	}
	return NULL;
}

int schema_write(
	const struct schema_key *k, const struct model *m, const void *object, char **ret_text)
{
	*ret_text = NULL;
	if (!field_is_set(k, object, (const char *)object + k->offset))
		return 0;
	*ret_text = write_field(k, m, object);
	return *ret_text != NULL ? 1 : -ENOMEM;
}
