/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/adaptation/probes_private.h"
#include "control/daemon/clock.h"
#include "control/probe/message.h"
#include "dataplane/api/histogram.h"

#include <event2/event.h>

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOCK_APART_NS (60 * NS_PER_S)
#define STALE_LEAST_NS NS_PER_S
#define STALE_REPORTS  3 /* intervals without one */

const char *probes_refusal_name(enum probes_refusal r)
{
	static const char *const names[] = {
#define X(name, label, help) label,
		PROBES_REFUSALS(X)
#undef X
	};

	return names[r];
}

static bool is_fresh(const struct told_backend *b, uint64_t now_ns)
{
	uint64_t patience = STALE_REPORTS * b->interval_ns;

	return now_ns - b->at_ns < (patience > STALE_LEAST_NS ? patience : STALE_LEAST_NS);
}

/* FNV-1a (Fowler, Noll, Vo). Names and addresses are the operator's, so nobody aims at a place. */
static size_t place_of(const char *service, const uint8_t address[16])
{
	uint32_t h = 0x811c9dc5u;

	for (; *service; service++)
		h = (h ^ (uint8_t)*service) * 0x01000193u;
	for (int i = 0; i < 16; i++)
		h = (h ^ address[i]) * 0x01000193u;
	return h & (PROBES_PLACES - 1);
}

static struct told_backend *backend_find(
	const struct probes *p, const char *service, const uint8_t address[16], uint16_t port)
{
	for (struct told_backend *b = p->places[place_of(service, address)]; b; b = b->next)
		if (b->port == port && !memcmp(b->address.bytes, address, 16) &&
			!strcmp(b->service, service))
			return b;
	return NULL;
}

/* Made when it is not there; NULL: out of memory. */
static struct told_backend *backend_of(
	struct probes *p, const char *service, const struct model_backend *of)
{
	struct told_backend *b = backend_find(p, service, of->address.bytes, of->port);
	struct told_backend **place = &p->places[place_of(service, of->address.bytes)];

	if (b)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	snprintf(b->service, sizeof(b->service), "%s", service);
	b->address = of->address;
	b->port = of->port;
	b->next = *place;
	return *place = b;
}

/* The service's backend on this host; NULL: none, or its answers do not go past Weir. */
static const struct model_backend *host_find(
	const struct model_service *s, const uint8_t address[16])
{
	for (size_t i = 0; s->mode != MODEL_NAT && i < model_backend_total(s); i++) {
		const struct model_backend *b = model_backend_at(s, i);

		if (!memcmp(b->address.bytes, address, 16))
			return b;
	}
	return NULL;
}

static bool is_host(const struct model *m, const uint8_t address[16])
{
	for (size_t i = 0; i < m->service_count; i++)
		if (host_find(&m->services[i], address))
			return true;
	return false;
}

static bool service_matches(const struct model_service *m, const struct probe_service *s)
{
	unsigned int whole = m->prefix_length / 8, rest = m->prefix_length % 8;

	if ((m->port != 0 && m->port != s->port) ||
		s->protocol != (m->protocol == MODEL_TCP ? IPPROTO_TCP : IPPROTO_UDP) ||
		memcmp(m->address.bytes, s->address, whole) != 0)
		return false;
	return !rest || !((m->address.bytes[whole] ^ s->address[whole]) >> (8 - rest));
}

static void pair_add(struct weir_histogram *h, struct probe_pair pair)
{
	h->bucket[pair.bucket] += pair.count;
	h->count += pair.count;
}

static void service_take(struct probes *p, const struct probe_message *m,
	const struct probe_service *s, const struct model_service *of,
	const struct model_backend *host, uint64_t now_ns)
{
	struct told_backend *b = backend_of(p, of->name, host);

	if (!b)
		return;
	b->at_ns = now_ns;
	b->interval_ns = m->interval_ms * NS_PER_MS;
	if (!(s->flags & PROBE_SERVICE_F_MORE)) {
		b->open = s->open;
		b->waiting = s->waiting;
	}
	b->syns += s->syns;
	b->connect.sum_ns += s->connect_ns;
	b->first_byte.sum_ns += s->first_byte_ns;
	for (unsigned int i = 0; i < s->connect_count; i++)
		pair_add(&b->connect, probe_pair_at(s, i));
	for (unsigned int i = 0; i < s->first_byte_count; i++)
		pair_add(&b->first_byte, probe_pair_at(s, s->connect_count + i));
	b->came.requests += s->requests;
	b->came.answered = b->first_byte.count;
	b->came.answered_ns = b->first_byte.sum_ns;
}

