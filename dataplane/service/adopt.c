/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/adopt.h"

#include "dataplane/service/cell.h"
#include "dataplane/service/claim.h"
#include "dataplane/service/load.h"
#include "dataplane/service/service.h"
#include "dataplane/table/flow_journal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static bool state_fits(const struct service *s, uint8_t state)
{
	return s->identity.protocol == IPPROTO_TCP ?
		state == FLOW_ESTABLISHED || state == FLOW_FIN :
		state == FLOW_UDP_STREAM;
}

static struct flow *enter(
	struct service *s, const struct flow_saved *saved, const struct claim *c, uint32_t now_ms)
{
	struct flow_partition *part = s->part[hash_bucket(c->hash)];
	const struct flow_new flow = {
		.hash = c->hash,
		.client_addrs = c->client,
		.backend_addrs = c->backend,
		.client_ports = saved->tuple[FLOW_SIDE_CLIENT].ports,
		.backend_ports = saved->tuple[FLOW_SIDE_BACKEND].ports,
		.state = saved->state,
	};

	if (flow_find(part, c->hash, c->client, flow.client_ports, FLOW_SIDE_CLIENT,
		    part->record_shift == 7))
		return NULL;
	return flow_insert(part, &flow, now_ms);
}

static bool adopt_one(struct service *s, const struct service_settings *settings,
	const struct flow_saved *saved, struct claim *c, const struct hash_seed *seed,
	uint32_t now_ms)
{
	struct service_worker *w;
	struct flow *f;

	if (!state_fits(s, saved->state) || saved->port_in >= WEIR_MAX_PORTS ||
		!claim_client_fits(s, seed, c) || !claim_backend_fits(settings, c))
		return false;
	f = enter(s, saved, c, now_ms);
	if (!f) {
		claim_drop(settings, c);
		return false;
	}
	f->backend_slot = c->backend_slot;
	f->backend_epoch = settings->backend[c->backend_slot].epoch;
	f->source_slot = c->source_slot;
	f->flags = saved->flags & (uint16_t) ~(FLOW_F_IN_FLIGHT | FLOW_F_PROBED);
	f->client_first = saved->client_first;
	f->port_in = saved->port_in;
	memcpy(f->client_mac, saved->client_mac, sizeof(f->client_mac));
	flow_journal_write(s->part[hash_bucket(c->hash)], f);
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
			.tuple = saved.tuple,
			.client = settings->ipv6 ?
				tail.addrs[FLOW_SIDE_CLIENT] :
				(const uint8_t *)&saved.tuple[FLOW_SIDE_CLIENT].src,
			.backend = settings->ipv6 ?
				tail.addrs[FLOW_SIDE_BACKEND] :
				(const uint8_t *)&saved.tuple[FLOW_SIDE_BACKEND].src,
		};

		if (adopt_one(s, settings, &saved, &c, seed, now_ms)) {
			ret_adopted->flows++;
			settings->proxied |= (saved.flags & FLOW_F_PROXY) != 0;
		} else {
			ret_adopted->refused++;
		}
	}
	return 0;
}
