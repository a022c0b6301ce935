/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/kernel/links.h"

#include "ebpf/kernel/steering_keys.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM_MAPS_MAX 16

const char *const link_map_names[LINK_MAP_COUNT] = {
	[LINK_MAP_SERVICES] = STEERING_MAP_SERVICES,
	[LINK_MAP_PREFIXES] = STEERING_MAP_PREFIXES,
	[LINK_MAP_SOURCES] = STEERING_MAP_SOURCES,
	[LINK_MAP_JUDGED] = STEERING_MAP_JUDGED,
	[LINK_MAP_RANGES] = STEERING_MAP_RANGES,
	[LINK_MAP_PROGRAMS] = STEERING_MAP_PROGRAMS,
	[LINK_MAP_JUDGES] = STEERING_MAP_JUDGES,
	[LINK_MAP_PACKET] = STEERING_MAP_PACKET,
};

/* The numbers of a program's maps; how many, or -errno. */
static int program_maps(uint32_t program, uint32_t ids[PROGRAM_MAPS_MAX])
{
	struct bpf_prog_info info = {
		.nr_map_ids = PROGRAM_MAPS_MAX,
		.map_ids = (uint64_t)(uintptr_t)ids,
	};
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(program);

	if (fd < 0)
		return -errno;
	int rc = bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? -errno : 0;

	close(fd);
	if (rc < 0)
		return rc;
	if (info.type != BPF_PROG_TYPE_XDP)
		return -ENOENT;
	return info.nr_map_ids < PROGRAM_MAPS_MAX ? (int)info.nr_map_ids : PROGRAM_MAPS_MAX;
}

/* One of the maps by its name: a file descriptor, or -ENOENT. */
static int map_open(const uint32_t *ids, int count, const char *name)
{
	for (int i = 0; i < count; i++) {
		struct bpf_map_info info = { 0 };
		uint32_t size = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && !strcmp(info.name, name))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static bool is_owners(const uint32_t *ids, int count, uint64_t owner)
{
	const uint32_t zero = 0;
	struct steering_port port = { 0 };
	int fd = map_open(ids, count, STEERING_MAP_PORT);

	if (fd < 0)
		return false;
	int rc = bpf_map_lookup_elem(fd, &zero, &port);

	close(fd);
	return rc == 0 && (owner == 0 || port.owner == owner);
}

uint32_t port_link_program(uint32_t ifindex)
{
	uint32_t id = 0;

	return bpf_xdp_query_id((int)ifindex, 0, &id) == 0 ? id : 0;
}

/* The link that holds this program. Interfaces' numbers repeat over namespaces; a program's do not. */
static int link_of_program(uint32_t program, uint32_t ifindex)
{
	uint32_t id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		struct bpf_link_info info = { 0 };
		uint32_t size = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
			info.type == BPF_LINK_TYPE_XDP && info.prog_id == program &&
			info.xdp.ifindex == ifindex)
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int find(uint32_t ifindex, uint64_t owner, bool with_maps, struct port_link *ret_link)
{
	struct port_link link = PORT_LINK_NONE;
	uint32_t ids[PROGRAM_MAPS_MAX];

	link.program = port_link_program(ifindex);
	if (!link.program)
		return -ENOENT;
	int count = program_maps(link.program, ids);

	if (count < 0)
		return count;
	if (!is_owners(ids, count, owner))
		return -ENOENT;
	for (int i = 0; with_maps && i < LINK_MAP_COUNT; i++) {
		link.map[i] = map_open(ids, count, link_map_names[i]);
		if (link.map[i] < 0 && i < LINK_MAP_NEEDED) {
			port_link_release(&link);
			return -ENOENT;
		}
	}
	link.fd = link_of_program(link.program, ifindex);
	if (link.fd < 0) {
		port_link_release(&link);
		return -ENOENT;
	}
	*ret_link = link;
	return 0;
}

int port_link_find(uint32_t ifindex, uint64_t owner, struct port_link *ret_link)
{
	return find(ifindex, owner, false, ret_link);
}

int port_link_find_with_maps(uint32_t ifindex, uint64_t owner, struct port_link *ret_link)
{
	return find(ifindex, owner, true, ret_link);
}

void port_link_release(struct port_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	for (int i = 0; i < LINK_MAP_COUNT; i++)
		if (link->map[i] >= 0)
			close(link->map[i]);
	*link = PORT_LINK_NONE;
}

uint64_t port_link_owner(const char *instance_dir)
{
	/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (const char *c = instance_dir; *c; c++)
		h = (h ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}
