/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/pci_queues.h"

#include "dataplane/port/pci_steering.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RX_DESCS      2048u
#define TX_DESCS      1024u
#define OWN_RX_DESCS  1024u /* of a queue that services are steered to */
#define MBUF_BYTES    2560u /* a packet buffer with all that is around it, roughly */
#define RING_DESC_LOW 64u /* a device with fewer is none that we can use */

static uint16_t pci_rx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	const struct pci_queue *q = queue;

	return rte_eth_rx_burst(q->device, q->queue, pkts, n);
}

static uint16_t pci_tx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	const struct pci_queue *q = queue;

	return rte_eth_tx_burst(q->device, q->queue, pkts, n);
}

/* What was signalled while nobody waited is read away: the core looks before it waits. */
static void pci_arm(void *queue, bool on)
{
	const struct pci_queue *q = queue;
	uint64_t times;

	if (on) {
		(void)rte_eth_dev_rx_intr_enable(q->device, q->queue);
		return;
	}
	(void)rte_eth_dev_rx_intr_disable(q->device, q->queue);
	ssize_t n = read(q->interrupt, &times, sizeof(times));

	(void)n;
}

/* A started device: do its receive queues wake who waits for them? */
static void interrupts_find(struct open_port *p)
{
	struct pci *x = p->state;

	for (uint16_t i = 0; x->interrupts && i < p->port.rx_queue_count; i++) {
		const int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(x->device, i);
		const int rc = fd < 0 ? -ENOTSUP : rte_eth_dev_rx_intr_enable(x->device, i);

		if (rc < 0) {
			snprintf(p->wake_why, sizeof(p->wake_why),
				"the driver has no interrupt for a receive queue (%s)",
				strerror(-rc));
			return;
		}
		(void)rte_eth_dev_rx_intr_disable(x->device, i);
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		x->queue[i].interrupt = fd;
		x->ports[i].wait_fd = fd;
		x->ports[i].arm = pci_arm;
	}
}

static void own_pools_drain(struct pci *x)
{
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++) {
		port_pool_drain(x->own_pool[i]);
		x->own_pool[i] = NULL;
	}
}

void pci_pools_drain(struct pci *x)
{
	port_pool_drain(x->pool);
	x->pool = NULL;
	own_pools_drain(x);
}

void pci_queues_free(struct pci *x)
{
	free(x->queue);
	free(x->ports);
	x->queue = NULL;
	x->ports = NULL;
}

static uint32_t pool_size(uint64_t memory_bytes, uint32_t descs)
{
	uint64_t share = memory_bytes / 8 / MBUF_BYTES;
	uint64_t least = descs + 4096;
	uint64_t most = (uint64_t)descs * 2 + 16384;

	return (uint32_t)(share < least ? least : share > most ? most : share);
}

/* On the port's node, or where there is memory: that is slower, but works. */
static int pool_open(struct open_port *p, uint32_t descs, const struct port_registry_params *params,
	char *err, size_t err_size)
{
	static unsigned int serial;
	struct pci *x = p->state;
	uint32_t count = pool_size(params->memory_bytes, descs);
	char name[32], text[256];

	snprintf(name, sizeof(name), "pci%u", serial++);
	int rc = port_pool_create(name, count, PORT_ROOM_BYTES, p->port.node, &x->pool);
	if (rc < 0 && p->port.node >= 0) {
		rc = port_pool_create(name, count, PORT_ROOM_BYTES, SOCKET_ID_ANY, &x->pool);
		snprintf(text, sizeof(text),
			"its packet buffers are not on its NUMA node %d, where there is no memory for "
			"them; a packet core or hugepages on that node would make it faster",
			p->port.node);
		if (rc == 0)
			params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name, text);
	}
	if (rc < 0)
		return port_refuse(rc, err, err_size,
			"port %s: no memory for %u packet buffers (%u MiB); give the data plane more",
			p->name, count, count / ((1u << 20) / MBUF_BYTES));
	p->pool = x->pool;
	return 0;
}

