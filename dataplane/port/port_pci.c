/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A PCI device by its poll-mode driver. EAL was started without devices (process/eal.c); each is added when
 * a port wants it. What is not a service's goes to and comes from the kernel by the port's twin (twin.h).
 *
 * A device can be pulled, or taken back by its kernel's driver, while cores poll it. EAL's interrupt thread
 * says so and the kernel waits for us: the port is down from the next look on, the configuration is applied
 * once more without it, and then nobody uses the device and it is let go of. One that has to be reset goes the
 * same way, and is opened again at once.
 */

#include "dataplane/port/pci_device.h"
#include "dataplane/port/pci_queues.h"
#include "dataplane/port/pci_steering.h"
#include "dataplane/port/port_private.h"
#include "dataplane/port/twin.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_vfio.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MTU_MAX	     2022u /* a frame with two tags fits into one mbuf */
#define MISSED_POLLS 200u /* polls between two looks at what the device dropped: 10 s */
#define LOOKS_FIRST  5u /* a device that could not be opened again is tried after a second, */
#define LOOKS_MOST   100u /* then after twice as long each time, up to 20 s */

/* Everything but the twin and the state itself. */
static void device_close(struct open_port *p)
{
	struct pci *x = p->state;

	if (x->watched)
		pci_unwatch(p->device, x->device, &x->watch);
	x->watched = false;
	if (x->started) {
		pci_steering_end(&x->steering, x->device);
		(void)rte_eth_dev_stop(x->device);
	}
	x->started = false;
	if (x->dev) {
		(void)rte_eth_dev_close(x->device);
		(void)rte_dev_remove(x->dev);
	}
	x->dev = NULL;
	pci_pools_drain(x);
	p->pool = NULL;
	if (x->keeps)
		port_pools_keep(false);
	x->keeps = false;
}

static void pci_close(struct open_port *p)
{
	struct pci *x = p->state;

	device_close(p);
	twin_close(x->twin);
	pci_queues_free(x);
	free(x);
	p->state = NULL;
}

/* No core uses the device any more. The twin waits for the next one, with all that the host has made of it. */
static void pci_release(struct open_port *p)
{
	struct pci *x = p->state;
	uint32_t mtu;
	bool up;

	device_close(p);
	if (x->twin && twin_read(x->twin, &up, &mtu) == -ENODEV) {
		twin_close(x->twin);
		x->twin = NULL;
	}
}

static int device_probe(struct open_port *p, char *err, size_t err_size)
{
	struct pci *x = p->state;
	struct rte_eth_dev_info info;
	struct pci_device facts;
	char why[256];

	pci_device_read(p->device, &facts);
	int rc = pci_device_check(&facts, p->device, why, sizeof(why));
	if (rc < 0)
		return port_refuse(rc, err, err_size, "port %s: %s", p->name, why);
	/* EAL looked for VFIO when it started; the module may have come since. */
	if (strcmp(facts.driver, "vfio-pci") == 0 && !rte_vfio_is_enabled("vfio_pci"))
		(void)rte_vfio_enable("vfio");
	rc = rte_dev_probe(p->device);
	if (rc == 0)
		rc = rte_eth_dev_get_port_by_name(p->device, &x->device);
	if (rc == 0)
		rc = rte_eth_dev_info_get(x->device, &info);
	if (rc < 0)
		return port_refuse(rc, err, err_size,
			"port %s: PCI device %s (driver %s) cannot be opened: %s; DPDK has a driver "
			"for it in one of the packages librte-net-*, and says more in the log",
			p->name, p->device, facts.driver, strerror(-rc));
	x->dev = info.device;
	x->is_virtual = facts.is_virtual;
	snprintf(p->driver_name, sizeof(p->driver_name), "%s", info.driver_name);
	port_pools_keep(true);
	x->keeps = true;
	return 0;
}

static void pci_steer(struct open_port *p, const struct steering_rule *rules, uint32_t count,
	bool *in_force, uint32_t services, const char *why)
{
	struct pci *x = p->state;
	char share[64] = "", refused[128];
	uint32_t steered = pci_steering_set(
		&x->steering, x->device, rules, count, in_force, refused, sizeof(refused));

	p->steering = steered != 0;
	if (steered != services && (refused[0] || why[0]))
		snprintf(share, sizeof(share), "%u of %u services; ", steered, services);
	snprintf(p->steering_why, sizeof(p->steering_why), "%s%s%s%s", share, refused,
		refused[0] && why[0] ? "; " : "", why);
}

static int device_start(
	struct open_port *p, const struct port_registry_params *params, char *err, size_t err_size)
{
	struct pci *x = p->state;
	struct rte_ether_addr mac;
	uint16_t mtu = PCI_MTU_DEFAULT;
	int rc = pci_queues_start(p, params, err, err_size);

