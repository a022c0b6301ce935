/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Steering: which of a kernel interface's packets the XDP program of its port takes for Weir. The data
 * plane attaches the program and pins its maps; the daemon keeps the maps in step with the
 * configuration through this. Needs libbpf only, and CAP_BPF. Any one thread.
 *
 * Around a change of configuration: steering_sync(REMOVE) with the new lists, then tell the data
 * plane, then steering_sync(ADD | REMOVE) with the same lists. So no packet is redirected that the
 * data plane does not know a service for. When the data plane refuses, steering_sync(ADD) with the
 * old lists brings back what was removed.
 */

#ifndef WEIR_EBPF_STEERING_H
#define WEIR_EBPF_STEERING_H

#include <stddef.h>
#include <stdint.h>

/* All addresses are 16 bytes, IPv4 mapped; prefix lengths are of the mapped address. */
struct steering_service {
	uint8_t address[16];
	uint8_t prefix_length; /* 1..128; bits beyond it are zero */
	uint8_t protocol; /* 6 or 17 */
	uint16_t port; /* host order; 0 = any */
};

struct steering_source {
	uint8_t address[16];
	uint8_t protocol;
	uint8_t blocks[32]; /* as in struct weir_config_source; entries of one address add up */
};

enum steering_flag {
	STEERING_F_ADD = 1u << 0,
	STEERING_F_REMOVE = 1u << 1,
};

struct steering_counters {
	uint64_t redirected_packets;
	uint64_t redirected_bytes;
	uint64_t passed_packets; /* to the kernel */
	uint64_t passed_bytes;
	uint64_t no_socket_packets; /* of services, dropped while no data plane was there */
	uint64_t no_socket_bytes;
};

/* The folder of a port's pins: INSTANCE_DIR/bpf/PORT, with PORT made fit for bpffs (no dots). */
int steering_path(const char *instance_dir, const char *port, char *buf, size_t size);

/*
 * Bring a port's maps in step with the wanted services and sources: all additions first, then all
 * removals, each only when its flag is given.
 *
 * directory  of steering_path()
 * err        reason on errors; may be NULL
 *
 * Returns how many entries were changed (0: all was in step), or -ENOENT (no such port is open),
 * -EPROTO (the pins are of another version of Weir), -E2BIG (more entries than the maps take),
 * -ENOMEM or another -errno; then a part may have been done, and a later call does the rest.
 */
int steering_sync(const char *directory, const struct steering_service *services,
	size_t service_count, const struct steering_source *sources, size_t source_count,
	unsigned int flags, char *err, size_t err_size);

/* Sum over CPUs. Returns 0 or -errno. */
int steering_counters_read(const char *directory, struct steering_counters *ret_counters);

/* The XDP program's object file, as bytes of this program. */
const void *steering_object(size_t *ret_size);

#endif
