/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/pci_steering.h"

#include "dataplane/api/address.h"

#include <rte_ethdev.h>
#include <rte_flow.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pci_steering {
	uint32_t count;
	struct held {
		struct steering_rule rule;
		struct rte_flow *flow;
		bool wanted;
	} held[STEERING_RULES_MAX];
};

/* A rule in the words of rte_flow. */
struct flow_words {
	struct rte_flow_attr attr;
	struct rte_flow_item_ipv4 ipv4, ipv4_mask;
	struct rte_flow_item_ipv6 ipv6, ipv6_mask;
	struct rte_flow_item_tcp tcp, tcp_mask;
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_item pattern[4];
	struct rte_flow_action_queue queue;
	struct rte_flow_action actions[2];
};

static void mask_make(uint8_t *mask, uint32_t bytes, uint32_t bits)
{
	for (uint32_t i = 0; i < bytes; i++) {
		uint32_t left = bits > i * 8 ? bits - i * 8 : 0;

		mask[i] = left >= 8 ? 0xff : (uint8_t)(0xff00 >> left);
	}
}

static void address_say(struct flow_words *w, const struct steering_rule *r)
{
	if (weir_address_is_v4(r->address)) {
		memcpy(&w->ipv4.hdr.dst_addr, r->address + 12, 4);
		mask_make((uint8_t *)&w->ipv4_mask.hdr.dst_addr, 4, r->prefix_length - 96u);
		w->ipv4.hdr.next_proto_id = r->protocol;
		w->ipv4_mask.hdr.next_proto_id = UINT8_MAX;
		w->pattern[1] = (struct rte_flow_item){
			.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &w->ipv4, .mask = &w->ipv4_mask
		};
		return;
	}
	memcpy(&w->ipv6.hdr.dst_addr, r->address, 16);
	mask_make((uint8_t *)&w->ipv6_mask.hdr.dst_addr, 16, r->prefix_length);
	w->pattern[1] = (struct rte_flow_item){
		.type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &w->ipv6, .mask = &w->ipv6_mask
	};
}

static void port_say(struct flow_words *w, const struct steering_rule *r)
{
	const bool tcp = r->protocol == IPPROTO_TCP;

	w->pattern[2].type = tcp ? RTE_FLOW_ITEM_TYPE_TCP : RTE_FLOW_ITEM_TYPE_UDP;
	if (r->port_mask == 0)
		return; /* any */
	w->tcp.hdr.dst_port = w->udp.hdr.dst_port = rte_cpu_to_be_16(r->port);
	w->tcp_mask.hdr.dst_port = w->udp_mask.hdr.dst_port = rte_cpu_to_be_16(r->port_mask);
	w->pattern[2].spec = tcp ? (const void *)&w->tcp : &w->udp;
	w->pattern[2].mask = tcp ? (const void *)&w->tcp_mask : &w->udp_mask;
}

static void words_make(struct flow_words *w, const struct steering_rule *r)
{
	*w = (struct flow_words){ .attr = { .ingress = 1 }, .queue = { .index = r->core } };
	w->pattern[0].type = RTE_FLOW_ITEM_TYPE_ETH;
	address_say(w, r);
	port_say(w, r);
	w->pattern[3].type = RTE_FLOW_ITEM_TYPE_END;
	w->actions[0] =
		(struct rte_flow_action){ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &w->queue };
	w->actions[1].type = RTE_FLOW_ACTION_TYPE_END;
}

static const char *reason_of(const struct rte_flow_error *error)
{
	return error->message ? error->message : "not supported";
}

bool pci_steering_is_possible(uint16_t device, char *ret_why, size_t why_size)
{
	const struct steering_rule sample = {
		.address = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1 },
		.prefix_length = 128,
		.protocol = IPPROTO_TCP,
		.core = 1,
		.port = 80,
		.port_mask = UINT16_MAX,
	};
	struct rte_flow_error error = { .message = NULL };
	struct flow_words w;

	words_make(&w, &sample);
	if (rte_flow_validate(device, &w.attr, w.pattern, w.actions, &error) == 0)
		return true;
	snprintf(ret_why, why_size, "the device takes no flow rule by address and port (%.60s)",
		reason_of(&error));
	return false;
}

static bool rules_equal(const struct steering_rule *a, const struct steering_rule *b)
{
	return memcmp(a->address, b->address, sizeof(a->address)) == 0 &&
		a->prefix_length == b->prefix_length && a->protocol == b->protocol &&
		a->core == b->core && a->port == b->port && a->port_mask == b->port_mask;
}

static struct held *held_find(struct pci_steering *s, const struct steering_rule *rule)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (rules_equal(&s->held[i].rule, rule))
			return &s->held[i];
	return NULL;
}

/* Those that are not wanted any more go first: they may be in the way of others. */
static void unwanted_remove(struct pci_steering *s, uint16_t device)
{
	struct rte_flow_error error;
	uint32_t left = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		if (!s->held[i].wanted)
			(void)rte_flow_destroy(device, s->held[i].flow, &error);
		else
			s->held[left++] = s->held[i];
	}
	s->count = left;
}

static bool rule_create(struct pci_steering *s, uint16_t device, const struct steering_rule *rule,
	struct rte_flow_error *ret_error)
{
	struct flow_words w;
	struct rte_flow *flow;

	if (s->count == STEERING_RULES_MAX)
		return false;
	words_make(&w, rule);
	flow = rte_flow_create(device, &w.attr, w.pattern, w.actions, ret_error);
	if (flow)
		s->held[s->count++] = (struct held){ .rule = *rule, .flow = flow, .wanted = true };
	return flow != NULL;
}

uint32_t pci_steering_set(struct pci_steering **steering, uint16_t device,
	const struct steering_rule *rules, uint32_t count, bool *in_force, char *ret_why,
	size_t why_size)
{
	struct pci_steering *s = *steering;
	uint32_t services = 0, wanted = 0, refused = 0;
	char first[80] = "";

	ret_why[0] = '\0';
	if (!s)
		s = *steering = calloc(1, sizeof(*s));
	if (!s) {
		snprintf(ret_why, why_size, "out of memory for flow rules");
		memset(in_force, 0, count * sizeof(*in_force));
		return 0;
	}
	for (uint32_t i = 0; i < s->count; i++)
		s->held[i].wanted = false;
	for (uint32_t i = 0; i < count; i++) {
		struct held *held = in_force[i] ? held_find(s, &rules[i]) : NULL;

		if (held)
			held->wanted = true;
	}
	unwanted_remove(s, device);
	for (uint32_t i = 0; i < count; i++) {
		struct rte_flow_error error = { .message = NULL };

		if (!in_force[i])
			continue;
		wanted++;
		in_force[i] = held_find(s, &rules[i]) || rule_create(s, device, &rules[i], &error);
		services += in_force[i] && !rules[i].replies;
		if (!in_force[i] && refused++ == 0)
			snprintf(first, sizeof(first), "%s: %.60s",
				rules[i].replies ? "replies" : "clients", reason_of(&error));
	}
	if (refused)
		snprintf(ret_why, why_size, "the device refuses %u of %u rules (%s)", refused,
			wanted, first);
	return services;
}

void pci_steering_end(struct pci_steering **s, uint16_t device)
{
	struct rte_flow_error error;

	if (!*s)
		return;
	for (uint32_t i = 0; i < (*s)->count; i++)
		(void)rte_flow_destroy(device, (*s)->held[i].flow, &error);
	free(*s);
	*s = NULL;
}
