/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/report/report_private.h"

#include <stdio.h>
#include <string.h>

const char *report_policy_action(unsigned int action)
{
	static const char *const names[WEIR_POLICY_ACTION_COUNT] = {
		[WEIR_POLICY_ABORTED] = "aborted",
		[WEIR_POLICY_DROP] = "drop",
		[WEIR_POLICY_PASS] = "pass",
		[WEIR_POLICY_LIMIT] = "limit",
		[WEIR_POLICY_ROUTE] = "route",
	};
	return action < WEIR_POLICY_ACTION_COUNT ? names[action] : "unknown";
}

const char *report_policy_state(const struct weir_policy_entry *e)
{
	switch (e->state) {
	case WEIR_POLICY_RUNNING:
		return "running";
	case WEIR_POLICY_OBSERVED:
		return "observed";
	case WEIR_POLICY_DETACHED:
		return "detached";
	default:
		return "unknown";
	}
}

uint64_t report_policy_judged(const struct weir_policy_cell *c)
{
	uint64_t total = 0;
	for (int i = 0; i < WEIR_POLICY_ACTION_COUNT; i++)
		total += c->verdicts[i];
	return total;
}

/* NULL s: of packets that are no service's. */
static const struct snapshot_policy *find(
	const struct snapshot *now, const struct model_service *s, uint64_t id)
{
	const struct snapshot_service *found =
		s != NULL ? snapshot_find_service(now, s->name) : NULL;
	const struct snapshot_policy *policies = found != NULL ? found->policies : NULL;
	size_t count = found != NULL ? found->entry.policy_count : 0;
	if (s == NULL && now != NULL) {
		policies = now->outside_policies;
		count = now->outside_policy_count;
	}
	for (size_t i = 0; policies != NULL && i < count; i++)
		if (policies[i].entry.id == id && id != 0)
			return &policies[i];
	return NULL;
}

/* What was judged and not dropped in the kernel, which costs nothing here. */
static uint64_t came(const struct weir_policy_cell *c)
{
	const uint64_t total = report_policy_judged(c);

	return total > c->kernel_dropped ? total - c->kernel_dropped : 0;
}

/* Of what came since base, or else since the start; null when nothing came. */
static json_t *cycles(const struct snapshot_policy *now, const struct snapshot_policy *base)
{
	uint64_t count = now != NULL ? came(&now->sum) : 0;
	uint64_t total = now != NULL ? now->sum.cycles : 0;
	uint64_t before = base != NULL ? came(&base->sum) : 0;
	if (count > before && before > 0 && total >= base->sum.cycles) {
		count -= before;
		total -= base->sum.cycles;
	}
	return count > 0 ? report_number((double)total / (double)count) : json_null();
}

static json_t *verdicts(const struct weir_policy_cell *c)
{
	json_t *o = json_object();
	for (unsigned int i = 0; i < WEIR_POLICY_ACTION_COUNT; i++)
		json_object_set_new(o, report_policy_action(i), report_count(c->verdicts[i]));
	return o;
}

const char *report_policy_reason(unsigned int reason, char buf[8])
{
	if (reason == WEIR_POLICY_REASONS - 1)
		return "other";
	snprintf(buf, 8, "%u", reason);
	return buf;
}

static json_t *reasons(const struct weir_policy_cell *c)
{
	json_t *o = json_object();
	char text[8];
	for (unsigned int i = 0; i < WEIR_POLICY_REASONS; i++)
		if (c->reasons[i] != 0)
			json_object_set_new(
				o, report_policy_reason(i, text), report_count(c->reasons[i]));
	return o;
}

json_t *report_policy(const struct model_service *s, const struct model_policy *p, size_t position,
	const struct snapshot *now, const struct snapshot *base)
{
	static const struct weir_policy_cell zero;
	const struct snapshot_policy *found = find(now, s, p->id);
	const struct weir_policy_cell *sum = found != NULL ? &found->sum : &zero;
	const char *state = found != NULL ? report_policy_state(&found->entry) :
		p->id == 0		  ? "refused" :
					    "waiting";

	return json_pack(
		"{s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"service", s != NULL ? s->name : "-", "position", (json_int_t)position + 1, "name",
		p->name, "object", p->object, "mode",
		p->mode == MODEL_POLICY_OBSERVE ? "observe" : "enforce", "on_error",
		p->on_error == MODEL_POLICY_ERROR_DROP ? "drop" : "pass", "budget",
		(json_int_t)p->budget, "state", state, "compiled",
		found != NULL ? json_boolean(found->entry.compiled) : json_null(), "packets",
		report_count(report_policy_judged(sum)), "verdicts", verdicts(sum), "reasons",
		reasons(sum), "no_class", report_count(sum->no_class), "no_pool",
		report_count(sum->no_pool), "cycles", cycles(found, find(base, s, p->id)),
		"kernel_packets", report_count(sum->kernel), "kernel_dropped",
		report_count(sum->kernel_dropped));
}

static json_t *limit(uint64_t in_force)
{
	return in_force == MODEL_UNLIMITED ? json_null() : report_count(in_force);
}

json_t *report_classes(const struct model_service *s, const struct snapshot *now)
{
	static const struct weir_class_cell zero;
	const struct snapshot_service *found =
		s != NULL ? snapshot_find_service(now, s->name) : NULL;
	json_t *list = json_array();
	for (size_t i = 0; s != NULL && i < s->class_count; i++) {
		const struct model_class *c = &s->classes[i];
		const struct weir_class_cell *sum = &zero;
		uint64_t in_force = c->connections;
		for (size_t j = 0; found != NULL && j < found->entry.class_count; j++)
			if (strcmp(found->classes[j].entry.name, c->name) == 0) {
				sum = &found->classes[j].sum;
				in_force = found->classes[j].entry.connections_in_force;
			}
		json_array_append_new(list,
			json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}}",
				"number", (json_int_t)i + 1, "name", c->name, "limit_packets",
				limit(c->packets), "limit_bits", limit(c->bits),
				"limit_connections", limit(c->connections), "connections_in_force",
				limit(in_force), "packets", report_count(sum->packets), "new_flows",
				report_count(sum->new_flows), "dropped", "packets",
				report_count(sum->dropped_packets), "bits",
				report_count(sum->dropped_bits), "connections",
				report_count(sum->dropped_connections)));
	}
	return list;
}

json_t *report_policies(
	const struct model_service *s, const struct snapshot *now, const struct snapshot *base)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->policy_count; i++)
		json_array_append_new(list, report_policy(s, &s->policies[i], i, now, base));
	return list;
}
