/* SPDX-License-Identifier: BSD-3-Clause */

/* Addresses as text and as sockets have them; part of the model's interface. */

#include "control/config/model.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool address_is_ipv4(const struct address *a)
{
	return memcmp(a->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

socklen_t address_to_socket(
	const struct address *a, uint16_t port, struct sockaddr_storage *ret_socket)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret_socket;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_socket;

	memset(ret_socket, 0, sizeof(*ret_socket));
	if (address_is_ipv4(a)) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, a->bytes + 12, 4);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	memcpy(&six->sin6_addr, a->bytes, 16);
	return sizeof(*six);
}

void address_from_socket(const struct sockaddr_storage *socket, struct address *ret_address)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)socket;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)socket;

	if (socket->ss_family == AF_INET) {
		memcpy(ret_address->bytes, mapped_prefix, sizeof(mapped_prefix));
		memcpy(ret_address->bytes + 12, &four->sin_addr, 4);
	} else {
		memcpy(ret_address->bytes, &six->sin6_addr, 16);
	}
}

const char *address_print(const struct address *a, char *buf, size_t size)
{
	bool ipv4 = address_is_ipv4(a);
	if (inet_ntop(ipv4 ? AF_INET : AF_INET6, a->bytes + (ipv4 ? 12 : 0), buf,
		    (socklen_t)size) == NULL &&
		size > 0)
		buf[0] = '\0';
	return buf;
}

const char *address_port_print(const struct address *a, uint16_t port, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	address_print(a, text, sizeof(text));
	snprintf(buf, size, address_is_ipv4(a) ? "%s:%u" : "[%s]:%u", text, port);
	return buf;
}

bool address_parse(const char *text, struct address *ret_address)
{
	struct address a;
	if (strchr(text, ':') != NULL) {
		/* The mapped form would be a second spelling of an IPv4 address. */
		if (inet_pton(AF_INET6, text, a.bytes) != 1 || address_is_ipv4(&a))
			return false;
	} else {
		memcpy(a.bytes, mapped_prefix, sizeof(mapped_prefix));
		if (inet_pton(AF_INET, text, a.bytes + 12) != 1)
			return false;
	}
	*ret_address = a;
	return true;
}

static bool port_parse(const char *text, uint16_t *ret_port)
{
	unsigned int value = 0;
	if (strcmp(text, "any") == 0) {
		*ret_port = 0;
		return true;
	}
	if (*text == '\0' || (*text == '0' && text[1] != '\0'))
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > UINT16_MAX)
			return false;
	}
	*ret_port = (uint16_t)value;
	return true;
}

bool address_port_parse(const char *text, struct address *ret_address, uint16_t *ret_port)
{
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	if (colon == NULL)
		return false;
	const char *from = text;
	const char *to = colon;
	bool bracketed = *text == '[';
	if (bracketed) {
		from++;
		if (--to < from || *to != ']')
			return false;
	}
	size_t length = (size_t)(to - from);
	if (length == 0 || length >= sizeof(host))
		return false;
	memcpy(host, from, length);
	host[length] = '\0';
	struct address a;
	uint16_t port;
	if (!address_parse(host, &a) || address_is_ipv4(&a) == bracketed ||
		!port_parse(colon + 1, &port))
		return false;
	*ret_address = a;
	*ret_port = port;
	return true;
}
