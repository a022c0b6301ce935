/* SPDX-License-Identifier: BSD-3-Clause */

/* weir-probe's arguments. */

#ifndef WEIR_PROBE_OPTIONS_H
#define WEIR_PROBE_OPTIONS_H

#include "control/config/model.h"
#include "ebpf/kernel/probe_keys.h"

#include <stddef.h>
#include <stdint.h>

#define PROBE_DAEMONS_MAX 8

struct probe_peer {
	struct address address;
	uint16_t port;
};

struct probe_options {
	const char *cgroup; /* borrowed from argv; NULL: find it */
	const char *key_file; /* borrowed */
	struct probe_service_key services[PROBE_MAX_SERVICES];
	size_t service_count;
	struct probe_peer daemons[PROBE_DAEMONS_MAX];
	size_t daemon_count;
	struct address from;
	bool has_from;
	uint32_t interval_ms;
};

/* Returns -1: go on, otherwise the status to exit with; what is wrong has been said. */
int probe_options_parse(int argc, char **argv, struct probe_options *ret_options);

#endif
