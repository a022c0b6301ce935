/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A kernel interface through AF_XDP: DPDK's net_af_xdp drives the sockets, one device per queue, and
 * our XDP program decides what comes to them.
 *
 * The order matters. Our program is attached first; libxdp, which the driver opens its sockets with,
 * takes it for its own default program (by name and version, see weir_port.bpf.c) and puts the sockets
 * into its xsks_map. So at no moment is there a program that would take the host's own packets.
 */

#include "dataplane/port/interface.h"
#include "dataplane/port/orphans.h"
#include "dataplane/port/port_private.h"
#include "dataplane/port/xdp_program.h"
#include "ebpf/kernel/links.h"
#include "ebpf/kernel/steering.h"

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 4096 /* descriptors that are looked at */

#define RING_DESCS 2048u
/*
 * A frame of the socket's memory is one mbuf of the pool, a page: 4096 less the pool's and the mbuf's own
 * headers, struct packet, the headroom, what the kernel keeps for itself and the link header.
 */
#define MTU_MAX	   3200u

struct af_xdp_queue {
	uint16_t device; /* DPDK's number of the ethdev */
	bool probed;
	int socket; /* the driver's; -1: not known */
	char vdev[32];
};

/* Polls between two looks at what the kernel dropped: every 50 ms, so every 10 s. */
#define MISSED_POLLS 200u

struct af_xdp {
	struct xdp_program *program; /* owned */
	struct port_judges judges;
	struct rte_mempool *pool; /* owned */
	uint16_t queue_count;
	struct af_xdp_queue *queue; /* owned */
	struct port_queue *rx; /* owned */
	uint64_t missed; /* packets that the kernel had no room for, as far as reported */
	unsigned int polls;
};

static uint16_t af_xdp_rx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_rx_burst(((const struct af_xdp_queue *)queue)->device, 0, pkts, n);
}

static uint16_t af_xdp_tx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_tx_burst(((const struct af_xdp_queue *)queue)->device, 0, pkts, n);
}

/* The socket can be waited for as it is. */
static void af_xdp_arm(void *queue, bool on)
{
	(void)queue;
	(void)on;
}

static bool is_xdp_socket(int fd)
{
	int domain;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP;
}

static void sockets_mark(bool marks[SOCKETS_MAX])
{
	for (int fd = 0; fd < SOCKETS_MAX; fd++)
		marks[fd] = is_xdp_socket(fd);
}

/* The socket that was not there before; the driver tells nobody. */
static int socket_find(const bool before[SOCKETS_MAX])
{
	for (int fd = 0; fd < SOCKETS_MAX; fd++)
		if (!before[fd] && is_xdp_socket(fd))
			return fd;
	return -1;
}

/*
 * DPDK 22.11 counts the users of a socket's memory only where it is shared, so closing a device leaves
 * the socket open, and with it the interface's queue taken: nobody could open the port again.
 */
static void socket_close(struct af_xdp_queue *q)
{
	if (q->socket >= 0 && is_xdp_socket(q->socket))
		close(q->socket);
	q->socket = -1;
}

static void af_xdp_close(struct open_port *p)
{
	struct af_xdp *x = p->state;

	/* First the program, so that nothing comes any more, then the sockets. */
	xdp_program_detach(x->program);
	/* The driver would take its program off, too, and complain that the interface is gone. */
	if (p->lost)
		rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_CRIT);
	for (uint16_t i = 0; i < x->queue_count; i++) {
		struct af_xdp_queue *q = &x->queue[i];

		if (!q->probed)
			continue;
		(void)rte_eth_dev_stop(q->device);
		(void)rte_eth_dev_close(q->device);
		(void)rte_vdev_uninit(q->vdev);
		socket_close(q);
	}
	if (p->lost)
		rte_log_set_level_pattern("pmd.net.af_xdp", RTE_LOG_WARNING);
	port_pool_retire(x->pool);
	free(x->queue);
	free(x->rx);
	free(x);
	p->state = NULL;
}

