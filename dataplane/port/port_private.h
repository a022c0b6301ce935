/* SPDX-License-Identifier: BSD-3-Clause */

/* Between the registry and the kinds of ports. */

#ifndef WEIR_PORT_PORT_PRIVATE_H
#define WEIR_PORT_PORT_PRIVATE_H

#include "dataplane/port/port.h"
#include "dataplane/port/registry.h"
#include "dataplane/port/steering.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct open_port;
struct rte_mempool;

/* What a kind of port can do. */
struct port_driver {
	/*
	 * Fill p->port and what describes it; state is the driver's. err gets the reason.
	 * heir_of is NULL, or the lost port of the same interface that this one replaces.
	 */
	int (*open)(struct open_port *p, struct open_port *heir_of,
		const struct port_registry_params *params, char *err, size_t err_size);
	void (*close)(struct open_port *p);
	/* Look at the link; NULL: it never changes. */
	void (*poll)(struct open_port *p, const struct port_registry_params *params);
	/* A lost port: is its interface there again, and not tried yet? NULL: never lost. */
	bool (*is_back)(struct open_port *p);
	/* A lost port that still holds its device: no core uses it any more, let go. NULL: none does. */
	void (*release)(struct open_port *p);
	/*
	 * Have those of these rules that in_force says, of so many services that there are, and say there which of
	 * them it has; and in p->steering_why what is not by the device. NULL: it can't.
	 */
	void (*steer)(struct open_port *p, const struct steering_rule *rules, uint32_t count,
		bool *in_force, uint32_t services, const char *why);
	/* The port has p->name now and had another before; NULL: nothing depends on it. */
	void (*renamed)(struct open_port *p, const struct port_registry_params *params);
};

struct open_port {
	struct port port; /* lent to the fast path */
	const struct port_driver *driver;
	void *state; /* owned by the driver */
	const struct rte_mempool *pool; /* borrowed from the driver; NULL: it has none to show */
	char name[WEIR_NAME_SIZE];
	char old_name[WEIR_NAME_SIZE]; /* to go back to, when a rename is rolled back */
	char device[WEIR_DEVICE_SIZE];
	uint32_t ifindex;
	uint32_t speed_mbps;
	uint64_t from_kernel; /* packets that the kernel sent by its twin */
	char steering_why[WEIR_STEERING_WHY_SIZE]; /* not by the device: the reason */
	uint8_t steering; /* 1: some by the device */
	char wake_why[WEIR_WAKE_WHY_SIZE]; /* its queues cannot wake a core: the reason */
	char driver_name[32];
	bool lost; /* its interface is gone */
	bool held; /* lost, and its device waits to be let go of, when no core uses it any more */
	bool held_told; /* that has been asked for */
	uint32_t tried_ifindex; /* lost: an interface of the name that was tried already */
	bool wanted; /* by the configuration being prepared */
	bool fresh; /* opened for it */
};

extern const struct port_driver port_driver_af_xdp;
extern const struct port_driver port_driver_capture;
extern const struct port_driver port_driver_pci;

__attribute__((format(printf, 4, 5))) int port_refuse(
	int rc, char *err, size_t err_size, const char *format, ...);

/*
 * A pool of mbufs with room for struct packet, on a node (-1: any).
 *
 * Returns 0 or -ENOMEM. End it with port_pool_free(), which waits a moment for mbufs that are still
 * under way and rather leaks the pool than pull it from under them.
 */
int port_pool_create(const char *name, uint32_t count, uint32_t room_bytes, int node,
	struct rte_mempool **ret_pool);

#define PORT_ROOM_BYTES \
	(RTE_PKTMBUF_HEADROOM + 2048u) /* of the mbufs of PCI ports and their twins */

#define PORT_FRAME_BYTES 4096u /* of an AF_XDP socket's memory: what the kernel calls a chunk */

/*
 * A pool for a socket of AF_XDP: an mbuf is a page of its own. The driver gives the kernel `count` times
 * an object's size as the socket's memory, so objects that were laid out with gaps would in part lie
 * beyond it, and the kernel loses those without a word.
 *
 * count  at least 4096. Returns 0, -ENOMEM or another -errno; end it with port_pool_retire().
 */
int port_frame_pool_create(
	const char *name, uint32_t count, int node, struct rte_mempool **ret_pool);
void port_pool_free(struct rte_mempool *pool);

/*
 * A pool whose socket is closed: the buffers that lay in the kernel's rings never come back, so it is not
 * the last one's return that frees it, but that nothing has come back for a while. NULL is fine.
 */
void port_pool_retire(struct rte_mempool *pool);
/* A pool whose buffers all come back, when the devices that sent them are done with them. NULL is fine. */
void port_pool_drain(struct rte_mempool *pool);
/*
 * A PCI device was opened (true) or closed (false): one that is open may keep a buffer that it has sent until
 * it needs the place, however long that is.
 */
void port_pools_keep(bool keep);
void port_pools_reap(uint64_t now_ns);

#endif
