/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/pulse.h"

#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/core.h"

#include <stdio.h>
#include <time.h>

static const char *const stage_label[WEIR_STAGE_COUNT] = {
#define X(name, label) label,
	WEIR_STAGES(X)
#undef X
};

static_assert((int)PULSE_BEATS == WEIR_CORE_ANSWERS && (int)PULSE_STUCK == WEIR_CORE_STUCK &&
		(int)PULSE_AWAY == WEIR_CORE_AWAY,
	"telemetry shows states as they are");

bool pulse_look(
	struct pulse *p, uint64_t loops, uint64_t now_ns, uint64_t cpu_ns, uint64_t *ret_silent_ns)
{
	const uint8_t before = p->state;

	*ret_silent_ns = now_ns - p->now_ns;
	if (!p->begun || loops != p->loops) {
		*p = (struct pulse){ .begun = true,
			.loops = loops,
			.now_ns = now_ns,
			.cpu_ns = cpu_ns,
			.looked_ns = now_ns };
		return before != PULSE_BEATS;
	}
	p->watched_ns += RTE_MIN(now_ns - p->looked_ns, PULSE_WATCH_NS);
	p->looked_ns = now_ns;
	p->looks += p->state != PULSE_BEATS;
	if (cpu_ns - p->cpu_ns >= PULSE_STUCK_NS)
		p->state = PULSE_STUCK;
	else if (now_ns - p->now_ns >= PULSE_AWAY_NS && p->state == PULSE_BEATS)
		p->state = PULSE_AWAY;
	return p->state != before;
}

bool pulse_is_gone(const struct pulse *p)
{
	if (p->looks == 0)
		return false;
	return p->state == PULSE_STUCK ||
		(p->state == PULSE_AWAY && p->watched_ns >= PULSE_AWAY_NS);
}

/* Names of those that wait for the core, as far as there is room. */
static void services_name(const struct fastpath *fp, uint32_t core, char *ret_text, size_t size)
{
	size_t used = 0;

	snprintf(ret_text, size, "no service");
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		const struct service *s = fp->service[slot];
		const struct service_worker *w = s ? s->on_core[core] : NULL;

		if (!w || !service_worker_buckets(w) || used >= size)
			continue;
		used += (size_t)snprintf(
			ret_text + used, size - used, "%s%s", used ? ", " : "", s->identity.name);
	}
}

static void state_tell(const struct fastpath *fp, const struct core *c, uint64_t silent_ns,
	uint64_t cpu_ns, fastpath_event event, void *ctx)
{
	const uint64_t ms = silent_ns / 1000000;
	const char *stage = stage_label[__atomic_load_n(&c->at, __ATOMIC_RELAXED)];
	char object[32], services[64], text[256];

	snprintf(object, sizeof(object), "CPU %u", fp->params.core[c->index].cpu);
	services_name(fp, c->index, services, sizeof(services));
	switch (c->pulse.state) {
	case PULSE_STUCK:
		snprintf(text, sizeof(text),
			"is stuck in stage %s: it works for %llu ms and gets to no end; %s waits for it",
			stage, (unsigned long long)ms, services);
		break;
	case PULSE_AWAY:
		snprintf(text, sizeof(text),
			"is not run: its thread got %llu of %llu ms, others had the CPU or it was stopped; "
			"it was in stage %s, %s waits for it",
			(unsigned long long)(cpu_ns / 1000000), (unsigned long long)ms, stage,
			services);
		break;
	default:
		snprintf(text, sizeof(text), "goes round again, after %llu ms",
			(unsigned long long)ms);
	}
	event(ctx, object, text);
}

void fastpath_pulse_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	fp->pulse.event = event;
	fp->pulse.ctx = ctx;
	fp->pulse.now_ns = now_ns;
	fp->pulse.tsc = rte_rdtsc();
	for (uint32_t i = 0; i < fp->core_count; i++) {
		struct core *c = fp->core[i];
		const uint64_t cpu_before = c->pulse.cpu_ns;
		struct timespec t;
		uint64_t silent_ns, cpu_ns;

		/* It has not begun to run, or its thread has ended. */
		if (core_is_fenced(c) || !__atomic_load_n(&c->runs, __ATOMIC_ACQUIRE) ||
			clock_gettime(c->cpu_clock, &t) != 0)
			continue;
		cpu_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
		if (pulse_look(&c->pulse, cell_read(&c->stage.cell->loops), now_ns, cpu_ns,
			    &silent_ns)) {
			__atomic_store_n(
				&fp->telemetry->core[i].state, c->pulse.state, __ATOMIC_RELAXED);
			state_tell(fp, c, silent_ns, cpu_ns - cpu_before, event, ctx);
		}
		fence_look(fp, c, now_ns, event, ctx);
	}
}

void pulse_wait(struct fastpath *fp)
{
	const uint64_t since_ns =
		(rte_rdtsc() - fp->pulse.tsc) * 1000 / (rte_get_tsc_hz() / 1000000);

	if (fp->pulse.event && since_ns >= PULSE_WAIT_NS)
		fastpath_pulse_tick(
			fp, fp->pulse.now_ns + since_ns, fp->pulse.event, fp->pulse.ctx);
}
