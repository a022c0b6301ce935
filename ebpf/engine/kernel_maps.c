/* SPDX-License-Identifier: BSD-3-Clause */

/* The kernel's maps of a policy. */

#include "ebpf/engine/kernel_private.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LRU_ENTRIES 4096

static int map_fill(const struct policy_image *image, const struct policy_image_map *m, int fd)
{
	uint32_t zero = 0;

	if (!(m->flags & POLICY_MAP_F_INITIAL))
		return 0;
	if (bpf_map_update_elem(fd, &zero, image_at(image, m->initial_offset), BPF_ANY) < 0)
		return -errno;
	/* From here on the verifier takes its bytes for constants. */
	if ((m->flags & POLICY_MAP_F_CONSTANT) && bpf_map_freeze(fd) < 0)
		return -errno;
	return 0;
}

static int map_create(const struct policy_image *image, const struct policy_image_map *m,
	uint32_t index, bool copies)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = m->map_flags);
	uint32_t entries = m->max_entries;
	char name[BPF_OBJ_NAME_LEN];

	/* The kernel need not hold memory for what is not in them. */
	if (m->type == BPF_MAP_TYPE_HASH)
		opts.map_flags |= BPF_F_NO_PREALLOC;
	if (copies && kernel_map_is_copy(m))
		opts.map_flags |= BPF_F_RDONLY_PROG;
	if (m->type == BPF_MAP_TYPE_LRU_HASH && entries > LRU_ENTRIES)
		entries = LRU_ENTRIES;
	if (m->flags & POLICY_MAP_F_CONSTANT)
		opts.map_flags |= BPF_F_RDONLY_PROG;
	snprintf(name, sizeof(name), KERNEL_MAP_NAME, index % 100);
	int fd = bpf_map_create(m->type, name, m->key_size, m->value_size, entries, &opts);
	if (fd < 0)
		return -errno;
	int rc = map_fill(image, m, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int kernel_map_create(const struct policy_image *image, uint32_t index, bool copies)
{
	return map_create(image, &image_maps(image)[index], index, copies);
}

int kernel_maps_create(const struct policy_image *image, bool copies, int ret_fds[POLICY_MAX_MAPS],
	char *err, size_t err_size)
{
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct policy_image_map *m = &image_maps(image)[i];
		int fd = map_create(image, m, i, copies);

		if (fd < 0) {
			snprintf(err, err_size, "the kernel refuses map %s (%s): %s", m->name,
				policy_map_type_name(m->type), strerror(-fd));
			while (i-- > 0)
				close(ret_fds[i]);
			return fd;
		}
		ret_fds[i] = fd;
	}
	return 0;
}
