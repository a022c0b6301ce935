/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/cpus.h"

#include <ctype.h>
#include <errno.h>
#include <numa.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU_LIMIT CPU_SETSIZE

/* Put a set of CPUs into list form; what is beyond the list's room is left out. */
static int list_of_set(const bool *set, struct cpu_list *ret_list)
{
	int rc = 0;

	ret_list->count = 0;
	for (uint32_t cpu = 0; cpu < CPU_LIMIT; cpu++) {
		if (!set[cpu])
			continue;
		if (ret_list->count == WEIR_MAX_CORES) {
			rc = -E2BIG;
			break;
		}
		ret_list->cpu[ret_list->count++] = cpu;
	}
	return rc;
}

static int number_parse(const char **at, uint32_t *ret_value)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return -EINVAL;
	unsigned long value = strtoul(*at, &end, 10);
	if (value >= CPU_LIMIT)
		return -EINVAL;
	*at = end;
	*ret_value = (uint32_t)value;
	return 0;
}

static int set_parse(const char *text, bool *set)
{
	const char *at = text;

	while (*at && *at != '\n') {
		uint32_t first, last;

		if (number_parse(&at, &first) < 0)
			return -EINVAL;
		last = first;
		if (*at == '-') {
			at++;
			if (number_parse(&at, &last) < 0 || last < first)
				return -EINVAL;
		}
		for (uint32_t cpu = first; cpu <= last; cpu++)
			set[cpu] = true;
		if (*at == ',') {
			at++;
			if (!isdigit((unsigned char)*at))
				return -EINVAL;
		} else if (*at && *at != '\n') {
			return -EINVAL;
		}
	}
	return 0;
}

int cpu_list_parse(const char *text, struct cpu_list *ret_list)
{
	bool set[CPU_LIMIT] = { 0 };
	struct cpu_list list;

	int rc = set_parse(text, set);
	if (rc == 0)
		rc = list_of_set(set, &list);
	if (rc == 0)
		*ret_list = list;
	return rc;
}

void cpu_list_print(const struct cpu_list *list, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (uint32_t i = 0; i < list->count;) {
		uint32_t last = i;

		while (last + 1 < list->count && list->cpu[last + 1] == list->cpu[last] + 1)
			last++;
		const char *comma = i ? "," : "";
		int n = last == i ? snprintf(buf + at, size - at, "%s%u", comma, list->cpu[i]) :
				    snprintf(buf + at, size - at, "%s%u-%u", comma, list->cpu[i],
					    list->cpu[last]);
		if (n < 0 || (size_t)n >= size - at)
			return;
		at += (size_t)n;
		i = last + 1;
	}
}

static bool list_has(const struct cpu_list *list, uint32_t cpu)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (list->cpu[i] == cpu)
			return true;
	return false;
}

void cpu_list_default(
	const struct cpu_list *allowed, const struct cpu_list *isolated, struct cpu_list *ret_list)
{
	struct cpu_list chosen = { .count = 0 };

	for (uint32_t i = 0; i < allowed->count; i++)
		if (list_has(isolated, allowed->cpu[i]))
			chosen.cpu[chosen.count++] = allowed->cpu[i];
	if (!chosen.count)
		for (uint32_t i = allowed->count > 1 ? 1 : 0; i < allowed->count; i++)
			chosen.cpu[chosen.count++] = allowed->cpu[i];
	*ret_list = chosen;
}

int cpus_allowed(struct cpu_list *ret_list)
{
	bool set[CPU_LIMIT] = { 0 };
	cpu_set_t mask;

	if (sched_getaffinity(0, sizeof(mask), &mask) < 0)
		return -errno;
	for (int cpu = 0; cpu < CPU_LIMIT; cpu++)
		set[cpu] = CPU_ISSET(cpu, &mask);
	(void)list_of_set(set, ret_list);
	return ret_list->count ? 0 : -ENODEV;
}

void cpus_isolated(struct cpu_list *ret_list)
{
	char text[4096] = "";
	FILE *f = fopen("/sys/devices/system/cpu/isolated", "re");

	ret_list->count = 0;
	if (!f)
		return;
	if (fgets(text, sizeof(text), f) && cpu_list_parse(text, ret_list) < 0)
		ret_list->count = 0;
	fclose(f);
}

int cpu_node(uint32_t cpu)
{
	if (numa_available() < 0)
		return 0;
	int node = numa_node_of_cpu((int)cpu);
	return node < 0 ? 0 : node;
}

int node_last(void)
{
	int node = numa_available() < 0 ? 0 : numa_max_node();

	return node < 0 ? 0 : node;
}

int node_distance(int from, int to)
{
	return numa_available() < 0 ? 0 : numa_distance(from, to);
}
