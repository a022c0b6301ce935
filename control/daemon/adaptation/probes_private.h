/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files of probes. */

#ifndef WEIR_DAEMON_PROBES_PRIVATE_H
#define WEIR_DAEMON_PROBES_PRIVATE_H

#include "control/daemon/adaptation/probes.h"
#include "control/probe/key.h"

#define PROBES_PLACES 1024 /* a power of two */

struct event;

/* One host that reports. */
struct sender {
	uint8_t address[16];
	uint64_t boot; /* of the last report that was taken */
	uint64_t sequence;
};

/* Sums that are passed on a share at a time: what came, and what of it has been shown. */
struct flow_figures {
	uint64_t requests;
	uint64_t answered;
	uint64_t answered_ns;
};

/* One backend of a service. Cumulative, but for open and waiting. */
struct told_backend {
	struct told_backend *next; /* owned; in the same place */
	char service[MODEL_NAME_MAX + 1];
	struct address address;
	uint16_t port;
	uint64_t at_ns; /* of the last report */
	uint64_t interval_ns;
	uint32_t open;
	uint32_t waiting;
	uint64_t syns;
	struct flow_figures came;
	struct flow_figures shown;
	uint64_t shown_ns;
	struct weir_histogram connect;
	struct weir_histogram first_byte;
};

struct probes {
	struct probe_key key;
	struct model_listen listen;
	const struct model *model; /* borrowed */
	struct event *readable; /* owned */
	int fd; /* owned */
	struct sender *senders; /* owned */
	size_t sender_count;
	struct told_backend *places[PROBES_PLACES]; /* owned; by place_of() */
	struct probes_figures figures;
};

#endif
