/* SPDX-License-Identifier: BSD-3-Clause */

/* Flows that outlive the process: what a killed fast path leaves, and what its successor makes of it. */

#include "dataplane/table/flow_journal.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <string.h>

/* The one file that there is: memory, as a predecessor left it, and of the fast path that runs. */
static struct {
	void *left;
	size_t left_bytes;
	void *now;
	size_t now_bytes;
	uint32_t flows;
	uint32_t refused;
} file;

static void *file_open(void *ctx, const char *name, size_t bytes, int node, void **ret_memory,
	const void **ret_old, size_t *ret_old_bytes)
{
	CU_ASSERT_STRING_EQUAL(name, "web");
	file.now = aligned_alloc(64, (bytes + 63) / 64 * 64);
	CU_ASSERT_PTR_NOT_NULL_FATAL(file.now);
	memset(file.now, 0, bytes);
	file.now_bytes = bytes;
	*ret_memory = file.now;
	*ret_old = file.left;
	*ret_old_bytes = file.left_bytes;
	return &file;
}

static void file_commit(void *ctx, void *handle)
{
	free(file.left);
	file.left = NULL;
	file.left_bytes = 0;
}

static void file_close(void *ctx, void *handle)
{
	free(file.now);
	file.now = NULL;
}

static void file_adopted(void *ctx, const char *name, uint32_t flows, uint32_t refused)
{
	file.flows = flows;
	file.refused = refused;
}

static void service(struct bed *b, uint8_t mode, uint8_t protocol, bool ipv6)
{
	bed_journal = (struct fastpath_journal){
		.open = file_open,
		.commit = file_commit,
		.close = file_close,
		.adopted = file_adopted,
	};
	file.flows = file.refused = 0;
	bed_start(b, 1, 1);
	bed_add_service(b, "web", mode, protocol, ipv6 ? "2001:db8::10" : "203.0.113.10", 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::11" : "10.0.0.11", 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::12" : "10.0.0.12", 80);
	bed_add_backend(b, 0, ipv6 ? "fd00::13" : "10.0.0.13", 80);
}

static struct bed_packet client(bool ipv6, uint16_t sport)
{
	return bed_client(ipv6 ? "2001:db8:1::7" : "198.51.100.7", sport,
		ipv6 ? "2001:db8::10" : "203.0.113.10", 80);
}

/* Killed: what is in the file stays, and nothing is given back. */
static void crash(struct bed *b)
{
	void *left = malloc(file.now_bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(left);
	memcpy(left, file.now, file.now_bytes);
	size_t bytes = file.now_bytes;

	bed_discard(b, 0);
	bed_discard(b, 1);
	bed_stop(b);
	free(file.left);
	file.left = left;
	file.left_bytes = bytes;
}

static void end(struct bed *b)
{
	bed_discard(b, 0);
	bed_discard(b, 1);
	bed_stop(b);
	free(file.left);
	file.left = NULL;
	file.left_bytes = 0;
}

/* Through the handshake; ret_to is what the backend saw of the last packet. */
static void establish(struct bed *b, struct bed_packet p, bool nat, struct bed_packet *ret_to)
{
	struct bed_packet reply, back;

	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, &p, ret_to));
	if (p.protocol == 17 || nat) {
		reply = bed_reply(ret_to, BED_SYN | BED_ACK, p.protocol == 17 ? 8 : 0);
		if (nat)
			CU_ASSERT_TRUE_FATAL(bed_exchange(b, 1, &reply, &back));
	}
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE_FATAL(bed_exchange(b, 0, &p, ret_to));
}

