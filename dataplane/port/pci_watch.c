/* SPDX-License-Identifier: BSD-3-Clause */

#define ALLOW_EXPERIMENTAL_API /* what it takes in DPDK 22.11 is called that */

#include "dataplane/port/pci_watch.h"

#include <rte_dev.h>

#include <errno.h>

/* EAL's interrupt thread */
static void device_event(const char *name, enum rte_dev_event_type event, void *ctx)
{
	_Atomic bool *removed = ctx;

	if (event == RTE_DEV_EVENT_REMOVE)
		atomic_store_explicit(removed, true, memory_order_relaxed);
}

int pci_watch(const char *address, _Atomic bool *ret_removed)
{
	return rte_dev_event_callback_register(address, device_event, ret_removed);
}

void pci_unwatch(const char *address, _Atomic bool *removed)
{
	/* While the callback runs it cannot be taken away; it is over in an instant. */
	while (rte_dev_event_callback_unregister(address, device_event, removed) == -EAGAIN)
		continue;
}
