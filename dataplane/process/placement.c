/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/placement.h"

#include "dataplane/core/fastpath.h"
#include "dataplane/port/registry.h"
#include "dataplane/process/cpus.h"
#include "dataplane/process/process.h"

#include <numaif.h>
#include <stdint.h>
#include <stdio.h>

#define BATCH 256u

struct area {
	const char *owner; /* borrowed */
	const char *what;
	int node; /* where it should be */
};

struct placement {
	uint32_t areas;
	uint32_t elsewhere;
	char first[128]; /* of those elsewhere */
	unsigned int count;
	struct area area[BATCH];
	void *page[BATCH];
};

/* A page that was never touched is nowhere yet. */
static void batch_ask(struct placement *a)
{
	int status[BATCH];

	if (a->count && move_pages(0, a->count, a->page, NULL, status, 0) == 0) {
		for (unsigned int i = 0; i < a->count; i++) {
			const struct area *area = &a->area[i];

			if (status[i] < 0)
				continue;
			a->areas++;
			if (status[i] == area->node)
				continue;
			if (a->elsewhere++ == 0)
				snprintf(a->first, sizeof(a->first),
					"a %s of %s is on node %d, not %d", area->what, area->owner,
					status[i], area->node);
		}
	}
	a->count = 0;
}

static void area_see(void *ctx, const char *owner, const char *what, int node, const void *at)
{
	struct placement *a = ctx;

	if (node < 0)
		return;
	a->area[a->count] = (struct area){ .owner = owner, .what = what, .node = node };
	a->page[a->count] = (void *)(uintptr_t)at;
	if (++a->count == BATCH)
		batch_ask(a);
}

void placement_check(struct process *p)
{
	static struct placement a; /* too large for a stack */
	struct weir_telemetry *t = p->telemetry;
	char text[400];

	if (p->arguments.replay || node_last() == 0)
		return;
	a = (struct placement){ .areas = 0 };
	port_registry_memory_each(p->ports, area_see, &a);
	fastpath_memory_each(p->fastpath, area_see, &a);
	batch_ask(&a);
	if (a.elsewhere && a.elsewhere != t->placement_elsewhere) {
		snprintf(text, sizeof(text),
			"%u of %u memory areas are not on the NUMA node that uses them, which is slower "
			"(%s): hugepages on every node of packet cores and ports, and enough memory:, "
			"would place them",
			a.elsewhere, a.areas, a.first);
		process_event(p, WEIR_EVENT_WARNING, "memory", text);
	}
	__atomic_store_n(&t->placement_areas, a.areas, __ATOMIC_RELAXED);
	__atomic_store_n(&t->placement_elsewhere, a.elsewhere, __ATOMIC_RELAXED);
}
