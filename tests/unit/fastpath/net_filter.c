/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/filter.h"
#include "tests/unit/fastpath/random.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <string.h>

/* What libpcap calls the same. */
static_assert(sizeof(struct bpf_insn) == sizeof(struct weir_trace_instruction), "one encoding");

static const uint8_t syn[54] = { 2, 0, 0, 0, 2, 1, 2, 0, 0, 0, 1, 2, 0x08, 0x00, 0x45, 0, 0, 40, 0,
	0, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 7, 203, 0, 113, 10, 0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0,
	0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0 };

static int check(const struct weir_trace_instruction *p, size_t count, const char *reason)
{
	char err[128] = "";
	int rc = filter_check(p, count, err, sizeof(err));

	CU_ASSERT_EQUAL(rc == 0, err[0] == '\0');
	if (reason && !strstr(err, reason))
		printf("# said: '%s', expected: '%s'\n", err, reason);
	CU_ASSERT_TRUE(!reason || strstr(err, reason));
	return rc;
}

/* Compile an expression as weirctl does, and run it on the SYN. */
static bool matches(const char *expression)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	struct bpf_program program;
	struct weir_trace_instruction ours[WEIR_TRACE_MAX_INSTRUCTIONS];

	CU_ASSERT_EQUAL_FATAL(pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN), 0);
	memcpy(ours, program.bf_insns, program.bf_len * sizeof(ours[0]));
	CU_ASSERT_EQUAL(check(ours, program.bf_len, NULL), 0);
	bool found = filter_run(ours, syn, sizeof(syn), sizeof(syn)) != 0;
	pcap_freecode(&program);
	pcap_close(p);
	return found;
}

static void expressions(void)
{
	CU_ASSERT_TRUE(matches("tcp"));
	CU_ASSERT_FALSE(matches("udp"));
	CU_ASSERT_FALSE(matches("ip6"));
	CU_ASSERT_TRUE(matches("host 198.51.100.7 and tcp dst port 80"));
	CU_ASSERT_FALSE(matches("host 198.51.100.7 and tcp src port 80"));
	CU_ASSERT_TRUE(matches("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn"));
	CU_ASSERT_TRUE(matches("net 203.0.113.0/24 and not net 10.0.0.0/8"));
	CU_ASSERT_TRUE(matches("ether host 02:00:00:00:01:02 and len <= 54"));
	CU_ASSERT_FALSE(matches("greater 55"));
	CU_ASSERT_TRUE(matches("ip[8] % 10 = 4 and ip[0] / 4 >= 17 and (ip[8] << 2) = 256"));
	CU_ASSERT_FALSE(matches("vlan"));
}

static void out_of_bounds(void)
{
	static const struct weir_trace_instruction load[] = { { 0x20, 0, 0, 51 },
		{ 0x06, 0, 0, 1 } };
	static const struct weir_trace_instruction far[] = { { 0x01, 0, 0, UINT32_MAX },
		{ 0x50, 0, 0, UINT32_MAX }, { 0x06, 0, 0, 1 } };

	CU_ASSERT_EQUAL(check(load, 2, NULL), 0);
	CU_ASSERT_EQUAL(filter_run(load, syn, sizeof(syn), sizeof(syn)), 0);
	CU_ASSERT_EQUAL(filter_run(load, syn, 50, sizeof(syn)), 0);
	CU_ASSERT_EQUAL(check(far, 3, NULL), 0);
	CU_ASSERT_EQUAL(filter_run(far, syn, sizeof(syn), sizeof(syn)), 0);
}