	if (rc < 0)
		return rc;
	rc = rte_eth_macaddr_get(x->device, &mac);
	if (rc < 0)
		return pci_refuse_start(p, rc, err, err_size);
	/* The kernel's neighbour discovery and routing protocols need groups; more than its own address
	 * and those is nothing of ours. */
	(void)rte_eth_allmulticast_enable(x->device);
	(void)rte_eth_dev_get_mtu(x->device, &mtu);
	p->port.mtu = mtu;
	memcpy(p->port.mac, mac.addr_bytes, sizeof(p->port.mac));
	x->watched = pci_watch(p->device, x->device, &x->watch) == 0;
	return 0;
}

static int twin_attach(struct open_port *p, struct open_port *heir_of,
	const struct port_registry_params *params, char *err, size_t err_size)
{
	struct pci *x = p->state;
	struct pci *before = heir_of ? heir_of->state : NULL;
	struct twin_params twin = {
		.name = p->name,
		.instance_dir = params->instance_dir,
		.port_index = p->port.index,
		.node = p->port.node,
		.mtu = p->port.mtu,
		.bell = params->bell,
	};
	char why[256] = "";
	int rc = 0;

	memcpy(twin.mac, p->port.mac, sizeof(twin.mac));
	if (before && before->twin) {
		x->twin = before->twin;
		before->twin = NULL;
		twin_inherit(x->twin, &twin);
	} else if (strlen(p->name) > TWIN_NAME_MAX) {
		rc = port_refuse(-ENAMETOOLONG, why, sizeof(why),
			"its kernel interface has the port's name, of %d letters at most",
			TWIN_NAME_MAX);
	} else {
		rc = twin_open(&twin, &x->twin, why, sizeof(why));
	}
	if (rc < 0)
		return port_refuse(rc, err, err_size, "port %s: %s", p->name, why);
	p->port.to_kernel = twin_to_kernel(x->twin);
	p->port.from_kernel = twin_from_kernel(x->twin);
	p->ifindex = twin_ifindex(x->twin);
	return 0;
}

/* The link as the device says, which is returned, and whether the operator has set the twin down. */
static bool link_take(struct open_port *p, bool twin_up)
{
	struct pci *x = p->state;
	struct rte_eth_link link = { 0 };
	bool up = rte_eth_link_get_nowait(x->device, &link) == 0 &&
		link.link_status == RTE_ETH_LINK_UP;

	p->speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	twin_carrier_set(x->twin, up);
	atomic_store_explicit(&p->port.up, up && twin_up, memory_order_relaxed);
	return up;
}

static int pci_open(struct open_port *p, struct open_port *heir_of,
	const struct port_registry_params *params, char *err, size_t err_size)
{
	struct pci *x = calloc(1, sizeof(*x));
	char text[128];

	if (!x)
		return port_refuse(-ENOMEM, err, err_size, "port %s: out of memory", p->name);
	p->state = x;
	int rc = device_probe(p, err, err_size);
	if (rc == 0) {
		p->port.node = rte_eth_dev_socket_id(x->device);
		if (p->port.node < 0)
			p->port.node = params->default_node;
		rc = pci_queues_open(p, params, err, err_size);
	}
	if (rc == 0)
		rc = device_start(p, params, err, err_size);
	if (rc == 0)
		rc = twin_attach(p, heir_of, params, err, err_size);
	if (rc < 0) {
		pci_close(p);
		return rc;
	}
	x->link_was_up = link_take(p, true);
	snprintf(text, sizeof(text), "PCI device %s is back", p->device);
	if (heir_of)
		params->event(params->event_ctx, WEIR_EVENT_PORT_UP, p->name, text);
	return 0;
}

/* looks: at the device that seems to be there, before it is opened again */
static void port_lost(struct open_port *p, const struct port_registry_params *params,
	uint32_t looks, const char *text)
{
	struct pci *x = p->state;

	p->lost = true;
	p->held = true;
	p->held_told = false;
	x->looks_left = looks;
	x->looks_more = LOOKS_FIRST;
	atomic_store_explicit(&p->port.up, false, memory_order_relaxed);
	twin_carrier_set(x->twin, false);
	params->event(params->event_ctx, WEIR_EVENT_PORT_DOWN, p->name, text);
}

/* The device dropped packets as its queue was full: the receiving core is behind. In no other counter. */
static void missed_report(struct open_port *p, const struct port_registry_params *params)
{
	struct pci *x = p->state;
	struct rte_eth_stats stats;
	char text[256];

	if (x->polls++ % MISSED_POLLS != 0 || rte_eth_stats_get(x->device, &stats) != 0)
		return;
	if (stats.imissed > x->missed) {
		snprintf(text, sizeof(text),
			"PCI device %s dropped %llu packets, as the receiving core was behind (%llu "
			"since the port was opened)",
			p->device, (unsigned long long)(stats.imissed - x->missed),
			(unsigned long long)stats.imissed);
		params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name, text);
	}
	x->missed = stats.imissed;
}

