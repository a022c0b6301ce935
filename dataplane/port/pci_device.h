/* SPDX-License-Identifier: BSD-3-Clause */

/* What the kernel says of a PCI device. Reads sysfs only. */

#ifndef WEIR_PORT_PCI_DEVICE_H
#define WEIR_PORT_PCI_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

struct pci_device {
	bool exists;
	bool has_iommu_group;
	bool is_virtual; /* a function whose physical one is seen here as well */
	char driver[32]; /* the kernel's, "" for none */
};

void pci_device_read(const char *address, struct pci_device *ret_device);

/*
 * Can a poll-mode driver take it: does it exist, and is it bound to what hands devices to processes?
 * Returns 0, or -errno with what is wrong, and how to mend it, in why.
 */
int pci_device_check(const struct pci_device *d, const char *address, char *why, size_t why_size);

#endif