static void expect_goes_on(bool nat, bool ipv6, uint8_t protocol)
{
	struct bed_packet p = client(ipv6, 40000), before, after, back, first;
	struct bed b;

	p.protocol = protocol;
	p.payload = 8;
	service(&b, nat ? WEIR_MODE_NAT : WEIR_MODE_DSR, protocol, ipv6);
	bed_apply(&b);
	establish(&b, p, nat, &before);
	if (nat) {
		struct bed_packet reply = bed_reply(&before, BED_ACK, 100);

		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 1, &reply, &first));
	}
	crash(&b);

	service(&b, nat ? WEIR_MODE_NAT : WEIR_MODE_DSR, protocol, ipv6);
	bed_apply(&b);
	CU_ASSERT_EQUAL(file.flows, 1);
	CU_ASSERT_EQUAL(file.refused, 0);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 1);
	if (nat) {
		/* The backend speaks first: it retransmits what was lost meanwhile. */
		struct bed_packet reply = bed_reply(&before, BED_ACK, 100);

		CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 1, &reply, &back));
		CU_ASSERT_EQUAL(back.dport, p.sport);
		CU_ASSERT_EQUAL(memcmp(back.dst, p.src, 16), 0);
		CU_ASSERT_EQUAL(memcmp(back.dmac, first.dmac, 6), 0);
	}
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &after));
	CU_ASSERT_EQUAL(after.sport, before.sport);
	CU_ASSERT_EQUAL(memcmp(after.src, before.src, 16), 0);
	CU_ASSERT_EQUAL(memcmp(after.dmac, before.dmac, 6), 0);
	/* It is in the journal of the second life, too. */
	crash(&b);
	service(&b, nat ? WEIR_MODE_NAT : WEIR_MODE_DSR, protocol, ipv6);
	bed_apply(&b);
	CU_ASSERT_EQUAL(file.flows, 1);
	end(&b);
}

static void flows_go_on(void)
{
	for (unsigned int i = 0; i < 8; i++)
		expect_goes_on(i & 1, i & 2, i & 4 ? 17 : 6);
}

static void translated_ports_stay_taken(void)
{
	struct bed_packet to;
	struct bed b;

	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	for (uint16_t i = 0; i < 200; i++)
		establish(&b, client(false, (uint16_t)(20000 + i)), true, &to);
	crash(&b);
	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	CU_ASSERT_EQUAL(file.flows, 200);
	/* New flows get other ports: every known one is answered as before. */
	for (uint16_t i = 0; i < 400; i++)
		establish(&b, client(false, (uint16_t)(30000 + i)), true, &to);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 600);
	CU_ASSERT_EQUAL(bed_sum(&b, 0, closed_flows), 0);
	CU_ASSERT_EQUAL(bed_dropped_all(&b, 0), 0);
	end(&b);
}

static void only_assured_flows_are_kept(void)
{
	struct bed_packet half = client(false, 1001), ended = client(false, 1002), to, back, fin;
	struct bed b;

	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &half, &to));
	establish(&b, ended, true, &to);
	fin = bed_reply(&to, BED_FIN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &fin, &back));
	ended.tcp_flags = BED_FIN | BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &ended, &to));
	crash(&b);
	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	CU_ASSERT_EQUAL(file.flows + file.refused, 0);
	end(&b);
}

static void what_does_not_fit_is_refused(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct bed_packet p = client(false, 5000), to;
		struct bed b;

		service(&b, WEIR_MODE_NAT, 6, false);
		bed_apply(&b);
		establish(&b, p, true, &to);
		crash(&b);
		service(&b, WEIR_MODE_NAT, 6, false);
		if (i == 0)
			b.service[0].port = 81;
		else if (i == 1)
			bed_address("203.0.113.11", b.service[0].address);
		else if (i == 2)
			memset(b.source[0].blocks, 0, sizeof(b.source[0].blocks));
		else
			for (unsigned int k = 0; k < 3; k++)
				b.backend[0][k].port = 8080;
		if (i == 2)
			b.source[0].blocks[31] = 0x80;
		bed_apply(&b);
		CU_ASSERT_EQUAL(file.flows, 0);
		CU_ASSERT_EQUAL(file.refused, 1);
		CU_ASSERT_EQUAL(bed_sum(&b, 0, new_flows), 0);
		end(&b);
	}
}

