/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From an object file, as clang writes it, to a policy's image. The file is untrusted: it is read by
 * libbpf in a child process that can do nothing but compute for a bounded time, and what comes back
 * is checked. No kernel feature and no privilege is needed.
 */

#ifndef WEIR_ENGINE_OBJECT_H
#define WEIR_ENGINE_OBJECT_H

#include "ebpf/engine/image.h"

#include <stddef.h>

#define POLICY_MAX_OBJECT (4u << 20)

/*
 * Read an object.
 *
 * ret_image  malloc'ed
 * err        why not, one sentence for the operator
 *
 * Forks; a process with one thread, or one that may fork all the same. Returns 0, -EINVAL (refused),
 * -EFBIG, -ENOMEM, or another -errno of reading the file.
 */
int policy_object_read(
	const char *path, struct policy_image **ret_image, char *err, size_t err_size);

/* The same of bytes in memory. */
int policy_object_parse(const void *bytes, size_t size, struct policy_image **ret_image, char *err,
	size_t err_size);

/*
 * What can be said of an object without libbpf: that it is a relocatable object for BPF whose sections
 * lie inside the file, and for which version of the ABI. Pure. Returns 0 or -EINVAL.
 */
int policy_elf_check(const void *bytes, size_t size, char *err, size_t err_size);

#endif
