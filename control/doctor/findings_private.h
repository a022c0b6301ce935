/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the checks. */

#ifndef WEIR_DOCTOR_FINDINGS_PRIVATE_H
#define WEIR_DOCTOR_FINDINGS_PRIVATE_H

#include "control/doctor/facts.h"
#include "control/doctor/findings.h"

/* check is a static text; object may be NULL. When out of memory the text is left out, not the finding. */
void find(struct findings *to, enum finding_level level, const char *check, const char *object,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* How to mend what was found last. */
void mend(struct findings *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

void check_run(const struct facts *f, struct findings *to);
void check_kernel(const struct facts *f, struct findings *to);
void check_clock(const struct facts *f, struct findings *to);
void check_cpus(const struct facts *f, struct findings *to);
void check_memory(const struct facts *f, struct findings *to);
void check_ports(const struct facts *f, struct findings *to);
void check_irqs(const struct facts *f, const struct facts_port *p, struct findings *to);

/*
 * Pages of 2 MiB that each node with packet CPUs has to give, as the data plane asks for them; those nodes
 * become true in `used`.
 */
unsigned long long memory_pages_wanted(const struct facts *f, bool used[FACTS_NODES]);
/* DPDK can drive a PCI port's device with the driver that it has. */
bool port_driver_is_good(const struct facts_port *p);

/* a and not b. */
void cpuset_without(cpu_set_t *ret, const cpu_set_t *a, const cpu_set_t *b);
/* CPUs of a node; of all nodes for FACTS_UNKNOWN. */
void cpuset_of_node(const struct facts *f, int node, cpu_set_t *ret);
/*
 * Up to `count` CPUs of a node for packets: one of each physical core, none of the core of CPU 0 unless
 * there is no other.
 */
void cpuset_propose(const struct facts *f, int node, int count, cpu_set_t *ret);

#endif
