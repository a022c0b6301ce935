/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/interface.h"

#include <errno.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int request(int fd, unsigned long what, const char *name, struct ifreq *ifr)
{
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	return ioctl(fd, what, ifr) < 0 ? -errno : 0;
}

static int ethtool(int fd, const char *name, void *command)
{
	struct ifreq ifr = { .ifr_data = command };

	return request(fd, SIOCETHTOOL, name, &ifr);
}

static uint16_t queues_read(int fd, const char *name)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };

	if (ethtool(fd, name, &c) < 0)
		return 1;
	uint32_t queues = c.combined_count + c.rx_count;
	return queues < 1 ? 1 : queues > 64 ? 64 : (uint16_t)queues;
}

static uint32_t speed_read(int fd, const char *name)
{
	struct ethtool_cmd c = { .cmd = ETHTOOL_GSET };

	if (ethtool(fd, name, &c) < 0)
		return 0;
	uint32_t speed = ethtool_cmd_speed(&c);
	return speed == (uint32_t)SPEED_UNKNOWN || speed == UINT16_MAX ? 0 : speed;
}

/* sysfs may show another namespace's interfaces; the driver's bus address is host-wide. */
static int node_read(const struct ethtool_drvinfo *d)
{
	char path[PATH_MAX];
	int node = -1;

	if (!d->bus_info[0] || strchr(d->bus_info, '/'))
		return -1;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node", d->bus_info);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &node) != 1)
		node = -1;
	fclose(f);
	return node;
}

int interface_read(const char *name, struct interface_info *ret_info)
{
	struct interface_info info = { .node = -1 };
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { 0 };

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = request(fd, SIOCGIFINDEX, name, &ifr);
	info.ifindex = (uint32_t)ifr.ifr_ifindex;
	if (rc == 0)
		rc = request(fd, SIOCGIFFLAGS, name, &ifr);
	info.up = ifr.ifr_flags & IFF_UP;
	info.running = ifr.ifr_flags & IFF_RUNNING;
	if (rc == 0)
		rc = request(fd, SIOCGIFMTU, name, &ifr);
	info.mtu = (uint32_t)ifr.ifr_mtu;
	if (rc == 0)
		rc = request(fd, SIOCGIFHWADDR, name, &ifr);
	memcpy(info.mac, ifr.ifr_hwaddr.sa_data, sizeof(info.mac));
	if (rc == 0) {
		info.rx_queues = queues_read(fd, name);
		info.speed_mbps = speed_read(fd, name);
		if (ethtool(fd, name, &driver) == 0) {
			snprintf(info.driver, sizeof(info.driver), "%.31s", driver.driver);
			info.node = node_read(&driver);
		}
	}
	close(fd);
	if (rc == 0)
		*ret_info = info;
	return rc;
}
