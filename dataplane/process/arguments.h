/* SPDX-License-Identifier: BSD-3-Clause */

/* The command line of weir-dataplane as data. Pure but for the environment's WEIR_RUN_DIR. */

#ifndef WEIR_PROCESS_ARGUMENTS_H
#define WEIR_PROCESS_ARGUMENTS_H

#include "dataplane/api/messages.h"
#include "dataplane/process/cpus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hugepages_wish {
	HUGEPAGES_AUTO,
	HUGEPAGES_REQUIRED,
	HUGEPAGES_NONE,
};

/* --in or --out PORT=FILE. */
struct capture_argument {
	char port[WEIR_NAME_SIZE];
	const char *file; /* borrowed from argv */
};

#define DEFAULT_MEMORY_BYTES (UINT64_C(512) << 20)
#define MINIMUM_MEMORY_BYTES (UINT64_C(32) << 20)

struct arguments {
	char instance[WEIR_NAME_SIZE];
	char instance_dir[200]; /* RUN_DIR/INSTANCE; short enough for socket paths in it */
	struct cpu_list cores; /* empty: choose */
	uint64_t memory_bytes;
	bool memory_given;
	enum hugepages_wish hugepages;
	enum weir_idle idle;
	bool early_drops_only_here;
	int api_fd; /* -1: listen at the instance's socket */
	bool replay;
	uint64_t seed;
	bool seed_given;
	struct capture_argument in[WEIR_MAX_PORTS];
	struct capture_argument out[WEIR_MAX_PORTS];
	size_t in_count;
	size_t out_count;
	bool help;
	bool version;
};

/*
 * run_dir  value of WEIR_RUN_DIR, or NULL
 *
 * Returns 0, or -EINVAL with one line in err that says what is wrong and what is expected.
 */
int arguments_parse(int argc, char **argv, const char *run_dir, struct arguments *ret_arguments,
	char *err, size_t err_size);

/* Text of --help. */
extern const char arguments_help[];

/* "512M", "1GiB", "65536": K, M, G and KiB, MiB, GiB are powers of two. Returns 0 or -EINVAL. */
int memory_size_parse(const char *text, uint64_t *ret_bytes);

#endif
