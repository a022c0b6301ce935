/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A port's XDP program without a port: loaded, its maps pinned in a bpffs of its own in a mount namespace, and a
 * socket in its place, as the data plane has them. Needs root.
 */

#ifndef WEIR_TESTS_BPF_PORT_H
#define WEIR_TESTS_BPF_PORT_H

#include "tests/unit/tap.h"

#include <bpf/libbpf.h>

#include <limits.h>
#include <stdbool.h>

struct port_world {
	char base[64];
	char directory[PATH_MAX]; /* of the port's pins */
	struct bpf_object *object;
	int program; /* descriptor */
};

/*
 * main() of a test: make the world of a port of that name, run the cases, and leave nothing. Skipped where a world
 * cannot be made.
 *
 * more  what else has to be there before the cases; false with errno when it cannot. NULL: nothing
 */
int port_world_run(struct port_world *w, const char *name, bool (*more)(void), const char *suite,
	const struct tap_case *cases, size_t count);

#endif