/* Probe, set up and start the device of one queue. */
static int queue_open(struct open_port *p, uint16_t index, const char **ret_what)
{
	static unsigned int serial; /* names of devices that are gone may still be known to EAL */
	struct af_xdp *x = p->state;
	struct af_xdp_queue *q = &x->queue[index];
	const struct rte_eth_conf conf = { 0 };
	char args[128];

	snprintf(q->vdev, sizeof(q->vdev), "net_af_xdp%u", serial++);
	snprintf(args, sizeof(args), "iface=%s,start_queue=%u,queue_count=1", p->device, index);
	q->socket = -1;
	*ret_what = "open";
	int rc = rte_vdev_init(q->vdev, args);
	if (rc < 0)
		return rc;
	q->probed = true;
	*ret_what = "set up";
	rc = rte_eth_dev_get_port_by_name(q->vdev, &q->device);
	if (rc == 0)
		rc = rte_eth_dev_configure(q->device, 1, 1, &conf);
	unsigned int socket =
		p->port.node < 0 ? (unsigned int)SOCKET_ID_ANY : (unsigned int)p->port.node;
	bool before[SOCKETS_MAX];
	sockets_mark(before);
	if (rc == 0)
		rc = rte_eth_rx_queue_setup(q->device, 0, RING_DESCS, socket, NULL, x->pool);
	q->socket = socket_find(before);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(q->device, 0, RING_DESCS, socket, NULL);
	*ret_what = "start";
	if (rc == 0)
		rc = rte_eth_dev_start(q->device);
	return rc;
}

/*
 * Both rings of a queue full, as much again under way in workers' rings; more where the budget gives
 * it, but an eighth of it at most.
 */
static uint32_t pool_size(uint64_t memory_bytes, uint16_t queues)
{
	uint64_t share = memory_bytes / 8 / PORT_FRAME_BYTES;
	uint64_t least = (uint64_t)queues * 2 * RING_DESCS + 2048;
	uint64_t most = (uint64_t)queues * 4 * RING_DESCS + 16384;

	return (uint32_t)(share < least ? least : share > most ? most : share);
}

static int interface_check(
	struct open_port *p, struct interface_info *info, char *err, size_t err_size)
{
	int rc = interface_read(p->device, info);

	if (rc == -ENODEV)
		return port_refuse(
			rc, err, err_size, "port %s: there is no interface %s", p->name, p->device);
	if (rc < 0)
		return port_refuse(rc, err, err_size, "port %s: interface %s: %s", p->name,
			p->device, strerror(-rc));
	if (!info->up)
		return port_refuse(-ENETDOWN, err, err_size,
			"port %s: interface %s is down; do: ip link set %s up", p->name, p->device,
			p->device);
	if (info->mtu > MTU_MAX)
		return port_refuse(-EMSGSIZE, err, err_size,
			"port %s: interface %s has an MTU of %u, AF_XDP takes %u at most", p->name,
			p->device, info->mtu, MTU_MAX);
	return 0;
}

static void interface_take(struct open_port *p, const struct interface_info *info)
{
	p->ifindex = info->ifindex;
	p->speed_mbps = info->speed_mbps;
	memcpy(p->port.mac, info->mac, sizeof(p->port.mac));
	p->port.mtu = (uint16_t)(info->mtu > UINT16_MAX ? UINT16_MAX : info->mtu);
	snprintf(p->driver_name, sizeof(p->driver_name), "%s", info->driver);
	atomic_store_explicit(&p->port.up, info->up && info->running, memory_order_relaxed);
}

static void generic_mode_warn(struct open_port *p, const struct port_registry_params *params)
{
	char text[256];

	snprintf(text, sizeof(text),
		"interface %s (driver %s) runs the XDP program in generic mode: slower; a driver with "
		"native XDP would be better",
		p->device, p->driver_name[0] ? p->driver_name : "unknown");
	params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name, text);
}

static int pool_open(
	struct open_port *p, const struct port_registry_params *params, char *err, size_t err_size)
{
	static unsigned int serial;
	struct af_xdp *x = p->state;
	char name[32];

