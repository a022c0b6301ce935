/* SPDX-License-Identifier: BSD-3-Clause */

/* Between the cores' part of a trace and the main thread's. */

#ifndef WEIR_STAGE_TRACE_PRIVATE_H
#define WEIR_STAGE_TRACE_PRIVATE_H

#include "dataplane/stage/trace/trace.h"

#include <assert.h>
#include <stdalign.h>

struct rte_ring;

#define TRACE_SLOTS    4096u /* of one core, at most */
#define TRACE_BYTES    (4u << 20) /* of one core's slots, at most */
#define TRACE_HEAD_MIN 192u /* bytes of a frame that are kept in any case: all headers */

/* A packet that is followed. Frames lie behind it: as it came, then as it left. */
struct trace_slot {
	uint32_t number; /* what mbufs carry; fixed */
	uint32_t stages; /* bit i: enum weir_stage i is behind it */
	uint64_t ended_tsc;
	uint64_t order; /* among those of the same core */
	struct packet packet; /* copied at the end */
	uint8_t verdict; /* enum weir_trace_verdict */
	uint8_t reason;
	uint8_t core_in;
	uint8_t core_work;
	uint8_t limits;
	uint8_t flow; /* enum weir_trace_flow */
	uint8_t flow_state; /* enum weir_flow_state */
	uint8_t placement; /* enum weir_trace_placement */
	uint8_t backend_address[16];
	uint16_t backend_port;
	uint8_t policy_count;
	struct weir_trace_policy policy[WEIR_MAX_POLICIES_PER_SERVICE];
	uint32_t mark;
	bool matched; /* the filter, as it came in */
	bool wanted; /* decided at the end */
	uint32_t kept[2]; /* bytes of the frame as it came and as it left */
	uint32_t length[2]; /* of the whole frame */
	uint8_t frames[];
};

/* session << 20 | core << 14 | slot */
#define TRACE_SLOT_BITS	   14
#define TRACE_CORE_BITS	   6
#define TRACE_SESSION_MASK ((1u << (32 - TRACE_SLOT_BITS - TRACE_CORE_BITS)) - 1)
static_assert(TRACE_SLOTS <= 1u << TRACE_SLOT_BITS, "a slot's number fits");
static_assert(WEIR_MAX_CORES <= 1 << TRACE_CORE_BITS, "a core's index fits");

struct trace_core {
	struct trace *trace;
	uint32_t index;
	uint32_t slot_count; /* 0: this core does not receive */
	uint8_t *slots; /* owned */
	struct rte_ring *home; /* owned; from the main thread: slots that are free again */
	struct rte_ring *done; /* owned; to the main thread: packets that have ended here */
	/* the core's */
	uint32_t spare_count;
	struct trace_slot **spare; /* owned; [slot_count] */
	uint64_t random;
	uint64_t order;
	uint64_t lost; /* relaxed; the main thread reads it */
};

struct trace {
	/* read-only for cores */
	uint32_t session;
	uint16_t service;
	uint8_t port;
	bool bounded;
	uint32_t room; /* bytes kept of each frame */
	size_t stride;
	uint64_t threshold; /* a packet is chosen when 32 random bits are below it */
	uint32_t instruction_count;
	/* shared by the cores: packets that may still be wanted */
	alignas(RTE_CACHE_LINE_SIZE) int64_t left;
	/* main thread */
	alignas(RTE_CACHE_LINE_SIZE) uint32_t core_count;
	uint32_t snaplen;
	struct trace_slot **waiting; /* owned; [slot_count]: wanted ones, not read yet */
	uint32_t waiting_first;
	uint32_t waiting_end;
	bool sorted; /* by time of arrival */
	uint32_t slot_count; /* of all cores */
	struct trace_core core[WEIR_MAX_CORES];
	struct weir_trace_instruction program[];
};

static inline struct trace_slot *trace_slot_at(const struct trace_core *tc, uint32_t index)
{
	return (struct trace_slot *)(void *)(tc->slots + index * tc->trace->stride);
}

static inline uint8_t *trace_frame(const struct trace *t, struct trace_slot *s, unsigned int which)
{
	return s->frames + which * (size_t)t->room;
}

#endif