/* A queue that services are steered to is filled from memory of its own, on the node of its core. */
static int own_pools_open(struct open_port *p, const struct port_registry_params *params)
{
	static unsigned int serial;
	struct pci *x = p->state;
	char name[32];
	int rc = 0;

	for (uint16_t i = 1; rc == 0 && i < p->port.rx_queue_count; i++) {
		snprintf(name, sizeof(name), "own%u", serial++);
		rc = port_pool_create(name, pool_size(0, OWN_RX_DESCS), PORT_ROOM_BYTES,
			params->core_node[i], &x->own_pool[i]);
		if (rc < 0)
			rc = port_pool_create(name, pool_size(0, OWN_RX_DESCS), PORT_ROOM_BYTES,
				SOCKET_ID_ANY, &x->own_pool[i]);
	}
	return rc;
}

static int queues_setup(struct open_port *p, uint16_t rx_descs, uint16_t tx_descs)
{
	struct pci *x = p->state;
	unsigned int node =
		p->port.node < 0 ? (unsigned int)SOCKET_ID_ANY : (unsigned int)p->port.node;
	int rc = 0;

	for (uint16_t i = 0; rc == 0 && i < p->port.rx_queue_count; i++)
		rc = rte_eth_rx_queue_setup(x->device, i,
			i ? RTE_MIN(rx_descs, OWN_RX_DESCS) : rx_descs, node, NULL,
			i ? x->own_pool[i] : x->pool);
	for (uint16_t i = 0; rc == 0 && i < p->port.tx_queue_count; i++)
		rc = rte_eth_tx_queue_setup(x->device, i, tx_descs, node, NULL);
	return rc;
}

static int queues_alloc(struct open_port *p)
{
	struct pci *x = p->state;

	x->queue_count = RTE_MAX(p->port.rx_queue_count, p->port.tx_queue_count);
	x->queue = calloc(x->queue_count, sizeof(*x->queue));
	x->ports = calloc(x->queue_count, sizeof(*x->ports));
	if (!x->queue || !x->ports)
		return -ENOMEM;
	for (uint16_t i = 0; i < x->queue_count; i++) {
		x->queue[i] =
			(struct pci_queue){ .device = x->device, .queue = i, .interrupt = -1 };
		x->ports[i] = (struct port_queue){
			.rx = pci_rx, .tx = pci_tx, .handle = &x->queue[i], .core = (uint8_t)i
		};
	}
	p->port.rx_queue = x->ports;
	p->port.tx_queue = x->ports;
	return 0;
}

/* Queues to receive: the first, and one for each worker's core where the device may be able to steer to it. */
static uint16_t rx_queues_wanted(
	struct open_port *p, const struct port_registry_params *params, uint16_t most)
{
	struct pci *x = p->state;

	if (params->core_count == 1)
		snprintf(x->own_queues_why, sizeof(x->own_queues_why),
			"there is one packet core, which receives");
	else if (most < params->core_count)
		snprintf(x->own_queues_why, sizeof(x->own_queues_why),
			"the device has %u receive queue%s for %u packet cores", most,
			most == 1 ? "" : "s", params->core_count);
	return x->own_queues_why[0] ? 1 : (uint16_t)params->core_count;
}

/* With interrupts where they are wanted and there are any. */
static int configure(
	struct open_port *p, const struct port_registry_params *params, struct rte_eth_conf *conf)
{
	struct pci *x = p->state;
	int rc = -ENOTSUP;

	conf->intr_conf.rxq = params->interrupts && !x->no_interrupts;
	x->interrupts = conf->intr_conf.rxq;
	if (x->interrupts)
		rc = rte_eth_dev_configure(
			x->device, p->port.rx_queue_count, p->port.tx_queue_count, conf);
	if (rc == 0)
		return 0;
	if (x->interrupts)
		snprintf(p->wake_why, sizeof(p->wake_why),
			"the driver takes no interrupts for receive queues (%s)", strerror(-rc));
	x->interrupts = false;
	conf->intr_conf.rxq = 0;
	return rte_eth_dev_configure(
		x->device, p->port.rx_queue_count, p->port.tx_queue_count, conf);
}

