/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A PCI device's queues and what they are filled from: the first for all that comes, and where the device steers, one for
 * each worker's core. Between port_pci.c, whose state this is, and pci_queues.c. Main thread.
 */

#ifndef WEIR_PORT_PCI_QUEUES_H
#define WEIR_PORT_PCI_QUEUES_H

#include "dataplane/port/pci_watch.h"
#include "dataplane/port/port_private.h"

struct pci_steering;
struct rte_device;
struct twin;

#define PCI_MTU_DEFAULT 1500u

struct pci_queue {
	uint16_t device; /* DPDK's number of the ethdev */
	uint16_t queue;
	int interrupt; /* an eventfd of the driver's; -1: none */
};

struct pci {
	struct rte_mempool *pool; /* owned; of the first queue */
	struct rte_mempool *own_pool[WEIR_MAX_CORES]; /* owned; of the queues of workers' cores */
	struct pci_steering *steering; /* owned */
	char own_queues_why[WEIR_STEERING_WHY_SIZE]; /* none: the reason */
	struct twin *twin; /* owned; goes over to the port that replaces a lost one */
	struct rte_device *dev; /* EAL's; NULL: not probed, or let go of */
	uint16_t device;
	bool started;
	bool interrupts; /* it was set up with some */
	bool no_interrupts; /* it does not start with them */
	bool watched;
	struct pci_watch watch;
	bool is_virtual; /* a function whose physical one the host has */
	bool link_was_up; /* since it was opened, */
	bool link_went; /* and down after that */
	bool keeps; /* counted in port_pools_keep() */
	uint32_t looks_left; /* lost: until it is tried; */
	uint32_t looks_more; /* and if that does not work, until the next time */
	unsigned int polls;
	uint64_t missed;
	uint16_t queue_count;
	struct pci_queue *queue; /* owned */
	struct port_queue *ports; /* owned; the first rx_queue_count also receive */
};

/*
 * Set up queues and pools of a probed device. Returns 0 or -errno with the reason in err; what was made stays, for
 * pci_pools_drain() and pci_queues_free().
 */
int pci_queues_open(
	struct open_port *p, const struct port_registry_params *params, char *err, size_t err_size);
/* Start it, with one receive queue when it takes no rules. Fills p->steering_why. The same returns. */
int pci_queues_start(
	struct open_port *p, const struct port_registry_params *params, char *err, size_t err_size);
int pci_refuse_start(const struct open_port *p, int rc, char *err, size_t err_size);

void pci_pools_drain(struct pci *x);
void pci_queues_free(struct pci *x);

#endif
