/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/steering.h"

#include "dataplane/api/validate.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/core/steering/steering_plan.h"
#include "dataplane/core/steering/steering_trust.h"
#include "dataplane/port/registry.h"
#include "dataplane/port/steering.h"
#include "dataplane/process/process.h"
#include "dataplane/process/steering_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS	      UINT64_C(100000000)
#define PROBES	      (2 * STEERING_PROOF) /* of a service, and of all with one look, roughly */
#define PROBE_PORTION 8u /* of a service with one look */

/* A port with several queues, as long as it is open. */
struct device {
	uint32_t serial; /* of the port */
	bool told[2]; /* that it does not follow rules of this direction */
	struct steering_refuted refuted;
	bool in_force[STEERING_RULES_MAX]; /* by index of the rule */
	struct steering_trial *trial; /* owned; of each service of the configuration */
};

struct steering {
	uint64_t next_look_ns;
	bool judging; /* since the first look */
	uint32_t service_count;
	uint32_t rule_count;
	struct steering_rule rules[STEERING_RULES_MAX]; /* as planned */
	struct steering_left left; /* by the plan */
	struct steering_left left_told;
	char why[WEIR_STEERING_WHY_SIZE];
	struct device *device[WEIR_MAX_PORTS]; /* owned; by index of the port */
	struct steering_probe *probe; /* owned; of the return path; NULL: cannot */
	uint16_t *probed; /* owned; how often, for each service of the configuration */
	bool unanswered_told;
};

static void device_free(struct device *d)
{
	if (d)
		free(d->trial);
	free(d);
}

/* What is known of a port ends with it. */
static void devices_sort_out(const struct process *p, struct steering *s)
{
	struct device *kept[WEIR_MAX_PORTS] = { NULL };

	for (uint32_t i = 0; i < p->port_count; i++) {
		const struct port *port = p->port[i];
		struct device *d;

		if (!port || port->kind != WEIR_PORT_PCI || port->rx_queue_count == 1)
			continue;
		d = s->device[port->index];
		if (d && d->serial == port->serial) {
			s->device[port->index] = NULL;
		} else {
			d = calloc(1, sizeof(*d));
			if (!d)
				continue; /* as before: packets reach their workers all the same */
			d->serial = port->serial;
		}
		kept[port->index] = d;
	}
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		device_free(s->device[i]);
	memcpy(s->device, kept, sizeof(kept));
}

/* Services of which one rule in this direction is refuted; each has its rules in a row. */
static uint32_t refuted_count(const struct steering *s, const struct device *d, bool replies)
{
	uint32_t last = UINT32_MAX, count = 0;

	for (uint32_t i = 0; i < s->rule_count; i++) {
		const struct steering_rule *r = &s->rules[i];

		if (r->replies != replies || r->service == last ||
			!steering_is_refuted(&d->refuted, r))
			continue;
		last = r->service;
		count++;
	}
	return count;
}

/* What goes over the dispatcher at this port, and why. */
static void why_make(
	const struct steering *s, const struct device *d, char *ret_why, size_t why_size)
{
	uint32_t clients = refuted_count(s, d, false), replies = refuted_count(s, d, true);
	size_t used = 0;

	ret_why[0] = '\0';
	if (clients || replies) {
		snprintf(ret_why, why_size,
			"the device takes rules and does not follow them: clients' packets of %u "
			"services and replies of %u still came to the dispatcher%s",
			clients, replies, s->why[0] ? "; " : "");
		used = strlen(ret_why);
	}
	snprintf(ret_why + used, why_size - used, "%s", s->why);
}

static void rules_hand_out(struct process *p, const struct steering *s, uint8_t port)
{
	struct device *d = s->device[port];
	char why[WEIR_STEERING_WHY_SIZE];

	for (uint32_t i = 0; i < s->rule_count; i++)
		d->in_force[i] = !steering_is_refuted(&d->refuted, &s->rules[i]);
	why_make(s, d, why, sizeof(why));
	port_registry_steer(
		p->ports, port, s->rules, s->rule_count, d->in_force, s->service_count, why);
}

