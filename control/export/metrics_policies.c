/* SPDX-License-Identifier: BSD-3-Clause */

/* The families of policies and of the classes that they put packets into. */

#include "control/export/metrics_private.h"
#include "control/report/report.h"

#include <stdio.h>

typedef void (*policy_render)(
	struct evbuffer *out, const struct labels *l, const struct snapshot_policy *p);

static void policy_labels(struct labels *l, const struct metrics_input *in, const char *service,
	const struct snapshot_policy *p, size_t position)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", position + 1);
	labels_begin(l, in->instance);
	labels_add(l, "service", service);
	labels_add(l, "policy", p->entry.name);
	labels_add(l, "position", text);
}

/* Those for packets that are no service's have the service "-", as weirctl calls it. */
static void each_policy(const struct metrics_input *in, struct evbuffer *out, policy_render render)
{
	const struct snapshot *now = in->now;
	struct labels l;

	for (size_t i = 0; i < now->service_count; i++) {
		const struct snapshot_service *s = &now->services[i];

		for (size_t j = 0; j < s->entry.policy_count; j++) {
			policy_labels(&l, in, s->entry.name, &s->policies[j], j);
			render(out, &l, &s->policies[j]);
		}
	}
	for (size_t j = 0; j < now->outside_policy_count; j++) {
		policy_labels(&l, in, "-", &now->outside_policies[j], j);
		render(out, &l, &now->outside_policies[j]);
	}
}

static void verdicts(struct evbuffer *out, const struct labels *l, const struct snapshot_policy *p)
{
	for (unsigned int i = 0; i < WEIR_POLICY_ACTION_COUNT; i++) {
		struct labels with = *l;

		labels_add(&with, "verdict", report_policy_action(i));
		metrics_sample_u64(out, "weir_policy_verdicts_total", &with, p->sum.verdicts[i]);
	}
}

static void drops(struct evbuffer *out, const struct labels *l, const struct snapshot_policy *p)
{
	char reason[8];

	for (unsigned int i = 0; i < WEIR_POLICY_REASONS; i++) {
		struct labels with = *l;

		if (!p->sum.reasons[i])
			continue;
		labels_add(&with, "reason", report_policy_reason(i, reason));
		metrics_sample_u64(out, "weir_policy_drops_total", &with, p->sum.reasons[i]);
	}
}

static void cycles(struct evbuffer *out, const struct labels *l, const struct snapshot_policy *p)
{
	metrics_sample_u64(out, "weir_policy_cycles_total", l, p->sum.cycles);
}

static void places(struct evbuffer *out, const struct labels *l, const struct snapshot_policy *p)
{
	struct labels there = *l, here = *l;

	labels_add(&there, "place", "kernel");
	labels_add(&here, "place", "fast_path");
	metrics_sample_u64(out, "weir_policy_judged_total", &there, p->sum.kernel);
	metrics_sample_u64(out, "weir_policy_judged_total", &here,
		report_policy_judged(&p->sum) - p->sum.kernel);
}

static void states(struct evbuffer *out, const struct labels *l, const struct snapshot_policy *p)
{
	static const uint8_t all[] = { WEIR_POLICY_RUNNING, WEIR_POLICY_OBSERVED,
		WEIR_POLICY_DETACHED };

	for (size_t i = 0; i < sizeof(all); i++) {
		const struct weir_policy_entry state = { .state = all[i] };
		struct labels with = *l;

		labels_add(&with, "state", report_policy_state(&state));
		metrics_sample_u64(out, "weir_policy_state", &with, p->entry.state == all[i]);
	}
}

static void in_kernel(const struct metrics_input *in, struct evbuffer *out)
{
	const struct snapshot *now = in->now;

	for (size_t i = 0; i < now->service_count; i++) {
		const struct snapshot_service *s = &now->services[i];

		for (size_t j = 0; j < s->entry.policy_count; j++)
			for (size_t k = 0; k < now->port_count; k++) {
				const struct snapshot_policy *p = &s->policies[j];
				const char *port = now->ports[k].entry.name;
				struct labels l;

				policy_labels(&l, in, s->entry.name, p, j);
				labels_add(&l, "port", port);
				metrics_sample_u64(out, "weir_policy_in_kernel", &l,
					in->in_kernel(in->in_kernel_ctx, p->entry.id, port));
			}
	}
}

