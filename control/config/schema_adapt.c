/* SPDX-License-Identifier: BSD-3-Clause */

/* The keys of a service that are about adaptation: their rows, and the rules between them. */

#include "control/config/bind.h"
#include "control/config/model.h"
#include "control/config/schema.h"

#define FIELD(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static const struct schema_choice adapt_choices[] = {
	{ .name = "on", .value = MODEL_ADAPT_ON },
	{ .name = "observe",
		.value = MODEL_ADAPT_OBSERVE,
		.help = "decide and explain, change nothing" },
	{ .name = "off", .value = MODEL_ADAPT_OFF },
	{ 0 },
};

static bool objective_is_set(const void *object)
{
	return ((const struct model_objective *)object)->p99_ns != 0;
}

const struct schema_key schema_objective_keys[] = {
	{ .name = "p99",
		.type = SCHEMA_TIME,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_objective, p99_ns),
		.min = MS / 10,
		.max = 60 * S,
		.example = "20ms",
		.applies = objective_is_set,
		.help = "99 of 100 requests get their first byte from the backend within this time." },
	{ 0 },
};

#define ADAPT_DEFAULT "on where `objective` is set, else off"

/* Any of them: then all are written, so that a reader need not know the defaults. */
static bool adapt_is_set(const void *object)
{
	const struct model_adapt *a = object;

	return a->weights != MODEL_ADAPT_OFF || a->shed != MODEL_ADAPT_OFF ||
		a->sources != MODEL_ADAPT_OFF || a->forecast != MODEL_ADAPT_OFF || a->objective;
}

static bool cores_have_a_range(const void *object)
{
	return ((const struct model_adapt *)object)->range;
}

const struct schema_key schema_adapt_keys[] = {
	{ .name = "weights",
		.type = SCHEMA_CHOICE,
		FIELD(model_adapt, weights),
		.preset_help = ADAPT_DEFAULT "; off outside `nat` without `probes`",
		.choices = adapt_choices,
		.applies = adapt_is_set,
		.help = "Backends that are slower than their pool get fewer new flows; those that answer "
			"nothing are ejected. Outside `nat` only with `probes`." },
	{ .name = "shed",
		.type = SCHEMA_CHOICE,
		FIELD(model_adapt, shed),
		.preset_help = ADAPT_DEFAULT "; off outside `nat`",
		.choices = adapt_choices,
		.applies = adapt_is_set,
		.help = "New flows that no backend could serve inside the objective are refused at once. "
			"Needs `objective`; only in `nat`." },
	{ .name = "sources",
		.type = SCHEMA_CHOICE,
		FIELD(model_adapt, sources),
		.preset_help = ADAPT_DEFAULT,
		.choices = adapt_choices,
		.applies = adapt_is_set,
		.help = "While there is not enough for all, each source gets its fair share. Sources are "
			"as in `limits.per-source`." },
	{ .name = "forecast",
		.type = SCHEMA_CHOICE,
		FIELD(model_adapt, forecast),
		.preset_help = ADAPT_DEFAULT,
		.choices = adapt_choices,
		.applies = adapt_is_set,
		.help = "Prepares for a rise that can be foreseen: more room under the caps, a shorter "
			"slow start of backends that come back." },
	{ .name = "cores",
		.type = SCHEMA_CHOICE,
		FIELD(model_adapt, cores),
		.preset_help = "on where `cores` is a range, else off",
		.choices = adapt_choices,
		.applies = cores_have_a_range,
		.help = "The service gets more cores when its own are busy, or will be, and gives them "
			"back when it is quiet. Needs `cores: {min, max}`; no `objective`." },
	{ 0 },
};

static void check_adapt_cores(struct error_list *errors, struct model_service *s, struct node *map)
{
	struct node *n = node_get(map, "cores");
	s->adapt.range = s->cores.max > s->cores.min;
	if (n == NULL)
		s->adapt.cores = s->adapt.range ? MODEL_ADAPT_ON : MODEL_ADAPT_OFF;
	else if (!n->bad && s->adapt.cores != MODEL_ADAPT_OFF && !s->adapt.range)
		node_complain(errors, n, NULL,
			"is given where cores is no range, expected off or cores such as "
			"{min: 1, max: 4}");
}

void check_adapt(
	struct error_list *errors, struct model_service *s, struct node *service, bool probed)
{
	struct node *map = node_get(service, "adapt");
	struct node *mode = node_get(service, "mode");
	bool objective = s->objective.p99_ns != 0;
	const struct {
		const char *key;
		enum model_adapt_mode *mode;
		bool sees_replies; /* it takes that */
		bool probes_do; /* or probes that see them */
		bool objective;
	} keys[] = {
		{ "weights", &s->adapt.weights, true, true, false },
		{ "shed", &s->adapt.shed, true, false, true },
		{ "sources", &s->adapt.sources, false, false, false },
		{ "forecast", &s->adapt.forecast, false, false, false },
	};
	s->adapt.objective = objective;
	check_adapt_cores(errors, s, map);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct node *n = node_get(map, keys[i].key);
		bool blind = keys[i].sees_replies && s->mode != MODEL_NAT &&
			!(keys[i].probes_do && probed);
		if (n == NULL) {
			*keys[i].mode = objective && !blind ? MODEL_ADAPT_ON : MODEL_ADAPT_OFF;
			continue;
		}
		if (n->bad || *keys[i].mode == MODEL_ADAPT_OFF)
			continue;
		if (blind && mode != NULL && !mode->bad)
			node_complain(errors, n, NULL,
				keys[i].probes_do ?
					"%s does not see replies, which this goes by, expected off or "
					"probes" :
					"%s does not see replies, which this goes by, expected off",
				model_mode_label(s->mode));
		else if (keys[i].objective && node_get(service, "objective") == NULL)
			node_complain(errors, n, NULL,
				"is given without objective, expected off or an objective");
	}
}