static void refused(void)
{
	const struct weir_trace_instruction ret = { 0x06, 0, 0, 1 };
	const struct {
		struct weir_trace_instruction first;
		const char *reason;
	} bad[] = {
		{ { 0xffff, 0, 0, 0 }, "unknown" },
		{ { 0x40, 0, 0, 0 }, NULL }, /* load from the frame with no address is fine */
		{ { 0x05, 0, 0, 1 }, "jumps out" },
		{ { 0x05, 0, 0, UINT32_MAX }, "jumps out" },
		{ { 0x15, 1, 0, 0 }, "jumps out" },
		{ { 0x15, 0, 255, 0 }, "jumps out" },
		{ { 0x02, 0, 0, 16 }, "memory" },
		{ { 0x60, 0, 0, 16 }, "memory" },
		{ { 0x34, 0, 0, 0 }, "divides" },
		{ { 0x94, 0, 0, 0 }, "divides" },
		{ { 0x64, 0, 0, 32 }, "shifts" },
		{ { 0xe4, 0, 0, 0 }, "unknown" },
		{ { 0x16, 0, 0, 0 }, NULL }, /* returns A */
		{ { 0x0e, 0, 0, 0 }, "unknown" },
		{ { 0x81, 0, 0, 0 }, NULL }, /* X = length */
		{ { 0x47, 0, 0, 0 }, "unknown" },
	};
	static struct weir_trace_instruction many[WEIR_TRACE_MAX_INSTRUCTIONS + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct weir_trace_instruction program[2] = { bad[i].first, ret };

		CU_ASSERT_EQUAL(check(program, 2, bad[i].reason) == 0, bad[i].reason == NULL);
	}
	CU_ASSERT_EQUAL(
		check(&(struct weir_trace_instruction){ 0, 0, 0, 1 }, 1, "return"), -EINVAL);
	CU_ASSERT_EQUAL(check(NULL, 0, NULL), 0);
	for (size_t i = 0; i <= WEIR_TRACE_MAX_INSTRUCTIONS; i++)
		many[i] = ret;
	CU_ASSERT_EQUAL(check(many, WEIR_TRACE_MAX_INSTRUCTIONS, NULL), 0);
	CU_ASSERT_EQUAL(check(many, WEIR_TRACE_MAX_INSTRUCTIONS + 1, "at most"), -E2BIG);
}

/* Begins by filling the memory that it uses: libpcap's is not. */
static size_t program_make(struct random *r, struct weir_trace_instruction *p)
{
	static const uint16_t codes[] = { 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60,
		0x81, 0xb1, 0x01, 0x61, 0x02, 0x03, 0x84, 0x05, 0x07, 0x87, 0x04, 0x0c, 0x14, 0x1c,
		0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x94, 0x9c,
		0xa4, 0xac, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x16, 0x0e, 0xff };
	size_t n = 0, count = 6 + random_below(r, 20);

	for (uint32_t i = 0; i < 4; i++)
		p[n++] = (struct weir_trace_instruction){ 0x02, 0, 0, i };
	for (; n < count; n++) {
		bool small = random_below(r, 8) != 0;

		p[n].code = codes[random_below(r, sizeof(codes) / sizeof(codes[0]))];
		p[n].jt = (uint8_t)random_below(r, 6);
		p[n].jf = (uint8_t)random_below(r, 6);
		p[n].k = small ? random_below(r, 64) : (uint32_t)random_next(r);
		if ((p[n].code == 0x60 || p[n].code == 0x61 || p[n].code == 2 || p[n].code == 3))
			p[n].k %= 4;
	}
	p[count - 1] = (struct weir_trace_instruction){ 0x16, 0, 0, 0 };
	return count;
}

static void same_as_libpcap(void)
{
	struct random r = random_start("filters");
	struct weir_trace_instruction p[32];
	struct bpf_insn theirs[32];
	uint32_t ran = 0;

	for (uint32_t i = 0; i < 300000; i++) {
		size_t count = program_make(&r, p);
		uint8_t frame[64];
		uint32_t bytes = random_below(&r, sizeof(frame) + 1);
		char err[128];

		if (filter_check(p, count, err, sizeof(err)) != 0)
			continue;
		ran++;
		memcpy(theirs, p, sizeof(theirs));
		CU_ASSERT_TRUE(bpf_validate(theirs, (int)count));
		for (uint32_t b = 0; b < sizeof(frame); b++)
			frame[b] = (uint8_t)random_next(&r);
		uint32_t want = bpf_filter(theirs, frame, 60, bytes);
		uint32_t got = filter_run(p, frame, bytes, 60);
		CU_ASSERT_EQUAL(got, want);
		if (got != want) {
			printf("# program %u gives %u, libpcap's %u\n", i, got, want);
			break;
		}
	}
	printf("# %u programs ran\n", ran);
	CU_ASSERT_TRUE(ran > 1000);
}

static const struct tap_case cases[] = {
	{ "what libpcap compiles matches what it says", expressions },
	{ "a load beyond the frame matches nothing", out_of_bounds },
	{ "a program that could go astray is refused with the reason", refused },
	{ "random programs have the values that libpcap's machine gives", same_as_libpcap },
};

TAP_MAIN("filter", cases)
