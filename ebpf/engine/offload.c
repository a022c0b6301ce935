/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/offload.h"

#include "ebpf/engine/check.h"
#include "ebpf/engine/kernel_private.h"
#include "ebpf/kernel/steering_keys.h"

#include <weir/policy_abi.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_BYTES     65536
#define HARNESS_INSNS 64
#define XDP_DATA      offsetof(struct xdp_md, data)
#define XDP_DATA_END  offsetof(struct xdp_md, data_end)
#define MARK	      offsetof(struct weir_ctx, mark)

static_assert(offsetof(struct steering_packet, context) == 0, "the harness copies from its start");

static uint32_t map_load(struct bpf_insn *h, unsigned int r, uint32_t map)
{
	h[0] = kernel_insn(BPF_LD | BPF_DW | BPF_IMM, r, BPF_PSEUDO_MAP_IDX, 0, (int32_t)map);
	h[1] = kernel_insn(0, 0, 0, 0, 0);
	return 2;
}

/*
 * The same call as the one that was verified: a context at the end of the frame, with the packet's pointers. Its
 * numbers are those that the port's program has written down; the verdict and the mark go back there. Behind
 * the verdict nothing comes back: where that program is gone, so is the port.
 */
static uint32_t harness_write(struct bpf_insn *h, uint32_t packet_map, uint32_t programs_map)
{
	const uint8_t load = BPF_LDX | BPF_MEM | BPF_DW, store = BPF_STX | BPF_MEM | BPF_DW;
	const uint8_t load_word = BPF_LDX | BPF_MEM | BPF_W, store_word = BPF_STX | BPF_MEM | BPF_W;
	uint32_t n = 0, give_up, call;

	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	h[n++] = kernel_insn(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4);
	n += map_load(&h[n], 1, packet_map);
	h[n++] = kernel_insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	give_up = n++;
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0);
	for (int off = (int)offsetof(struct weir_ctx, now_ns); off < WEIR_CTX_SIZE; off += 8) {
		h[n++] = kernel_insn(load, 2, 7, off, 0);
		h[n++] = kernel_insn(store, 10, 2, off - WEIR_CTX_SIZE, 0);
	}
	h[n++] = kernel_insn(load_word, 2, 6, XDP_DATA, 0);
	h[n++] = kernel_insn(store, 10, 2, (int)offsetof(struct weir_ctx, data) - WEIR_CTX_SIZE, 0);
	h[n++] = kernel_insn(load_word, 2, 6, XDP_DATA_END, 0);
	h[n++] = kernel_insn(
		store, 10, 2, (int)offsetof(struct weir_ctx, data_end) - WEIR_CTX_SIZE, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -WEIR_CTX_SIZE);
	call = n++;
	h[n++] = kernel_insn(store_word, 7, 0, STEERING_PACKET_VERDICT, 0);
	h[n++] = kernel_insn(load_word, 2, 10, (int)MARK - WEIR_CTX_SIZE, 0);
	h[n++] = kernel_insn(store_word, 7, 2, (int)MARK, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
	n += map_load(&h[n], 2, programs_map);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0);
	h[n++] = kernel_insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
	h[give_up] = kernel_insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (int)(n - give_up - 1), 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP);
	h[n++] = kernel_insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	h[call] = kernel_insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, (int32_t)(n - call - 1));
	return n;
}

/* The last line of the verifier's log that says something. */
static void objection(const char *log, char *why, size_t why_size)
{
	const char *line = "", *end = log;

	if (strstr(log, "write into map forbidden")) {
		snprintf(why, why_size,
			"it changes a hash or prefix list itself; the kernel has copies only of those "
			"that a policy reads");
		return;
	}
	for (const char *at = log; *at; at = *end ? end + 1 : end) {
		end = strchr(at, '\n');
		if (!end)
			end = at + strlen(at);
		if (end > at && strncmp(at, "processed ", 10) != 0)
			line = at;
	}
	snprintf(why, why_size, "the kernel refuses it as XDP: %.*s", (int)strcspn(line, "\n"),
		line);
}