/* One queue for each core to send, where the device has so many. */
int pci_queues_open(
	struct open_port *p, const struct port_registry_params *params, char *err, size_t err_size)
{
	struct pci *x = p->state;
	struct rte_eth_conf conf = { .rxmode.mtu = PCI_MTU_DEFAULT };
	struct rte_eth_dev_info info;
	uint16_t rx_descs = RX_DESCS, tx_descs = TX_DESCS;
	int rc = rte_eth_dev_info_get(x->device, &info);

	if (rc == 0) {
		conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
		p->port.checks_sums = conf.rxmode.offloads != 0;
		p->port.rx_queue_count = rx_queues_wanted(p, params, info.max_rx_queues);
		p->port.tx_queue_count = (uint16_t)RTE_MIN(
			RTE_MIN(params->core_count, WEIR_MAX_CORES), info.max_tx_queues);
		rc = configure(p, params, &conf);
	}
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(x->device, &rx_descs, &tx_descs);
	if (rc == 0 && (rx_descs < RING_DESC_LOW || tx_descs < RING_DESC_LOW))
		rc = -ERANGE;
	if (rc == 0)
		rc = queues_alloc(p);
	if (rc < 0)
		return port_refuse(rc, err, err_size, "port %s: PCI device %s cannot be set up: %s",
			p->name, p->device, strerror(-rc));
	if (!x->pool)
		rc = pool_open(p, (uint32_t)rx_descs + tx_descs * p->port.tx_queue_count, params,
			err, err_size);
	if (rc < 0)
		return rc;
	if (own_pools_open(p, params) < 0)
		return port_refuse(-ENOMEM, err, err_size,
			"port %s: no memory for the packet buffers of %u queues; give the data plane more",
			p->name, p->port.rx_queue_count);
	rc = queues_setup(p, rx_descs, tx_descs);
	if (rc < 0)
		return port_refuse(rc, err, err_size,
			"port %s: queues of PCI device %s cannot be set up: %s", p->name, p->device,
			strerror(-rc));
	return 0;
}

int pci_refuse_start(const struct open_port *p, int rc, char *err, size_t err_size)
{
	return port_refuse(rc, err, err_size, "port %s: PCI device %s does not start: %s", p->name,
		p->device, strerror(-rc));
}

static int start(struct open_port *p, char *err, size_t err_size)
{
	struct pci *x = p->state;
	int rc = rte_eth_dev_start(x->device);

	x->started = rc == 0;
	return rc < 0 ? pci_refuse_start(p, rc, err, err_size) : 0;
}

/*
 * Queues are set up before the device can be asked what it steers. One that has queues and takes no rule may spread
 * packets over them as it likes, so it gets one queue then.
 */
int pci_queues_start(
	struct open_port *p, const struct port_registry_params *params, char *err, size_t err_size)
{
	struct pci *x = p->state;
	int rc = start(p, err, err_size);

	if (rc < 0 && x->interrupts) {
		x->no_interrupts = true;
		snprintf(p->wake_why, sizeof(p->wake_why),
			"the device does not start with interrupts for receive queues (%s)",
			strerror(-rc));
		pci_queues_free(x);
		rc = pci_queues_open(p, params, err, err_size);
		if (rc == 0)
			rc = start(p, err, err_size);
	}
	if (rc < 0)
		return rc;
	if (p->port.rx_queue_count > 1 &&
		!pci_steering_is_possible(
			x->device, x->own_queues_why, sizeof(x->own_queues_why))) {
		(void)rte_eth_dev_stop(x->device);
		x->started = false;
		pci_queues_free(x);
		rc = pci_queues_open(p, params, err, err_size);
		if (rc < 0)
			return rc;
		own_pools_drain(x);
		rc = start(p, err, err_size);
		if (rc < 0)
			return rc;
	}
	interrupts_find(p);
	snprintf(p->steering_why, sizeof(p->steering_why), "%s", x->own_queues_why);
	return 0;
}
