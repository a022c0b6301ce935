/* SPDX-License-Identifier: BSD-3-Clause */

/* What adaptation answers: its decisions, status, set, pause and record. */

#include "control/adapt/decision.h"
#include "control/adapt/recording.h"
#include "control/daemon/adaptation/adaptation_private.h"
#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/revision/who.h"
#include "control/export/metrics_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_IDLE_NS (10 * NS_PER_S)

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *decision_at(const struct adapted *a, uint64_t index)
{
	const struct kept_decision *k = &a->decisions[index % DECISIONS];

	return decision_document(&k->d, a->service, k->time_s);
}

json_t *adaptation_decisions(const struct adaptation *all, const char *service, size_t most)
{
	const struct adapted *a = adapted_find(all, service, 0);
	uint64_t kept = a && a->decided < DECISIONS ? a->decided : DECISIONS;
	json_t *list = json_array();

	for (uint64_t i = 0; a && a->decisions && i < kept && i < most; i++)
		json_array_append_new(list, decision_at(a, a->decided - 1 - i));
	return list;
}

static json_t *modes_document(const struct adapted *a)
{
	json_t *modes = json_object();

	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++)
		json_object_set_new(modes, adapt_controller_name((enum adapt_controller)i),
			json_string(adapt_mode_name(a->settings.mode[i])));
	return modes;
}

/* One line for people: what is done now. */
static void doing_print(
	const struct adapted *a, const struct adapt_summary *s, bool paused, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
#define ADD(...)                                                                                   \
	do {                                                                                       \
		if (used < size)                                                                   \
			used += (size_t)snprintf(buf + used, size - used, "%s", used ? ", " : ""); \
		if (used < size)                                                                   \
			used += (size_t)snprintf(buf + used, size - used, __VA_ARGS__);            \
	} while (0)
	if (paused)
		ADD("paused");
	if (s->panic)
		ADD("panic");
	if (s->ejected)
		ADD("%zu ejected", s->ejected);
	if (s->shifted)
		ADD("%zu weights moved", s->shifted);
	if (s->shed_rate >= 1)
		ADD("sheds %.0f/s", s->shed_rate);
	if (a->polices)
		ADD("polices, %zu boxed", s->boxed);
	if (s->classes)
		ADD("holds back %zu %s", s->classes, s->classes == 1 ? "class" : "classes");
	if (s->headroom > 1)
		ADD("expects %.1fx", s->headroom);
	if (s->cores > a->settings.cores_min)
		ADD("%u cores of %u", s->cores, a->settings.cores_max);
#undef ADD
	if (!used)
		snprintf(buf, size, "%s", adapted_is_off(a) ? "off" : "calm");
}

static json_t *status_of(const struct adapted *a)
{
	struct adapt_summary s;
	char doing[160];
	bool paused = a->paused || a->of->paused;

	adapt_service_summary(a->controllers, &s);
	doing_print(a, &s, paused, doing, sizeof(doing));
	return json_pack(
		"{s:s, s:o, s:o, s:b, s:s, s:o, s:o, s:o, s:f, s:o, s:i, s:i, s:i, s:i, s:b,"
		" s:o, s:o, s:f, s:I}",
		"service", a->service, "objective",
		a->settings.objective_s > 0 ? json_real(a->settings.objective_s) : json_null(),
		"modes", modes_document(a), "paused", (int)paused, "doing", doing, "p99",
		number(s.p99), "pool_latency", number(s.pool_latency), "spread", number(s.spread),
		"shed_per_second", s.shed_rate, "fair_rate", number(s.fair_rate), "boxed",
		(int)s.boxed, "classes_held", (int)s.classes, "ejected", (int)s.ejected,
		"weights_moved", (int)s.shifted, "panic", (int)s.panic, "expected_per_second",
		number(s.ahead), "season_per_second", number(s.season), "headroom", s.headroom,
		"decisions", (json_int_t)a->decided);
}

void adaptation_status(struct daemon *d, struct rpc_call *call, const struct model_service *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->adaptation->count; i++) {
		const struct adapted *a = d->adaptation->items[i];

		if (!s || !strcmp(s->name, a->service))
			json_array_append_new(list, status_of(a));
	}
	rpc_call_result(call, list);
}

