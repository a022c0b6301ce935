/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Buckets that were taken over from a core go back there, by ordinary moves, when it goes round again and was well for
 * a while. Main thread.
 */

#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/buckets/takeover.h"
#include "dataplane/core/core.h"

#include <errno.h>
#include <string.h>

/* Which buckets of a service are to go home to a core, all from one that they are on now. */
static bool homecoming_make(
	const struct fastpath *fp, const struct service *s, uint32_t home, struct weir_core_move *m)
{
	const struct service_worker *from = NULL;

	*m = (struct weir_core_move){ .to_cpu = fp->params.core[home].cpu };
	memcpy(m->service, s->identity.name, sizeof(m->service));
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++) {
		const uint8_t owner = __atomic_load_n(&s->bucket_owner[i], __ATOMIC_RELAXED);

		if (s->bucket_home[i] != home || owner >= s->worker_count ||
			core_is_fenced(fp->core[s->worker[owner]->core]))
			continue;
		if (!from)
			from = s->worker[owner];
		if (owner == from->number)
			m->buckets[i / 8] |= (uint8_t)(1u << (i % 8));
	}
	if (from)
		m->from_cpu = fp->params.core[from->core].cpu;
	return from != NULL;
}

static bool all_home(const struct service *s)
{
	for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
		if (s->bucket_home[i] != SERVICE_NOBODY)
			return false;
	return true;
}

/* Returns true when a move has begun. */
static bool service_home(
	struct fastpath *fp, struct service *s, uint64_t now_ns, fastpath_event event, void *ctx)
{
	const bool spreading = s->spreading;
	struct weir_core_move m;
	char err[256];
	uint32_t count;
	int ret;

	for (uint32_t core = 0; core < fp->core_count; core++) {
		if (!fence_is_fit(fp->core[core]) || !homecoming_make(fp, s, core, &m))
			continue;
		ret = m.from_cpu == m.to_cpu ?
			-EALREADY :
			fastpath_move(fp, &m, now_ns, &count, err, sizeof(err));
		s->spreading = spreading;
		/* They are home when they are there: a move may end where it began. */
		for (uint32_t i = 0; i < FLOW_PARTITIONS; i++)
			if (m.buckets[i / 8] >> (i % 8) & 1)
				s->bucket_home[i] = ret ? SERVICE_NOBODY : (uint8_t)core;
		if (ret == 0)
			return true;
		if (ret != -EALREADY)
			event(ctx, s->identity.name, err);
	}
	s->away = !all_home(s);
	return false;
}

static bool all_fit(const struct fastpath *fp)
{
	for (uint32_t i = 0; i < fp->core_count; i++)
		if (!fence_is_fit(fp->core[i]))
			return false;
	return true;
}

void homecoming_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx)
{
	const bool well = all_fit(fp);

	for (uint32_t slot = 0; well && slot < WEIR_MAX_SERVICES; slot++) {
		struct service *s = fp->service[slot];

		if (!s || !s->short_of_cores)
			continue;
		s->short_of_cores = false;
		s->spreading = true;
	}
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		if (fp->service[slot] && fp->service[slot]->away &&
			service_home(fp, fp->service[slot], now_ns, event, ctx))
			return;
}
