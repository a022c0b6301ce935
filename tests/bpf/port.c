/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/bpf/port.h"

#include "ebpf/kernel/steering.h"
#include "ebpf/kernel/steering_keys.h"

#include <bpf/bpf.h>

#include <errno.h>
#include <linux/if_xdp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A bpffs of our own. Returns false when that is not possible here. */
static bool world_make(struct port_world *w, const char *name)
{
	char path[PATH_MAX];

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		!tap_folder(w->base, sizeof(w->base)))
		return false;
	snprintf(path, sizeof(path), "%s/bpf", w->base);
	return mkdir(path, 0700) == 0 && mount("bpf", path, "bpf", 0, "mode=0700") == 0 &&
		steering_path(w->base, name, w->directory, sizeof(w->directory)) == 0 &&
		mkdir(w->directory, 0700) == 0;
}

static void world_end(const struct port_world *w)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bpf", w->base);
	umount(path);
	rmdir(path);
	rmdir(w->base);
}

/* Load, pin the maps as the data plane does, and put a socket in. */
static bool program_load(struct port_world *w)
{
	struct bpf_map *map;
	size_t size;
	const void *bytes = steering_object(&size);
	const uint32_t queue = 0;

	w->object = bpf_object__open_mem(bytes, size, NULL);
	if (!w->object || bpf_object__load(w->object) < 0)
		return false;
	w->program = bpf_program__fd(bpf_object__find_program_by_name(w->object, STEERING_PROGRAM));
	bpf_object__for_each_map(map, w->object)
	{
		char path[PATH_MAX + 64];

		snprintf(path, sizeof(path), "%s/%s", w->directory, bpf_map__name(map));
		if (bpf_map__pin(map, path) < 0)
			return false;
	}
	int fd = socket(AF_XDP, SOCK_RAW, 0);
	int sockets = bpf_object__find_map_fd_by_name(w->object, STEERING_MAP_SOCKETS);

	return fd >= 0 && bpf_map_update_elem(sockets, &queue, &fd, 0) == 0;
}

int port_world_run(struct port_world *w, const char *name, bool (*more)(void), const char *suite,
	const struct tap_case *cases, size_t count)
{
	int rc = 99;

	if (!world_make(w, name)) {
		printf("1..0 # SKIP needs root and a bpffs of its own (%s)\n", strerror(errno));
		return 0;
	}
	if (program_load(w) && (!more || more()))
		rc = tap_run(suite, cases, count);
	else
		printf("1..1\nnot ok 1 - the program loads (%s)\n", strerror(errno));
	world_end(w);
	return rc;
}
