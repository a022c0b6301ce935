/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tell the sender of a packet why it goes no further. Part of several stages on the worker's side; cold.
 *
 * The packet is counted as dropped, and its mbuf becomes the answer: made by Weir, of no service. It leaves
 * by the port that the packet came in by, to the link address that sent it. Each kind of answer has a rate
 * limit on each core; over it a packet is dropped without one.
 */

#ifndef WEIR_STAGE_ANSWER_H
#define WEIR_STAGE_ANSWER_H

#include "dataplane/net/icmp.h"
#include "dataplane/stage/work.h"

/* Kinds of answers: the errors of ICMP, then these. */
#define ANSWER_RESET ((uint32_t)ICMP_ERROR_KIND_COUNT)
#define ANSWER_SHED \
	(ANSWER_RESET + 1) /* a reset to who was shed: more of them, as it is many at once */
static_assert(ANSWER_SHED + 1 == STAGE_MADE_KINDS, "each kind of answer has a limit");

/*
 * Drop a packet for `reason`, and send an ICMP error about it where there may be one.
 *
 * m    as it was received: addresses, ports, link addresses
 * mtu  of ICMP_ERROR_TOO_BIG
 */
void answer_error(const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason,
	enum icmp_error_kind kind, uint16_t mtu);

/*
 * Drop a packet for `reason`, and say that nobody serves: a reset to TCP, port unreachable to UDP.
 *
 * m  of a client, as it was received
 */
void answer_refusal(const struct work *w, struct rte_mbuf *m, enum weir_drop_reason reason);

#endif
