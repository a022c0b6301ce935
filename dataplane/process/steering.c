/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/steering.h"

#include "dataplane/api/validate.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/core/steering_trust.h"
#include "dataplane/port/registry.h"
#include "dataplane/port/steering.h"
#include "dataplane/process/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS UINT64_C(100000000)

struct steering {
	uint64_t next_look_ns;
	bool judging; /* since the first look */
	uint32_t service_count;
	uint32_t rule_count;
	struct steering_rule rules[STEERING_RULES_MAX]; /* as planned */
	char why[WEIR_STEERING_WHY_SIZE];
	struct steering_trust trust[]; /* of each service of the configuration */
};

static void rules_hand_out(struct process *p, const struct steering *s)
{
	struct steering_rule *rules = calloc(STEERING_RULES_MAX, sizeof(*rules));
	char why[WEIR_STEERING_WHY_SIZE];
	uint32_t count = 0;

	if (!rules)
		return;
	snprintf(why, sizeof(why), "%s", s->why);
	for (uint32_t i = 0; i < s->rule_count; i++) {
		const struct steering_trust *t = &s->trust[s->rules[i].service];

		if (steering_trusts(t, s->rules[i].replies))
			rules[count++] = s->rules[i];
		else if (!why[0])
			snprintf(why, sizeof(why),
				"the device takes the rules and does not follow them: %s still "
				"came to the dispatcher",
				s->rules[i].replies ? "replies" : "clients' packets");
	}
	port_registry_steer(p->ports, rules, count, s->service_count, why);
	free(rules);
}

void steering_set(struct process *p)
{
	struct weir_config_view view;
	struct steering *s;

	if (p->arguments.replay || p->cores.count == 1 || !p->config)
		return;
	weir_config_view(p->config, &view);
	s = calloc(1, sizeof(*s) + view.header->service_count * sizeof(s->trust[0]));
	if (!s)
		return; /* as before: packets reach their workers all the same */
	s->service_count = view.header->service_count;
	s->rule_count =
		fastpath_steering_plan(p->fastpath, &view, s->rules, s->why, sizeof(s->why));
	for (uint32_t i = 0; i < s->rule_count; i++)
		steering_trust_expect(&s->trust[s->rules[i].service], s->rules[i].replies);
	free(p->steering);
	p->steering = s;
	rules_hand_out(p, s);
	s->next_look_ns = process_now_ns() + LOOK_NS;
}

/* Where some ports do not steer, a packet that comes to the dispatcher says nothing about those that do. */
static bool all_steer(const struct process *p)
{
	for (uint32_t i = 0; i < p->telemetry->port_count; i++)
		if (p->telemetry->port[i].used && !p->telemetry->port[i].steering)
			return false;
	return true;
}

void steering_tick(struct process *p, uint64_t now_ns)
{
	struct steering *s = p->steering;
	struct weir_config_view view;
	bool changed = false;

	if (!s || now_ns < s->next_look_ns)
		return;
	s->next_look_ns = now_ns + LOOK_NS;
	if (!all_steer(p))
		return;
	weir_config_view(p->config, &view);
	for (uint32_t i = 0; i < s->service_count; i++) {
		const char *name = view.services[i].name;
		struct arrivals now;
		char text[256];

		fastpath_arrivals(p->fastpath, name, &now);
		if (!s->judging)
			steering_trust_begin(&s->trust[i], &now);
		if (!steering_trust_look(&s->trust[i], &now, text, sizeof(text)))
			continue;
		process_event(p, WEIR_EVENT_WARNING, name, text);
		changed = true;
	}
	s->judging = true;
	if (changed)
		rules_hand_out(p, s);
}

void steering_end(struct process *p)
{
	free(p->steering);
	p->steering = NULL;
}
