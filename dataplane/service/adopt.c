/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/adopt.h"

#include "dataplane/service/cell.h"
#include "dataplane/service/load.h"
#include "dataplane/service/service.h"
#include "dataplane/table/flow_journal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

/* A copy from the journal, and what it means in the service of today. */
struct claim {
	const struct flow_saved *saved;
	const uint8_t *client; /* client and service address, 8 or 32 bytes */
	const uint8_t *backend; /* backend and translated source address; dsr: backend and zeros */
	uint64_t hash; /* of the client's side */
	uint16_t backend_slot;
	uint16_t source_slot;
};

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

static bool state_fits(const struct service *s, uint8_t state)
{
	return s->identity.protocol == IPPROTO_TCP ?
		state == FLOW_ESTABLISHED || state == FLOW_FIN :
		state == FLOW_UDP_STREAM;
}

/* Is it a flow of a client with this service, on its bucket? */
static bool client_fits(const struct service *s, const struct hash_seed *seed, struct claim *c)
{
	const struct weir_config_service *i = &s->identity;
	const bool ipv6 = !weir_address_is_v4(i->address);
	const struct flow_tuple *tuple = &c->saved->tuple[FLOW_SIDE_CLIENT];
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

/* Is its backend still there, and is the translated port free? Takes the port. */
static bool backend_fits(const struct service_settings *settings, struct claim *c)
{
	const struct flow_tuple *tuple = &c->saved->tuple[FLOW_SIDE_BACKEND];
	const bool ipv6 = settings->ipv6;
	const uint16_t port = ntohs(tuple->sport);
	uint8_t address[16];

	mapped(address, c->backend, ipv6);
	int slot = service_backend_find(settings, address, port);

	/* Backends without a port of their own take the packet's. */
	if (slot < 0 && tuple->sport == c->saved->tuple[FLOW_SIDE_CLIENT].dport)
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

static struct flow *enter(struct service *s, const struct claim *c, uint32_t now_ms)
{
	struct flow_partition *part = &s->flows->part[hash_bucket(c->hash)];
	const struct flow_new flow = {
		.hash = c->hash,
		.client_addrs = c->client,
		.backend_addrs = c->backend,
		.client_ports = c->saved->tuple[FLOW_SIDE_CLIENT].ports,
		.backend_ports = c->saved->tuple[FLOW_SIDE_BACKEND].ports,
		.state = c->saved->state,
	};

	if (flow_find(part, c->hash, c->client, flow.client_ports, FLOW_SIDE_CLIENT,
		    part->record_shift == 7))
		return NULL;
	return flow_insert(part, &flow, now_ms);
}

static bool adopt_one(struct service *s, const struct service_settings *settings, struct claim *c,
	const struct hash_seed *seed, uint32_t now_ms)
{
	struct service_worker *w;
	struct flow *f;

	if (!state_fits(s, c->saved->state) || c->saved->port_in >= WEIR_MAX_PORTS ||
		!client_fits(s, seed, c) || !backend_fits(settings, c))
		return false;
	f = enter(s, c, now_ms);
	if (!f) {
		if (settings->nat)
			nat_ports_give(settings->nat, hash_bucket(c->hash), c->backend_slot,
				c->source_slot, ntohs(c->saved->tuple[FLOW_SIDE_BACKEND].dport));
		return false;
	}
	f->backend_slot = c->backend_slot;
	f->backend_epoch = settings->backend[c->backend_slot].epoch;
	f->source_slot = c->source_slot;
	f->flags = c->saved->flags & (uint16_t) ~(FLOW_F_IN_FLIGHT | FLOW_F_PROBED);
	f->client_first = c->saved->client_first;
	f->port_in = c->saved->port_in;
	memcpy(f->client_mac, c->saved->client_mac, sizeof(f->client_mac));
	flow_journal_write(&s->flows->part[hash_bucket(c->hash)], f);
	w = s->worker[s->bucket_owner[hash_bucket(c->hash)]];
	if (!settings->nat) {
		load_add(w, c->backend_slot, 0);
		f->flags |= FLOW_F_IN_FLIGHT;
	}
	cell_add(&w->cell->new_flows, 1);
	cell_add(&w->backend_cell[c->backend_slot].new_flows, 1);
	return true;
}

int service_adopt(struct service *s, struct service_settings *settings, const void *journal,
	size_t bytes, const struct hash_seed *seed, uint32_t now_ms,
	struct service_adopted *ret_adopted)
{
	struct flow_journal_reader reader;
	struct flow_saved saved;
	struct flow_tail tail;
	int rc = flow_journal_open(journal, bytes, settings->ipv6, &reader);

	*ret_adopted = (struct service_adopted){ .flows = 0 };
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < s->worker_count; i++)
		service_worker_take_over(s->worker[i], settings);
	while (flow_journal_next(&reader, &saved, &tail)) {
		struct claim c = {
			.saved = &saved,
			.client = settings->ipv6 ?
				tail.addrs[FLOW_SIDE_CLIENT] :
				(const uint8_t *)&saved.tuple[FLOW_SIDE_CLIENT].src,
			.backend = settings->ipv6 ?
				tail.addrs[FLOW_SIDE_BACKEND] :
				(const uint8_t *)&saved.tuple[FLOW_SIDE_BACKEND].src,
		};

		if (adopt_one(s, settings, &c, seed, now_ms)) {
			ret_adopted->flows++;
			settings->proxied |= (saved.flags & FLOW_F_PROXY) != 0;
		} else {
			ret_adopted->refused++;
		}
	}
	return 0;
}
