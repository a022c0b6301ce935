/* SPDX-License-Identifier: BSD-3-Clause */

/* Machines made up for tests of the doctor. */

#ifndef WEIR_TESTS_DOCTOR_MACHINE_H
#define WEIR_TESTS_DOCTOR_MACHINE_H

#include "control/doctor/facts.h"
#include "control/doctor/findings.h"

#include <stdlib.h>
#include <string.h>

static inline cpu_set_t cpus_of(const char *list)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (!cpuset_parse(list, &set))
		abort();
	return set;
}

static inline void add_irq(struct facts_port *p, unsigned int number, const char *cpus)
{
	p->irqs = realloc(p->irqs, (p->irq_count + 1) * sizeof(*p->irqs));
	p->irqs[p->irq_count++] = (struct facts_irq){ .number = number, .cpus = cpus_of(cpus) };
}

/*
 * A good server, of which nothing is to be said: nodes 0 and 1 with CPUs 0-3 and 4-7, all cores of their
 * own; packets have 5-7, which are isolated; port "front" (eth1) is on node 1, and all is running.
 */
static inline void machine_init(struct facts *f)
{
	if (facts_init(f) != 0)
		abort();
	f->run.daemon_pid = 10;
	f->run.dataplane_pid = 11;
	f->run.dataplane_hugepages = 1;
	strcpy(f->run.dataplane_state, "running");
	strcpy(f->run.path, "/run/weir/default");
	strcpy(f->run.socket, "/run/weir/default/control.sock");
	f->run.folder_exists = f->run.socket_exists = true;
	f->run.folder_mode = 0755;
	f->run.socket_mode = 0660;
	f->wanted.known = f->wanted.cores_given = true;
	strcpy(f->wanted.source, "weir.yaml");
	f->wanted.memory_bytes = 1u << 30;
	f->online = f->allowed = cpus_of("0-7");
	f->packet = f->isolated = cpus_of("5-7");
	for (int cpu = 0; cpu < 8; cpu++) {
		f->cpus[cpu].node = cpu / 4;
		strcpy(f->cpus[cpu].governor, "performance");
	}
	f->irqbalance = 0;
	for (int node = 0; node < 2; node++)
		f->nodes[node] = (struct facts_node){ true, 512, 512, 8ll << 30 };
	f->has_hugepages = 1;
	f->memory_available = 16ll << 30;
	strcpy(f->release, "6.1.0-18-amd64");
	f->af_xdp = f->btf = f->bpf_jit = f->memlock_unlimited = f->loopback_up = 1;
	f->verifier = 1;
	f->ip_forward = 0;
	strcpy(f->clock, "tsc");
	f->clock_has_tsc = true;
	f->tsc_constant = 1;
	f->ports = calloc(1, sizeof(*f->ports));
	f->port_count = 1;
	f->ports[0] = (struct facts_port){ .name = "front",
		.device = "eth1",
		.exists = true,
		.driver = "ixgbe",
		.bus = "0000:3b:00.0",
		.node = 1,
		.up = 1,
		.carrier = 1,
		.mtu = 1500,
		.queues = 2,
		.xdp = FACTS_XDP_NATIVE,
		.gro = 1 };
	add_irq(&f->ports[0], 40, "4");
	add_irq(&f->ports[0], 41, "4");
}

/* As before Weir is started for the first time. */
static inline void machine_stop(struct facts *f)
{
	f->run.error = -2; /* ENOENT */
	f->run.daemon_pid = f->run.dataplane_pid = 0;
	f->run.dataplane_state[0] = '\0';
	f->run.folder_exists = f->run.socket_exists = false;
	for (size_t i = 0; i < f->port_count; i++)
		f->ports[i].xdp = FACTS_XDP_NONE;
}

#endif
