/* SPDX-License-Identifier: BSD-3-Clause */

/* A good CONFIG message that test cases spoil in one place each. */

#ifndef WEIR_TESTS_UNIT_API_CONFIG_MESSAGE_H
#define WEIR_TESTS_UNIT_API_CONFIG_MESSAGE_H

#include "dataplane/api/validate.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The parts lie in the order of the message, so the struct is the message. */
struct config_message {
	struct weir_config header;
	struct weir_config_port port[2];
	struct weir_config_service service[3];
	struct weir_config_backend backend[4];
	struct weir_config_source source[3];
	struct weir_config_neighbour neighbour[2];
	struct weir_config_hop_group group[2];
	struct weir_config_policy policy[4];
	struct weir_config_class class[2];
};

static_assert(sizeof(struct config_message) ==
		sizeof(struct weir_config) + 2 * sizeof(struct weir_config_port) +
			3 * sizeof(struct weir_config_service) +
			4 * sizeof(struct weir_config_backend) +
			3 * sizeof(struct weir_config_source) +
			2 * sizeof(struct weir_config_neighbour) +
			2 * sizeof(struct weir_config_hop_group) +
			4 * sizeof(struct weir_config_policy) +
			2 * sizeof(struct weir_config_class),
	"nothing between the parts");

static inline void ipv4_set(uint8_t address[16], uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t bytes[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d };

	memcpy(address, bytes, sizeof(bytes));
}

static inline void ipv6_set(uint8_t address[16], uint8_t last)
{
	const uint8_t bytes[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = last };

	memcpy(address, bytes, sizeof(bytes));
}

/* One of no service's, two of "web" and one of "six"; "web" has two classes and a pool. */
static inline void policies_good(struct config_message *m)
{
	for (uint8_t i = 0; i < 4; i++) {
		m->policy[i] = (struct weir_config_policy){ .id = 1 + i, .mode = i % 2 };
		snprintf(m->policy[i].name, sizeof(m->policy[i].name), "guard %u.o", i);
	}
	m->service[0].first_policy = 1;
	m->service[0].policy_count = 2;
	m->service[0].class_count = 2;
	m->service[0].pool_count = 1;
	m->service[2].first_policy = 3;
	m->service[2].policy_count = 1;
	m->backend[1].pool = 1;
	for (int i = 0; i < 2; i++) {
		struct weir_config_class *c = &m->class[i];

		snprintf(c->name, sizeof(c->name), "class-%d", i);
		c->packets = 1000;
		c->bits = c->connections = WEIR_UNLIMITED;
		c->burst_ns = 10000000;
	}
}

/* "web": nat, IPv4, tcp; "dns": dsr, IPv4, udp; "six": nat, IPv6, tcp. */
static inline struct config_message config_message_good(void)
{
	struct config_message m = {
		.header = {
			.port_count = 2,
			.service_count = 3,
			.backend_count = 4,
			.source_count = 3,
			.neighbour_count = 2,
			.hop_group_count = 2,
			.policy_count = 4,
			.class_count = 2,
			.outside_policy_count = 1,
		},
		.port = {
			{ .name = "front", .device = "eth1", .kind = WEIR_PORT_KERNEL },
			{ .name = "back", .device = "eth2", .kind = WEIR_PORT_KERNEL },
		},
		.service = {
			{ .name = "web", .prefix_length = 128, .protocol = 6, .port = 80,
				.mode = WEIR_MODE_NAT, .first_backend = 0, .backend_count = 2,
				.first_source = 0, .source_count = 2 },
			{ .name = "dns", .prefix_length = 128, .protocol = 17, .port = 53,
				.mode = WEIR_MODE_DSR, .first_backend = 2, .backend_count = 1 },
			{ .name = "six", .prefix_length = 128, .protocol = 6, .port = 80,
				.mode = WEIR_MODE_NAT, .first_backend = 3, .backend_count = 1,
				.first_source = 2, .source_count = 1 },
		},
	};

	for (int i = 0; i < 3; i++) {
		struct weir_config_service *s = &m.service[i];

		s->cores = 1;
		s->limit_packets = s->limit_bits = s->limit_connections = WEIR_UNLIMITED;
		s->per_source_packets = s->per_source_connections = WEIR_UNLIMITED;
		s->burst_ns = 10000000;
	}
	ipv4_set(m.service[0].address, 203, 0, 113, 10);
	ipv4_set(m.service[1].address, 203, 0, 113, 10);
	ipv6_set(m.service[2].address, 0x10);
	for (uint8_t i = 0; i < 4; i++) {
		m.backend[i] = (struct weir_config_backend){
			.port = 8080, .weight = 100, .state = WEIR_BACKEND_UP, .neighbour = i % 2
		};
		ipv4_set(m.backend[i].address, 10, 0, 0, (uint8_t)(11 + i));
	}
	m.backend[2].neighbour = WEIR_NO_NEIGHBOUR;
	ipv6_set(m.backend[3].address, 0x11);
	ipv4_set(m.source[0].address, 10, 0, 0, 1);
	ipv4_set(m.source[1].address, 10, 0, 0, 2);
	ipv6_set(m.source[2].address, 1);
	for (int i = 0; i < 3; i++)
		memset(m.source[i].blocks + 16, 0xff, 16);
	ipv4_set(m.neighbour[0].address, 10, 0, 0, 11);
	ipv4_set(m.neighbour[1].address, 10, 0, 0, 12);
	m.neighbour[1].port = 1;
	m.group[0] = (struct weir_config_hop_group){
		.hop_count = 2, .neighbour = { 1, 0 }, .weight = { 1, 3 }
	};
	m.group[1] = m.group[0];
	m.group[1].weight[0] = WEIR_MAX_HOP_WEIGHT;
	m.backend[1].neighbour = WEIR_HOP_GROUP;
	policies_good(&m);
	return m;
}

#endif
