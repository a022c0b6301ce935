/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The guard: keeps latency from running away while nobody directs. Main thread.
 *
 * Every 100 ms, for each backend: its latency is the larger of what its answers took and of what is in
 * flight at the rate of answers (Little's law). Over guard_ns the cap falls at once to what that rate allows,
 * by half at most; well below it a cap that is used grows by a twentieth, never over what was told last.
 * So the guard can only refuse more than control did, and less again.
 */

#include "dataplane/core/guard.h"

#include "dataplane/core/core.h"
#include "dataplane/service/directive.h"
#include "dataplane/service/load.h"
#include "dataplane/table/maglev.h"

#define PERIOD_NS  UINT64_C(100000000)
#define CAP_LEAST  2u
/* With nothing answered in a period, and so many in flight, a backend stands still. */
#define STALLED_AT 4u

struct sample {
	uint64_t answered;
	uint64_t sum_ns;
	uint32_t flying;
};

static struct sample sample_of(const struct service *s, uint32_t slot)
{
	struct sample sample = { .flying = service_in_flight(s, slot) };

	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct weir_histogram *h = &s->worker[i]->backend_cell[slot].first_byte;

		sample.answered += cell_read(&h->count);
		sample.sum_ns += cell_read(&h->sum_ns);
	}
	return sample;
}

/* Of the answers in a period, or of those that wait; 0: nothing is known. */
static uint64_t latency_of(uint64_t answers, uint64_t sum_ns, uint32_t flying, uint64_t period_ns)
{
	if (answers == 0)
		return flying >= STALLED_AT ? UINT64_MAX : 0;
	return RTE_MAX(sum_ns / answers, flying * period_ns / answers);
}

static uint32_t cap_fallen(uint32_t cap, uint32_t flying, uint64_t allowed)
{
	uint32_t used = RTE_MIN(cap, flying);
	uint64_t to = RTE_MIN(allowed, (uint64_t)used - used / 8);

	return (uint32_t)RTE_MAX(RTE_MAX(to, (uint64_t)used / 2), (uint64_t)CAP_LEAST);
}

static uint32_t cap_next(const struct service_told *t, const struct sample *now, uint32_t cap,
	uint32_t most, uint64_t target_ns, uint64_t period_ns)
{
	uint64_t answers = now->answered - t->guard_answered;
	uint64_t latency =
		latency_of(answers, now->sum_ns - t->guard_sum_ns, now->flying, period_ns);

	if (latency > target_ns)
		return cap_fallen(cap, now->flying, answers * target_ns / period_ns);
	if (cap >= most || latency > target_ns - target_ns / 8 || now->flying < cap / 2)
		return cap;
	return RTE_MIN(most, cap + RTE_MAX(cap / 20, 1u));
}

static bool backend_guard(const struct service_settings *s, uint32_t slot, uint64_t period_ns)
{
	struct service_directives *d = s->service->directives;
	struct service_told *t = &d->backend[slot];
	struct service_allowance *a = &d->allowance[slot];
	const struct sample now = sample_of(s->service, slot);
	uint32_t cap = a->cap;

	/* Its counters began anew with another owner: take them as they are. */
	if (period_ns && now.answered >= t->guard_answered)
		cap = cap_next(
			t, &now, cap, service_cap_told(s, slot), d->header.guard_ns, period_ns);
	t->guard_answered = now.answered;
	t->guard_sum_ns = now.sum_ns;
	if (cap == a->cap)
		return false;
	__atomic_store_n(&a->cap_yellow, RTE_MIN(a->cap_yellow, cap), __ATOMIC_RELAXED);
	__atomic_store_n(&a->cap, cap, __ATOMIC_RELAXED);
	return true;
}

void guard_tick(struct fastpath *fp, struct service *s, uint64_t now_ns)
{
	const struct service_settings *settings = fp->generation->settings[s->slot];
	struct service_directives *d = s->directives;
	uint64_t period_ns = d->guard_at_ns ? now_ns - d->guard_at_ns : 0;
	bool changed = false;

	if (!d->header.guard_ns || !settings->nat || (period_ns && period_ns < PERIOD_NS))
		return;
	d->guard_at_ns = now_ns;
	for (uint32_t i = 0; i < settings->pool->count; i++)
		changed |= backend_guard(settings, settings->pool->backend[i].slot, period_ns);
	if (!changed)
		return;
	__atomic_store_n(&s->allowance, d->allowance, __ATOMIC_RELEASE);
	directory_direct(fp, settings);
}
