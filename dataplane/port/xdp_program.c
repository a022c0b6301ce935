/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/xdp_program.h"

#include "dataplane/port/port_private.h"
#include "ebpf/kernel/links.h"
#include "ebpf/kernel/steering.h"
#include "ebpf/kernel/steering_keys.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const pinned[] = {
	STEERING_MAP_SERVICES,
	STEERING_MAP_PREFIXES,
	STEERING_MAP_SOURCES,
	STEERING_MAP_PORT,
	STEERING_MAP_COUNTERS,
	STEERING_MAP_JUDGED,
	STEERING_MAP_RANGES,
	STEERING_MAP_PROGRAMS,
	STEERING_MAP_JUDGES,
	STEERING_MAP_PACKET,
};

#define JUDGES_BYTES (STEERING_MAX_JUDGES * sizeof(struct steering_judge))
#define HOLDS_BYTES  (STEERING_HOLDS * sizeof(struct steering_hold))
#define PINNED_COUNT (sizeof(pinned) / sizeof(pinned[0]))

struct xdp_program {
	struct bpf_object *object; /* owned */
	int link_fd; /* owned; the program is detached when the last one is closed */
	bool generic;
	uint64_t owner;
	const struct steering_judge *judges; /* owned mapping; [STEERING_MAX_JUDGES] */
	struct steering_hold *holds; /* the same; [STEERING_HOLDS] */
	char pin_dir[PATH_MAX];
};

