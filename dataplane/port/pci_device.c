/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/pci_device.h"

#include "dataplane/port/port_private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PCI_DEVICES "/sys/bus/pci/devices"

void pci_device_read(const char *address, struct pci_device *ret_device)
{
	char path[PATH_MAX], target[PATH_MAX];

	memset(ret_device, 0, sizeof(*ret_device));
	snprintf(path, sizeof(path), PCI_DEVICES "/%s", address);
	ret_device->exists = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/iommu_group", address);
	ret_device->has_iommu_group = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/physfn", address);
	ret_device->is_virtual = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", address);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = 0;
	const char *slash = strrchr(target, '/');
	snprintf(ret_device->driver, sizeof(ret_device->driver), "%.31s",
		slash ? slash + 1 : target);
}

/* Drivers that leave the device to a process, or share it with one. */
static bool driver_hands_over(const char *driver)
{
	static const char *const drivers[] = { "vfio-pci", "igb_uio", "uio_pci_generic",
		"mlx4_core", "mlx5_core" };

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(driver, drivers[i]) == 0)
			return true;
	return false;
}

int pci_device_check(const struct pci_device *d, const char *address, char *why, size_t why_size)
{
	if (!d->exists)
		return port_refuse(-ENODEV, why, why_size, "there is no PCI device %s", address);
	if (!driver_hands_over(d->driver))
		return port_refuse(-EBUSY, why, why_size,
			"PCI device %s %s%s; do: driverctl set-override %s vfio-pci", address,
			d->driver[0] ? "is the kernel's, driven by " : "has no driver", d->driver,
			address);
	if (strcmp(d->driver, "vfio-pci") == 0 && !d->has_iommu_group)
		return port_refuse(-ENODEV, why, why_size,
			"PCI device %s is behind no IOMMU; switch it on in the firmware and with "
			"intel_iommu=on or amd_iommu=on on the kernel's command line",
			address);
	return 0;
}
