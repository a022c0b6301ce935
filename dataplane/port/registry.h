/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The ports of this process: opened, kept and closed as configurations come. Main thread only.
 *
 * A configuration is taken in three steps, so that a refused one leaves no trace: prepare opens what is
 * new beside what is there; the caller applies; then commit closes what is no longer wanted, or
 * rollback closes what was new.
 */

#ifndef WEIR_PORT_REGISTRY_H
#define WEIR_PORT_REGISTRY_H

#include "dataplane/api/validate.h"
#include "dataplane/port/port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bell;
struct port_orphans;
struct port_registry;
struct steering_rule;

typedef void (*port_event_fn)(
	void *ctx, enum weir_event_kind kind, const char *object, const char *text);

struct port_registry_params {
	struct weir_telemetry *telemetry; /* borrowed; its port entries are written */
	const char *instance_dir; /* borrowed; pins lie under its bpf/ */
	struct port_orphans
		*orphans; /* NULL or owned from now on: taken over by ports of their interfaces */
	uint64_t memory_bytes; /* of the whole process; a port's buffers are a share of it */
	bool interrupts; /* cores wait for packets: queues should wake them */
	struct bell *
		bell; /* borrowed; of core 0, for what comes from the kernel; NULL: it never waits */
	uint32_t core_count; /* packet cores: each may send by a queue of its own */
	int core_node[WEIR_MAX_CORES]; /* NUMA nodes of theirs; -1: unknown */
	int default_node; /* for devices that lie on none */
	port_event_fn event;
	void *event_ctx;
	/* Replay: the files of a port, NULL where there is none; borrowed. */
	const char *(*capture_in)(void *ctx, const char *port);
	const char *(*capture_out)(void *ctx, const char *port);
	void *capture_ctx;
};

int port_registry_create(
	const struct port_registry_params *params, struct port_registry **ret_registry);
void port_registry_destroy(struct port_registry *r); /* closes all; NULL is fine */

/*
 * Find or open the ports of a configuration.
 *
 * view       validated
 * ret_ports  by index of the configuration's port array; an entry is NULL for a port whose interface
 *            was lost while it was in use and is not back
 *
 * Returns 0, or -errno with the reason in err; then nothing has changed.
 */
int port_registry_prepare(struct port_registry *r, const struct weir_config_view *view,
	struct port *ret_ports[WEIR_MAX_PORTS], char *err, size_t err_size);
void port_registry_commit(struct port_registry *r);
void port_registry_rollback(struct port_registry *r);

/*
 * True when the interface of a lost port is there again, or its device has to be let go of: then prepare, apply and commit the same
 * configuration once more. Each interface is reported once, so that one that cannot be opened is not
 * tried for ever.
 */
bool port_registry_has_returned(struct port_registry *r);

/* Show the packet buffers of each port: its name, the node where they should be, and an address in them. */
void port_registry_memory_each(const struct port_registry *r,
	void (*see)(void *ctx, const char *owner, const char *what, int node, const void *at),
	void *ctx);

/*
 * Have a port's device steer packets to their cores' queues, as far as it can; where it cannot, nothing changes.
 *
 * port      its index
 * rules     from steering_plan()
 * in_force  [count]; which of them are wanted, and when this returns, which of them the device has taken
 * services  that the configuration has
 * why       what is left to the dispatcher, for people; "" when nothing
 */
void port_registry_steer(struct port_registry *r, uint8_t port, const struct steering_rule *rules,
	uint32_t count, bool *in_force, uint32_t services, const char *why);

/* Follow links: call it every 10 ms or so. Never blocks. */
void port_registry_poll(struct port_registry *r, uint64_t now_ns);

#endif
