/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/police.h"

#include "dataplane/service/directive.h"
#include "dataplane/service/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MOST 65536u

void police_release(struct service_police *p)
{
	if (!p || --p->references)
		return;
	per_source_release(p->per_source);
	account_free(p->account, ACCOUNT_POLICING, p->list);
	account_free(p->account, ACCOUNT_POLICING, p);
}

/* 2^((class - 16) / 4) times the rate. */
static uint64_t rate_of(uint64_t rate, uint32_t class)
{
	static const uint32_t quarter[4] = { 1000, 1189, 1414, 1682 };
	uint64_t scaled = rate * quarter[class % 4] / 1000;

	if (rate == WEIR_UNLIMITED || rate == 0)
		return rate;
	scaled = class >= POLICE_CLASS_ONE ? scaled << (class - POLICE_CLASS_ONE) / 4 :
					     scaled >> (POLICE_CLASS_ONE + 3 - class) / 4;
	return scaled ? scaled : 1;
}

static uint8_t class_of(uint32_t weight)
{
	uint32_t class = POLICE_CLASSES - 1;

	while (class && rate_of(1000 * WEIR_SOURCE_WEIGHT_UNIT, class) > UINT64_C(1000) * weight)
		class --;
	return (uint8_t) class;
}

static uint64_t times(uint64_t rate, uint32_t factor)
{
	return rate == WEIR_UNLIMITED ? rate : rate * factor;
}

static void rates_make(struct service_police *p, const struct weir_directives *h, uint64_t hz)
{
	for (uint32_t i = 0; i < POLICE_CLASSES; i++) {
		uint64_t flows = rate_of(h->source_flows, i);
		uint64_t packets = times(rate_of(h->source_packets, i), h->source_yellow);

		limiter_rate_init(&p->rates[i].flows, flows, h->source_burst_ns, hz);
		limiter_rate_init(&p->rates[i].flows_yellow, times(flows, h->source_yellow - 1u),
			h->source_burst_ns, hz);
		limiter_rate_init(&p->rates[i].packets, packets, h->source_burst_ns, hz);
	}
}

static void list_put(struct service_police *p, const struct weir_directive_source *s, bool ipv6,
	uint64_t clock_ns)
{
	const struct source_id id = source_identify(p->table, s->address + (ipv6 ? 0 : 12));
	uint32_t i = id.tag & p->list_mask;

	while (p->list[i].used && p->list[i].key != id.key)
		i = (i + 1) & p->list_mask;
	p->list[i] = (struct police_source){
		.key = id.key,
		.used = true,
		.class = class_of(s->weight),
		.boxed_until_ns = s->boxed_ms ? clock_ns + s->boxed_ms * UINT64_C(1000000) : 0,
	};
}

static int list_make(
	struct service_police *p, const struct service_directives *d, bool ipv6, uint64_t clock_ns)
{
	uint32_t count = d->header.source_count;

	if (!count)
		return 0;
	p->list_mask = rte_align32pow2(2 * count) - 1;
	p->list = account_alloc(
		p->account, ACCOUNT_POLICING, (p->list_mask + 1) * sizeof(p->list[0]));
	if (!p->list)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		list_put(p, &d->source[i], ipv6, clock_ns);
	return 0;
}

/* That of old, unless the prefix is another. */
static int table_attach(struct service_police *p, const struct service_settings *s,
	const struct service_police *old, const struct hash_seed *seed)
{
	const struct weir_directives *h = &s->service->directives->header;
	struct source_table_params params = {
		.entries = ENTRIES_MOST,
		.ipv6 = s->ipv6,
		.prefix = h->source_prefix,
		.by_time = true,
		.seed = *seed,
		.node = SOCKET_ID_ANY,
		.memory = account_memory(&s->service->account, ACCOUNT_POLICING),
	};

	if (old && old->per_source && old->per_source->prefix == h->source_prefix) {
		p->per_source = old->per_source;
		p->per_source->references++;
		p->table = p->per_source->table;
		return 0;
	}
	while (params.entries > SOURCE_ENTRIES_MIN &&
		source_table_bytes(params.entries) > s->service->flow_bytes / 8)
		params.entries /= 2;
	p->per_source = calloc(1, sizeof(*p->per_source));
	if (!p->per_source)
		return -ENOMEM;
	p->per_source->references = 1;
	p->per_source->prefix = h->source_prefix;
	int ret = source_table_create(&params, &p->per_source->table);
	p->table = p->per_source->table;
	return ret;
}

static void mask_make(struct service_police *p, uint32_t bits, bool ipv6)
{
	bits += ipv6 ? 0 : 96;
	for (uint32_t bit = 0; bit < bits; bit++)
		p->mask[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
}

int police_create(const struct service_settings *s, const struct service_police *old,
	const struct hash_seed *seed, uint64_t clock_ns, struct service_police **ret_police)
{
	const struct service_directives *d = s->service->directives;
	struct service_police *p;
	int ret = 0;

	*ret_police = NULL;
	if (!(d->header.flags & (WEIR_DIRECTIVE_F_WATCH | WEIR_DIRECTIVE_F_POLICE)))
		return 0;
	p = account_alloc(&s->service->account, ACCOUNT_POLICING, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->account = &s->service->account;
	p->references = 1;
	p->seed = *seed;
	mask_make(p, d->header.source_prefix, s->ipv6);
	if (d->header.flags & WEIR_DIRECTIVE_F_POLICE) {
		p->polices = true;
		rates_make(p, &d->header, s->configured.hz);
		ret = table_attach(p, s, old, seed);
		if (ret == 0)
			ret = list_make(p, d, s->ipv6, clock_ns);
	}
	if (ret) {
		police_release(p);
		return ret;
	}
	*ret_police = p;
	return 0;
}
