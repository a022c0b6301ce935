/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Following single packets through all stages. Not a stage: the others do not know of it.
 *
 * While a trace is on, every core has a struct trace_core (stage_core.trace). Receive takes a slot for
 * each packet that is sampled, keeps the frame in it, and marks the packet (PACKET_F_MARKED; the mbuf's
 * hash.usr says which slot). The pipeline notes what each stage made of marked packets. At its end,
 * transmitted, dropped or passed on, it is decided whether it was one of those asked for; then the slot
 * goes to the main thread over the core's ring, else back. A trace that is off costs one predictable
 * branch a burst.
 *
 * Slots are all the memory there is. When none is free, packets are not followed, and counted as
 * lost; no packet ever waits or is dropped for a trace. A slot has one owner at a time: the core that
 * has the packet, then the main thread.
 *
 * A filter is tried on the frame as it came in and as it left, so that it may name a client and find
 * the translated replies to it. So what is not sampled out needs a slot until its end, matching or not.
 *
 * A packet that is under way when its trace ends stays marked. Its slot's number carries the session,
 * so nobody takes it for one of the next trace.
 */

#ifndef WEIR_STAGE_TRACE_H
#define WEIR_STAGE_TRACE_H

#include "dataplane/api/trace.h"
#include "dataplane/stage/work.h"

#include <stdbool.h>
#include <stdint.h>

#define TRACE_ANY_SERVICE PACKET_NO_SERVICE
#define TRACE_ANY_PORT	  UINT8_MAX

struct trace;
struct trace_core;

struct trace_params {
	uint32_t core_count;
	uint64_t receives; /* bit i: core i receives packets, and needs slots */
	const int *core_node; /* [core_count] */
	uint16_t service; /* slot, or TRACE_ANY_SERVICE */
	uint8_t port; /* index, or TRACE_ANY_PORT */
	uint32_t sample; /* at least 1 */
	uint64_t count; /* 0: no bound */
	uint32_t snaplen;
	uint64_t seed; /* of the choice of packets */
	uint32_t session;
	const struct weir_trace_instruction *program; /* checked with filter_check(); copied */
	uint32_t instruction_count;
};

/* Main thread. Returns 0 or -ENOMEM. */
int trace_create(const struct trace_params *params, struct trace **ret_trace);
void trace_destroy(struct trace *t); /* no core has it any more; NULL is fine */
struct trace_core *trace_core_of(struct trace *t, uint32_t core);
uint32_t trace_slots(const struct trace *t);

/* Main thread: take slots back that nobody wants to read, and hold the others. */
void trace_poll(struct trace *t);

/* From the clock of packets to what records say. */
struct trace_clock {
	const struct stage_core *core; /* ticks to nanoseconds */
	uint64_t now_ticks;
	uint64_t now_ns; /* CLOCK_REALTIME at now_ticks */
};

/* The longest record. */
uint32_t trace_record_max(const struct trace *t);

/* What a record names and only the main thread knows the names of. */
struct trace_places {
	uint16_t service; /* slot, or PACKET_NO_SERVICE */
	uint8_t port_in;
	uint8_t port_out; /* UINT8_MAX: none */
	uint8_t core_in;
	uint8_t core_work;
};

/*
 * Write the oldest packet whose way has ended to buf, but for the names and CPUs of its places, and free
 * its slot. Main thread.
 *
 * buf  trace_record_max() bytes, 8-byte aligned
 * Returns false when there is none.
 */
bool trace_take(struct trace *t, const struct trace_clock *clock, void *buf,
	struct trace_places *ret_places);

uint64_t trace_lost(const struct trace *t);
bool trace_is_complete(const struct trace *t); /* all that were asked for are found */

/* ---- the cores', with stage_core.trace set ---- */

/* After receive: choose packets and mark them. */
void trace_mark(struct trace_core *tc, struct rte_mbuf **pkts, uint16_t n);

/* A policy has judged a packet; also one that is only observed. */
void trace_policy(
	struct trace_core *tc, struct rte_mbuf *m, uint8_t number, uint32_t verdict, bool observed);

/* These packets went through a stage. w: NULL on the receive side. */
void trace_note(struct trace_core *tc, const struct work *w, enum weir_stage stage,
	struct rte_mbuf **pkts, uint16_t n);

/* A packet was dropped, and its mbuf becomes another: the same as when it is freed. */
void trace_drop(struct stage_core *c, struct trace_core *tc, struct rte_mbuf *m);

/* Send, and note what was sent. Returns what the device took. */
uint16_t trace_transmit(struct stage_core *c, struct trace_core *tc, const struct port_queue *queue,
	struct rte_mbuf **pkts, uint16_t n);

#endif
