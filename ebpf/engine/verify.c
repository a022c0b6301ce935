/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/verify.h"

#include "ebpf/engine/kernel_private.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_BYTES     (1u << 20)
#define HARNESS_INSNS 64
#define CONTEXT_PAGE  4096
/* Offsets in struct __sk_buff. */
#define SKB_DATA      offsetof(struct __sk_buff, data)
#define SKB_DATA_END  offsetof(struct __sk_buff, data_end)

/*
 * Copy the context's numbers from a writable map, store the packet's pointers over theirs, and call the
 * policy with the address of that; it ends exactly where this frame ends, so nothing lies above.
 */
static uint32_t harness_write(struct bpf_insn *h, uint32_t context_map)
{
	const uint8_t load = BPF_LDX | BPF_MEM | BPF_DW, store = BPF_STX | BPF_MEM | BPF_DW;
	uint32_t n = 0;

	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	h[n++] = kernel_insn(
		BPF_LD | BPF_DW | BPF_IMM, 7, BPF_PSEUDO_MAP_IDX_VALUE, 0, (int32_t)context_map);
	h[n++] = kernel_insn(0, 0, 0, 0, 0);
	for (int off = (int)offsetof(struct weir_ctx, now_ns); off < WEIR_CTX_SIZE; off += 8) {
		h[n++] = kernel_insn(load, 2, 7, off, 0);
		h[n++] = kernel_insn(store, 10, 2, off - WEIR_CTX_SIZE, 0);
	}
	h[n++] = kernel_insn(BPF_LDX | BPF_MEM | BPF_W, 2, 6, SKB_DATA, 0);
	h[n++] = kernel_insn(store, 10, 2, (int)offsetof(struct weir_ctx, data) - WEIR_CTX_SIZE, 0);
	h[n++] = kernel_insn(BPF_LDX | BPF_MEM | BPF_W, 2, 6, SKB_DATA_END, 0);
	h[n++] = kernel_insn(
		store, 10, 2, (int)offsetof(struct weir_ctx, data_end) - WEIR_CTX_SIZE, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0);
	h[n++] = kernel_insn(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -WEIR_CTX_SIZE);
	h[n++] = kernel_insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1); /* over the exit */
	h[n++] = kernel_insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return n;
}

static int context_create(struct policy_verified *v, char *err, size_t err_size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);

	v->context_fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_context", 4, WEIR_CTX_SIZE, 1, &opts);
	if (v->context_fd < 0) {
		int rc = -errno;

		snprintf(err, err_size, "the kernel's verifier may not be asked: %s",
			rc == -EPERM ? "it takes root, or CAP_BPF and CAP_NET_ADMIN" :
				       strerror(-rc));
		return rc;
	}
	void *at = mmap(NULL, CONTEXT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, v->context_fd, 0);
	if (at == MAP_FAILED) {
		snprintf(err, err_size, "cannot map the context: %s", strerror(errno));
		return -errno;
	}
	v->context = at;
	return 0;
}

/*
 * With CAP_PERFMON or CAP_SYS_ADMIN the verifier lets addresses leak. Take them from this thread, for the
 * time of one call. Returns false when that cannot be.
 */
static bool capabilities_lower(struct __user_cap_data_struct before[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct less[2];

	if (syscall(SYS_capget, &head, before) < 0)
		return false;
	memcpy(less, before, sizeof(less));
	less[CAP_PERFMON / 32].effective &= ~(1u << CAP_PERFMON % 32);
	less[CAP_SYS_ADMIN / 32].effective &= ~(1u << CAP_SYS_ADMIN % 32);
	return syscall(SYS_capset, &head, less) == 0;
}

static bool capabilities_restore(struct __user_cap_data_struct before[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &head, before) == 0;
}

/* Returns a file descriptor or -errno. Writing a log takes longer than to verify: only who fails does. */
static int load(const struct bpf_insn *insns, uint32_t count, const int *fds, char *log)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .fd_array = fds);
	int fd = bpf_prog_load(BPF_PROG_TYPE_LWT_IN, "weir_policy", "", insns, count, &opts);

	log[0] = 0;
	if (fd >= 0 || errno == EPERM)
		return fd < 0 ? -errno : fd;
	opts.log_buf = log;
	opts.log_size = LOG_BYTES;
	opts.log_level = 1;
	fd = bpf_prog_load(BPF_PROG_TYPE_LWT_IN, "weir_policy", "", insns, count, &opts);
	return fd < 0 ? -errno : fd;
}

