/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"

#include <math.h>
#include <string.h>

static const char *const stage_labels[] = {
#define X(name, label) label,
	WEIR_STAGES(X)
#undef X
};

static const char *kind_label(uint8_t kind)
{
	switch (kind) {
	case WEIR_PORT_KERNEL:
		return "kernel";
	case WEIR_PORT_PCI:
		return "pci";
	case WEIR_PORT_CAPTURE:
		return "capture";
	default:
		return "unknown";
	}
}

static json_t *mac_text(const uint8_t mac[6])
{
	return json_sprintf(
		"%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static json_t *known(int64_t value, bool is_known)
{
	return is_known ? json_integer(value) : json_null();
}

static json_t *buffers_of(const struct weir_port_entry *e)
{
	if (e->buffers == 0)
		return json_null();
	return json_pack(
		"{s:I, s:I}", "total", (json_int_t)e->buffers, "free", (json_int_t)e->buffers_free);
}

/* What the NIC checks or computes; in words of tables, as more may come. */
static json_t *checksums_of(uint32_t checksums)
{
	json_t *list = json_array();

	if (checksums & WEIR_PORT_CHECKSUM_RX_IPV4)
		json_array_append_new(list, json_string("receive-ipv4"));
	return list;
}

/*
 * How it is found out whether replies come to their cores, of what there is. A segment of no connection makes any
 * host answer by TCP. Of UDP only a service itself would answer, and nobody but its clients knows what to ask it: a
 * port where nobody listens is answered by ICMP, which proves nothing of a rule for UDP.
 */
static json_t *return_path(const struct model *m, const struct weir_port_entry *e)
{
	bool tcp = false, udp = false;

	for (size_t i = 0; i < m->service_count; i++) {
		bool nat = m->services[i].mode == MODEL_NAT;

		tcp |= nat && m->services[i].protocol == MODEL_TCP;
		udp |= nat && m->services[i].protocol == MODEL_UDP;
	}
	if (e->kind != WEIR_PORT_PCI || !e->steering || (!tcp && !udp))
		return json_null();
	return json_sprintf("%s%s%s", tcp ? "TCP: probed before clients come" : "",
		tcp && udp ? "; " : "", udp ? "UDP: not probed; judged by the first replies" : "");
}

/* What only PCI ports have; null for others, so that the shape is the same. */
static void twin_add(json_t *document, const struct weir_port_entry *e, uint64_t astray)
{
	bool pci = e->kind == WEIR_PORT_PCI;

	json_object_set_new(
		document, "interface", pci ? report_text(e->name) : report_text(e->device));
	json_object_set_new(
		document, "from_kernel", pci ? report_count(e->from_kernel) : json_null());
	json_object_set_new(document, "checksums", checksums_of(e->checksums));
	json_object_set_new(document, "steering_reason",
		e->steering_why[0] ? report_text(e->steering_why) : json_null());
	json_object_set_new(document, "astray", pci ? report_count(astray) : json_null());
	json_object_set_new(document, "wakes",
		e->wakes == WEIR_PORT_WAKES_NOBODY ? json_null() :
						     json_boolean(e->wakes == WEIR_PORT_WAKES));
	json_object_set_new(
		document, "wakes_reason", e->wake_why[0] ? report_text(e->wake_why) : json_null());
}

/* The node is null where the machine does not tell; so is the speed. */
static json_t *open_port(const struct model *m, const char *name, const struct snapshot_port *p)
{
	const struct weir_port_entry *e = &p->entry;
	const struct weir_port_cell *c = &p->sum;
	json_t *document =
		json_pack("{s:s, s:o, s:s, s:o, s:o, s:b, s:o, s:i, s:o, s:{s:i, s:i}, s:s,"
			  " s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			"name", name, "device", report_text(e->device), "kind", kind_label(e->kind),
			"driver", report_text(e->driver), "node", known(e->node, e->node >= 0),
			"link", e->link_up != 0, "mac", mac_text(e->mac), "mtu", (int)e->mtu,
			"speed", known((int64_t)e->speed_mbps * 1000000, e->speed_mbps != 0),
			"queues", "receive", (int)e->rx_queues, "transmit", (int)e->tx_queues,
			"steering", e->steering ? "hardware" : "dispatcher", "packets_received",
			report_count(c->packets_received), "packets_transmitted",
			report_count(c->packets_transmitted), "bytes_received",
			report_count(c->bytes_received), "bytes_transmitted",
			report_count(c->bytes_transmitted), "passed_to_kernel",
			report_count(c->packets_to_kernel), "originated",
			report_count(c->originated), "originated_dropped",
			report_count(c->originated_dropped), "dropped", report_dropped(c->dropped));
	if (document != NULL) {
		json_object_set_new(document, "buffers", buffers_of(e));
		twin_add(document, e, c->astray);
		json_object_set_new(document, "return_path", return_path(m, e));
	}
	return document;
}

static json_t *missing_port(const struct model_port *p)
{
	static const uint64_t nothing[WEIR_DROP_COUNT];
	json_t *document =
		json_pack("{s:s, s:s, s:s, s:n, s:n, s:b, s:n, s:n, s:n, s:{s:i, s:i}, s:n,"
			  " s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}",
			"name", p->name, "device", p->device, "kind",
			p->kind == MODEL_DEVICE_PCI ? "pci" : "kernel", "driver", "node", "link", 0,
			"mac", "mtu", "speed", "queues", "receive", 0, "transmit", 0, "steering",
			"packets_received", 0, "packets_transmitted", 0, "bytes_received", 0,
			"bytes_transmitted", 0, "passed_to_kernel", 0, "originated", 0,
			"originated_dropped", 0, "dropped", report_dropped(nothing));
	if (document != NULL) {
		json_object_set_new(document, "buffers", json_null());
		json_object_set_new(document, "interface", json_string(model_port_interface(p)));
		json_object_set_new(document, "from_kernel", json_null());
		json_object_set_new(document, "checksums", checksums_of(0));
		json_object_set_new(document, "steering_reason", json_null());
		json_object_set_new(document, "return_path", json_null());
		json_object_set_new(document, "astray", json_null());
		json_object_set_new(document, "wakes", json_null());
		json_object_set_new(document, "wakes_reason", json_null());
	}
	return document;
}

static const struct snapshot_port *find_port(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; s != NULL && i < s->port_count; i++)
		if (strcmp(s->ports[i].entry.name, name) == 0)
			return &s->ports[i];
	return NULL;
}

json_t *report_port_list(
	const struct model *m, const struct snapshot *now, const struct snapshot *base)
{
	json_t *list = json_array();
	for (size_t i = 0; list != NULL && m != NULL && i < m->port_count; i++) {
		const struct snapshot_port *found = find_port(now, m->ports[i].name);
		json_t *entry = found != NULL ? open_port(m, m->ports[i].name, found) :
						missing_port(&m->ports[i]);
		if (json_array_append_new(list, entry) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *role_labels(uint32_t roles)
{
	static const char *const labels[] = { "receive", "dispatch", "worker" };
	json_t *list = json_array();
	for (unsigned int i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (roles & (1u << i))
			json_array_append_new(list, json_string(labels[i]));
	return list;
}

static json_t *services_on(const struct snapshot *s, size_t core)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->service_count; i++)
		if (s->services[i].entry.worker_mask & (UINT64_C(1) << core))
			json_array_append_new(list, report_text(s->services[i].entry.name));
	return list;
}

/* now - before word by word; of all since the start when before is of another data plane. */
static void core_since(const struct weir_core_cell *now, const struct weir_core_cell *before,
	struct weir_core_cell *ret_since)
{
	*ret_since = *now;
	if (before == NULL || before->loops > now->loops)
		return;
	ret_since->bursts -= before->bursts;
	ret_since->packets -= before->packets;
	ret_since->busy_cycles -= before->busy_cycles;
	ret_since->idle_cycles -= before->idle_cycles;
	for (int i = 0; i < WEIR_STAGE_COUNT; i++) {
		ret_since->stage_cycles[i] -= before->stage_cycles[i];
		ret_since->stage_packets[i] -= before->stage_packets[i];
	}
}

static json_t *stage_prices(const struct weir_core_cell *c)
{
	json_t *o = json_object();
	for (int i = 0; o != NULL && i < WEIR_STAGE_COUNT; i++) {
		if (c->stage_packets[i] == 0)
			continue;
		double price =
			report_share((double)c->stage_cycles[i], (double)c->stage_packets[i]);
		json_object_set_new(o, stage_labels[i], report_number(price));
	}
	return o;
}

/* How far the core is from each port's node: 10 is near. */
static json_t *distances(const struct snapshot *now, const struct weir_core_entry *core)
{
	json_t *o = json_object();
	for (size_t i = 0; i < now->port_count; i++) {
		const struct weir_port_entry *p = &now->ports[i].entry;
		int distance = 0;
		if (core->node >= 0 && core->node < WEIR_MAX_NODES && p->node >= 0 &&
			p->node < WEIR_MAX_NODES)
			distance = now->node_distance[core->node][p->node];
		json_object_set_new(o, p->name, known(distance, distance != 0));
	}
	return o;
}

/* What each service whose packets were worked on there had of the core's time. */
static json_t *busy_with(
	const struct snapshot *now, const struct snapshot *base, size_t core, double cycles)
{
	json_t *o = json_object();
	for (size_t i = 0; i < now->service_count; i++) {
		const struct snapshot_service *s = &now->services[i];
		const struct snapshot_service *before = snapshot_before_service(now, base, s);
		uint64_t since = s->busy_cycles[core];
		if (before != NULL && before->busy_cycles[core] <= since)
			since -= before->busy_cycles[core];
		if (since != 0 || (s->entry.worker_mask & (UINT64_C(1) << core)) != 0)
			json_object_set_new(o, s->entry.name,
				report_number(report_share((double)since, cycles)));
	}
	return o;
}

static const struct weir_core_cell *core_base(
	const struct snapshot *now, const struct snapshot *base, size_t index)
{
	return snapshot_same_run(now, base) && index < base->core_count ? &base->cores[index].cell :
									  NULL;
}

static json_t *core_entry(const struct snapshot *now, const struct snapshot *base, size_t index)
{
	const struct snapshot_core *core = &now->cores[index];
	const struct weir_core_cell *b = core_base(now, base, index);
	struct weir_core_cell c;
	core_since(&core->cell, b, &c);
	static const char *const states[] = { "answers", "stuck", "away" };
	double busy = (double)c.busy_cycles;
	double cycles = busy + (double)c.idle_cycles;
	return json_pack(
		"{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:i}",
		"cpu", (int)core->entry.cpu, "state",
		core->entry.state < sizeof(states) / sizeof(states[0]) ? states[core->entry.state] :
									 "unknown",
		"node", known(core->entry.node, core->entry.node >= 0), "distance",
		distances(now, &core->entry), "roles", role_labels(core->entry.roles), "services",
		services_on(now, index), "busy", report_number(report_share(busy, cycles)),
		"busy_with", busy_with(now, base, index, cycles), "packets",
		report_count(core->cell.packets), "bursts", report_count(core->cell.bursts),
		"sleeps", report_count(core->cell.sleeps), "packets_per_burst",
		report_number(report_share((double)c.packets, (double)c.bursts)),
		"cycles_per_packet", report_number(report_share(busy, (double)c.packets)), "stages",
		stage_prices(&c), "gaps", report_gaps(now, &core->cell.gaps), "wakeup",
		report_percentiles(&core->cell.wakeup, b != NULL ? &b->wakeup : NULL, true),
		"taken_over", core->entry.taken_over != 0, "held", (int)core->entry.held);
}

json_t *report_core(const struct snapshot *now, const struct snapshot *base, uint32_t cpu)
{
	for (size_t i = 0; now != NULL && i < now->core_count; i++)
		if (now->cores[i].entry.cpu == cpu)
			return core_entry(now, base, i);
	return NULL;
}

json_t *report_core_list(
	const struct model *m, const struct snapshot *now, const struct snapshot *base)
{
	json_t *list = json_array();
	for (size_t i = 0; list != NULL && now != NULL && i < now->core_count; i++) {
		json_t *entry = core_entry(now, base, i);
		if (json_array_append_new(list, entry) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
