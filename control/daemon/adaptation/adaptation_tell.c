/* SPDX-License-Identifier: BSD-3-Clause */

/* What adaptation tells: directives to the data plane, decisions to those who ask and to the events. */

#include "control/daemon/adaptation/adaptation_private.h"
#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_TIMEOUT_MS 5000
#define REPEAT_NS	 (300 * NS_PER_MS) /* what has not changed; it is stale after a second */
#define OPEN_MAX	 8
#define BURST_NS	 NS_PER_S /* of a source: a second of its rate at once */

/* What each action is an event of; the others are too many, and only explained. */
static bool event_of(const struct adapt_decision *d, enum event_kind *ret_kind)
{
	*ret_kind = d->controller == ADAPT_WEIGHTS ? EVENT_WEIGHT :
		d->controller == ADAPT_CORES	   ? EVENT_CORE :
						     EVENT_LIMIT;
	if (d->controller == ADAPT_FORECAST)
		return false;
	/* Of cores that are not free the data plane tells. */
	return strcmp(d->action, "cap") != 0 && strcmp(d->action, "cores-short") != 0;
}

void adapted_decide(void *ctx, const struct adapt_decision *d)
{
	struct adapted *a = ctx;
	struct timespec now;
	enum event_kind kind;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!a->decisions)
		a->decisions = calloc(DECISIONS, sizeof(*a->decisions));
	if (!a->decisions)
		return;
	double time_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;

	a->decisions[a->decided++ % DECISIONS] =
		(struct kept_decision){ .time_s = time_s, .d = *d };
	for (size_t i = 0; i < ADAPT_ACTION_COUNT; i++)
		a->decided_by_action[i] += !strcmp(adapt_actions[i], d->action);
	if (!event_of(d, &kind))
		return;
	char object[160], text[512];
	struct adapt_decision bare = *d;

	snprintf(object, sizeof(object), "%s%s%s", a->service, *d->object ? " " : "", d->object);
	bare.object[0] = '\0';
	decision_sentence(&bare, text, sizeof(text));
	event_emit(kind, object, text, decision_document(d, a->service, time_s));
}

static uint32_t thousandths(double value)
{
	double scaled = round(value * 1000);

	return scaled < 0 ? 0 : scaled > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)scaled;
}

static uint64_t rate_told(double rate)
{
	return isfinite(rate) ? (uint64_t)ceil(fmax(1, rate)) : WEIR_UNLIMITED;
}

static uint8_t source_prefix(const struct model_service *s)
{
	return (uint8_t)(s->ipv6 ? s->limits.per_source.prefix6 : s->limits.per_source.prefix4);
}

static void header_fill(struct weir_directives *h, const struct adapted *a,
	const struct model_service *s, const struct adapt_directive *directive)
{
	const struct adapt_policing *p = directive ? directive->policing : NULL;
	bool places = a->settings.mode[ADAPT_WEIGHTS] == ADAPT_ON ||
		a->settings.mode[ADAPT_SHED] == ADAPT_ON;

	snprintf(h->service, sizeof(h->service), "%s", a->service);
	h->limit_packets = h->limit_bits = h->limit_connections = WEIR_UNLIMITED;
	h->source_flows = h->source_packets = WEIR_UNLIMITED;
	if (!directive || a->paused || a->of->paused)
		return;
	h->cores = (uint16_t)directive->cores;
	if (places)
		h->flags |= WEIR_DIRECTIVE_F_SPILL;
	if (a->settings.mode[ADAPT_SHED] == ADAPT_ON)
		h->guard_ns =
			(uint64_t)(a->settings.gains.shed_target * (double)s->objective.p99_ns);
	if (a->settings.mode[ADAPT_SOURCES] != ADAPT_OFF) {
		h->flags |= WEIR_DIRECTIVE_F_WATCH;
		h->source_prefix = source_prefix(s);
	}
	if (!p || !p->on)
		return;
	h->flags |= WEIR_DIRECTIVE_F_POLICE;
	h->source_flows = rate_told(p->rate[ADAPT_FLOWS]);
	h->source_packets = rate_told(p->rate[ADAPT_PACKETS]);
	h->source_burst_ns = BURST_NS;
	h->source_yellow = (uint8_t)fmin(64, fmax(2, round(p->yellow)));
}

static void backend_fill(struct weir_directive_backend *to, const struct adapt_backend_directive *b)
{
	memcpy(to->address, b->address, sizeof(to->address));
	to->port = b->port;
	to->ejected = b->ejected;
	to->weight = thousandths(b->weight);
	to->cap = b->cap;
	to->cap_yellow = b->cap_calm < b->cap ? b->cap_calm : b->cap;
	to->close_idle = thousandths(b->close_idle);
}
static_assert(WEIR_WEIGHT_UNIT == 1000 && WEIR_NO_CAP == ADAPT_NO_CAP, "as the message has them");

