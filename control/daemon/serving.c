/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/serving.h"

#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/pool.h"

#include <stdlib.h>
#include <string.h>

enum who {
	WHO_UNSAID = 0,
	WHO_BACKENDS,
	WHO_FALLBACK,
	WHO_NOBODY,
};

struct serving_entry {
	char service[MODEL_NAME_MAX + 1];
	enum who who;
};

struct serving_count serving_count(const struct pool *p, const struct model_service *s)
{
	struct serving_count count = { 0 };

	for (size_t i = 0; i < model_backend_total(s); i++) {
		const struct model_backend *b = model_backend_at(s, i);
		const bool fallback = model_backend_is_fallback(s, i);
		struct pool_health h;

		if (model_backend_pool(s, i))
			continue; /* serves what a policy sends there, and nothing else */
		if (!pool_health(p, s->name, &b->address, b->port, &h) ||
			h.verdict == HEALTH_UNKNOWN)
			count.unknown++;
		else if (h.verdict == HEALTH_GOOD && !h.draining && b->weight)
			*(fallback ? &count.usable_fallback : &count.usable) += 1;
		else if (h.verdict == HEALTH_GOOD && !fallback)
			count.draining++;
	}
	return count;
}

/* before: what was said last. Stays so while checks that could change it have not ended yet. */
static enum who who_serves(const struct pool *p, const struct model_service *s, enum who before)
{
	struct serving_count count = serving_count(p, s);

	if (count.usable)
		return WHO_BACKENDS;
	if (count.unknown)
		return before;
	return count.usable_fallback ? WHO_FALLBACK : WHO_NOBODY;
}

/* That backends serve is nothing to talk about, unless somebody else did before. */
static void say(const struct model_service *s, enum who who, enum who before)
{
	static const struct {
		const char *label;
		const char *text;
	} words[] = {
		[WHO_BACKENDS] = { "backends", "its backends serve again" },
		[WHO_FALLBACK] = { "fallback", "no backend can serve, its fallback pool does" },
		[WHO_NOBODY] = { "nobody", "nobody can serve it" },
	};

	if (who == WHO_BACKENDS && before == WHO_UNSAID)
		return;
	event_emit(EVENT_POOL, s->name, words[who].text,
		json_pack("{s:s, s:s}", "service", s->name, "serves", words[who].label));
	if (who == WHO_BACKENDS)
		log_notice("service %s: %s", s->name, words[who].text);
	else
		log_warning("service %s: %s", s->name, words[who].text);
}

static enum who said_before(const struct serving *v, const char *service, size_t guess)
{
	if (guess < v->count && !strcmp(v->entries[guess].service, service))
		return v->entries[guess].who;
	for (size_t i = 0; i < v->count; i++)
		if (!strcmp(v->entries[i].service, service))
			return v->entries[i].who;
	return WHO_UNSAID;
}

void serving_follow(struct serving *v, const struct pool *p, const struct model *m)
{
	struct serving_entry *next = calloc(m->service_count + 1, sizeof(*next));

	for (size_t i = 0; next && i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		enum who before = said_before(v, s->name, i);

		memcpy(next[i].service, s->name, sizeof(next[i].service));
		next[i].who = who_serves(p, s, before);
		if (next[i].who != before && next[i].who != WHO_UNSAID)
			say(s, next[i].who, before);
	}
	if (!next)
		return;
	free(v->entries);
	v->entries = next;
	v->count = m->service_count;
}

void serving_fini(struct serving *v)
{
	free(v->entries);
	*v = (struct serving){ 0 };
}
