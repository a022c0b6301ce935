/* SPDX-License-Identifier: BSD-3-Clause */

/* What has been done with a service, and why: adaptation's decisions, and what became of its policies. */

#include "control/daemon/adaptation/adaptation.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"

#include <string.h>

#define LAST_PRESET 20
#define LAST_MOST   256

/* An event about a policy, in the form of a decision; NULL: out of memory. */
static json_t *policy_entry(const json_t *event, const char *service)
{
	json_t *inputs = json_object_get(event, "inputs");
	const char *policy = json_string_value(json_object_get(inputs, "policy"));
	const char *mode = json_string_value(json_object_get(inputs, "mode"));
	const char *text = json_string_value(json_object_get(event, "text"));

	return json_pack("{s:O, s:s, s:s, s:O, s:s, s:s, s:n, s:n, s:s, s:O, s:s}", "time",
		json_object_get(event, "time"), "service", service, "controller", "policy",
		"action", json_object_get(inputs, "what"), "object", policy ? policy : "", "mode",
		mode && !strcmp(mode, "observe") ? "observe" : "on", "from", "to", "reason", text,
		"inputs", inputs, "text", text);
}

static double time_of(const json_t *list, size_t i)
{
	return json_number_value(json_object_get(json_array_get(list, i), "time"));
}

/* Both newest first, and so is what is made of them. */
static json_t *merge(
	const json_t *decisions, const json_t *events, const char *service, size_t most)
{
	json_t *all = json_array();
	size_t d = 0, e = 0;

	while (json_array_size(all) < most) {
		bool decision = d < json_array_size(decisions);

		if (e < json_array_size(events) &&
			(!decision || time_of(events, e) > time_of(decisions, d)))
			json_array_append_new(
				all, policy_entry(json_array_get(events, e++), service));
		else if (decision)
			json_array_append(all, json_array_get(decisions, d++));
		else
			break;
	}
	return all;
}

void explain_answer(struct daemon *d, struct rpc_call *call, const struct model_service *s)
{
	json_t *last = json_object_get(rpc_call_params(call), "last");
	json_int_t most = json_is_integer(last) ? json_integer_value(last) : LAST_PRESET;

	if (last && !json_is_null(last) && (!json_is_integer(last) || most < 1)) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"last: expected a whole number 1..%d", LAST_MOST);
		return;
	}
	if (most > LAST_MOST)
		most = LAST_MOST;
	json_t *decisions = adaptation_decisions(d->adaptation, s->name, (size_t)most);
	json_t *events = events_last(EVENT_POLICY, s->name, (size_t)most);

	rpc_call_result(call, merge(decisions, events, s->name, (size_t)most));
	json_decref(decisions);
	json_decref(events);
}
