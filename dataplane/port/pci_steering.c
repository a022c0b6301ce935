/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The better ways are flow rules, each to a service's own queue, and a table that spreads flows over queues.
 * Both are asked for here and reported; packets are sorted by the dispatcher core in any case.
 */

#include "dataplane/port/pci_steering.h"

#include <rte_ethdev.h>
#include <rte_flow.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* A rule as a service would need it: an address, a protocol and a port to a queue. */
static int rule_validate(uint16_t device, struct rte_flow_error *ret_error)
{
	const struct rte_flow_attr ingress = { .ingress = 1 };
	const struct rte_flow_item_ipv4 ip = { .hdr = {
						       .dst_addr = RTE_BE32(RTE_IPV4(192, 0, 2, 1)),
						       .next_proto_id = IPPROTO_TCP } };
	const struct rte_flow_item_ipv4 ip_mask = { .hdr = { .dst_addr = RTE_BE32(UINT32_MAX),
							    .next_proto_id = UINT8_MAX } };
	const struct rte_flow_item_tcp tcp = { .hdr.dst_port = RTE_BE16(80) };
	const struct rte_flow_item_tcp tcp_mask = { .hdr.dst_port = RTE_BE16(UINT16_MAX) };
	const struct rte_flow_item pattern[] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH },
		{ .type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &ip, .mask = &ip_mask },
		{ .type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &tcp, .mask = &tcp_mask },
		{ .type = RTE_FLOW_ITEM_TYPE_END },
	};
	const struct rte_flow_action_queue queue = { .index = 0 };
	const struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};

	return rte_flow_validate(device, &ingress, pattern, actions, ret_error);
}

void pci_steering_probe(uint16_t device, char *ret_why, size_t why_size)
{
	struct rte_eth_dev_info info;
	struct rte_flow_error error = { .message = NULL };
	char spread[64] = "no table to spread flows over queues";

	if (rte_eth_dev_info_get(device, &info) != 0)
		return;
	if (info.max_rx_queues < 2) {
		snprintf(ret_why, why_size, "the device has one receive queue");
		return;
	}
	if (info.reta_size)
		snprintf(spread, sizeof(spread), "a table of %u to spread flows over queues",
			info.reta_size);
	if (rule_validate(device, &error) == 0)
		snprintf(ret_why, why_size,
			"the device takes flow rules (%u queues, %s), which Weir does not set yet",
			info.max_rx_queues, spread);
	else
		snprintf(ret_why, why_size,
			"the device takes no flow rule by address and port (%.40s); it has %u queues, %s",
			error.message ? error.message : "not supported", info.max_rx_queues,
			spread);
}
