/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/net/parse.h"
#include "dataplane/stage/parse/parse_stage.h"

uint16_t parse_stage_burst(
	struct stage_core *c, const struct port *port, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t left = 0;

	parse_burst(pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		uint8_t verdict = packet_of(pkts[i])->verdict;

		if (unlikely(verdict == PARSE_NOT_OURS))
			stage_pass_to_kernel(c, port, pkts[i], WEIR_DROP_NO_SERVICE);
		else if (unlikely(verdict == PARSE_MALFORMED_L3))
			stage_pass_to_kernel(c, port, pkts[i], WEIR_DROP_MALFORMED);
		else
			pkts[left++] = pkts[i];
	}
	return left;
}