	snprintf(name, sizeof(name), "af_xdp%u", serial++);
	uint32_t count = pool_size(params->memory_bytes, x->queue_count);
	int rc = port_frame_pool_create(name, count, p->port.node, &x->pool);
	if (rc < 0)
		return port_refuse(rc, err, err_size,
			"port %s: no memory for %u packet buffers (%u MiB); give the data plane more",
			p->name, count, (unsigned int)(count / ((1u << 20) / PORT_FRAME_BYTES)));
	p->pool = x->pool;
	return 0;
}

static int queues_open(struct open_port *p, char *err, size_t err_size)
{
	struct af_xdp *x = p->state;

	for (uint16_t i = 0; i < x->queue_count; i++) {
		const char *what;
		int rc = queue_open(p, i, &what);

		if (rc < 0)
			return port_refuse(rc, err, err_size,
				"port %s: cannot %s an AF_XDP socket on %s queue %u: %s", p->name,
				what, p->device, i, strerror(-rc));
		x->rx[i] = (struct port_queue){
			.rx = af_xdp_rx,
			.tx = af_xdp_tx,
			.handle = &x->queue[i],
			.arm = x->queue[i].socket >= 0 ? af_xdp_arm : NULL,
			.wait_fd = x->queue[i].socket,
		};
		if (!x->rx[i].arm)
			snprintf(p->wake_why, sizeof(p->wake_why),
				"the driver's socket was not found");
	}
	p->port.rx_queue_count = x->queue_count;
	p->port.tx_queue_count = x->queue_count;
	p->port.rx_queue = x->rx;
	p->port.tx_queue = x->rx;
	return 0;
}

static int program_open(struct open_port *p, struct open_port *heir_of,
	const struct port_registry_params *params, char *err, size_t err_size)
{
	struct af_xdp *x = p->state;
	struct af_xdp *before = heir_of ? heir_of->state : NULL;
	char pin_dir[PATH_MAX];
	char reason[256] = "";
	int rc = steering_path(params->instance_dir, p->name, pin_dir, sizeof(pin_dir));

	if (rc == 0)
		rc = xdp_program_attach(p->ifindex, pin_dir, p->port.mac,
			port_link_owner(params->instance_dir), before ? before->program : NULL,
			port_orphans_find(params->orphans, p->ifindex), &x->program, reason,
			sizeof(reason));
	if (rc < 0)
		return port_refuse(
			rc, err, err_size, "port %s: interface %s: %s", p->name, p->device, reason);
	/* What a predecessor's judges dropped was its to count. */
	x->judges.judge = xdp_program_judges(x->program);
	memcpy(x->judges.seen, x->judges.judge, sizeof(x->judges.seen));
	p->port.judges = &x->judges;
	p->port.holds = xdp_program_holds(x->program);
	return 0;
}

static int af_xdp_open(struct open_port *p, struct open_port *heir_of,
	const struct port_registry_params *params, char *err, size_t err_size)
{
	struct interface_info info;
	int rc = interface_check(p, &info, err, err_size);

	if (rc < 0)
		return rc;
	struct af_xdp *x = calloc(1, sizeof(*x));
	if (!x)
		return port_refuse(-ENOMEM, err, err_size, "port %s: out of memory", p->name);
	p->state = x;
	interface_take(p, &info);
	p->port.node = info.node >= 0 ? info.node : params->default_node;
	x->queue_count = info.rx_queues;
	x->queue = calloc(x->queue_count, sizeof(*x->queue));
	x->rx = calloc(x->queue_count, sizeof(*x->rx));
	if (!x->queue || !x->rx)
		rc = port_refuse(-ENOMEM, err, err_size, "port %s: out of memory", p->name);
	if (rc == 0)
		rc = pool_open(p, params, err, err_size);
	if (rc == 0)
		rc = program_open(p, heir_of, params, err, err_size);
	if (rc == 0)
		rc = queues_open(p, err, err_size);
	if (rc < 0) {
		if (!x->queue)
			x->queue_count = 0;
		af_xdp_close(p);
		return rc;
	}
	/*
	 * A veth's packets never saw a wire, and generic XDP sees packets before anything completed
	 * their checksums: both may carry the bare pseudo-header sum.
	 */
	p->port.completes_checksums =
		strcmp(info.driver, "veth") == 0 || xdp_program_is_generic(x->program);
	if (xdp_program_is_generic(x->program))
		generic_mode_warn(p, params);
	if (heir_of) {
		char text[128];

		snprintf(text, sizeof(text), "interface %s is back", p->device);
		params->event(params->event_ctx, WEIR_EVENT_PORT_UP, p->name, text);
	}
	return 0;
}

