/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/pulse.h"

#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/core.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const stage_label[WEIR_STAGE_COUNT] = {
#define X(name, label) label,
	WEIR_STAGES(X)
#undef X
};

static_assert((int)PULSE_BEATS == WEIR_CORE_ANSWERS && (int)PULSE_STUCK == WEIR_CORE_STUCK &&
		(int)PULSE_AWAY == WEIR_CORE_AWAY,
	"telemetry shows states as they are");

bool pulse_is_silent(const struct pulse *p, uint64_t loops, uint64_t now_ns)
{
	return p->begun && loops == p->loops && now_ns - p->now_ns >= PULSE_STOPPED_NS;
}

/* It does not run, for too long. */
static bool is_away(const struct pulse *p, uint64_t now_ns)
{
	return now_ns - p->now_ns >= (p->stopped ? PULSE_STOPPED_NS : PULSE_AWAY_NS);
}

bool pulse_look(struct pulse *p, const struct pulse_signs *seen, uint64_t *ret_silent_ns)
{
	const uint64_t now_ns = seen->now_ns;
	const uint8_t before = p->state;

	*ret_silent_ns = now_ns - p->now_ns;
	if (!p->begun || seen->loops != p->loops) {
		*p = (struct pulse){ .begun = true,
			.loops = seen->loops,
			.now_ns = now_ns,
			.cpu_ns = seen->cpu_ns,
			.looked_ns = now_ns };
		return before != PULSE_BEATS;
	}
	p->watched_ns += RTE_MIN(now_ns - p->looked_ns, PULSE_WATCH_NS);
	p->looked_ns = now_ns;
	p->looks += p->state != PULSE_BEATS;
	p->stopped = seen->stopped;
	if (seen->cpu_ns - p->cpu_ns >= PULSE_STUCK_NS)
		p->state = PULSE_STUCK;
	else if (is_away(p, now_ns) && p->state == PULSE_BEATS)
		p->state = PULSE_AWAY;
	return p->state != before;
}

bool pulse_is_gone(const struct pulse *p)
{
	if (p->looks < PULSE_LOOKS)
		return false;
	return p->state == PULSE_STUCK ||
		(p->state == PULSE_AWAY && (p->stopped || p->watched_ns >= PULSE_AWAY_NS));
}

/* Has somebody stopped a thread of this process? The kernel's letter for that follows its name in parentheses. */
static bool thread_is_stopped(int32_t tid)
{
	char path[64], line[128], *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	return end && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
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
	char object[32], services[64], why[96], text[256];

	snprintf(object, sizeof(object), "CPU %u", fp->params.core[c->index].cpu);
	services_name(fp, c->index, services, sizeof(services));
	switch (c->pulse.state) {
	case PULSE_STUCK:
		snprintf(text, sizeof(text),
			"is stuck in stage %s: it works for %llu ms, %llu of them on the CPU, and gets to no "
			"end; %s waits for it",
			stage, (unsigned long long)ms, (unsigned long long)(cpu_ns / 1000000),
			services);
		break;
	case PULSE_AWAY:
		if (c->pulse.stopped)
			snprintf(why, sizeof(why),
				"was stopped by a debugger or a signal %llu ms ago",
				(unsigned long long)ms);
		else
			snprintf(why, sizeof(why),
				"is not run: its thread got %llu of %llu ms, others had the CPU",
				(unsigned long long)(cpu_ns / 1000000), (unsigned long long)ms);
		snprintf(text, sizeof(text), "%s; it was in stage %s, %s waits for it", why, stage,
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
		struct pulse_signs seen = { .now_ns = now_ns };
		uint64_t silent_ns;

		/* It has not begun to run, or its thread has ended. */
		if (core_is_fenced(c) || !__atomic_load_n(&c->runs, __ATOMIC_ACQUIRE) ||
			clock_gettime(c->cpu_clock, &t) != 0)
			continue;
		seen.cpu_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
		seen.loops = cell_read(&c->stage.cell->loops);
		seen.stopped =
			pulse_is_silent(&c->pulse, seen.loops, now_ns) && thread_is_stopped(c->tid);
		if (pulse_look(&c->pulse, &seen, &silent_ns)) {
			__atomic_store_n(
				&fp->telemetry->core[i].state, c->pulse.state, __ATOMIC_RELAXED);
			state_tell(fp, c, silent_ns, seen.cpu_ns - cpu_before, event, ctx);
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
