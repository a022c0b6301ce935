/* SPDX-License-Identifier: BSD-3-Clause */

/* What runs in the child that reads an object. */

#ifndef WEIR_ENGINE_OBJECT_PRIVATE_H
#define WEIR_ENGINE_OBJECT_PRIVATE_H

#include <stddef.h>

/*
 * Turn an object into an image in the caller's memory. Not reentrant: libbpf has one handler for a
 * section's name. Returns 0 or -EINVAL with the reason.
 */
int object_to_image(const void *bytes, size_t size, void *image, size_t image_room,
	size_t *ret_image_size, char *err, size_t err_size);

#endif