/* The sender's place, made when it is not there; NULL: out of memory. */
static struct sender *sender_of(struct probes *p, const uint8_t address[16])
{
	for (size_t i = 0; i < p->sender_count; i++)
		if (!memcmp(p->senders[i].address, address, 16))
			return &p->senders[i];
	struct sender *list = realloc(p->senders, (p->sender_count + 1) * sizeof(*list));

	if (!list)
		return NULL;
	p->senders = list;
	list[p->sender_count] = (struct sender){ 0 };
	memcpy(list[p->sender_count].address, address, 16);
	return &list[p->sender_count++];
}

/* Whether a sealed message is one to take: -1, or why not. */
static int message_check(struct probes *p, const struct model *model, const struct probe_message *m,
	const struct address *from, uint64_t real_ns)
{
	uint64_t apart = m->time_ns > real_ns ? m->time_ns - real_ns : real_ns - m->time_ns;

	if (memcmp(m->sender, from->bytes, sizeof(m->sender)) != 0)
		return PROBES_SENDER;
	if (!is_host(model, m->sender))
		return PROBES_BACKEND;
	if (apart > CLOCK_APART_NS)
		return PROBES_CLOCK;
	struct sender *s = sender_of(p, m->sender);

	if (!s || m->boot < s->boot || (m->boot == s->boot && m->sequence <= s->sequence))
		return PROBES_SEQUENCE;
	s->boot = m->boot;
	s->sequence = m->sequence;
	return -1;
}

static int refusal_of(int err)
{
	return err == -EMSGSIZE		? PROBES_LENGTH :
		err == -EPROTONOSUPPORT ? PROBES_VERSION :
		err == -EACCES		? PROBES_KEY :
					  PROBES_LAYOUT;
}

void probes_take(struct probes *p, const struct model *m, const void *data, size_t length,
	const struct address *from, uint64_t now_ns, uint64_t real_ns)
{
	struct probe_message message;
	int err = probe_message_open(data, length, &p->key, &message);
	int refusal = err ? refusal_of(err) : message_check(p, m, &message, from, real_ns);

	if (refusal >= 0) {
		p->figures.refused[refusal]++;
		return;
	}
	p->figures.received++;
	for (unsigned int i = 0; i < message.service_count; i++) {
		const struct probe_service *s = &message.services[i];
		bool known = false;

		for (size_t j = 0; j < m->service_count; j++) {
			const struct model_service *of = &m->services[j];
			const struct model_backend *host =
				service_matches(of, s) ? host_find(of, message.sender) : NULL;

			if (host)
				service_take(p, &message, s, of, host, now_ns);
			known |= host != NULL;
		}
		if (!known)
			p->figures.refused[PROBES_SERVICE]++;
	}
}

struct probes *probes_create(const struct probe_key *key)
{
	struct probes *p = calloc(1, sizeof(*p));

	if (p) {
		p->fd = -1;
		p->key = *key;
	}
	return p;
}

void probes_stop(struct probes *p)
{
	if (!p)
		return;
	if (p->readable)
		event_free(p->readable);
	if (p->fd >= 0)
		close(p->fd);
	for (size_t i = 0; i < PROBES_PLACES; i++)
		while (p->places[i]) {
			struct told_backend *next = p->places[i]->next;

			free(p->places[i]);
			p->places[i] = next;
		}
	free(p->senders);
	probe_key_clear(&p->key);
	free(p);
}

static bool is_in_model(const struct model *m, const struct told_backend *b)
{
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];

		if (s->mode == MODEL_NAT || strcmp(s->name, b->service) != 0)
			continue;
		for (size_t j = 0; j < model_backend_total(s); j++) {
			const struct model_backend *of = model_backend_at(s, j);

			if (of->port == b->port && !memcmp(&of->address, &b->address, 16))
				return true;
		}
	}
	return false;
}

/* Senders stay: a replay must not come in through a change of the configuration. */
void probes_follow(struct probes *p, const struct model *m)
{
	p->model = m;
	for (size_t i = 0; i < PROBES_PLACES; i++)
		for (struct told_backend **at = &p->places[i]; *at;) {
			struct told_backend *b = *at;

			if (is_in_model(m, b)) {
				at = &b->next;
				continue;
			}
			*at = b->next;
			free(b);
		}
}