static void source_fill(struct weir_directive_source *to, const uint8_t prefix[16], double weight,
	uint64_t until_ns, uint64_t now_ns)
{
	double units = round(weight * WEIR_SOURCE_WEIGHT_UNIT);

	memcpy(to->address, prefix, sizeof(to->address));
	to->weight = (uint32_t)fmin(WEIR_SOURCE_WEIGHT_MAX, fmax(1, units));
	to->boxed_ms =
		until_ns > now_ns ? (uint32_t)((until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

/* Those that take flows: the others are as configured. Returns the message, malloc'ed; NULL: no memory. */
static void *message_make(const struct adapted *a, const struct model_service *s,
	const struct adapt_signals *now, const struct adapt_directive *directive,
	size_t *ret_length)
{
	const struct adapt_policing *p =
		directive && directive->policing && directive->policing->on ? directive->policing :
									      NULL;
	size_t backends = directive ? directive->backend_count : 0;
	size_t sources = p ? p->weight_count + p->box_count : 0;
	size_t classes = directive ? directive->class_count : 0;
	struct weir_directives *h = calloc(1,
		sizeof(*h) + backends * sizeof(struct weir_directive_backend) +
			sources * sizeof(struct weir_directive_source) +
			classes * sizeof(struct weir_directive_class));

	if (!h)
		return NULL;
	struct weir_directive_backend *b = (void *)(h + 1);

	header_fill(h, a, s, directive);
	for (size_t i = 0; i < backends; i++)
		if (now->backends[i].usable)
			backend_fill(&b[h->backend_count++], &directive->backends[i]);
	struct weir_directive_source *to = (void *)(b + h->backend_count);

	for (size_t i = 0; p && i < p->weight_count; i++)
		source_fill(&to[h->source_count++], p->weights[i].prefix, p->weights[i].weight, 0,
			now->now_ns);
	for (size_t i = 0; p && i < p->box_count; i++)
		source_fill(&to[h->source_count++], p->box[i].prefix, 1, p->box[i].until_ns,
			now->now_ns);
	struct weir_directive_class *class = (void *)(to + h->source_count);

	for (size_t i = 0; i < classes; i++, h->class_count++) {
		snprintf(class[i].name, sizeof(class[i].name), "%s", directive->classes[i].name);
		class[i].connections = rate_told(directive->classes[i].rate);
	}
	*ret_length = (size_t)((char *)(class + classes) - (char *)h);
	return h;
}
static_assert(2 * ADAPT_SOURCES_MAX <= WEIR_MAX_DIRECTIVE_SOURCES, "all of them fit");

/* By name: the service may have gone before the answer comes. */
struct question {
	struct adaptation *of; /* borrowed: requests end before it */
	char service[MODEL_NAME_MAX + 1];
};

static void replied(void *ctx, int status, const void *body, size_t length)
{
	struct question *q = ctx;
	struct adapted *a = status == -ECONNRESET ? NULL : adapted_find(q->of, q->service, 0);

	if (a) {
		if (a->open)
			a->open--;
		if (status && !a->refused)
			log_warning("service %s: the data plane refused directives: %.*s",
				a->service, (int)length, (const char *)body);
		a->refused = status != 0;
	}
	free(q);
}

/* The same but for when it is issued, and it closes nothing: then it need not be told again soon. */
static bool is_told(
	const struct adapted *a, const struct weir_directives *h, size_t length, uint64_t now_ns)
{
	const struct weir_directive_backend *b = (const void *)(h + 1);

	if (!a->sent || a->sent_length != length || now_ns - a->sent_ns >= REPEAT_NS ||
		memcmp(a->sent, h, length) != 0)
		return false;
	for (uint32_t i = 0; i < h->backend_count; i++)
		if (b[i].close_idle)
			return false;
	return true;
}

void adapted_send(struct adapted *a, const struct model_service *s, const struct adapt_signals *now,
	const struct adapt_directive *directive)
{
	uint64_t now_ns = clock_now_ns();
	size_t length;

	if ((!directive && !a->directed) || a->open >= OPEN_MAX)
		return;
	struct weir_directives *h = message_make(a, s, now, directive, &length);

	if (!h || is_told(a, h, length, now_ns)) {
		free(h);
		return;
	}
	struct question *q = calloc(1, sizeof(*q));

	free(a->sent);
	a->sent = malloc(length);
	a->sent_length = length;
	a->sent_ns = now_ns;
	if (a->sent)
		memcpy(a->sent, h, length);
	h->issued_ns = now_ns;
	if (q) {
		q->of = a->of;
		strcpy(q->service, a->service);
	}
	if (q &&
		!dataplane_request(a->of->d->dataplane, WEIR_MESSAGE_DIRECTIVES, h, length,
			REPLY_TIMEOUT_MS, replied, q)) {
		a->open++;
		a->directed = directive != NULL;
	} else {
		free(q);
	}
	free(h);
}
