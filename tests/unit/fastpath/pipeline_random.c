/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random packets of many clients on a table that is too small for them, in whole bursts: flows are
 * opened, closed, opened anew and pushed out side by side. Whatever comes out must be translated as the
 * SYN of its own connection was.
 */

#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <string.h>

#define CLIENTS	 3000u
#define BACKENDS 3u
#define ROUNDS	 4000u

static uint64_t random_state = 42;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % n);
}

/* Whose connection a translated port is, towards each backend; 0: nobody's yet. */
static uint32_t owner[BACKENDS][65536];

static void send_clients(struct bed *b, const char *from, const char *service)
{
	static const uint8_t flags[] = { BED_SYN, BED_SYN, BED_ACK, BED_ACK, BED_ACK | BED_PSH,
		BED_FIN | BED_ACK, BED_RST };

	for (uint32_t i = 1 + random_below(64); i > 0; i--) {
		uint32_t tag = 1 + random_below(CLIENTS);
		struct bed_packet p = bed_client(from, (uint16_t)(1024 + tag), service, 80);

		p.tcp_flags = flags[random_below(sizeof(flags))];
		p.tag = tag;
		p.payload = 4;
		bed_send(b, 0, &p);
	}
}

/* Returns the last packet that came out, to answer it. */
static bool check_backends(struct bed *b, struct bed_packet *ret_last)
{
	bool any = false;

	while (bed_receive(b, 1, ret_last)) {
		uint32_t *of = &owner[ret_last->dmac[5]][ret_last->sport];

		if (ret_last->tcp_flags == BED_SYN)
			*of = ret_last->tag;
		CU_ASSERT_EQUAL_FATAL(*of, ret_last->tag);
		any = true;
	}
	return any;
}

static void random_traffic(const char *from, const char *service, const char *backend_format)
{
	struct bed b;
	struct bed_packet last, out;
	uint64_t answered = 0;

	memset(owner, 0, sizeof(owner));
	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, service, 80)->flow_capacity = 1024;
	for (uint32_t i = 0; i < BACKENDS; i++) {
		char address[64];

		snprintf(address, sizeof(address), "%s%u", backend_format, 11 + i);
		bed_add_backend(&b, 0, address, 8080);
	}
	bed_apply(&b);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		static const uint8_t flags[] = { BED_SYN | BED_ACK, BED_ACK, BED_FIN | BED_ACK,
			BED_RST };
		struct bed_packet reply;

		send_clients(&b, from, service);
		bed_run(&b);
		if (!check_backends(&b, &last))
			continue;
		reply = bed_reply(&last, flags[random_below(sizeof(flags))], 4);
		reply.tag = last.tag;
		if (bed_exchange(&b, 1, &reply, &out)) {
			answered++;
			CU_ASSERT_EQUAL_FATAL(out.dport, 1024 + last.tag);
		}
		b.now += BED_MS * (round % 100 == 0 ? 5000 : random_below(20));
	}
	CU_ASSERT_TRUE(answered > ROUNDS / 2);
	CU_ASSERT_TRUE(bed_sum(&b, 0, new_flows) > 10000);
	bed_stop(&b);
}

static void random4(void)
{
	random_traffic("198.51.100.7", "203.0.113.10", "10.0.0.");
}

static void random6(void)
{
	random_traffic("2001:db8:1::7", "2001:db8::10", "fd00::");
}

static const struct tap_case cases[] = {
	{ "random IPv4 traffic is never sent on another's translation", random4 },
	{ "random IPv6 traffic is never sent on another's translation", random6 },
};

TAP_MAIN("random", cases)