int policy_offload_load(const struct policy_image *image, const int *map_fds, int packet_fd,
	int programs_fd, char *why, size_t why_size)
{
	int fds[POLICY_MAX_MAPS + 2];
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .fd_array = fds, .expected_attach_type = BPF_XDP);
	struct bpf_insn *all = calloc(image->insn_count + HARNESS_INSNS, sizeof(*all));
	char *log = calloc(1, LOG_BYTES);
	int fd = -ENOMEM;

	if (!all || !log)
		goto out;
	memcpy(fds, map_fds, image->map_count * sizeof(fds[0]));
	fds[image->map_count] = packet_fd;
	fds[image->map_count + 1] = programs_fd;
	uint32_t before = harness_write(all, image->map_count, image->map_count + 1);
	const uint32_t count = before + image->insn_count;

	memcpy(all + before, image_insns(image), image->insn_count * sizeof(*all));
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "weir_judge", "", all, count, &opts);
	if (fd < 0) {
		opts.log_buf = log;
		opts.log_size = LOG_BYTES;
		opts.log_level = 1;
		fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "weir_judge", "", all, count, &opts);
	}
	if (fd < 0) {
		fd = -errno;
		if (log[0])
			objection(log, why, why_size);
	}
out:
	if (fd < 0 && (!log || !log[0]))
		snprintf(why, why_size, "it cannot be loaded as XDP: %s", strerror(-fd));
	free(log);
	free(all);
	return fd;
}

int policy_offload_maps(
	const struct policy_image *image, int ret_fds[POLICY_MAX_MAPS], char *why, size_t why_size)
{
	return kernel_maps_create(image, true, ret_fds, why, why_size);
}

bool policy_offload_shares(const struct policy_image *image)
{
	for (uint32_t i = 0; i < image->map_count; i++)
		if (image_maps(image)[i].type == BPF_MAP_TYPE_ARRAY &&
			!(image_maps(image)[i].flags & POLICY_MAP_F_CONSTANT))
			return true;
	return false;
}

bool policy_offload_copies(const struct policy_image *image, uint32_t index)
{
	return kernel_map_is_copy(&image_maps(image)[index]);
}

int policy_offload_copy(const struct policy_image *image, uint32_t index)
{
	return kernel_map_create(image, index, true);
}

static bool is_of(const struct policy_image *image, const struct bpf_map_info *info, uint32_t i)
{
	const struct policy_image_map *m = &image_maps(image)[i];
	char name[BPF_OBJ_NAME_LEN];

	snprintf(name, sizeof(name), KERNEL_MAP_NAME, i % 100);
	return !strcmp(info->name, name) && info->type == m->type &&
		info->value_size == m->value_size && info->max_entries == m->max_entries;
}

int policy_offload_maps_of(
	const struct policy_image *image, int program_fd, int ret_fds[POLICY_MAX_MAPS])
{
	uint32_t ids[POLICY_MAX_MAPS + 2], size, found = 0;
	struct bpf_prog_info info = { .nr_map_ids = POLICY_MAX_MAPS + 2,
		.map_ids = (uint64_t)(uintptr_t)ids };

	size = sizeof(info);
	memset(ret_fds, 0xff, POLICY_MAX_MAPS * sizeof(ret_fds[0]));
	if (bpf_obj_get_info_by_fd(program_fd, &info, &size) < 0)
		return -errno;
	for (uint32_t k = 0; k < info.nr_map_ids && k < POLICY_MAX_MAPS + 2; k++) {
		struct bpf_map_info map = { 0 };
		int fd = bpf_map_get_fd_by_id(ids[k]);

		size = sizeof(map);
		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &map, &size) == 0)
			for (uint32_t i = 0; fd >= 0 && i < image->map_count; i++) {
				if (ret_fds[i] >= 0 || !is_of(image, &map, i))
					continue;
				ret_fds[i] = fd;
				fd = -1;
				found++;
			}
		if (fd >= 0)
			close(fd);
	}
	if (found == image->map_count)
		return 0;
	for (uint32_t i = 0; i < image->map_count; i++)
		if (ret_fds[i] >= 0)
			close(ret_fds[i]);
	return -ENOENT;
}