/* A service is judged in a direction in which the device has all rules of it: no other packet may come elsewhere. */
static void trials_expect(const struct steering *s, struct device *d)
{
	for (uint32_t i = 0, end = 0; i < s->rule_count; i = end) {
		const struct steering_rule *r = &s->rules[i];
		bool all = !r->partial;

		for (end = i; end < s->rule_count && s->rules[end].service == r->service &&
			s->rules[end].replies == r->replies;
			end++)
			all &= d->in_force[end];
		if (all)
			steering_trial_expect(&d->trial[r->service], r->replies);
	}
}

static bool some_steer(const struct process *p)
{
	for (uint32_t i = 0; i < p->telemetry->port_count; i++)
		if (p->telemetry->port[i].steering)
			return true;
	return false;
}

/* Said again when it is not as it was. */
static void left_tell(struct process *p, struct steering *s)
{
	char text[256];

	if (!some_steer(p) || memcmp(&s->left, &s->left_told, sizeof(s->left)) == 0)
		return;
	s->left_told = s->left;
	if (s->left.rules == 0)
		return;
	snprintf(text, sizeof(text),
		"%u of %u flow rules for replies, of %u services, are left out (at most %u for a source "
		"address, %u in all): those replies are dispatched, at the price of a hand-over; source "
		"addresses of a service's own need one rule each",
		s->left.rules, s->left.of, s->left.services, STEERING_RANGES_MAX,
		STEERING_RULES_MAX);
	process_event(p, WEIR_EVENT_WARNING, "ports", text);
}

void steering_set(struct process *p)
{
	struct steering *s = p->steering;
	struct weir_config_view view;

	if (p->arguments.replay || p->cores.count == 1 || !p->config)
		return;
	if (!s) {
		s = p->steering = calloc(1, sizeof(*s));
		if (!s)
			return; /* as before: packets reach their workers all the same */
		(void)steering_probe_open(&s->probe); /* without it, the first replies will do */
	}
	weir_config_view(p->config, &view);
	s->service_count = view.header->service_count;
	s->rule_count = fastpath_steering_plan(
		p->fastpath, &view, s->rules, &s->left, s->why, sizeof(s->why));
	devices_sort_out(p, s);
	free(s->probed);
	s->probed = calloc(s->service_count + 1, sizeof(*s->probed));
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		struct device *d = s->device[i];

		if (!d)
			continue;
		free(d->trial);
		d->trial = calloc(s->service_count + 1, sizeof(*d->trial));
		rules_hand_out(p, s, i);
		if (d->trial)
			trials_expect(s, d);
	}
	left_tell(p, s);
	s->judging = false;
	s->next_look_ns = process_now_ns() + LOOK_NS;
}

static bool is_on_trial(const struct device *d, uint32_t service)
{
	return d && d->trial && (d->trial[service].open[0] || d->trial[service].open[1]);
}

static bool anybody_on_trial(const struct steering *s, uint32_t service)
{
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (is_on_trial(s->device[i], service))
			return true;
	return false;
}

static void refute(const struct steering *s, struct device *d, uint32_t service, bool replies)
{
	for (uint32_t i = 0; i < s->rule_count; i++)
		if (s->rules[i].service == service && s->rules[i].replies == replies)
			steering_refute(&d->refuted, &s->rules[i]);
}

/* Said once for each direction: a device that does not follow one rule rarely follows others, and `port show` counts. */
static void failure_tell(
	struct process *p, struct device *d, uint8_t port, const char *service, bool replies)
{
	char text[256];

	if (d->told[replies])
		return;
	d->told[replies] = true;
	snprintf(text, sizeof(text),
		"the device was told to send %s of %s to its worker's core, and %u in a row came to the "
		"dispatcher: they are dispatched until it is opened anew, at the price of a hand-over",
		replies ? "replies" : "clients' packets", service, STEERING_PROOF);
	process_event(p, WEIR_EVENT_WARNING, p->telemetry->port[port].name, text);
}