/* The pins stay: the daemon goes on to keep them in step, for when the interface is back. */
static void port_lost(struct open_port *p, const struct port_registry_params *params)
{
	char text[256];

	p->lost = true;
	p->tried_ifindex = p->ifindex;
	atomic_store_explicit(&p->port.up, false, memory_order_relaxed);
	snprintf(text, sizeof(text), "interface %s is gone; taken up again when it is back",
		p->device);
	params->event(params->event_ctx, WEIR_EVENT_PORT_DOWN, p->name, text);
}

static bool af_xdp_is_back(struct open_port *p)
{
	struct interface_info info;

	if (interface_read(p->device, &info) < 0 || !info.up || info.ifindex == p->tried_ifindex)
		return false;
	p->tried_ifindex = info.ifindex;
	return true;
}

/*
 * The kernel drops what it has no room for in a socket's ring before we see it: not received, so in no
 * counter of ours. The operator is told, as it means that the receiving core is behind.
 */
static void missed_report(struct open_port *p, const struct port_registry_params *params)
{
	struct af_xdp *x = p->state;
	uint64_t missed = 0;
	char text[256];

	if (x->polls++ % MISSED_POLLS != 0)
		return;
	for (uint16_t i = 0; i < x->queue_count; i++) {
		struct rte_eth_stats stats;

		if (rte_eth_stats_get(x->queue[i].device, &stats) == 0)
			missed += stats.imissed;
	}
	if (missed > x->missed) {
		snprintf(text, sizeof(text),
			"%llu packets to interface %s were dropped by the kernel, as the receiving core "
			"was behind (%llu since the port was opened)",
			(unsigned long long)(missed - x->missed), p->device,
			(unsigned long long)missed);
		params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name, text);
	}
	x->missed = missed;
}

static void af_xdp_poll(struct open_port *p, const struct port_registry_params *params)
{
	struct af_xdp *x = p->state;
	struct interface_info info;
	char text[256];
	bool was_up = atomic_load_explicit(&p->port.up, memory_order_relaxed);

	int rc = interface_read(p->device, &info);
	if (rc == -ENODEV || (rc == 0 && info.ifindex != p->ifindex)) {
		port_lost(p, params);
		return;
	}
	if (rc < 0)
		return;
	if (memcmp(info.mac, p->port.mac, sizeof(info.mac)) != 0)
		(void)xdp_program_set_mac(x->program, info.mac);
	interface_take(p, &info);
	missed_report(p, params);
	bool is_up = info.up && info.running;
	if (is_up == was_up)
		return;
	snprintf(text, sizeof(text), "interface %s: link is %s", p->device, is_up ? "up" : "down");
	params->event(params->event_ctx, is_up ? WEIR_EVENT_PORT_UP : WEIR_EVENT_PORT_DOWN, p->name,
		text);
}

static void af_xdp_renamed(struct open_port *p, const struct port_registry_params *params)
{
	struct af_xdp *x = p->state;
	char pin_dir[PATH_MAX];

	int rc = steering_path(params->instance_dir, p->name, pin_dir, sizeof(pin_dir));
	if (rc == 0)
		rc = xdp_program_move_pins(x->program, pin_dir);
	if (rc < 0)
		params->event(params->event_ctx, WEIR_EVENT_WARNING, p->name,
			"the maps of its XDP program could not be pinned under its new name");
}

const struct port_driver port_driver_af_xdp = {
	.open = af_xdp_open,
	.close = af_xdp_close,
	.poll = af_xdp_poll,
	.is_back = af_xdp_is_back,
	.renamed = af_xdp_renamed,
};