void adaptation_annotate(const struct adaptation *a, json_t *services)
{
	json_t *item;
	size_t i;

	json_array_foreach(services, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "name"));
		const struct adapted *of = a && name ? adapted_find(a, name, i) : NULL;
		struct adapt_summary s;
		char doing[160];

		if (!of || adapted_is_off(of)) {
			json_object_set_new(item, "adaptation", json_null());
			continue;
		}
		adapt_service_summary(of->controllers, &s);
		doing_print(of, &s, of->paused || a->paused, doing, sizeof(doing));
		json_object_set_new(item, "adaptation", json_string(doing));
	}
}

static void metrics_fill(struct metrics_adapt *to, const struct adapted *a)
{
	bool paused = a->paused || a->of->paused;
	struct adapt_summary s;

	adapt_service_summary(a->controllers, &s);
	*to = (struct metrics_adapt){ .service = a->service,
		.objective_s = a->settings.objective_s > 0 ? a->settings.objective_s : NAN,
		.p99_s = s.p99,
		.fair_rate = s.fair_rate,
		.boxed = (double)s.boxed,
		.ejected = (double)s.ejected,
		.expected = s.ahead,
		.actions = adapt_actions,
		.decisions = a->decided_by_action,
		.action_count = ADAPT_ACTION_COUNT };
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++) {
		enum adapt_mode mode = a->settings.mode[i];

		to->controller[i] = adapt_controller_name((enum adapt_controller)i);
		to->mode[i] = paused && mode == ADAPT_ON ? ADAPT_OBSERVE : mode;
	}
}
static_assert(METRICS_CONTROLLERS == ADAPT_CONTROLLER_COUNT, "all controllers are exported");

struct metrics_adapt *adaptation_metrics(
	const struct adaptation *a, size_t *ret_count, double *ret_cost_s)
{
	size_t count = a ? a->count : 0;
	struct metrics_adapt *list = calloc(count + 1, sizeof(*list));

	*ret_count = 0;
	*ret_cost_s = a ? (double)a->cost_ns / 1e9 : 0;
	for (size_t i = 0; list && i < count; i++)
		metrics_fill(&list[(*ret_count)++], a->items[i]);
	return list;
}

void adaptation_warn(const struct adaptation *a, json_t *warnings)
{
	if (a && *a->untrue)
		json_array_append_new(warnings, json_string(a->untrue));
	if (a && a->paused)
		json_array_append_new(warnings,
			json_string("adaptation is paused: all is as configured until "
				    "`weirctl adapt resume`"));
	for (size_t i = 0; a && i < a->count; i++) {
		const struct adapted *of = a->items[i];

		if (of->paused)
			json_array_append_new(warnings,
				json_sprintf("service %s: adaptation is paused until `weirctl "
					     "adapt resume %s`",
					of->service, of->service));
		for (int j = 0; j < ADAPT_CONTROLLER_COUNT; j++)
			if (of->set[j] != KEPT_MODE_NOT_SET)
				json_array_append_new(warnings,
					json_sprintf("service %s: adapt.%s is %s, set by hand; "
						     "the next `weirctl config apply` takes it "
						     "back",
						of->service,
						adapt_controller_name((enum adapt_controller)j),
						adapt_mode_name((enum adapt_mode)of->set[j])));
	}
}

static void change_emit(struct rpc_call *call, const char *service, const char *what)
{
	struct who who = who_asks(call);
	char text[160], by[64];

	snprintf(text, sizeof(text), "%s, by %s", what, who_print(&who, by, sizeof(by)));
	log_notice("adaptation%s%s: %s", *service ? " of " : "", service, text);
	event_emit(EVENT_LIMIT, service, text,
		json_pack("{s:s, s:s, s:o}", "what", what, "service", service, "by",
			who_document(&who)));
}

static bool choice_param(
	struct rpc_call *call, const char *key, const char *const *names, int count, int *ret)
{
	const char *text = json_string_value(json_object_get(rpc_call_params(call), key));
	char expected[96] = "";

	for (int i = 0; i < count; i++) {
		if (text && !strcmp(text, names[i])) {
			*ret = i;
			return true;
		}
		size_t used = strlen(expected);

		snprintf(expected + used, sizeof(expected) - used, "%s%s",
			i == 0		       ? "" :
				i + 1 == count ? " or " :
						 ", ",
			names[i]);
	}
	rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "%s: expected %s", key, expected);
	return false;
}

