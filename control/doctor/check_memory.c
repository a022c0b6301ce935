/* SPDX-License-Identifier: BSD-3-Clause */

/* Memory and hugepages, by node. */

#include "control/doctor/findings_private.h"

#include <stdio.h>

#define PAGE	      (2ull << 20)
#define DEFAULT_BYTES (512ull << 20) /* of `dataplane.memory` */

unsigned long long memory_pages_wanted(const struct facts *f, bool used[FACTS_NODES])
{
	unsigned long long bytes =
		f->wanted.memory_bytes != 0 ? f->wanted.memory_bytes : DEFAULT_BYTES;
	unsigned long long nodes = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		int node = f->cpus[cpu].node;
		if (!CPU_ISSET(cpu, &f->packet) || node < 0 || node >= FACTS_NODES || used[node])
			continue;
		used[node] = true;
		nodes++;
	}
	if (nodes == 0) {
		used[0] = true;
		nodes = 1;
	}
	return ((bytes + PAGE - 1) / PAGE + nodes - 1) / nodes;
}

/* What is missing, and whether the kernel could still make it of free memory. */
static void check_node(const struct facts *f, int node, unsigned long long wanted,
	enum finding_level level, struct findings *to)
{
	const struct facts_node *n = &f->nodes[node];
	if (n->hugepages_free < 0)
		return;
	unsigned long long free_now = (unsigned long long)n->hugepages_free;
	unsigned long long missing = wanted > free_now ? wanted - free_now : 0;
	char where[32];
	snprintf(where, sizeof(where), "node %d", node);
	if (missing == 0) {
		find(to, FINDING_OK, "hugepages", where, "%llu of 2 MiB are free, %llu are wanted",
			free_now, wanted);
		return;
	}
	bool possible =
		n->memory_free >= 0 && (unsigned long long)n->memory_free / 4 * 3 > missing * PAGE;
	if (possible) {
		find(to, FINDING_NOTE, "hugepages", where,
			"%llu of 2 MiB are free, %llu are wanted; the data plane asks for the rest when "
			"it starts, and may get fewer",
			free_now, wanted);
	} else {
		find(to, level, "hugepages", where,
			"%llu of 2 MiB are free, %llu are wanted, and the node has too little memory "
			"for them",
			free_now, wanted);
	}
	mend(to,
		"echo %llu > /sys/devices/system/node/node%d/hugepages/hugepages-2048kB/"
		"nr_hugepages, early after boot%s",
		(unsigned long long)(n->hugepages > 0 ? n->hugepages : 0) + missing, node,
		possible ? "" : "; or a smaller dataplane: {memory: ...}");
}

static void check_hugepages(const struct facts *f, struct findings *to)
{
	bool used[FACTS_NODES] = { false };
	bool required = f->wanted.known && f->wanted.hugepages == MODEL_HUGEPAGES_REQUIRED;
	if (f->wanted.known && f->wanted.hugepages == MODEL_HUGEPAGES_NONE) {
		find(to, FINDING_NOTE, "hugepages", NULL,
			"%s says hugepages: none, which costs speed with many flows",
			f->wanted.source);
		mend(to, "dataplane: {hugepages: auto}");
		return;
	}
	if (f->has_hugepages == 0) {
		find(to, required ? FINDING_PROBLEM : FINDING_WARNING, "hugepages", NULL,
			"the kernel has none of 2 MiB, which costs speed with many flows");
		mend(to, "boot a kernel with CONFIG_HUGETLBFS=y");
		return;
	}
	unsigned long long wanted = memory_pages_wanted(f, used);
	if (f->run.dataplane_pid != 0) {
		if (f->run.dataplane_hugepages == 1) {
			find(to, FINDING_OK, "hugepages", NULL, "the data plane uses them");
		} else if (f->run.dataplane_hugepages == 0) {
			find(to, FINDING_WARNING, "hugepages", NULL,
				"the data plane runs without them, which costs speed with many flows");
			mend(to, "sysctl -w vm.nr_hugepages=%llu, then restart the data plane",
				wanted + 64);
		}
		return;
	}
	for (int node = 0; node < FACTS_NODES; node++)
		if (used[node])
			check_node(
				f, node, wanted, required ? FINDING_PROBLEM : FINDING_WARNING, to);
}

void check_memory(const struct facts *f, struct findings *to)
{
	check_hugepages(f, to);
	/* Of a running data plane it is gone already. */
	if (f->memory_available < 0 || f->run.dataplane_pid != 0)
		return;
	unsigned long long available = (unsigned long long)f->memory_available, huge = 0;
	for (int i = 0; i < FACTS_NODES; i++)
		huge += f->nodes[i].hugepages_free > 0 ?
			(unsigned long long)f->nodes[i].hugepages_free * PAGE :
			0;
	unsigned long long wanted =
		f->wanted.memory_bytes != 0 ? f->wanted.memory_bytes : DEFAULT_BYTES;
	bool enough = wanted <= available + huge;
	bool given = f->wanted.memory_bytes != 0;
	find(to,
		enough	      ? FINDING_OK :
			given ? FINDING_PROBLEM :
				FINDING_WARNING,
		"memory", NULL, "packet buffers and tables want %llu MiB, %llu MiB can be had",
		wanted >> 20, (available + huge) >> 20);
	if (!enough)
		mend(to, "dataplane: {memory: %lluM}", (available + huge) / 2 >> 20);
}
