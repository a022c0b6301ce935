/* SPDX-License-Identifier: BSD-3-Clause */

/* Be told when the kernel wants a PCI device back (it is pulled, or given to another driver), and when the device wants to be reset. */

#ifndef WEIR_PORT_PCI_WATCH_H
#define WEIR_PORT_PCI_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Written by EAL's interrupt thread while it is watched. */
struct pci_watch {
	_Atomic bool removed; /* the kernel wants it back */
	/* It works no more until it is set up anew: of a virtual function, its physical one was reset. */
	_Atomic bool resets;
};

/*
 * address  of the PCI device, as EAL names it
 * device   DPDK's number of its ethdev
 *
 * Both notes begin as false; *watch stays where it is until unwatched. Returns 0 or -errno.
 */
int pci_watch(const char *address, uint16_t device, struct pci_watch *watch);
void pci_unwatch(const char *address, uint16_t device, struct pci_watch *watch);

#endif
