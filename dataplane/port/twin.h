/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The twin of a PCI port: a kernel interface (TAP) that carries what is not a service's, both ways. A thread
 * of its own copies between the kernel and two bounded rings; core 0 is at the other end of those, and never
 * makes a system call. The rest is the main thread's.
 *
 * The interface outlives the process, so that a data plane that is killed and comes back finds the host's
 * addresses, routes and sessions as they were. Its name is noted in the instance's folder before it is made;
 * whoever starts next there takes it over or takes it away. An interface that was there before and is not
 * noted is the operator's: used, and left.
 */

#ifndef WEIR_PORT_TWIN_H
#define WEIR_PORT_TWIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bell;
struct rte_ring;
struct twin;

#define TWIN_NAME_MAX 15 /* letters of an interface's name */

struct twin_params {
	const char *name;
	const char *instance_dir;
	uint8_t port_index; /* of the port that its packets leave by */
	int node; /* for its buffers; -1: any */
	uint8_t mac[6];
	uint16_t mtu;
	struct bell *bell; /* borrowed; of core 0; NULL: it never waits */
};

/* Make or take over the interface, set its MAC address and MTU, and set it up. */
int twin_open(const struct twin_params *p, struct twin **ret_twin, char *err, size_t err_size);
/* Core 0 must not use the rings any more. NULL is fine. */
void twin_close(struct twin *t);

/* The port has another index, MAC address or MTU now: it was opened anew. */
void twin_inherit(struct twin *t, const struct twin_params *p);
int twin_rename(struct twin *t, const char *name);

struct rte_ring *twin_to_kernel(const struct twin *t); /* core 0 puts in */
struct rte_ring *twin_from_kernel(
	const struct twin *t); /* core 0 takes out; packets are complete */
uint64_t twin_sent(const struct twin *t); /* packets that the kernel sent by it */

void twin_carrier_set(struct twin *t, bool up);
uint32_t twin_ifindex(const struct twin *t);

/* What the operator has made of it. Returns 0 or -errno (-ENODEV: it was deleted). */
int twin_read(const struct twin *t, bool *ret_up, uint32_t *ret_mtu);
int twin_mtu_set(const struct twin *t, uint32_t mtu);

/* Take away those that a killed predecessor has left, but for the `count` of these names. */
void twins_sweep(const char *instance_dir, const char *const *names, size_t count);

#endif
