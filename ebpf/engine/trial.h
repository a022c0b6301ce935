/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Trying a policy out before it meets traffic: on packets of a capture, or on made-up ones of all the
 * kinds that a service can see. One thread.
 */

#ifndef WEIR_ENGINE_TRIAL_H
#define WEIR_ENGINE_TRIAL_H

#include "ebpf/engine/program.h"

#include <stddef.h>

/* Cycles a packet that a policy may take, as the median of its trial, unless told otherwise. */
#define POLICY_TRIAL_BUDGET 2000

struct policy_trial {
	uint64_t packets;
	uint64_t actions[WEIR_ACTION_COUNT]; /* ABORTED includes verdicts that are none */
	uint64_t arguments[WEIR_ACTION_COUNT][16]; /* by argument; the last is "15 or more" */
	uint64_t first_aborted; /* number of the packet, from 1; 0: none */
	/* Of compiled policies only, else 0; at least 1, without the cost of measuring. */
	uint32_t cycles_median; /* of groups of packets */
	uint32_t cycles_p99;
	uint32_t cycles_worst;
	uint32_t interpreted_cycles; /* the median where the interpreter ran it, else 0 */
	enum policy_fault fault; /* what the interpreter found first */
	uint32_t fault_insn;
};

struct policy_trier;

int policy_trier_create(const struct policy_program *program, struct policy_trier **ret_trier);
void policy_trier_destroy(struct policy_trier *t);

/*
 * Judge a packet.
 *
 * captured  bytes that are there, of `length` that the packet had
 * now_ns    time that the policy sees; never goes back
 *
 * Returns the verdict.
 */
uint32_t policy_trier_packet(struct policy_trier *t, const uint8_t *bytes, uint32_t captured,
	uint32_t length, uint64_t now_ns);
/* What came of it. Returns 0 or -ENOMEM. */
int policy_trier_read(struct policy_trier *t, struct policy_trial *ret_trial);

/* All of that with made-up packets: each several times, so that a figure is of the policy alone. */
int policy_trial_run(const struct policy_program *program, struct policy_trial *ret_trial);

#define POLICY_TRIAL_FRAME 1600

/*
 * One of the made-up packets: TCP and UDP, IPv4 and IPv6; SYN, data, TLS, DNS, QUIC, short ones.
 *
 * p      POLICY_TRIAL_FRAME bytes
 * state  of what is random in it; same state, same packet
 *
 * Returns its length.
 */
uint32_t policy_trial_packet(uint8_t *p, uint32_t number, uint64_t *state);

/* The cycle counter, in order with what stands around it; nanoseconds where there is none. */
uint64_t policy_trial_cycles(void);

/*
 * Fill a context from a frame, as the data plane does from what it has parsed: Ethernet, up to two
 * tags, IPv4, IPv6 with extension headers, TCP and UDP. What is not there is 0. Sets all but data,
 * data_end, now_ns, stage.
 */
void policy_context_parse(
	struct weir_ctx *ctx, const uint8_t *bytes, uint32_t captured, uint32_t length);

#endif