static int maps_check(const struct policy_image *image, char *why, size_t why_size)
{
	for (uint32_t i = 0; i < image->map_count; i++) {
		const struct policy_image_map *m = &image_maps(image)[i];

		if (m->type == BPF_MAP_TYPE_ARRAY || kernel_map_is_copy(m))
			continue;
		snprintf(why, why_size, "its map %s (%s) is the fast path's own", m->name,
			policy_map_type_name(m->type));
		return -EINVAL;
	}
	return 0;
}

/* canary.c: kernels lose its zero extension, which their verifier counts on. Our compiler does not. */
static int exchanges_check(const struct policy_image *image, char *why, size_t why_size)
{
	for (uint32_t i = 0; i < image->insn_count; i++) {
		const struct bpf_insn *x = &image_insns(image)[i];

		if (x->code == (BPF_LD | BPF_DW | BPF_IMM)) {
			i++;
			continue;
		}
		if (x->code != (BPF_STX | BPF_ATOMIC | BPF_W) || x->imm != BPF_CMPXCHG)
			continue;
		snprintf(why, why_size,
			"it has a 32-bit compare-and-exchange, which kernels get wrong; one of 64 bits does");
		return -EINVAL;
	}
	return 0;
}

/* A port's maps, for a program that is only tried. */
static int port_maps_create(int ret_fds[2])
{
	ret_fds[0] = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, STEERING_MAP_PACKET, 4,
		sizeof(struct steering_packet), 1, NULL);
	if (ret_fds[0] < 0)
		return -errno;
	ret_fds[1] = bpf_map_create(
		BPF_MAP_TYPE_PROG_ARRAY, STEERING_MAP_PROGRAMS, 4, 4, STEERING_MAX_JUDGES, NULL);
	if (ret_fds[1] >= 0)
		return 0;
	close(ret_fds[0]);
	return -EPERM;
}

static int load_try(
	const struct policy_image *image, uint32_t *ret_cycles, char *why, size_t why_size)
{
	int fds[POLICY_MAX_MAPS], port[2] = { -1, -1 };
	int rc = policy_offload_maps(image, fds, why, why_size);

	if (rc < 0)
		return rc;
	rc = port_maps_create(port);
	if (rc < 0) {
		snprintf(why, why_size, "the kernel may not be asked: %s", strerror(-rc));
	} else {
		rc = policy_offload_load(image, fds, port[0], port[1], why, why_size);
		if (rc >= 0)
			*ret_cycles = offload_cycles(rc, port[0]);
		close(port[0]);
		close(port[1]);
	}
	for (uint32_t i = 0; i < image->map_count; i++)
		close(fds[i]);
	if (rc >= 0)
		close(rc);
	return rc < 0 ? rc : 0;
}

int policy_offload_try(
	const struct policy_image *image, uint32_t *ret_cycles, char *why, size_t why_size)
{
	const char *text;
	int rc = maps_check(image, why, why_size);

	*ret_cycles = 0;

	if (rc == 0)
		rc = exchanges_check(image, why, why_size);
	if (rc < 0)
		return rc;
	rc = policy_context_check(image_insns(image), image->insn_count, image_maps(image), &text);
	if (rc < 0) {
		snprintf(why, why_size, "%s", text ? text : "out of memory");
		return rc;
	}
	why[0] = 0;
	rc = load_try(image, ret_cycles, why, why_size);
	return rc == -EACCES ? -EINVAL : rc;
}
