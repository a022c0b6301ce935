/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/claim.h"

#include <arpa/inet.h>

/* A 4 or 16 byte address in the 16 bytes of the configuration. */
static void mapped(uint8_t ret[16], const uint8_t *address, bool ipv6)
{
	if (ipv6) {
		memcpy(ret, address, 16);
		return;
	}
	memset(ret, 0, 16);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, address, 4);
}

static bool prefix_covers(const uint8_t prefix[16], uint8_t length, const uint8_t address[16])
{
	uint8_t whole = length / 8, rest = length % 8;

	return memcmp(prefix, address, whole) == 0 &&
		(rest == 0 || ((prefix[whole] ^ address[whole]) >> (8 - rest)) == 0);
}

bool claim_client_fits(const struct service *s, const struct hash_seed *seed, struct claim *c)
{
	const struct weir_config_service *i = &s->identity;
	const bool ipv6 = !weir_address_is_v4(i->address);
	const struct flow_tuple *tuple = &c->tuple[FLOW_SIDE_CLIENT];
	uint8_t service[16];
	uint64_t words;

	mapped(service, c->client + (ipv6 ? 16 : 4), ipv6);
	if (!prefix_covers(i->address, i->prefix_length, service) ||
		(i->port && ntohs(tuple->dport) != i->port))
		return false;
	memcpy(&words, c->client, sizeof(words));
	c->hash = ipv6 ? hash_tuple6(seed, c->client, tuple->ports, i->protocol) :
			 hash_tuple4(seed, words, tuple->ports, i->protocol);
	return true;
}

static int source_find(const struct nat_view *view, const uint8_t address[16])
{
	for (uint32_t i = 0; i < view->source_count; i++)
		if (memcmp(view->source[i].address, address, 16) == 0)
			return (int)i;
	return -1;
}

static bool backend_is(
	const struct service_settings *s, uint32_t slot, const uint8_t address[16], uint16_t port)
{
	const struct service_backend *b = &s->backend[slot];

	return slot < s->backend_slots && b->state != WEIR_BACKEND_UNUSED &&
		b->port_be == htons(port) && memcmp(b->address, address, sizeof(b->address)) == 0;
}

bool claim_backend_fits(const struct service_settings *settings, struct claim *c)
{
	const struct flow_tuple *tuple = &c->tuple[FLOW_SIDE_BACKEND];
	const bool ipv6 = settings->ipv6;
	const uint16_t port = ntohs(tuple->sport);
	uint8_t address[16];

	mapped(address, c->backend, ipv6);
	int slot = backend_is(settings, c->backend_slot, address, port) ?
		c->backend_slot :
		service_backend_find(settings, address, port);

	/* Backends without a port of their own take the packet's. */
	if (slot < 0 && tuple->sport == c->tuple[FLOW_SIDE_CLIENT].dport)
		slot = service_backend_find(settings, address, 0);
	if (slot < 0)
		return false;
	c->backend_slot = (uint16_t)slot;
	c->source_slot = 0;
	if (!settings->nat)
		return true;
	mapped(address, c->backend + (ipv6 ? 16 : 4), ipv6);
	int source = source_find(settings->nat, address);
	const uint16_t translated = ntohs(tuple->dport);

	if (source < 0 || (translated & 0xff) != hash_bucket(c->hash))
		return false;
	c->source_slot = (uint16_t)source;
	return nat_ports_claim(settings->nat, c->backend_slot, c->source_slot, translated);
}

void claim_drop(const struct service_settings *settings, const struct claim *c)
{
	if (settings->nat)
		nat_ports_give(settings->nat, hash_bucket(c->hash), c->backend_slot, c->source_slot,
			ntohs(c->tuple[FLOW_SIDE_BACKEND].dport));
}
