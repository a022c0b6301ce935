/* SPDX-License-Identifier: BSD-3-Clause */

/* What a device could do to sort packets by service. Main thread; the device is started. */

#ifndef WEIR_PORT_PCI_STEERING_H
#define WEIR_PORT_PCI_STEERING_H

#include <stddef.h>
#include <stdint.h>

/* Ask it, and say in one sentence why the dispatcher core sorts them instead. */
void pci_steering_probe(uint16_t device, char *ret_why, size_t why_size);

#endif
