/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Faults that kernels are known to have, each as a program with a packet and what it must return. They
 * were found with random programs on 6.18.44; on a kernel that is mended they return what they must.
 */

#include "ebpf/engine/verify.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define I(c, d, s, o, i)                                                                     \
	{                                                                                    \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (int32_t)(i) \
	}
/* r9: the packet, of which 16 bytes were asked for */
#define PACKET                                                                                 \
	I(0x61, 9, 1, 76, 0), I(0x61, 2, 1, 80, 0), I(0xbf, 3, 9, 0, 0), I(0x07, 3, 0, 0, 16), \
		I(0xb7, 0, 0, 0, 0), I(0xbd, 3, 2, 1, 0), I(0x95, 0, 0, 0, 0)

/* A number known on one path only, exchanged through the stack: the other path is pruned as the same. */
#define EXCHANGE(operation)                                                                 \
	PACKET, I(0x79, 0, 9, 0, 0), I(0xbf, 4, 0, 0, 0), I(0xb7, 5, 0, 0, 0),              \
		I(0x7b, 10, 4, -24, 0), I(0x55, 0, 0, 1, 0x20), I(0xb7, 6, 0, 0, 0),        \
		I(0xdb, 10, 5, -24, operation), I(0xb7, 0, 0, 0, 1), I(0x66, 5, 0, 1, -80), \
		I(0xb7, 0, 0, 0, 2), I(0x95, 0, 0, 0, 0)

static const struct bpf_insn exchange[] = { EXCHANGE(BPF_XCHG) };
static const struct bpf_insn fetch_add[] = { EXCHANGE(BPF_ADD | BPF_FETCH) };

/* w0 = cmpxchg: the upper half must be zero, also where a path that does not look at it was first. */
static const struct bpf_insn compare_exchange[] = {
	PACKET,
	I(0x79, 0, 9, 0, 0),
	I(0x79, 8, 9, 8, 0),
	I(0x63, 10, 0, -24, 0),
	I(0x63, 10, 0, -20, 0),
	I(0xc3, 10, 0, -24, BPF_CMPXCHG),
	I(0x55, 8, 0, 1, 1),
	I(0xbc, 0, 0, 0, 0),
	I(0x77, 0, 0, 0, 32),
	I(0x95, 0, 0, 0, 0),
};

static const struct {
	const char *name;
	const char *meaning;
	const struct bpf_insn *insns;
	uint32_t count;
	uint32_t flags;
	uint64_t packet;
	uint32_t right;
} canaries[POLICY_CANARY_COUNT] = {
	{ "atomic exchange on the stack",
		"the verifier prunes paths wrongly; Weir refuses policies that could meet it",
		exchange, sizeof(exchange) / sizeof(exchange[0]), BPF_F_TEST_STATE_FREQ,
		UINT64_C(0x00000000e8b3d84a), 2 },
	{ "atomic fetch-and-add on the stack",
		"the verifier prunes paths wrongly; Weir refuses policies that could meet it",
		fetch_add, sizeof(fetch_add) / sizeof(fetch_add[0]), BPF_F_TEST_STATE_FREQ,
		UINT64_C(0x00000000e8b3d84a), 2 },
	{ "32-bit compare-and-exchange",
		"the kernel loses a zero extension; Weir's own compiler does not, and policies that "
		"could meet it stay out of the kernel",
		compare_exchange, sizeof(compare_exchange) / sizeof(compare_exchange[0]),
		BPF_F_TEST_STATE_FREQ, UINT64_C(0x11223344e8b3d84a), 0 },
};

static int canary_run(unsigned int i, bool *ret_wrong)
{
	/* The verdicts of LWT programs are checked when they are used, not here. */
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = canaries[i].flags);
	uint8_t packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet),
		.repeat = 1);
	int fd = bpf_prog_load(BPF_PROG_TYPE_LWT_IN, "weir_canary", "", canaries[i].insns,
		canaries[i].count, &opts);

	if (fd < 0)
		return -errno;
	/* The program sees what is behind the link header. */
	memcpy(packet + 14, &canaries[i].packet, sizeof(canaries[i].packet));
	int rc = bpf_prog_test_run_opts(fd, &run) < 0 ? -errno : 0;

	close(fd);
	*ret_wrong = rc == 0 && run.retval != canaries[i].right;
	return rc;
}

void policy_canaries_run(struct policy_canary ret_canaries[POLICY_CANARY_COUNT])
{
	for (unsigned int i = 0; i < POLICY_CANARY_COUNT; i++) {
		struct policy_canary *c = &ret_canaries[i];

		*c = (struct policy_canary){ .name = canaries[i].name,
			.meaning = canaries[i].meaning };
		c->rc = canary_run(i, &c->wrong);
	}
}
