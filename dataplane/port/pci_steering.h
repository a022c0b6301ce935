/* SPDX-License-Identifier: BSD-3-Clause */

/* Flow rules of a device: packets of services to the queues of their cores. Main thread. */

#ifndef WEIR_PORT_PCI_STEERING_H
#define WEIR_PORT_PCI_STEERING_H

#include "dataplane/port/steering.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pci_steering; /* the rules that a device has; NULL: none */

/*
 * Does the device take a rule as services need them, to a queue that is not the first? It is started, with two
 * queues at least. False: ret_why has the reason.
 */
bool pci_steering_is_possible(uint16_t device, char *ret_why, size_t why_size);

/*
 * Have these rules and no others; queue i is core i's. What the device refuses is left out.
 *
 * rules     those of clients first, as steering_plan() makes them
 * in_force  [count]; which of them are wanted, and when this returns, which of them it has
 * ret_why   how many it refused, and of the first why; "" when it has them all
 *
 * Returns for how many services it has the rule of their clients.
 */
uint32_t pci_steering_set(struct pci_steering **s, uint16_t device,
	const struct steering_rule *rules, uint32_t count, bool *in_force, char *ret_why,
	size_t why_size);

/* The device is about to be stopped: take all rules away. */
void pci_steering_end(struct pci_steering **s, uint16_t device);

#endif