const struct probes_figures *probes_figures(const struct probes *p)
{
	return &p->figures;
}

size_t probes_count_fresh(const struct probes *p, uint64_t now_ns)
{
	size_t count = 0;

	for (size_t i = 0; i < PROBES_PLACES; i++)
		for (const struct told_backend *b = p->places[i]; b; b = b->next)
			count += is_fresh(b, now_ns);
	return count;
}

void probes_fill_snapshot(const struct probes *p, struct snapshot *s)
{
	for (size_t i = 0; p && i < s->service_count; i++) {
		struct snapshot_service *of = &s->services[i];

		for (size_t j = 0; j < of->backend_count; j++) {
			struct snapshot_backend *to = &of->backends[j];
			const struct told_backend *b =
				backend_find(p, of->entry.name, to->entry.address, to->entry.port);

			if (!b)
				continue;
			to->sum.connect = b->connect;
			to->sum.first_byte = b->first_byte;
		}
	}
}

static uint64_t share_of(uint64_t came, uint64_t shown, double share)
{
	uint64_t part = (uint64_t)((double)(came - shown) * share + 0.5);

	return shown + (part > came - shown ? came - shown : part);
}

/* A share of what has not been shown, and of the answers' time as much as of the answers. */
static void figures_show(struct told_backend *b, uint64_t now_ns)
{
	double passed = b->shown_ns ? (double)(now_ns - b->shown_ns) : INFINITY;
	double share = passed / (passed + (double)b->interval_ns);
	uint64_t left = b->came.answered - b->shown.answered;

	b->shown_ns = now_ns;
	if (!(share < 0.9)) {
		b->shown = b->came;
		return;
	}
	b->shown.requests = share_of(b->came.requests, b->shown.requests, share);
	b->shown.answered = share_of(b->came.answered, b->shown.answered, share);
	double taken = left ? 1 - (double)(b->came.answered - b->shown.answered) / (double)left : 1;

	b->shown.answered_ns = share_of(b->came.answered_ns, b->shown.answered_ns, taken);
}

void probes_fill_reading(
	struct probes *p, const struct model_service *m, struct reading_service *s, uint64_t now_ns)
{
	for (size_t i = 0; p && m->mode != MODEL_NAT && i < s->backend_count; i++) {
		struct reading_backend *to = &s->backends[i];
		struct told_backend *b =
			backend_find(p, m->name, to->entry.address, to->entry.port);

		if (!b)
			continue;
		figures_show(b, now_ns);
		to->requests = b->shown.requests;
		to->answered = b->shown.answered;
		to->answered_ns = b->shown.answered_ns;
		to->syn_sent = b->syns;
		to->connects = b->connect.count;
		to->in_flight = b->waiting;
		to->in_flight_peak = b->waiting;
		for (uint32_t j = 0; s->tails && j < WEIR_HIST_BUCKETS; j++)
			s->tails[i].bucket[j >> READING_TAIL_SHIFT] += b->first_byte.bucket[j];
		if (s->tails)
			s->tails[i].count += b->first_byte.count;
	}
}

void probes_fill_signals(const struct probes *p, const struct model_service *m,
	struct adapt_signals *s, uint64_t now_ns)
{
	for (size_t i = 0; m->mode != MODEL_NAT && i < s->backend_count; i++) {
		struct adapt_backend_signals *to = &s->backends[i];
		const struct told_backend *b =
			p ? backend_find(p, m->name, to->address, to->port) : NULL;

		to->blind = !b || !is_fresh(b, now_ns);
		if (!to->blind)
			continue;
		/* Flows open are no requests in flight, nor are SYNs unanswered whose answers nobody sees. */
		to->in_flight = to->in_flight_peak = to->answered_s = 0;
		to->requests = to->answered = to->syn_sent = to->syn_answered = 0;
	}
}

json_t *probes_backend_document(const struct probes *p, const char *service,
	const struct model_backend *of, uint64_t now_ns)
{
	const struct told_backend *b =
		p ? backend_find(p, service, of->address.bytes, of->port) : NULL;

	if (!b)
		return json_null();
	return json_pack("{s:f, s:b, s:I, s:I}", "age", (double)(now_ns - b->at_ns) / 1e9, "fresh",
		(int)is_fresh(b, now_ns), "open", (json_int_t)b->open, "waiting",
		(json_int_t)b->waiting);
}
