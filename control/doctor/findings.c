/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/doctor/findings.h"

#include "control/doctor/findings_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *finding_level_label(enum finding_level level)
{
	static const char *const labels[FINDING_LEVEL_COUNT] = {
		[FINDING_OK] = "ok",
		[FINDING_NOTE] = "note",
		[FINDING_WARNING] = "warning",
		[FINDING_PROBLEM] = "problem",
	};
	return labels[level];
}

void find(struct findings *to, enum finding_level level, const char *check, const char *object,
	const char *format, ...)
{
	struct finding *more = realloc(to->items, (to->count + 1) * sizeof(*more));
	va_list args;
	/* Counted all the same: it must not look as if there were none. */
	to->levels[level]++;
	if (more == NULL)
		return;
	to->items = more;
	struct finding *item = &more[to->count++];
	*item = (struct finding){ .level = level, .check = check };
	snprintf(item->object, sizeof(item->object), "%s", object != NULL ? object : "");
	va_start(args, format);
	if (vasprintf(&item->text, format, args) < 0)
		item->text = NULL;
	va_end(args);
}

void mend(struct findings *to, const char *format, ...)
{
	va_list args;
	if (to->count == 0)
		return;
	struct finding *item = &to->items[to->count - 1];
	va_start(args, format);
	if (item->mend == NULL && vasprintf(&item->mend, format, args) < 0)
		item->mend = NULL;
	va_end(args);
}

void findings_fini(struct findings *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].text);
		free(l->items[i].mend);
	}
	free(l->items);
	*l = (struct findings){ 0 };
}

void cpuset_without(cpu_set_t *ret, const cpu_set_t *a, const cpu_set_t *b)
{
	cpu_set_t both;
	CPU_AND(&both, a, b);
	CPU_XOR(ret, a, &both);
}

void cpuset_of_node(const struct facts *f, int node, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &f->online) &&
			(node == FACTS_UNKNOWN || f->cpus[cpu].node == node))
			CPU_SET(cpu, ret);
}

void cpuset_propose(const struct facts *f, int node, int count, cpu_set_t *ret)
{
	cpu_set_t all;
	cpuset_of_node(f, node, &all);
	CPU_ZERO(ret);
	for (int pass = 0; pass < 2 && CPU_COUNT(ret) == 0; pass++)
		for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(ret) < count; cpu++)
			if (CPU_ISSET(cpu, &all) && f->cpus[cpu].core == cpu &&
				(pass == 1 || cpu != 0))
				CPU_SET(cpu, ret);
}

void doctor_check(const struct facts *f, struct findings *to)
{
	check_run(f, to);
	check_kernel(f, to);
	check_clock(f, to);
	check_cpus(f, to);
	check_memory(f, to);
	check_ports(f, to);
}
