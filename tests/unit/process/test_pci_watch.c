/* SPDX-License-Identifier: BSD-3-Clause */

/* What DPDK says of a device, by a device of DPDK's that is none: as its drivers do, through ethdev. */

#include "dataplane/port/pci_watch.h"
#include "tests/unit/tap.h"

#include <rte_eal.h>
#include <rte_ethdev.h>

#include <stdio.h>
#include <stdlib.h>

#define DEVICE "net_null0"
#define VDEV   "--vdev=" DEVICE

/* Drivers' side of ethdev, whose header is not installed. The only device is the first one. */
struct rte_eth_dev;
extern char rte_eth_devices[];
int rte_eth_dev_callback_process(
	struct rte_eth_dev *dev, enum rte_eth_event_type event, void *ret_param);

static uint16_t device;

static void says(enum rte_eth_event_type event)
{
	(void)rte_eth_dev_callback_process((struct rte_eth_dev *)rte_eth_devices, event, NULL);
}

static void a_reset_is_noted(void)
{
	struct pci_watch watch;

	CU_ASSERT_EQUAL_FATAL(pci_watch(DEVICE, device, &watch), 0);
	CU_ASSERT(!atomic_load(&watch.resets));
	says(RTE_ETH_EVENT_INTR_LSC);
	CU_ASSERT(!atomic_load(&watch.resets));
	says(RTE_ETH_EVENT_INTR_RESET);
	CU_ASSERT(atomic_load(&watch.resets));
	CU_ASSERT(!atomic_load(&watch.removed));
	pci_unwatch(DEVICE, device, &watch);
}

static void nobody_is_told_afterwards(void)
{
	struct pci_watch watch;

	CU_ASSERT_EQUAL_FATAL(pci_watch(DEVICE, device, &watch), 0);
	pci_unwatch(DEVICE, device, &watch);
	says(RTE_ETH_EVENT_INTR_RESET);
	CU_ASSERT(!atomic_load(&watch.resets));
}

static void a_device_that_is_none_is_refused(void)
{
	struct pci_watch watch;

	CU_ASSERT(pci_watch("0000:00:00.0", RTE_MAX_ETHPORTS - 1, &watch) < 0);
}

static const struct tap_case cases[] = {
	{ "pci watch: that a device has to be reset is noted", a_reset_is_noted },
	{ "pci watch: nobody is told afterwards", nobody_is_told_afterwards },
	{ "pci watch: a device that is none is refused", a_device_that_is_none_is_refused },
};

int main(void)
{
	static char arguments[][24] = { "test", "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
		"--no-telemetry", "--log-level=3", "--lcores=0", VDEV };
	enum {
		COUNT = sizeof(arguments) / sizeof(arguments[0])
	};
	char *argv[COUNT + 1] = { 0 };
	char top[64];

	for (size_t i = 0; i < COUNT; i++)
		argv[i] = arguments[i];
	if (!tap_folder(top, sizeof(top)) || setenv("RUNTIME_DIRECTORY", top, 1) < 0 ||
		rte_eal_init(COUNT, argv) < 0 ||
		rte_eth_dev_get_port_by_name(DEVICE, &device) < 0 || device != 0)
		return 99;
	int rc = tap_run("pci watch", cases, sizeof(cases) / sizeof(cases[0]));
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", top);
	if (system(command) != 0)
		rc = 99;
	return rc;
}