/* Replies of the service are on trial at some port, and none has arrived anywhere. */
static bool waits_for_replies(
	const struct steering *s, uint32_t service, const struct arrivals *now)
{
	bool waits = false;

	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++) {
		const struct device *d = s->device[i];
		const struct steering_trial *t = d && d->trial ? &d->trial[service] : NULL;

		if (!t)
			continue;
		if (now[i].replies[1] > t->since.replies[1])
			return false;
		waits |= t->open[1];
	}
	return waits;
}

static bool replies_came(const struct steering *s, uint32_t service, const struct arrivals *now)
{
	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (s->device[i] && s->device[i]->trial &&
			now[i].replies[0] > s->device[i]->trial[service].since.replies[0])
			return true;
	return false;
}

/*
 * Replies do not have to wait for clients: backends are asked for some, in small portions, until it is known where
 * those arrive. Returns how many were.
 */
static uint32_t service_probe(struct process *p, struct steering *s,
	const struct weir_config_view *view, uint32_t service, const struct arrivals *now)
{
	const struct weir_config_service *c = &view->services[service];
	uint32_t sent = 0;
	char text[256];

	if (!s->probe || !s->probed || !waits_for_replies(s, service, now))
		return 0;
	while (sent < PROBE_PORTION && s->probed[service] < PROBES &&
		steering_probe_send(s->probe, view, c, s->probed[service])) {
		s->probed[service]++;
		sent++;
	}
	if (s->probed[service] < PROBES || sent || s->unanswered_told ||
		replies_came(s, service, now))
		return sent;
	s->unanswered_told = true;
	snprintf(text, sizeof(text),
		"none of %u probes of the return path was answered by a backend (they are TCP segments of "
		"no connection, from a source address): whether its replies are steered will show with "
		"the first ones",
		PROBES);
	process_event(p, WEIR_EVENT_WARNING, c->name, text);
	return sent;
}

/* Returns true when rules of the service were found not to be followed. */
static bool service_look(struct process *p, const struct steering *s, uint8_t port,
	uint32_t service, const char *name, const struct arrivals *now)
{
	struct device *d = s->device[port];
	bool failed[2];

	if (!is_on_trial(d, service))
		return false;
	if (!s->judging)
		steering_trial_begin(&d->trial[service], now);
	if (!steering_trial_look(&d->trial[service], now, failed))
		return false;
	for (int replies = 0; replies < 2; replies++) {
		if (!failed[replies])
			continue;
		refute(s, d, service, replies);
		failure_tell(p, d, port, name, replies);
	}
	return true;
}

void steering_tick(struct process *p, uint64_t now_ns)
{
	struct steering *s = p->steering;
	bool changed[WEIR_MAX_PORTS] = { false };
	struct arrivals now[WEIR_MAX_PORTS];
	struct weir_config_view view;
	uint32_t probes = 0;

	if (!s || now_ns < s->next_look_ns)
		return;
	s->next_look_ns = now_ns + LOOK_NS;
	weir_config_view(p->config, &view);
	for (uint32_t i = 0; i < s->service_count; i++) {
		const char *name = view.services[i].name;

		if (!anybody_on_trial(s, i))
			continue;
		fastpath_arrivals(p->fastpath, name, now);
		for (uint8_t port = 0; port < WEIR_MAX_PORTS; port++)
			changed[port] |= service_look(p, s, port, i, name, &now[port]);
		if (s->judging && probes < PROBES)
			probes += service_probe(p, s, &view, i, now);
	}
	s->judging = true;
	for (uint8_t port = 0; port < WEIR_MAX_PORTS; port++)
		if (changed[port])
			rules_hand_out(p, s, port);
}

void steering_end(struct process *p)
{
	struct steering *s = p->steering;

	for (uint32_t i = 0; s && i < WEIR_MAX_PORTS; i++)
		device_free(s->device[i]);
	if (s) {
		steering_probe_close(s->probe);
		free(s->probed);
	}
	free(s);
	p->steering = NULL;
}