const char *adaptation_mode_refusal(const struct model *m, const struct model_service *s,
	enum adapt_controller controller, enum adapt_mode mode)
{
	if (mode != ADAPT_OFF && controller == ADAPT_CORES && s->cores.max == s->cores.min)
		return "move in a range, and cores: of the configuration is none";
	if (mode == ADAPT_OFF || (controller != ADAPT_WEIGHTS && controller != ADAPT_SHED))
		return NULL;
	if (s->mode != MODEL_NAT && controller == ADAPT_SHED)
		return "goes by the replies, which the data plane sees in nat only";
	if (s->mode != MODEL_NAT && !m->probes.key_file)
		return "goes by the replies, which only probes see here, and there are none";
	return controller == ADAPT_SHED && !s->objective.p99_ns ?
		"needs an objective, which it does not have" :
		NULL;
}

void adaptation_set(struct daemon *d, struct rpc_call *call, const struct model_service *s)
{
	static const char *const controllers[] = {
#define X(name, label) label,
		ADAPT_CONTROLLERS(X)
#undef X
	};
	static const char *const modes[] = { "off", "observe", "on" };
	int controller, mode;
	char what[80];

	if (!choice_param(call, "controller", controllers, ADAPT_CONTROLLER_COUNT, &controller) ||
		!choice_param(call, "mode", modes, 3, &mode))
		return;
	const char *refusal = adaptation_mode_refusal(
		d->model, s, (enum adapt_controller)controller, (enum adapt_mode)mode);

	if (refusal) {
		rpc_call_error(call, RPC_REFUSED, NULL, "service %s: %s %s", s->name,
			controllers[controller], refusal);
		return;
	}
	struct adapted *a = adapted_of(d->adaptation, s->name);

	if (!a) {
		rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return;
	}
	a->set[controller] = mode;
	a->settings.mode[controller] = (enum adapt_mode)mode;
	adaptation_save(d->adaptation);
	snprintf(what, sizeof(what), "adapt.%s is %s until the next apply", controllers[controller],
		modes[mode]);
	change_emit(call, s->name, what);
	rpc_call_result(call, status_of(a));
}

void adaptation_pause(
	struct daemon *d, struct rpc_call *call, const struct model_service *s, bool pause)
{
	struct adaptation *all = d->adaptation;
	struct adapted *a = s ? adapted_find(all, s->name, 0) : NULL;

	if (s && !a) {
		rpc_call_error(call, RPC_REFUSED, NULL,
			"service %s is not adapted: it has no objective, see `weirctl adapt set`",
			s->name);
		return;
	}
	if (a && !pause && all->paused) {
		rpc_call_error(call, RPC_REFUSED, NULL,
			"all services are paused, so %s stays paused; `weirctl adapt resume` without "
			"a service ends that",
			s->name);
		return;
	}
	if (a)
		a->paused = pause;
	else
		all->paused = pause;
	for (size_t i = 0; !pause && !s && i < all->count; i++)
		all->items[i]->paused = false;
	adaptation_save(all);
	change_emit(call, s ? s->name : "", pause ? "paused: all is as configured" : "resumed");
	adaptation_status(d, call, s);
}

/* The ticks after number `since` that are still kept; who asks keeps the recording going. */
void adaptation_record(struct daemon *d, struct rpc_call *call, const struct model_service *s)
{
	struct adapted *a = adapted_find(d->adaptation, s->name, 0);
	json_int_t since = json_integer_value(json_object_get(rpc_call_params(call), "since"));
	json_t *ticks = json_array();

	if (!a || adapted_is_off(a)) {
		json_decref(ticks);
		rpc_call_error(call, RPC_REFUSED, NULL,
			"service %s is not adapted, so there is nothing to record; see `weirctl "
			"adapt set`",
			s->name);
		return;
	}
	a->record_until_ns = clock_now_ns() + RECORD_IDLE_NS;
	uint64_t from = since < 0 || (uint64_t)since > a->recorded ? a->recorded : (uint64_t)since;
	uint64_t oldest = a->recorded > RECORD_LAST ? a->recorded - RECORD_LAST : 0;
	uint64_t lost = from < oldest ? oldest - from : 0;

	for (uint64_t i = from + lost; i < a->recorded; i++)
		if (a->records[i % RECORD_LAST])
			json_array_append_new(ticks, json_string(a->records[i % RECORD_LAST]));
	char *header = recording_header(a->service, &a->settings);

	rpc_call_result(call,
		json_pack("{s:s, s:o, s:I, s:I}", "header", header ? header : "", "ticks", ticks,
			"last", (json_int_t)a->recorded, "lost", (json_int_t)lost));
	free(header);
}
