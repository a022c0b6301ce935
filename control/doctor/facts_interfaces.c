/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the kernel says of network interfaces, by ioctl and netlink: sysfs may show those of another
 * network namespace.
 */

#include "control/doctor/facts.h"

#include <bpf/libbpf.h>

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FEATURES_MAX 128

static int request(int fd, unsigned long what, const char *device, struct ifreq *ifr)
{
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%.15s", device);
	return ioctl(fd, what, ifr) < 0 ? -errno : 0;
}

static int ethtool(int fd, const char *device, void *command)
{
	struct ifreq ifr = { .ifr_data = command };
	return request(fd, SIOCETHTOOL, device, &ifr);
}

/* Where in the device's list of features one of this name is; -1: it has none such. */
static int feature_index(int fd, const char *device, const char *name)
{
	union {
		struct ethtool_gstrings head;
		uint8_t room[sizeof(struct ethtool_gstrings) + FEATURES_MAX * ETH_GSTRING_LEN];
	} strings = { .head = { .cmd = ETHTOOL_GSTRINGS,
			      .string_set = ETH_SS_FEATURES,
			      .len = FEATURES_MAX } };
	union {
		struct ethtool_sset_info head;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} info = { .head = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1u << ETH_SS_FEATURES } };
	if (ethtool(fd, device, &info) != 0 || info.head.data[0] > FEATURES_MAX ||
		ethtool(fd, device, &strings) != 0)
		return -1;
	for (uint32_t i = 0; i < info.head.data[0]; i++) {
		const char *at = (const char *)strings.head.data + i * ETH_GSTRING_LEN;
		if (strncmp(at, name, ETH_GSTRING_LEN) == 0)
			return (int)i;
	}
	return -1;
}

static int feature_read(int fd, const char *device, const char *name)
{
	union {
		struct ethtool_gfeatures head;
		uint8_t room[sizeof(struct ethtool_gfeatures) +
			FEATURES_MAX / 32 * sizeof(struct ethtool_get_features_block)];
	} features = { .head = { .cmd = ETHTOOL_GFEATURES, .size = FEATURES_MAX / 32 } };
	int index = feature_index(fd, device, name);
	if (index < 0 || ethtool(fd, device, &features) != 0)
		return FACTS_UNKNOWN;
	return features.head.features[index / 32].active >> (index % 32) & 1;
}

static int queues_read(int fd, const char *device)
{
	struct ethtool_channels c = { .cmd = ETHTOOL_GCHANNELS };
	if (ethtool(fd, device, &c) != 0)
		return FACTS_UNKNOWN;
	int queues = (int)(c.combined_count + c.rx_count);
	return queues > 0 ? queues : 1;
}

static enum facts_xdp xdp_read(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	if (bpf_xdp_query(ifindex, 0, &opts) != 0)
		return FACTS_XDP_UNKNOWN;
	switch (opts.attach_mode) {
	case XDP_ATTACHED_NONE:
		return FACTS_XDP_NONE;
	case XDP_ATTACHED_SKB:
		return FACTS_XDP_GENERIC;
	case XDP_ATTACHED_HW:
		return FACTS_XDP_HARDWARE;
	default:
		return FACTS_XDP_NATIVE;
	}
}

static void read_interface(int fd, struct facts_port *p)
{
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { 0 };
	p->exists = strlen(p->device) < IFNAMSIZ && request(fd, SIOCGIFINDEX, p->device, &ifr) == 0;
	if (!p->exists)
		return;
	p->xdp = xdp_read(ifr.ifr_ifindex);
	if (request(fd, SIOCGIFFLAGS, p->device, &ifr) == 0) {
		p->up = (ifr.ifr_flags & IFF_UP) != 0;
		p->carrier = (ifr.ifr_flags & IFF_RUNNING) != 0;
	}
	if (request(fd, SIOCGIFMTU, p->device, &ifr) == 0)
		p->mtu = ifr.ifr_mtu;
	if (ethtool(fd, p->device, &driver) == 0) {
		snprintf(p->driver, sizeof(p->driver), "%.31s", driver.driver);
		snprintf(p->bus, sizeof(p->bus), "%.31s", driver.bus_info);
	}
	p->queues = queues_read(fd, p->device);
	p->lro = feature_read(fd, p->device, "rx-lro");
	p->gro = feature_read(fd, p->device, "rx-gro");
	p->gro_hw = feature_read(fd, p->device, "rx-gro-hw");
	p->vlan_strip = feature_read(fd, p->device, "rx-vlan-hw-parse");
}

/* What libbpf says goes wrong is also returned. */
__attribute__((format(printf, 2, 0))) static int bpf_silent(
	enum libbpf_print_level level, const char *format, va_list ap)
{
	return 0;
}

void facts_read_interfaces(struct facts *f)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	libbpf_set_print(bpf_silent);
	if (request(fd, SIOCGIFFLAGS, "lo", &ifr) == 0)
		f->loopback_up = (ifr.ifr_flags & IFF_UP) != 0;
	for (size_t i = 0; i < f->port_count; i++)
		if (!f->ports[i].is_pci)
			read_interface(fd, &f->ports[i]);
	close(fd);
}
