/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/adapt/signals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(ADAPT_HIST_BUCKETS == READING_TAIL_BUCKETS, "tails are read as they are used");

void signals_past_clear(struct signals_past *p)
{
	free(p->tails);
	free(p->whose);
	free(p->heavy);
	*p = (struct signals_past){ 0 };
}

void signals_free(struct adapt_signals *s)
{
	free(s->tails);
	free(s->founds);
	free(s->backends);
	free(s->sources);
	free(s->classes);
	*s = (struct adapt_signals){ 0 };
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static const struct reading_backend *backend_before(
	const struct reading_service *s, const struct reading_backend *of, size_t guess)
{
	if (guess < s->backend_count && s->backends[guess].slot == of->slot)
		return s->backends[guess].entry.epoch == of->entry.epoch ? &s->backends[guess] :
									   NULL;
	for (size_t i = 0; i < s->backend_count; i++)
		if (s->backends[i].slot == of->slot)
			return s->backends[i].entry.epoch == of->entry.epoch ? &s->backends[i] :
									       NULL;
	return NULL;
}

static void backend_fill(struct adapt_backend_signals *to, const struct reading_service *s,
	const struct reading_backend *b, const struct reading_backend *before)
{
	const struct weir_backend_entry *e = &b->entry;
	memcpy(to->address, e->address, sizeof(to->address));
	to->port = e->port;
	to->weight = e->weight;
	to->usable = e->state == WEIR_BACKEND_UP && e->weight != 0 && e->pool == 0 &&
		(e->fallback != 0) == s->falls_back;
	to->in_flight = b->in_flight > 0 ? (double)b->in_flight : 0;
	to->in_flight_peak = b->in_flight_peak > 0 ? (double)b->in_flight_peak : 0;
	if (before == NULL)
		return;
	to->requests = since(b->requests, before->requests);
	to->answered = since(b->answered, before->answered);
	to->answered_s = (double)since(b->answered_ns, before->answered_ns) / 1e9;
	to->new_flows = since(b->new_flows, before->new_flows);
	to->syn_sent = since(b->syn_sent, before->syn_sent);
	to->syn_answered = since(b->connects, before->connects);
	to->unheard = b->packets_from > 0 && b->packets_from == before->packets_from;
}

static const struct reading_tail *tail_before(
	const struct signals_past *p, const struct reading_backend *b, size_t guess)
{
	if (guess < p->tail_count && p->whose[guess].slot == b->slot)
		return p->whose[guess].epoch == b->entry.epoch ? &p->tails[guess] : NULL;
	for (size_t i = 0; i < p->tail_count; i++)
		if (p->whose[i].slot == b->slot && p->whose[i].epoch == b->entry.epoch)
			return &p->tails[i];
	return NULL;
}

static void tail_fill(struct adapt_histogram *to, const struct reading_tail *now,
	const struct reading_tail *before)
{
	if (before == NULL || now->count <= before->count) {
		*to = (struct adapt_histogram){ 0 };
		return;
	}
	uint64_t count = 0;
	for (size_t i = 0; i < ADAPT_HIST_BUCKETS; i++) {
		to->bucket[i] = now->bucket[i] - before->bucket[i];
		count += to->bucket[i];
	}
	to->count = count;
}

static void found_fill(
	struct adapt_found *to, const struct reading_tail *now, const struct reading_tail *before)
{
	*to = (struct adapt_found){ 0 };
	if (before == NULL)
		return;
	for (size_t i = 0; i < WEIR_FOUND_CLASSES; i++) {
		uint64_t n = since(now->found.count[i], before->found.count[i]);
		if (n == 0)
			continue;
		to->count[i] = (double)n;
		to->sum_s[i] = (double)since(now->found.sum_ns[i], before->found.sum_ns[i]) / 1e9;
	}
}

/* Differences of the tails; what is there now is taken over for the next time. */
static int tails_fill(
	struct reading_service *s, struct signals_past *past, struct adapt_signals *to)
{
	struct adapt_histogram *made = malloc((s->backend_count + 1) * sizeof(*made));
	struct adapt_found *founds = malloc((s->backend_count + 1) * sizeof(*founds));
	struct past_backend *whose = calloc(s->backend_count + 1, sizeof(*whose));
	if (made == NULL || founds == NULL || whose == NULL) {
		free(made);
		free(founds);
		free(whose);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->backend_count; i++) {
		whose[i] = (struct past_backend){ s->backends[i].slot, s->backends[i].entry.epoch };
		const struct reading_tail *before = tail_before(past, &s->backends[i], i);
		tail_fill(&made[i], &s->tails[i], before);
		found_fill(&founds[i], &s->tails[i], before);
		to->backends[i].tail = &made[i];
		to->backends[i].found = &founds[i];
	}
	free(past->tails);
	free(past->whose);
	past->tails = s->tails;
	past->whose = whose;
	past->tail_count = s->backend_count;
	s->tails = NULL;
	to->tails = made;
	to->founds = founds;
	return 0;
}

static bool is_of(const struct weir_heavy_set *set, size_t way, const uint8_t address[16])
{
	return set->tag[way] != 0 && memcmp(set->entry[way].address, address, 16) == 0;
}

/* Mostly in the way where it is now. */
static const struct weir_heavy_entry *heavy_before(
	const struct weir_heavy_set *set, const uint8_t address[16], size_t guess)
{
	if (is_of(set, guess, address))
		return &set->entry[guess];
	for (size_t way = 0; way < WEIR_HEAVY_WAYS; way++)
		if (is_of(set, way, address))
			return &set->entry[way];
	return NULL;
}

static int source_compare(const void *a, const void *b)
{
	return memcmp(((const struct adapt_source_signals *)a)->prefix,
		((const struct adapt_source_signals *)b)->prefix, 16);
}

/* The same source of several cores becomes one. */
static void sources_merge(struct adapt_signals *to)
{
	size_t kept = 0;
	qsort(to->sources, to->source_count, sizeof(*to->sources), source_compare);
	for (size_t i = 0; i < to->source_count; i++) {
		struct adapt_source_signals *last = kept > 0 ? &to->sources[kept - 1] : NULL;
		if (last != NULL && source_compare(last, &to->sources[i]) == 0)
			for (int k = 0; k < ADAPT_RESOURCE_COUNT; k++)
				last->rate[k] += to->sources[i].rate[k];
		else
			to->sources[kept++] = to->sources[i];
	}
	to->source_count = kept;
}

static void heavy_set_fill(struct adapt_signals *to, const struct weir_heavy_set *now,
	const struct weir_heavy_set *before, double per_second)
{
	for (size_t way = 0; way < WEIR_HEAVY_WAYS; way++) {
		const struct weir_heavy_entry *e = &now->entry[way];
		if (now->tag[way] == 0)
			continue;
		const struct weir_heavy_entry *was = heavy_before(before, e->address, way);
		/* One that has lost its place meanwhile began anew. */
		bool same = was != NULL && was->flows <= e->flows && was->packets <= e->packets;
		uint64_t flows = e->flows - (same ? was->flows : 0);
		uint64_t packets = e->packets - (same ? was->packets : 0);
		if (flows == 0 && packets == 0)
			continue;
		struct adapt_source_signals *s = &to->sources[to->source_count++];
		memcpy(s->prefix, e->address, sizeof(s->prefix));
		s->rate[ADAPT_FLOWS] = (double)flows * per_second;
		s->rate[ADAPT_PACKETS] = (double)packets * per_second;
	}
}

static int sources_fill(const struct reading *now, struct reading_service *s,
	struct signals_past *past, struct adapt_signals *to)
{
	bool comparable = past->heavy != NULL && past->heavy_count == s->heavy_count &&
		now->taken_ns > past->heavy_ns;
	if (comparable) {
		double per_second = 1e9 / (double)(now->taken_ns - past->heavy_ns);
		to->sources = malloc((s->heavy_count * WEIR_HEAVY_SETS * WEIR_HEAVY_WAYS + 1) *
			sizeof(*to->sources));
		if (to->sources == NULL)
			return -ENOMEM;
		for (size_t i = 0; i < s->heavy_count; i++)
			for (size_t j = 0; j < WEIR_HEAVY_SETS; j++)
				heavy_set_fill(to, &s->heavy[i].set[j], &past->heavy[i].set[j],
					per_second);
		if (s->heavy_count > 1)
			sources_merge(to);
		to->sources_ns = now->taken_ns - past->heavy_ns;
	}
	free(past->heavy);
	past->heavy = s->heavy;
	past->heavy_count = s->heavy_count;
	past->heavy_ns = now->taken_ns;
	s->heavy = NULL;
	return 0;
}

static int classes_fill(struct adapt_signals *to, const struct reading_service *s,
	const struct reading_service *before)
{
	to->classes = s->class_count > 0 ? calloc(s->class_count, sizeof(*to->classes)) : NULL;
	if (s->class_count > 0 && to->classes == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->class_count; i++) {
		const struct reading_class *c = &s->classes[i];
		struct adapt_class_signals *class = &to->classes[to->class_count++];
		memcpy(class->name, c->name, sizeof(class->name));
		class->configured = c->configured;
		for (size_t j = 0; j < before->class_count; j++)
			if (strcmp(before->classes[j].name, c->name) == 0)
				class->new_flows =
					since(c->new_flows, before->classes[j].new_flows);
	}
	return 0;
}

static double busiest(
	const struct reading *before, const struct reading *now, const struct reading_service *s)
{
	double most = 0;
	for (int i = 0; i < WEIR_MAX_CORES; i++) {
		if ((s->worker_mask & (UINT64_C(1) << i)) == 0)
			continue;
		double busy = (double)since(now->core[i].busy_cycles, before->core[i].busy_cycles);
		double idle = (double)since(now->core[i].idle_cycles, before->core[i].idle_cycles);
		if (busy + idle > 0 && busy / (busy + idle) > most)
			most = busy / (busy + idle);
	}
	return most;
}

/*
 * What the service keeps busy of a core, as a share of what it may have there: what others leave, and at least an
 * equal part. 0 where the core got to no end of a round meanwhile.
 */
static double share_of(const struct reading *before, const struct reading *now,
	const struct reading_service *s, const struct reading_service *b, int core)
{
	double busy = (double)since(now->core[core].busy_cycles, before->core[core].busy_cycles);
	double idle = (double)since(now->core[core].idle_cycles, before->core[core].idle_cycles);
	double own = (double)since(s->busy_cycles[core], b->busy_cycles[core]);
	double all = busy + idle;
	double services = now->core[core].services > 1 ? now->core[core].services : 1;
	if (all <= 0)
		return 0;
	own = own < busy ? own : busy;
	double left = (all - (busy - own)) / all;
	double may = left > 1 / services ? left : 1 / services;
	return own / all < may ? own / all / may : 1;
}

static void cores_fill(struct adapt_signals *to, const struct reading *before,
	const struct reading *now, const struct reading_service *s, const struct reading_service *b)
{
	for (int i = 0; i < WEIR_MAX_CORES; i++) {
		if ((s->worker_mask & (UINT64_C(1) << i)) == 0)
			continue;
		double share = share_of(before, now, s, b, i);
		to->cores++;
		to->cores_load += share;
		if (share > to->cores_busy)
			to->cores_busy = share;
	}
	to->cores_wanted = s->cores_wanted;
	to->cores_short = s->cores_short;
	to->cores_sought = since(now->cores_short, s->cores_short);
}

static uint64_t dropped_since(
	const struct reading_service *s, const struct reading_service *b, enum weir_drop_reason why)
{
	return since(s->dropped[why], b->dropped[why]);
}

static void service_fill(struct adapt_signals *to, const struct reading *before,
	const struct reading *now, const struct reading_service *s, const struct reading_service *b)
{
	to->now_ns = now->taken_ns;
	to->elapsed_ns = since(now->taken_ns, before->taken_ns);
	to->age_ns = since(now->taken_ns, now->heartbeat_ns);
	to->packets = since(s->packets, b->packets);
	to->bits = 8 * since(s->bytes, b->bytes);
	to->offered = since(s->offered, b->offered);
	to->forwarded = since(s->new_flows, b->new_flows);
	to->shed = dropped_since(s, b, WEIR_DROP_SHED);
	to->policed = dropped_since(s, b, WEIR_DROP_SOURCE_POLICED) +
		dropped_since(s, b, WEIR_DROP_SOURCE_BOXED);
	to->ring_full = dropped_since(s, b, WEIR_DROP_WORKER_RING_FULL) +
		dropped_since(s, b, WEIR_DROP_WORKER_BEHIND) +
		dropped_since(s, b, WEIR_DROP_EARLY_IN_KERNEL);
	to->busy = busiest(before, now, s);
	cores_fill(to, before, now, s, b);
}

int signals_between(const struct reading *before, const struct reading *now,
	struct reading_service *of, struct signals_past *past, struct adapt_signals *ret_signals)
{
	bool same_run =
		before != NULL && before->start_ns == now->start_ns && before->pid == now->pid;
	const struct reading_service *b =
		same_run ? reading_find(before, of->name, (size_t)(of - now->services)) : NULL;
	if (b == NULL || b->slot != of->slot || b->epoch != of->epoch) {
		signals_past_clear(past);
		return -EAGAIN;
	}
	struct adapt_signals s = { 0 };
	service_fill(&s, before, now, of, b);
	s.backends = calloc(of->backend_count + 1, sizeof(*s.backends));
	if (s.backends == NULL)
		return -ENOMEM;
	s.backend_count = of->backend_count;
	for (size_t i = 0; i < of->backend_count; i++)
		backend_fill(&s.backends[i], of, &of->backends[i],
			backend_before(b, &of->backends[i], i));
	int err = of->tails != NULL ? tails_fill(of, past, &s) : 0;
	if (err == 0)
		err = classes_fill(&s, of, b);
	if (err == 0 && of->heavy != NULL)
		err = sources_fill(now, of, past, &s);
	if (err != 0) {
		signals_free(&s);
		return err;
	}
	*ret_signals = s;
	return 0;
}
