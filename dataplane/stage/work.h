/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the stages of the work side share for one burst of one worker. A burst belongs to a single
 * service, so what depends on the service is looked up once, and bodies are specialised by its mode and
 * family: WORK_SPECIALISE calls an always-inline body with constants.
 */

#ifndef WEIR_STAGE_WORK_H
#define WEIR_STAGE_WORK_H

#include "dataplane/net/rewrite.h"
#include "dataplane/port/port.h"
#include "dataplane/service/neighbours.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/stage.h"

#include <netinet/in.h>

struct work {
	struct stage_core *core;
	struct service_worker *worker;
	const struct service_settings *settings;
	const struct neighbours *neighbours;
	struct port *const *port; /* by index; NULL where there is none */
	uint32_t completes_checksums; /* bit i: port i does */
	uint32_t now_ms;
	uint64_t now_ns;
};

#define WORK_SPECIALISE(body, w, pkts, n)                                             \
	((w)->settings->mode == WEIR_MODE_NAT ?                                       \
			((w)->settings->ipv6 ? body((w), (pkts), (n), true, true) :   \
					       body((w), (pkts), (n), true, false)) : \
			((w)->settings->ipv6 ? body((w), (pkts), (n), false, true) :  \
					       body((w), (pkts), (n), false, false)))

static inline bool work_is_reply(const struct packet *p, const bool nat)
{
	return nat && (p->flags & PACKET_F_FROM_BACKEND);
}

/* Source and destination address as they lie in the packet: 8 or 32 bytes. */
static inline uint8_t *work_addrs(struct rte_mbuf *m, const struct packet *p, const bool ipv6)
{
	return packet_at(m, p->l3_offset + (ipv6 ? REWRITE_IPV6_ADDRS : REWRITE_IPV4_ADDRS));
}

/* Only a SYN opens a flow for certain; anything else may belong to one that is not known here. */
static inline bool work_opens(const struct work *w, const struct packet *p)
{
	const uint8_t decisive = FLOW_TCP_SYN | FLOW_TCP_ACK | FLOW_TCP_RST | FLOW_TCP_FIN;

	return w->settings->protocol != IPPROTO_TCP || (p->tcp_flags & decisive) == FLOW_TCP_SYN;
}

static inline struct flow_partition *work_partition(const struct work *w, const struct packet *p)
{
	return w->worker->part[p->bucket];
}

/* Close the gaps that dropped packets left (NULL) in a burst. */
static inline uint16_t work_compact(struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++)
		if (pkts[i])
			pkts[left++] = pkts[i];
	return left;
}

#endif