/* A flow that stands twice in a file is entered once, and its port taken once. */
static void doubles_are_refused(void)
{
	struct bed_packet to;
	struct bed b;

	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	establish(&b, client(false, 7000), true, &to);
	crash(&b);
	uint8_t *at = file.left, *end_of = at + file.left_bytes - 64;

	for (at += 64; at < end_of; at += 64)
		if (*(uint64_t *)(void *)at) {
			memcpy(at + 64, at, 64);
			break;
		}
	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	CU_ASSERT_EQUAL(file.flows, 1);
	CU_ASSERT_EQUAL(file.refused, 1);
	end(&b);
}

static void damage_costs_the_damaged(void)
{
	struct random r = random_start("journal");

	for (unsigned int round = 0; round < 40; round++) {
		struct bed_packet to;
		struct bed b;

		service(&b, WEIR_MODE_NAT, 6, round & 1);
		bed_apply(&b);
		for (uint16_t i = 0; i < 50; i++)
			establish(&b, client(round & 1, (uint16_t)(20000 + i)), true, &to);
		crash(&b);
		size_t size = file.left_bytes;
		uint8_t *bytes = file.left;

		if (round % 4 == 0)
			file.left_bytes = random_below(&r, (uint32_t)size); /* cut off */
		else if (round % 4 == 1)
			bytes[random_below(&r, 64)] ^= (uint8_t)(1u << random_below(&r, 8));
		else
			for (size_t i = 64; i < size; i += 64)
				if (*(uint64_t *)(void *)(bytes + i) && random_below(&r, 2))
					bytes[i + random_below(&r, 64)] ^= 0x10;
		service(&b, WEIR_MODE_NAT, 6, round & 1);
		bed_apply(&b);
		CU_ASSERT_TRUE(file.flows <= 50);
		CU_ASSERT_EQUAL(file.flows, bed_sum(&b, 0, new_flows));
		if (round % 4 > 1)
			CU_ASSERT_TRUE(file.flows > 0 && file.flows < 50);
		establish(&b, client(round & 1, 60000), true, &to);
		end(&b);
	}
}

/* The one flow of a journal, as it was saved. */
static struct flow_saved only_saved(const void *journal, size_t bytes)
{
	struct flow_journal_reader reader;
	struct flow_saved saved = { .check = 0 }, more;
	struct flow_tail tail;

	CU_ASSERT_EQUAL_FATAL(flow_journal_open(journal, bytes, false, &reader), 0);
	CU_ASSERT_TRUE(flow_journal_next(&reader, &saved, &tail));
	CU_ASSERT_FALSE(flow_journal_next(&reader, &more, &tail));
	return saved;
}

/* Where a stream with a PROXY header begins (the SYN of the bed has number 0), also when it is off by then. */
static void proxied_streams_are_known(void)
{
	struct flow_saved saved;
	struct bed_packet to;
	struct bed b;

	service(&b, WEIR_MODE_NAT, 6, false);
	b.service[0].proxy_protocol = 2;
	bed_apply(&b);
	establish(&b, client(false, 40000), true, &to);
	saved = only_saved(file.now, file.now_bytes);
	CU_ASSERT_TRUE(saved.flags & FLOW_F_PROXY);
	CU_ASSERT_EQUAL(saved.client_first, 1);
	crash(&b);
	service(&b, WEIR_MODE_NAT, 6, false);
	bed_apply(&b);
	CU_ASSERT_EQUAL(file.flows, 1);
	saved = only_saved(file.now, file.now_bytes);
	CU_ASSERT_TRUE(saved.flags & FLOW_F_PROXY);
	CU_ASSERT_EQUAL(saved.client_first, 1);
	end(&b);
}

static const struct tap_case cases[] = {
	{ "assured flows go on after a restart, in every mode, family and protocol", flows_go_on },
	{ "translated ports stay taken over a restart", translated_ports_stay_taken },
	{ "half open and ended flows are not kept", only_assured_flows_are_kept },
	{ "where a stream with a PROXY header begins outlives the process",
		proxied_streams_are_known },
	{ "a flow of another service, backend or port block is refused",
		what_does_not_fit_is_refused },
	{ "a flow that stands twice in the journal is entered once", doubles_are_refused },
	{ "a damaged journal costs the damaged flows and nothing else", damage_costs_the_damaged },
};

TAP_MAIN("journal", cases)