static void class_labels(struct labels *l, const struct metrics_input *in,
	const struct snapshot_service *s, const struct snapshot_class *c)
{
	labels_begin(l, in->instance);
	labels_add(l, "service", s->entry.name);
	labels_add(l, "class", c->entry.name);
}

/* A family of classes, but for drops by limit. */
static void classes_show(const struct metrics_input *in, struct evbuffer *out, const char *family,
	uint64_t (*value)(const struct snapshot_class *c))
{
	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];

		for (size_t j = 0; j < s->entry.class_count; j++) {
			struct labels l;

			class_labels(&l, in, s, &s->classes[j]);
			if (value(&s->classes[j]) != UINT64_MAX)
				metrics_sample_u64(out, family, &l, value(&s->classes[j]));
		}
	}
}

static uint64_t class_packets(const struct snapshot_class *c)
{
	return c->sum.packets;
}

static uint64_t class_new_flows(const struct snapshot_class *c)
{
	return c->sum.new_flows;
}

static uint64_t class_in_force(const struct snapshot_class *c)
{
	return c->entry.connections_in_force;
}

static void classes_dropped(const struct metrics_input *in, struct evbuffer *out)
{
	static const char *const limits[] = { "packets", "bits", "connections" };

	for (size_t i = 0; i < in->now->service_count; i++) {
		const struct snapshot_service *s = &in->now->services[i];

		for (size_t j = 0; j < s->entry.class_count; j++) {
			const struct weir_class_cell *c = &s->classes[j].sum;
			const uint64_t counts[] = { c->dropped_packets, c->dropped_bits,
				c->dropped_connections };
			struct labels l;

			class_labels(&l, in, s, &s->classes[j]);
			for (size_t k = 0; k < 3; k++) {
				struct labels with = l;

				labels_add(&with, "limit", limits[k]);
				metrics_sample_u64(
					out, "weir_class_dropped_total", &with, counts[k]);
			}
		}
	}
}

void metrics_policies(const struct metrics_input *in, struct evbuffer *out)
{
	static const struct {
		const char *name;
		const char *type;
		const char *help;
		policy_render render;
	} families[] = {
		{ "weir_policy_verdicts_total", "counter",
			"What policies said of packets, also of those that are only observed.",
			verdicts },
		{ "weir_policy_drops_total", "counter",
			"Drop verdicts by the reason number that the policy gave.", drops },
		{ "weir_policy_cycles_total", "counter", "CPU cycles that policies took.", cycles },
		{ "weir_policy_judged_total", "counter",
			"Packets that policies judged, by where that was: the kernel, in front of a port, "
			"or the fast path.",
			places },
		{ "weir_policy_state", "gauge", "1 for the state that the policy has.", states },
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		metrics_family(out, families[i].name, families[i].type, families[i].help);
		each_policy(in, out, families[i].render);
	}
	if (in->in_kernel) {
		metrics_family(out, "weir_policy_in_kernel", "gauge",
			"1 where the kernel runs the policy in front of the port.");
		in_kernel(in, out);
	}
	metrics_family(out, "weir_class_packets_total", "counter",
		"Packets that policies put into a class of the service.");
	classes_show(in, out, "weir_class_packets_total", class_packets);
	metrics_family(out, "weir_class_new_flows_total", "counter",
		"New flows asked for in the class, also those over its limit.");
	classes_show(in, out, "weir_class_new_flows_total", class_new_flows);
	metrics_family(out, "weir_class_new_flows_limit", "gauge",
		"New flows per second that the class may have now, as configured or less; only where "
		"they are limited.");
	classes_show(in, out, "weir_class_new_flows_limit", class_in_force);
	metrics_family(
		out, "weir_class_dropped_total", "counter", "Packets over a limit of their class.");
	classes_dropped(in, out);
}
