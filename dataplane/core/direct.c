/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Directives of adaptation: taken over, and given up when they are not renewed. Main thread.
 */

#include "dataplane/core/apply.h"
#include "dataplane/core/buckets/cores.h"
#include "dataplane/core/core.h"
#include "dataplane/core/guard.h"
#include "dataplane/service/directive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STALE_NS   UINT64_C(1000000000)
#define EXPIRES_NS UINT64_C(30000000000)

static bool is_directed(const struct service_directives *d)
{
	return d->state != WEIR_DIRECTED_NO;
}

/* Bring what is in force in line with the directives; a generation is made only where one has to be. */
static int follow(struct fastpath *fp, struct service *s, char *err, size_t err_size)
{
	struct service_settings **changed;
	struct service_settings *n;
	const struct stage_core *clock = &fp->core[0]->stage;
	uint64_t now = stage_ns(clock, __atomic_load_n(&clock->now, __ATOMIC_RELAXED));
	int ret = service_settings_direct(fp->generation->settings[s->slot], &fp->seed, now, &n);

	if (ret) {
		snprintf(err, err_size,
			"service %s: no memory for its pool and sources; %" PRIu64
			" KiB of the services' budget of %" PRIu64 " KiB are left",
			s->identity.name, budget_left(&fp->budget) >> 10, fp->budget.bytes >> 10);
		return ret;
	}
	if (n) {
		changed = calloc(WEIR_MAX_SERVICES, sizeof(*changed));
		if (changed)
			changed[s->slot] = n;
		ret = changed ? apply_settings(fp, changed, err, err_size) : -ENOMEM;
		if (ret)
			service_settings_release(n);
		free(changed);
	}
	service_directives_allow(s->directives, fp->generation->settings[s->slot]);
	directory_direct(fp, fp->generation->settings[s->slot]);
	return ret;
}

int fastpath_direct(
	struct fastpath *fp, const void *directives, uint64_t now_ns, char *err, size_t err_size)
{
	struct weir_directives_view v;
	struct service *s;
	int ret;

	weir_directives_view(directives, &v);
	s = fastpath_service(fp, v.header->service);
	if (!s) {
		snprintf(err, err_size, "there is no service %s", v.header->service);
		return -ENOENT;
	}
	ret = service_directives_take(
		s->directives, fp->generation->settings[s->slot], &v, now_ns, err, err_size);
	if (ret == 0)
		ret = follow(fp, s, err, err_size);
	if (ret == 0)
		service_directives_close(s->directives, fp->generation->settings[s->slot], &v);
	if (ret == 0 && v.header->cores)
		cores_want(fp, s, v.header->cores);
	return ret;
}

static void service_tick(struct fastpath *fp, struct service *s, uint64_t now_ns)
{
	struct service_directives *d = s->directives;
	const struct weir_directives *h = &d->header;
	uint64_t age = now_ns > d->since_ns ? now_ns - d->since_ns : 0;
	char err[256];

	if (h->flags & WEIR_DIRECTIVE_F_SPILL)
		service_directives_spill(d, fp->generation->settings[s->slot]);
	if (age > (h->expires_ns ? h->expires_ns : RTE_MAX(EXPIRES_NS, h->stale_ns))) {
		service_directives_clear(d);
		(void)follow(fp, s, err, sizeof(err)); /* else with the next configuration */
	} else if (d->state == WEIR_DIRECTED_YES && age > (h->stale_ns ? h->stale_ns : STALE_NS)) {
		d->state = WEIR_DIRECTED_STALE;
		d->guard_at_ns = 0;
		directory_direct(fp, fp->generation->settings[s->slot]);
	}
	if (d->state == WEIR_DIRECTED_STALE)
		guard_tick(fp, s, now_ns);
}

void fastpath_direct_tick(struct fastpath *fp, uint64_t now_ns)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		if (fp->service[i] && is_directed(fp->service[i]->directives))
			service_tick(fp, fp->service[i], now_ns);
}
