/* SPDX-License-Identifier: BSD-3-Clause */

#define ALLOW_EXPERIMENTAL_API /* what it takes in DPDK 22.11 is called that */

#include "dataplane/port/pci_watch.h"

#include <rte_dev.h>
#include <rte_ethdev.h>

#include <errno.h>

/* EAL's interrupt thread, as the next */
static void device_event(const char *name, enum rte_dev_event_type event, void *ctx)
{
	struct pci_watch *watch = ctx;

	if (event == RTE_DEV_EVENT_REMOVE)
		atomic_store_explicit(&watch->removed, true, memory_order_relaxed);
}

static int reset_event(uint16_t device, enum rte_eth_event_type event, void *ctx, void *ret_param)
{
	struct pci_watch *watch = ctx;

	atomic_store_explicit(&watch->resets, true, memory_order_relaxed);
	return 0;
}

int pci_watch(const char *address, uint16_t device, struct pci_watch *watch)
{
	atomic_init(&watch->removed, false);
	atomic_init(&watch->resets, false);
	int rc =
		rte_eth_dev_callback_register(device, RTE_ETH_EVENT_INTR_RESET, reset_event, watch);
	if (rc < 0)
		return rc;
	rc = rte_dev_event_callback_register(address, device_event, watch);
	if (rc < 0)
		(void)rte_eth_dev_callback_unregister(
			device, RTE_ETH_EVENT_INTR_RESET, reset_event, watch);
	return rc;
}

void pci_unwatch(const char *address, uint16_t device, struct pci_watch *watch)
{
	/* While a callback runs it cannot be taken away; it is over in an instant. */
	while (rte_dev_event_callback_unregister(address, device_event, watch) == -EAGAIN)
		continue;
	while (rte_eth_dev_callback_unregister(
		       device, RTE_ETH_EVENT_INTR_RESET, reset_event, watch) == -EAGAIN)
		continue;
}
