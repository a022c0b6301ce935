/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Classic BPF: which frames a trace is about. A program comes from another process, so it is checked
 * whole before it runs once; what passes the check ends after at most as many steps as it has
 * instructions (all jumps lead forward), touches nothing but the frame, 16 words of its own and two
 * registers, and has a value. Pure functions.
 *
 * Source: S. McCanne, V. Jacobson, "The BSD Packet Filter", USENIX 1993; the encoding of libpcap.
 */

#ifndef WEIR_NET_FILTER_H
#define WEIR_NET_FILTER_H

#include "dataplane/api/trace.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Check a program: known instructions, jumps that stay inside, words of memory that exist, no
 * division by a constant zero, shifts under 32, a return at the end. No instruction at all is fine:
 * there is no filter.
 *
 * Returns 0, -EINVAL or -E2BIG with the reason in err.
 */
int filter_check(
	const struct weir_trace_instruction *program, size_t count, char *err, size_t err_size);

/*
 * Run a checked program with at least one instruction.
 *
 * data         first segment of the frame
 * data_bytes   bytes there; what lies beyond them is out of bounds, and then the frame does not match
 * frame_bytes  of the whole frame
 *
 * Returns the program's value: not 0 when the frame matches.
 */
uint32_t filter_run(const struct weir_trace_instruction *program, const uint8_t *data,
	uint32_t data_bytes, uint32_t frame_bytes);

#endif