/* The twin's MTU is the port's: an operator sets it there, and the device follows or it is set back. */
static void mtu_follow(struct open_port *p, uint32_t mtu, const struct port_registry_params *params)
{
	struct pci *x = p->state;
	char text[256];
	int rc = mtu > MTU_MAX ? -EMSGSIZE : rte_eth_dev_set_mtu(x->device, (uint16_t)mtu);

	if (rc == 0) {
		p->port.mtu = (uint16_t)mtu;
		return;
	}
	(void)twin_mtu_set(x->twin, p->port.mtu);
	snprintf(text, sizeof(text),
		"an MTU of %u cannot be set: %s; it is %u again (at most %u while the port is in use)",
		mtu, strerror(-rc), p->port.mtu, MTU_MAX);
	params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name, text);
}

/*
 * Has a virtual function lost its link and got it again? When its physical one is reset, that is all that some drivers
 * let be seen, and it stays deaf until it is opened again.
 */
static bool may_be_deaf(struct pci *x, bool link_is_up)
{
	x->link_went |= x->link_was_up && !link_is_up;
	x->link_was_up |= link_is_up;
	return x->is_virtual && x->link_went && link_is_up;
}

static void pci_poll(struct open_port *p, const struct port_registry_params *params)
{
	struct pci *x = p->state;
	bool was_up = atomic_load_explicit(&p->port.up, memory_order_relaxed);
	uint32_t mtu;
	bool up;
	char text[256];

	if (atomic_load_explicit(&x->watch.removed, memory_order_relaxed)) {
		snprintf(text, sizeof(text),
			"PCI device %s is being removed; taken up again when it is back",
			p->device);
		port_lost(p, params, LOOKS_MOST, text);
		return;
	}
	if (atomic_load_explicit(&x->watch.resets, memory_order_relaxed)) {
		snprintf(text, sizeof(text),
			"PCI device %s has to be reset; it is closed and opened again", p->device);
		port_lost(p, params, 1, text);
		return;
	}
	int rc = twin_read(x->twin, &up, &mtu);
	if (rc == -ENODEV) {
		snprintf(text, sizeof(text),
			"its kernel interface %s was deleted; both are opened again", p->name);
		port_lost(p, params, 1, text);
		return;
	}
	if (rc == 0 && mtu != p->port.mtu)
		mtu_follow(p, mtu, params);
	if (may_be_deaf(x, link_take(p, rc == 0 && up))) {
		snprintf(text, sizeof(text),
			"PCI device %s has its link again and is closed and opened again: it is a virtual "
			"function, and its physical one may have been reset",
			p->device);
		port_lost(p, params, 1, text);
		return;
	}
	p->from_kernel = twin_sent(x->twin);
	missed_report(p, params);
	bool is_up = atomic_load_explicit(&p->port.up, memory_order_relaxed);
	if (is_up == was_up)
		return;
	snprintf(text, sizeof(text), "PCI device %s: link is %s", p->device,
		is_up	   ? "up" :
			up ? "down" :
			     "down, as its kernel interface is");
	params->event(params->event_ctx, is_up ? WEIR_EVENT_PORT_UP : WEIR_EVENT_PORT_DOWN, p->name,
		text);
}

/* At once when it was seen to be away; else it may have come back between two looks, so now and then. */
static bool pci_is_back(struct open_port *p)
{
	struct pci *x = p->state;
	struct pci_device facts;
	char why[256];

	pci_device_read(p->device, &facts);
	if (pci_device_check(&facts, p->device, why, sizeof(why)) < 0) {
		x->looks_left = 1;
		return false;
	}
	if (--x->looks_left)
		return false;
	x->looks_left = x->looks_more;
	x->looks_more = RTE_MIN(x->looks_more * 2, LOOKS_MOST);
	return true;
}

static void pci_renamed(struct open_port *p, const struct port_registry_params *params)
{
	struct pci *x = p->state;
	char text[256];
	int rc = x->twin ? twin_rename(x->twin, p->name) : 0;

	if (rc == 0)
		return;
	snprintf(text, sizeof(text), "its kernel interface keeps its name: %s", strerror(-rc));
	params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name, text);
}

const struct port_driver port_driver_pci = {
	.open = pci_open,
	.close = pci_close,
	.poll = pci_poll,
	.is_back = pci_is_back,
	.release = pci_release,
	.renamed = pci_renamed,
	.steer = pci_steer,
};