/*
 * Ask once more, as somebody who may not see addresses. Such a one may not do much else either, so most
 * of what is refused then is well; what counts is that an address would get out.
 */
static bool leaks_addresses(const struct bpf_insn *insns, uint32_t count, const int *fds, char *log)
{
	struct __user_cap_data_struct before[2];

	if (!capabilities_lower(before))
		return false;
	int fd = load(insns, count, fds, log);

	if (fd >= 0)
		close(fd);
	return capabilities_restore(before) && fd < 0 && strstr(log, "leaks addr") != NULL;
}

/* Returns the file descriptor of what is verified, or -errno with the log. */
static int judge(const struct bpf_insn *insns, uint32_t count, const int *fds, char *log)
{
	char *second = malloc(LOG_BYTES);
	int fd = second ? load(insns, count, fds, log) : -ENOMEM;

	if (fd >= 0 && leaks_addresses(insns, count, fds, second)) {
		close(fd);
		memcpy(log, second, LOG_BYTES);
		fd = -EACCES;
	}
	free(second);
	return fd;
}

static int program_load(const struct policy_image *image, struct policy_verified *v, char *log,
	struct policy_objection *ret_objection, char *err, size_t err_size)
{
	int fds[POLICY_MAX_MAPS + 1];
	struct bpf_insn *all = malloc((image->insn_count + HARNESS_INSNS) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	memcpy(fds, v->map_fds, v->map_count * sizeof(fds[0]));
	fds[v->map_count] = v->context_fd;
	uint32_t before = harness_write(all, v->map_count);
	memcpy(all + before, image_insns(image), image->insn_count * sizeof(*all));
	int fd = judge(all, before + image->insn_count, fds, log);

	free(all);
	if (fd == -EPERM) {
		snprintf(err, err_size,
			"the kernel's verifier may not be asked: it takes root, or "
			"CAP_BPF and CAP_NET_ADMIN");
		return -EPERM;
	}
	if (fd < 0) {
		policy_log_explain(log, before, ret_objection);
		snprintf(err, err_size, "%s", ret_objection->message);
		return log[0] ? -EACCES : fd;
	}
	v->program_fd = fd;
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
		v->visited = info.verified_insns;
	return 0;
}

int policy_verify(const struct policy_image *image, struct policy_verified *ret_verified,
	struct policy_objection *ret_objection, char **log, char *err, size_t err_size)
{
	struct policy_verified v = { .program_fd = -1, .context_fd = -1 };
	char *text = calloc(1, LOG_BYTES);
	int rc = text ? 0 : -ENOMEM;

	*ret_objection = (struct policy_objection){ .insn = UINT32_MAX };
	snprintf(err, err_size, "out of memory");
	if (rc == 0)
		rc = context_create(&v, err, err_size);
	if (rc == 0)
		rc = kernel_maps_create(image, false, v.map_fds, err, err_size);
	if (rc == 0)
		v.map_count = image->map_count;
	if (rc == 0)
		rc = program_load(image, &v, text, ret_objection, err, err_size);
	if (log)
		*log = text;
	else
		free(text);
	if (rc < 0) {
		policy_verified_fini(&v);
		return rc;
	}
	*ret_verified = v;
	return 0;
}

void policy_verified_fini(struct policy_verified *v)
{
	if (v->context)
		munmap(v->context, CONTEXT_PAGE);
	if (v->context_fd >= 0)
		close(v->context_fd);
	if (v->program_fd >= 0)
		close(v->program_fd);
	for (uint32_t i = 0; i < v->map_count; i++)
		close(v->map_fds[i]);
	*v = (struct policy_verified){ .program_fd = -1, .context_fd = -1 };
}
