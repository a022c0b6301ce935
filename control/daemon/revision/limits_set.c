/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/limits_set.h"

#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/revision/who.h"
#include "control/daemon/state_file.h"
#include "control/daemon/text_mark.h"
#include "control/report/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "limits.json"

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static struct model_service *service_at(const struct model *m, const json_t *limit)
{
	for (size_t i = 0; i < m->service_count; i++)
		if (!strcmp(m->services[i].name, text_at(limit, "service")))
			return &m->services[i];
	return NULL;
}

/* Set one, and note it in the list unless it is what the file has. */
static int limit_apply(struct model *m, const json_t *limit, json_t *list, char *err, size_t size)
{
	struct model_service *s = service_at(m, limit);
	const char *key = text_at(limit, "key");
	char before[32], after[32];

	if (!s) {
		snprintf(err, size, "there is no service %.64s", text_at(limit, "service"));
		return -ENOENT;
	}
	const char *configured = model_limit_print(&s->limits, key, before, sizeof(before));
	int rc = model_limit_set(&s->limits, key, text_at(limit, "value"), err, size);

	if (rc)
		return rc;
	const char *value = model_limit_print(&s->limits, key, after, sizeof(after));

	if (strcmp(configured, value) != 0)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:s}", "service", s->name, "key", key, "value",
				value, "configured", configured));
	return 0;
}

static bool is_same(const json_t *a, const json_t *b)
{
	return !strcmp(text_at(a, "service"), text_at(b, "service")) &&
		!strcmp(text_at(a, "key"), text_at(b, "key"));
}

int limits_plan(const struct daemon *d, struct model *m, json_t *limit, bool keep,
	json_t **ret_list, char *err, size_t err_size)
{
	const struct model_service *before = limit ? service_at(d->model, limit) : NULL;
	json_t *list = json_array();
	char from[32];
	json_t *item;
	size_t i;
	int rc = list ? 0 : -ENOMEM;

	if (before)
		json_object_set_new(limit, "from",
			json_string(model_limit_print(
				&before->limits, text_at(limit, "key"), from, sizeof(from))));
	json_array_foreach(d->limits_set, i, item)
	{
		if (keep && rc == 0 && (!limit || !is_same(item, limit)))
			rc = limit_apply(m, item, list, err, err_size);
	}
	if (limit && rc == 0)
		rc = limit_apply(m, limit, list, err, err_size);
	if (rc) {
		json_decref(list);
		return rc;
	}
	*ret_list = list;
	return 0;
}

static void mark_print(const struct daemon *d, char buf[24])
{
	snprintf(buf, 24, "%llx", (unsigned long long)text_mark(d->text, d->text_length));
}

void limits_save(const struct daemon *d)
{
	char mark[24];

	if (json_array_size(d->limits_set) == 0) {
		rundir_unlink(&d->run, FILE_NAME);
		return;
	}
	mark_print(d, mark);
	state_write(&d->run, FILE_NAME,
		json_pack("{s:s, s:O}", "text_mark", mark, "limits_set", d->limits_set));
}

void limits_continue(struct daemon *d)
{
	json_t *document = state_read(&d->run, FILE_NAME);
	char err[512], mark[24];
	json_t *item;
	size_t i;

	mark_print(d, mark);
	if (!strcmp(text_at(document, "text_mark"), mark)) {
		json_array_foreach(json_object_get(document, "limits_set"), i, item)
		{
			if (limit_apply(d->model, item, d->limits_set, err, sizeof(err)))
				log_warning("a limit that was set by hand is let go: %s", err);
		}
	}
	if (json_array_size(d->limits_set))
		log_notice("going on with %zu limits that were set by hand",
			json_array_size(d->limits_set));
	json_decref(document);
}

void limits_forget(const struct daemon *d)
{
	rundir_unlink(&d->run, FILE_NAME);
}

/* A limit of each source, while adaptation has a lower one in force. */
static void fair_rate_show(
	json_t *per_source, const char *key, uint64_t configured, uint64_t in_force, double rate)
{
	json_t *limit = json_object();

	if (!isfinite(rate) || (double)in_force <= rate) {
		json_decref(limit);
		return;
	}
	json_object_set_new(limit, "configured",
		configured == MODEL_UNLIMITED ? json_null() : json_integer((json_int_t)configured));
	json_object_set_new(limit, "in_force", json_integer((json_int_t)ceil(rate)));
	json_object_set_new(per_source, key, limit);
}

static void fair_rates_show(const struct daemon *d, const struct model_service *s,
	const struct model_per_source *configured, json_t *document)
{
	const struct model_per_source *p = &s->limits.per_source;
	double flows = adaptation_source_rate(d->adaptation, s->name, ADAPT_FLOWS);
	double packets = adaptation_source_rate(d->adaptation, s->name, ADAPT_PACKETS);

	if (!isfinite(flows) && !isfinite(packets))
		return;
	if (json_is_null(json_object_get(document, "per_source")))
		json_object_set_new(document, "per_source",
			json_pack("{s:i, s:i, s:n, s:n}", "prefix4", (int)p->prefix4, "prefix6",
				(int)p->prefix6, "packets", "connections"));
	json_t *per_source = json_object_get(document, "per_source");

	fair_rate_show(per_source, "connections", configured->connections, p->connections, flows);
	fair_rate_show(per_source, "packets", configured->packets, p->packets, packets);
}

json_t *limits_document(const struct daemon *d, const struct model_service *s)
{
	struct model_limits configured = s->limits;
	char err[512];
	json_t *item;
	size_t i;

	json_array_foreach(d->limits_set, i, item)
	{
		if (!strcmp(text_at(item, "service"), s->name))
			(void)model_limit_set(&configured, text_at(item, "key"),
				text_at(item, "configured"), err, sizeof(err));
	}
	json_t *document = report_limits(s, &configured);

	fair_rates_show(d, s, &configured.per_source, document);
	return document;
}

json_t *limits_document_of(const struct daemon *d, const json_t *limit)
{
	const struct model_service *s = service_at(d->model, limit);

	return s ? limits_document(d, s) : NULL;
}

void limits_emit(const json_t *limit, const struct who *who, const char *why)
{
	char text[512], by[64];

	if (*why)
		snprintf(text, sizeof(text), "%s to %.32s is refused, asked by %s: %.300s",
			text_at(limit, "key"), text_at(limit, "value"),
			who_print(who, by, sizeof(by)), why);
	else
		snprintf(text, sizeof(text), "%s %s -> %.32s until the next apply, set by %s",
			text_at(limit, "key"), text_at(limit, "from"), text_at(limit, "value"),
			who_print(who, by, sizeof(by)));
	log_notice("service %s: limit of %s", text_at(limit, "service"), text);
	event_emit(EVENT_LIMIT, text_at(limit, "service"), text,
		json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "what", *why ? "refused" : "set", "key",
			text_at(limit, "key"), "from", text_at(limit, "from"), "to",
			text_at(limit, "value"), "by", who_document(who), "reason", why));
}

void limits_warn(const struct daemon *d, json_t *warnings)
{
	json_t *item;
	size_t i;

	json_array_foreach(d->limits_set, i, item)
	{
		json_array_append_new(warnings,
			json_sprintf("service %s: limit of %s is %s, set by hand, and %s in the "
				     "configuration; the next `weirctl config apply` takes it back",
				text_at(item, "service"), text_at(item, "key"),
				text_at(item, "value"), text_at(item, "configured")));
	}
}
