/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Early drops in the kernel. A service that loses packets here before they are parsed has cost a copy for each of
 * them. So its excess goes in the XDP programs of AF_XDP ports (ebpf/kernel/port_hold.h): by a share of packets that
 * stay, which follows what was taken while some had to go, every 10 ms.
 *
 * A service is held where the kernel can tell its packets: one address, one port. What is dropped because a worker
 * is behind only counts for a service of one worker, as the kernel does not know which packets are a worker's.
 *
 * All of it belongs to the dispatching core.
 */

#ifndef WEIR_STAGE_HOLDS_H
#define WEIR_STAGE_HOLDS_H

#include "dataplane/port/port.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/stage.h"

#define HOLD_TICK_NS UINT64_C(10000000) /* between two looks */
#define HOLD_LASTS_NS \
	UINT64_C(100000000) /* after a look, until the kernel lets all through by itself */
#define HOLD_MOST  16u /* services at a time; further ones are dropped early by Weir alone */
#define HOLD_LEAST 10000u /* packets a second that stay, whatever is dropped */
#define HOLD_QUIET 10u /* looks without drops of either kind until a service is let go of */
#define HOLD_ALL   UINT32_MAX /* in the place of a share: nothing is held back */

/* What is known of one service. Zeros: nothing yet. */
struct hold {
	uint64_t capacity; /* packets a second that were taken; 0: it was never over */
	uint32_t quiet; /* looks since it last was, or was held back */
};

/* Packets of clients in a time. */
struct hold_seen {
	uint64_t elapsed_ns;
	uint64_t taken; /* by the service's workers */
	uint64_t early; /* dropped by Weir before they were parsed */
	uint64_t kernel; /* dropped in front of the ports */
};

/*
 * What share of a service's packets is to stay, of 2^32; HOLD_ALL: nothing is dropped. While Weir drops some, as many
 * are let through as were taken; a little more each time when it does not, and all as soon as no more come
 * than that. Pure.
 */
uint32_t hold_step(struct hold *h, const struct hold_seen *seen);

struct held {
	struct hold hold;
	struct steering_service_key key;
	uint16_t slot;
	bool one_worker;
	uint32_t place; /* in the ports' maps */
	uint64_t clients, early, behind; /* of the service's cell, at the last look */
	uint64_t packets[WEIR_MAX_PORTS]; /* of the kernel's counters; the same */
	uint64_t bytes[WEIR_MAX_PORTS];
};

struct holds {
	bool off; /* by configuration */
	uint32_t seen_count;
	uint32_t count;
	uint64_t last_ns;
	uint16_t seen[HOLD_MOST]; /* services with early drops since the last look, by slot */
	struct steering_hold
		*map[WEIR_MAX_PORTS]; /* borrowed from the ports of the last look; NULL: none */
	struct held held[HOLD_MOST];
};

/* Packets of a service were dropped early. Seldom twice in a burst. */
static inline void holds_saw(struct holds *h, uint16_t slot)
{
	for (uint32_t i = 0; i < h->seen_count; i++)
		if (h->seen[i] == slot)
			return;
	if (!h->off && h->seen_count < HOLD_MOST)
		h->seen[h->seen_count++] = slot;
}

/*
 * Count what the kernel dropped, and say what it is to drop from now on. Does nothing before it is time.
 *
 * port     by index, NULL where there is none
 * service  by slot
 * now_ns   CLOCK_MONOTONIC
 */
void holds_look(struct stage_core *c, struct port *const port[WEIR_MAX_PORTS],
	struct service *const service[WEIR_MAX_SERVICES], uint64_t now_ns);

/* Hold nobody, and count what is not counted yet: services and ports of the last look may be gone soon. */
void holds_forget(struct stage_core *c);

#endif
