/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/table/flow_journal.h"

#include <errno.h>

#define JOURNAL_MAGIC	UINT64_C(0x314c4e4a52494557) /* "WEIRJNL1" */
#define JOURNAL_VERSION 1u

struct journal_head {
	uint64_t magic;
	uint32_t version;
	uint32_t shift;
	uint64_t records;
	uint8_t reserved[40];
};
static_assert(sizeof(struct journal_head) == 64, "records begin on a cache line");

static uint32_t shift_of(bool ipv6)
{
	return ipv6 ? 7 : 6;
}

size_t flow_journal_bytes(uint32_t capacity, bool ipv6)
{
	return sizeof(struct journal_head) + ((size_t)capacity << shift_of(ipv6));
}

void flow_journal_attach(struct flow_table *t, void *memory)
{
	struct journal_head *head = memory;
	uint32_t capacity = t->part[0].capacity;

	head->version = JOURNAL_VERSION;
	head->shift = t->part[0].record_shift;
	head->records = flow_table_capacity(t);
	for (uint32_t b = 0; b < FLOW_PARTITIONS; b++)
		t->part[b].journal = (uint8_t *)(head + 1) + ((size_t)b * capacity << head->shift);
	__atomic_store_n(&head->magic, JOURNAL_MAGIC, __ATOMIC_RELEASE);
}

/* Over all but the check itself; never 0. */
static uint64_t check_of(const struct flow_saved *s, const struct flow_tail *tail)
{
	uint64_t word[7], more[8];
	uint64_t h = JOURNAL_MAGIC;

	memcpy(word, (const uint8_t *)s + sizeof(s->check), sizeof(word));
	for (unsigned int i = 0; i < 7; i++)
		h = hash_mix(h ^ word[i], UINT64_C(0x9e3779b97f4a7c15));
	if (tail) {
		memcpy(more, tail, sizeof(more));
		for (unsigned int i = 0; i < 8; i++)
			h = hash_mix(h ^ more[i], UINT64_C(0x9e3779b97f4a7c15));
	}
	return h ? h : 1;
}

static struct flow_saved *copy_of(const struct flow_partition *part, const struct flow *f)
{
	size_t at = (size_t)((const uint8_t *)f - part->records);

	return (struct flow_saved *)(void *)(part->journal + at);
}

void flow_journal_write(const struct flow_partition *part, const struct flow *f)
{
	struct flow_saved s = {
		.tuple = { f->tuple[0], f->tuple[1] },
		.flags = f->flags,
		.state = f->state,
		.port_in = f->port_in,
		.client_first = f->client_first,
	};
	const struct flow_tail *tail = NULL;
	struct flow_saved *to;

	if (!part->journal)
		return;
	memcpy(s.client_mac, f->client_mac, sizeof(s.client_mac));
	if (part->record_shift == 7)
		tail = (const struct flow_tail *)(const void *)(f + 1);
	s.check = check_of(&s, tail);
	to = copy_of(part, f);
	__atomic_store_n(&to->check, 0, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy((uint8_t *)to + sizeof(to->check), (uint8_t *)&s + sizeof(s.check),
		sizeof(s) - sizeof(s.check));
	if (tail)
		memcpy(to + 1, tail, sizeof(*tail));
	__atomic_store_n(&to->check, s.check, __ATOMIC_RELEASE);
}

void flow_journal_clear(const struct flow_partition *part, const struct flow *f)
{
	__atomic_store_n(&copy_of(part, f)->check, 0, __ATOMIC_RELAXED);
}

int flow_journal_open(
	const void *memory, size_t bytes, bool ipv6, struct flow_journal_reader *ret_reader)
{
	const struct journal_head *head = memory;

	if (bytes < sizeof(*head) || head->magic != JOURNAL_MAGIC ||
		head->version != JOURNAL_VERSION || head->shift != shift_of(ipv6) ||
		head->records > FLOW_TABLE_MAX ||
		bytes < flow_journal_bytes((uint32_t)head->records, ipv6))
		return -EINVAL;
	*ret_reader = (struct flow_journal_reader){
		.record = (const uint8_t *)(head + 1),
		.left = (uint32_t)head->records,
		.shift = head->shift,
	};
	return 0;
}

bool flow_journal_next(
	struct flow_journal_reader *r, struct flow_saved *ret_saved, struct flow_tail *ret_tail)
{
	while (r->left) {
		const uint8_t *at = r->record;

		r->record += (size_t)1 << r->shift;
		r->left--;
		memcpy(ret_saved, at, sizeof(*ret_saved));
		if (ret_saved->check == 0)
			continue;
		if (r->shift == 7)
			memcpy(ret_tail, at + sizeof(*ret_saved), sizeof(*ret_tail));
		if (check_of(ret_saved, r->shift == 7 ? ret_tail : NULL) == ret_saved->check)
			return true;
	}
	return false;
}
