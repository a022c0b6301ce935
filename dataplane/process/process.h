/* SPDX-License-Identifier: BSD-3-Clause */

/* What the parts of the data plane's main thread share. */

#ifndef WEIR_PROCESS_PROCESS_H
#define WEIR_PROCESS_PROCESS_H

#include "dataplane/port/port.h"
#include "dataplane/process/arguments.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct fastpath;
struct flow_store;
struct instance;
struct port_registry;
struct server;
struct steering;

struct process {
	struct arguments arguments;
	struct cpu_list cores; /* packet cores in use */
	struct cpu_list main_cpus;
	char cores_text[256];
	uint64_t memory_bytes; /* in use; may be less than asked for */
	bool hugepages;
	struct instance *instance; /* owned; NULL in replay */
	struct flow_store *flow_store; /* owned; NULL: flows end with the process */
	struct arena *arena; /* owned */
	struct weir_telemetry *telemetry; /* borrowed from arena */
	struct bell *bells; /* owned; [cores.count]; NULL: cores do not wait for interrupts */
	struct fastpath *fastpath; /* owned */
	struct port_registry *ports; /* owned */
	struct port *port[WEIR_MAX_PORTS]; /* borrowed from ports; those of the last CONFIG */
	uint32_t port_count;
	void *config; /* owned; body of the last CONFIG that was applied */
	size_t config_length;
	struct steering *steering; /* owned; NULL: no device could steer */
	struct server *server; /* owned */
	bool stopping;
};

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t process_now_ns(void);

/* Tell the log and every client. */
void process_event(void *process, enum weir_event_kind kind, const char *object, const char *text);

#endif
