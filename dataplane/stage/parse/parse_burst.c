/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/parse.h"
#include "dataplane/stage/parse/parse_stage.h"
#include "dataplane/stage/trace/trace.h"

#include <rte_ring.h>

__rte_noinline void stage_hand_to_kernel(
	struct stage_core *c, const struct port *port, struct rte_mbuf *m)
{
	struct trace_core *tc = stage_trace(c);

	/* This core is the only one that puts in, so what is free now stays free. */
	if (rte_ring_full(port->to_kernel)) {
		stage_drop(c, m, WEIR_DROP_KERNEL_FULL);
		return;
	}
	packet_of(m)->flags |= PACKET_F_TO_KERNEL;
	if (unlikely(tc != NULL))
		trace_drop(c, tc, m);
	cell_add(&c->cell->port[port->index].packets_to_kernel, 1);
	(void)rte_ring_sp_enqueue(port->to_kernel, m);
}

static inline enum parse_verdict parse(struct rte_mbuf *m, const bool checks_sums)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	if (checks_sums && packet_sum_is_right(m))
		return parse_one_summed(
			data, rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m), packet_of(m));
	return parse_one(data, rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m), packet_of(m));
}

/* True when it can be a service's; else it is gone. */
static inline bool take_out(struct stage_core *c, const struct port *port, struct rte_mbuf *m,
	enum parse_verdict verdict)
{
	if (unlikely(verdict == PARSE_NOT_OURS))
		stage_pass_to_kernel(c, port, m, WEIR_DROP_NO_SERVICE);
	else if (unlikely(verdict == PARSE_MALFORMED_L3))
		stage_pass_to_kernel(c, port, m, WEIR_DROP_MALFORMED);
	else
		return true;
	return false;
}

static __rte_always_inline uint16_t parse_burst(struct stage_core *c, const struct port *port,
	struct rte_mbuf **pkts, uint16_t n, const bool checks_sums)
{
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		stage_fetch_ahead(c, i, STAGE_AHEAD_FRAME);
		if (likely(take_out(c, port, pkts[i], parse(pkts[i], checks_sums))))
			pkts[left++] = pkts[i];
	}
	return left;
}

static __rte_noinline uint16_t parse_burst_summed(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	return parse_burst(c, port, pkts, n, true);
}

uint16_t parse_stage_burst(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	if (port->checks_sums)
		return parse_burst_summed(c, port, pkts, n);
	return parse_burst(c, port, pkts, n, false);
}

void parse_stage_own(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		stage_fetch_ahead(c, i, STAGE_AHEAD_FRAME);
		(void)parse(pkts[i], port->checks_sums);
	}
}

uint16_t parse_stage_strays(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++)
		if (take_out(c, port, pkts[i], packet_of(pkts[i])->verdict))
			pkts[left++] = pkts[i];
	return left;
}