static void pins_remove(const char *dir)
{
	char path[PATH_MAX + 64];

	for (size_t i = 0; i < PINNED_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, pinned[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static int pins_make(struct xdp_program *x)
{
	char path[PATH_MAX + 64];

	pins_remove(x->pin_dir);
	if (mkdir(x->pin_dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	for (size_t i = 0; i < PINNED_COUNT; i++) {
		int fd = bpf_object__find_map_fd_by_name(x->object, pinned[i]);

		snprintf(path, sizeof(path), "%s/%s", x->pin_dir, pinned[i]);
		if (fd < 0 || bpf_obj_pin(fd, path) < 0)
			return -errno;
	}
	return 0;
}

static bool mode_is_generic(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query((int)ifindex, 0, &query) == 0 && query.attach_mode == XDP_ATTACHED_SKB;
}

/* Between two packets: none of them meets the interface without a program. */
static int link_take_over(struct xdp_program *x, struct port_link *orphan)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(x->object, STEERING_PROGRAM);

	if (!program)
		return -ENOENT;
	if (bpf_link_update(orphan->fd, bpf_program__fd(program), NULL) < 0)
		return -errno;
	x->link_fd = orphan->fd;
	orphan->fd = -1;
	return 0;
}

static int link_create(struct xdp_program *x, uint32_t ifindex)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(x->object, STEERING_PROGRAM);
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	if (!program)
		return -ENOENT;
	int fd = bpf_link_create(bpf_program__fd(program), (int)ifindex, BPF_XDP, &opts);
	if (fd < 0 && errno != EBUSY && errno != EPERM) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(bpf_program__fd(program), (int)ifindex, BPF_XDP, &opts);
	}
	if (fd < 0)
		return -errno;
	x->link_fd = fd;
	return 0;
}

int xdp_program_set_mac(struct xdp_program *x, const uint8_t mac[6])
{
	struct steering_port port = { .check_mac = 1, .owner = x->owner };
	const uint32_t zero = 0;
	int fd = bpf_object__find_map_fd_by_name(x->object, STEERING_MAP_PORT);

	memcpy(port.mac, mac, sizeof(port.mac));
	return bpf_map_update_elem(fd, &zero, &port, BPF_ANY) < 0 ? -errno : 0;
}

static int map_of(const struct xdp_program *heir_of, const struct port_link *orphan, unsigned int i)
{
	return orphan ? orphan->map[i] :
			bpf_object__find_map_fd_by_name(heir_of->object, link_map_names[i]);
}

/* An older Weir's may have other keys, values or sizes. */
static bool is_alike(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return map && fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
		info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
		info.value_size == bpf_map__value_size(map) &&
		info.max_entries == bpf_map__max_entries(map);
}

/* Steering stays what it was: the daemon need not notice that the interface, or we, were away. */
static int maps_inherit(
	struct xdp_program *x, const struct xdp_program *heir_of, const struct port_link *orphan)
{
	bool judges = true;

	for (unsigned int i = LINK_MAP_NEEDED; i < LINK_MAP_COUNT; i++)
		judges &= is_alike(bpf_object__find_map_by_name(x->object, link_map_names[i]),
			map_of(heir_of, orphan, i));
	for (unsigned int i = 0; i < (judges ? LINK_MAP_COUNT : LINK_MAP_NEEDED); i++) {
		int fd = map_of(heir_of, orphan, i);
		struct bpf_map *map = bpf_object__find_map_by_name(x->object, link_map_names[i]);

		if (fd < 0 || !map || bpf_map__reuse_fd(map, fd) < 0)
			return -errno;
	}
	return 0;
}

/* Where judges go with their verdict, and what they have dropped. */
static int judges_prepare(struct xdp_program *x)
{
	const struct bpf_program *verdict =
		bpf_object__find_program_by_name(x->object, STEERING_VERDICT);
	const int programs = bpf_object__find_map_fd_by_name(x->object, STEERING_MAP_PROGRAMS);
	const int judges = bpf_object__find_map_fd_by_name(x->object, STEERING_MAP_JUDGES);
	const uint32_t zero = 0;
	const int fd = verdict ? bpf_program__fd(verdict) : -1;

	if (fd < 0 || bpf_map_update_elem(programs, &zero, &fd, BPF_ANY) < 0)
		return -errno;
	void *at = mmap(NULL, JUDGES_BYTES, PROT_READ, MAP_SHARED, judges, 0);

	if (at == MAP_FAILED)
		return -errno;
	x->judges = at;
	return 0;
}

static int holds_prepare(struct xdp_program *x)
{
	const int fd = bpf_object__find_map_fd_by_name(x->object, STEERING_MAP_HOLDS);
	void *at = mmap(NULL, HOLDS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	x->holds = at;
	return 0;
}

static int program_load(
	struct xdp_program *x, const struct xdp_program *heir_of, const struct port_link *orphan)
{
	size_t size;
	const void *bytes = steering_object(&size);

	x->object = bpf_object__open_mem(bytes, size, NULL);
	if (!x->object)
		return -errno;
	if (heir_of || orphan) {
		int rc = maps_inherit(x, heir_of, orphan);
		if (rc < 0)
			return rc;
	}
	const int rc = bpf_object__load(x->object) < 0 ? -errno : judges_prepare(x);
	return rc < 0 ? rc : holds_prepare(x);
}

int xdp_program_attach(uint32_t ifindex, const char *pin_dir, const uint8_t mac[6], uint64_t owner,
	struct xdp_program *heir_of, struct port_link *orphan, struct xdp_program **ret_program,
	char *err, size_t err_size)
{
	struct xdp_program *x = calloc(1, sizeof(*x));

	if (!x)
		return port_refuse(-ENOMEM, err, err_size, "out of memory");
	x->link_fd = -1;
	x->owner = owner;
	snprintf(x->pin_dir, sizeof(x->pin_dir), "%s", pin_dir);
	int rc = program_load(x, heir_of, orphan);
	if (rc < 0) {
		(void)port_refuse(rc, err, err_size, "cannot load the XDP program: %s%s",
			strerror(-rc),
			rc == -EPERM ? " (CAP_BPF and CAP_NET_ADMIN are needed)" : "");
		goto fail;
	}
	rc = xdp_program_set_mac(x, mac);
	if (rc == 0)
		rc = pins_make(x);
	if (rc < 0) {
		(void)port_refuse(
			rc, err, err_size, "cannot pin maps in %s: %s", pin_dir, strerror(-rc));
		goto fail;
	}
	rc = orphan ? link_take_over(x, orphan) : link_create(x, ifindex);
	if (rc < 0) {
		(void)port_refuse(rc, err, err_size,
			rc == -EBUSY ?
				"another XDP program is attached; take it off, or use another "
				"interface" :
				"cannot attach the XDP program: %s",
			strerror(-rc));
		goto fail;
	}
	x->generic = mode_is_generic(ifindex);
	if (orphan)
		port_link_release(orphan);
	if (heir_of)
		heir_of->pin_dir[0] = 0; /* they are the new one's now */
	*ret_program = x;
	return 0;
fail:
	xdp_program_detach(x);
	return rc;
}

void xdp_program_detach(struct xdp_program *x)
{
	if (!x)
		return;
	if (x->link_fd >= 0) {
		(void)bpf_link_detach(x->link_fd);
		close(x->link_fd);
	}
	xdp_program_unpin(x);
	if (x->judges)
		munmap((void *)(uintptr_t)x->judges, JUDGES_BYTES);
	if (x->holds)
		munmap(x->holds, HOLDS_BYTES);
	bpf_object__close(x->object);
	free(x);
}

void xdp_program_unpin(struct xdp_program *x)
{
	if (x->pin_dir[0])
		pins_remove(x->pin_dir);
	x->pin_dir[0] = 0;
}

const struct steering_judge *xdp_program_judges(const struct xdp_program *x)
{
	return x->judges;
}

struct steering_hold *xdp_program_holds(const struct xdp_program *x)
{
	return x->holds;
}

bool xdp_program_is_generic(const struct xdp_program *x)
{
	return x->generic;
}

int xdp_program_move_pins(struct xdp_program *x, const char *pin_dir)
{
	xdp_program_unpin(x);
	snprintf(x->pin_dir, sizeof(x->pin_dir), "%s", pin_dir);
	return pins_make(x);
}
