/* SPDX-License-Identifier: BSD-3-Clause */

/* Be told when the kernel wants a PCI device back: it is pulled, or given to another driver. */

#ifndef WEIR_PORT_PCI_WATCH_H
#define WEIR_PORT_PCI_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>

/* Sets *ret_removed from another thread until unwatched. Returns 0 or -errno. */
int pci_watch(const char *address, _Atomic bool *ret_removed);
void pci_unwatch(const char *address, _Atomic bool *removed);

#endif
