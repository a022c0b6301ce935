/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The BPF links by which ports' XDP programs hang on their interfaces. A link lasts as long as anybody
 * holds it: the data plane does while it lives, and the daemon beside it, so that a program outlasts a
 * data plane that was killed. Until the next one has come, packets of services find no socket and are
 * dropped; without the program the host's own stack would answer them with resets, and end every
 * connection that could have gone on.
 *
 * Needs CAP_SYS_ADMIN (objects by their number), CAP_BPF and CAP_NET_ADMIN. Any thread.
 */

#ifndef WEIR_EBPF_LINKS_H
#define WEIR_EBPF_LINKS_H

#include <stdint.h>

/* Maps that a program leaves to the one that takes its place. */
enum link_map {
	LINK_MAP_SERVICES,
	LINK_MAP_PREFIXES,
	LINK_MAP_SOURCES,
	/* Those of judges go together; a program of an older Weir has none. */
	LINK_MAP_JUDGED,
	LINK_MAP_RANGES,
	LINK_MAP_PROGRAMS,
	LINK_MAP_JUDGES,
	LINK_MAP_PACKET,
	LINK_MAP_COUNT
};
#define LINK_MAP_NEEDED LINK_MAP_JUDGED /* how many every program has */

/* What the maps are called. */
extern const char *const link_map_names[LINK_MAP_COUNT];

struct port_link {
	uint32_t program; /* its number; 0: none */
	int fd; /* of the link; owned */
	int map[LINK_MAP_COUNT]; /* owned; -1 unless asked for and there */
};

#define PORT_LINK_NONE ((struct port_link){ .fd = -1, .map = { -1, -1, -1, -1, -1, -1, -1, -1 } })

/* Number of the XDP program on an interface of this network namespace; 0: there is none. */
uint32_t port_link_program(uint32_t ifindex);

/*
 * Get hold of the link of Weir's program on an interface.
 *
 * owner  only when the data plane that attached it belongs to this instance (steering_port.owner);
 *        0: whosoever it is
 *
 * Returns 0, or -ENOENT (no program, not Weir's, not the owner's, not by a link) or another -errno.
 */
int port_link_find(uint32_t ifindex, uint64_t owner, struct port_link *ret_link);

/* The same, with the maps. */
int port_link_find_with_maps(uint32_t ifindex, uint64_t owner, struct port_link *ret_link);

void port_link_release(struct port_link *link);

/* What stands in steering_port.owner for an instance; its folder names it on this host. */
uint64_t port_link_owner(const char *instance_dir);

#endif
