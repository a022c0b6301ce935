/* SPDX-License-Identifier: BSD-3-Clause */

/* What the kernel says of a network interface, by ioctl: no sysfs, which may be another namespace's. */

#ifndef WEIR_PORT_INTERFACE_H
#define WEIR_PORT_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

struct interface_info {
	uint32_t ifindex;
	bool up; /* administratively */
	bool running; /* with carrier */
	uint32_t mtu;
	uint8_t mac[6];
	uint16_t rx_queues;
	uint32_t speed_mbps; /* 0 unknown */
	int node; /* -1: none */
	char driver[32];
};

/* Returns 0, -ENODEV (no such interface) or another -errno. */
int interface_read(const char *name, struct interface_info *ret_info);

#endif
