/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The fast path as the rest of the process sees it: build it over some cores, give it
 * configurations, let each core run. Nothing here knows of sockets, EAL arguments or devices.
 *
 * Threads: the main thread calls everything but fastpath_core_run() and fastpath_core_step(), which
 * belong to the packet cores. Replay, tests and the benchmark call fastpath_core_step() for each core
 * in turn from one thread, with a made-up clock.
 */

#ifndef WEIR_CORE_FASTPATH_H
#define WEIR_CORE_FASTPATH_H

#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct bell;
struct fastpath;
struct port;
struct steering_left;
struct steering_rule;
struct weir_config_view;

struct fastpath_core_params {
	uint32_t cpu;
	int node;
};

/*
 * Memory that outlives the process, for copies of the services' flows: what was left under the same name
 * is read when a service is made, and replaced once the configuration that made it is in force. Main
 * thread.
 */
struct fastpath_journal {
	void *ctx;
	/*
	 * bytes    of zeros, on a node (-1: any), in *ret_memory
	 * ret_old  what a predecessor left, or NULL; readable until commit or close
	 * Returns a handle, or NULL: go on without.
	 */
	void *(*open)(void *ctx, const char *name, size_t bytes, int node, void **ret_memory,
		const void **ret_old, size_t *ret_old_bytes);
	void (*commit)(void *ctx, void *handle); /* the new memory replaces the old one */
	void (*close)(void *ctx, void *handle); /* uncommitted: the old one stays */
	void (*adopted)(void *ctx, const char *name, uint32_t flows, uint32_t refused);
};

#define FASTPATH_GIVE_UP_NS UINT64_C(10000000000)

struct fastpath_params {
	struct arena *arena; /* borrowed until fastpath_destroy() */
	/*
	 * One core: it receives, classifies and works. More: core 0 receives and dispatches over one
	 * bounded ring a worker, the others work.
	 */
	struct fastpath_core_params core[WEIR_MAX_CORES];
	uint32_t core_count;
	enum weir_idle idle;
	struct bell *bells; /* borrowed; [core_count]; NULL: cores never wait */
	bool early_drops_only_here; /* not in the XDP programs of ports */
	uint64_t memory_bytes; /* budget of the services: tables, pools, rings */
	uint64_t seed; /* of all hashes; a given seed gives the same choices */
	/* Where the rotation of translated ports begins; should differ from one start to the next. */
	uint64_t port_seed;
	uint64_t tsc_hz; /* of the clock that `now` values below come from */
	/*
	 * Without threads (replay, tests): configurations take effect at once, with no grace period.
	 */
	bool single_threaded;
	struct fastpath_journal journal; /* open NULL: no flow outlives the process */
	/*
	 * A core that nobody can take over has not gone round for FASTPATH_GIVE_UP_NS: only a new process helps. NULL:
	 * nothing happens. Main thread, also while it waits for that core.
	 */
	void (*give_up)(void *ctx, uint32_t cpu);
	void *give_up_ctx;
};

int fastpath_create(const struct fastpath_params *params, struct fastpath **ret_fp);
void fastpath_destroy(struct fastpath *fp); /* cores must have stopped; drops what is queued */

/*
 * Apply a configuration: build a generation, publish it, wait for the grace period, free the old one.
 * Flows, counters and limiters of services that stay are kept.
 *
 * config  the body of a CONFIG message, validated with weir_config_validate()
 * ports   by index of config's port array; borrowed for as long as the generation lives; a NULL
 *         entry is a port that could not be opened, and packets for it are dropped as PORT_DOWN
 *
 * Returns 0, or a negative errno with the reason in err; then nothing has changed. Fills the services'
 * part of the telemetry directory, `generation` and `config_digest`.
 */
int fastpath_apply(struct fastpath *fp, const struct weir_config *config, size_t config_length,
	struct port *const *ports, char *err, size_t err_size);

/* BACKENDS and NEIGHBOURS. All or nothing; same errors as above. */
int fastpath_update_backends(struct fastpath *fp, const struct weir_backend_update *updates,
	uint32_t count, char *err, size_t err_size);
int fastpath_update_neighbours(struct fastpath *fp, const struct weir_neighbour_update *updates,
	uint32_t count, char *err, size_t err_size);

/*
 * DIRECTIVES, validated with weir_directives_validate(). Time is any clock in nanoseconds, the same for both
 * calls: tick, often, is when directives that are not renewed lose their force.
 *
 * Returns 0, -ENOENT (no such service), -ESTALE, -EINVAL or -ENOMEM, with the reason in err.
 */
int fastpath_direct(
	struct fastpath *fp, const void *directives, uint64_t now_ns, char *err, size_t err_size);
void fastpath_direct_tick(struct fastpath *fp, uint64_t now_ns);

/*
 * Walk flows of a service without stopping its workers: records that change meanwhile may be missed or
 * be a little old, but are never torn. ret_records holds query->limit entries.
 */
int fastpath_flow_list(struct fastpath *fp, const struct weir_flow_query *query,
	struct weir_flow_record *ret_records, uint32_t *ret_count, char *err, size_t err_size);
int fastpath_flow_find(struct fastpath *fp, const struct weir_flow_query *query,
	struct weir_flow_record *ret_record, char *err, size_t err_size);

/*
 * Follow packets: one trace at a time. The time is any clock in milliseconds, the same for all calls.
 *
 * start        validated with weir_trace_start_validate(), its instructions behind it
 * now_ns       CLOCK_REALTIME
 * ret_batch    malloc'ed, with its records; its flags say whether more can come
 *
 * Returns 0, -EBUSY (another trace is on), -ENOENT (no such service, port or session), -EINVAL or
 * -E2BIG (the filter), -ENOMEM; the reason is in err.
 */
int fastpath_trace_start(struct fastpath *fp, const struct weir_trace_start *start, uint64_t now_ms,
	struct weir_trace_started *ret_started, char *err, size_t err_size);
int fastpath_trace_read(struct fastpath *fp, const struct weir_trace_read *read, uint64_t now_ms,
	uint64_t now_ns, struct weir_trace_batch **ret_batch, size_t *ret_length, char *err,
	size_t err_size);
int fastpath_trace_stop(struct fastpath *fp, const struct weir_trace_read *read,
	struct weir_trace_batch *ret_batch, char *err, size_t err_size);
/* Often: move packets on, and end a trace that nobody has read for WEIR_TRACE_PATIENCE_MS. */
void fastpath_trace_tick(struct fastpath *fp, uint64_t now_ms);
/* End what is on, whatever it is. */
void fastpath_trace_end(struct fastpath *fp);

/*
 * Take in a policy's image, so that configurations can name it by its id; and forget what a client, or
 * anybody, has staged and no configuration uses. See policy_stock.h and dataplane/api/policy.h.
 */
#define FASTPATH_ANY_CLIENT UINT32_MAX
int fastpath_policy_stage(struct fastpath *fp, const struct weir_policy_stage *stage,
	const void *image, const int *map_fds, uint32_t client, char *err, size_t err_size);
void fastpath_policy_forget(struct fastpath *fp, uint32_t client);
/*
 * Read or change a map of a policy that runs, while it runs.
 *
 * request   validated with weir_policy_map_validate()
 * ret_body  struct weir_policy_map_reply with its records, malloc'ed
 *
 * Returns 0, -ENOENT (no such service, policy, map; SET, DELETE: or entry) or another -errno with the
 * reason in err.
 */
int fastpath_policy_map(struct fastpath *fp, const struct weir_policy_map *request, void **ret_body,
	size_t *ret_length, char *err, size_t err_size);

/*
 * Often: tell the cores CLOCK_MONOTONIC, which is the time of policies: it is what they have in the kernel, too. tsc:
 * of the same moment, in units of params->tsc_hz. Where nobody does, their time is the cores' own.
 */
void fastpath_policy_clock(struct fastpath *fp, uint64_t monotonic_ns, uint64_t tsc);

/*
 * Often: detach policies that were over their budget for a second. The time is any clock in milliseconds.
 *
 * event  called with the service's name, or "outside", and what happened
 */
typedef void (*fastpath_event)(void *ctx, const char *object, const char *text);
void fastpath_policy_tick(struct fastpath *fp, uint64_t now_ms, fastpath_event event, void *ctx);

/*
 * Move buckets of a service from the worker on one CPU to that on another, which it gets when it has none
 * there: without loss or reordering, while both work. One move at a time.
 *
 * wanted     validated with weir_core_move_validate()
 * now_ns     any clock, the same as tick's
 * ret_count  how many buckets move
 *
 * It has begun when this returns 0, and ends by ticks. Else -ENOENT (no such service, or CPU that works),
 * -EINVAL (buckets are elsewhere), -EBUSY (another move is on) or -ENOMEM, with the reason in err.
 */
int fastpath_move(struct fastpath *fp, const struct weir_core_move *wanted, uint64_t now_ns,
	uint32_t *ret_count, char *err, size_t err_size);
/*
 * Often. Returns true while a move is on; event is called with the service when it has ended. Services whose
 * number of cores was changed get there by moves that begin here.
 */
bool fastpath_move_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx);

/*
 * Show memory that workers use: whose and what it is, the node where it should be, and an address in it.
 * Some of each kind; main thread.
 */
typedef void (*fastpath_memory_fn)(
	void *ctx, const char *owner, const char *what, int node, const void *at);
void fastpath_memory_each(const struct fastpath *fp, fastpath_memory_fn see, void *ctx);

/*
 * Steering by devices: the rules that would help (steering_plan.h), and how a service's whole datagrams have arrived
 * by each port since the start: [0] at core 0, [1] at their worker's core. No such service: zeros.
 *
 * ret_arrivals  [WEIR_MAX_PORTS]; by index of the port
 */
uint32_t fastpath_steering_plan(const struct fastpath *fp, const struct weir_config_view *view,
	struct steering_rule *ret_rules, struct steering_left *ret_left, char *ret_why,
	size_t why_size);

struct arrivals {
	uint64_t clients[2];
	uint64_t replies[2];
};

void fastpath_arrivals(
	const struct fastpath *fp, const char *service, struct arrivals *ret_arrivals);

/*
 * Often: tell of cores that do not go round, once each, and when they do again. A core that works on one
 * round for PULSE_STUCK_NS of CPU time is stuck; one that was silent for PULSE_AWAY_NS without using that
 * much is not run, and for one that was stopped PULSE_STOPPED_NS are enough. now_ns is any clock that does not stop.
 *
 * event  called with "CPU 2", and what happened: the stage it was in, and the services that wait for it
 */
void fastpath_pulse_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx);

/*
 * Often, behind fastpath_pulse_tick(): let others do the work of cores that do not answer (core/takeover.h), and let
 * these in again when they do. The same clock. Main thread.
 *
 * Returns true when workers have changed that devices may steer to.
 */
bool fastpath_takeover_tick(struct fastpath *fp, uint64_t now_ns, fastpath_event event, void *ctx);
/* A core that does not answer may be at work with any port: none must be closed. */
bool fastpath_ports_are_held(const struct fastpath *fp);

/* Run core `index` until fastpath_stop(). Packet core's thread. */
void fastpath_core_run(struct fastpath *fp, uint32_t index);
/*
 * True when every core has gone round since this was last true. Main thread; cores that sleep when idle do
 * so for less than a millisecond.
 */
bool fastpath_is_alive(struct fastpath *fp);
void fastpath_stop(struct fastpath *fp);
/*
 * Often: what the packet cores' clock stands for, so that they need no other one to say when something
 * was. Main thread.
 *
 * now_tsc  in units of params->tsc_hz
 * now_ns   CLOCK_MONOTONIC at the same moment
 */
void fastpath_clock_tick(struct fastpath *fp, uint64_t now_tsc, uint64_t now_ns);

/*
 * One round of core `index`: receive, classify, work, transmit, a bounded bit of ageing.
 *
 * now_tsc  in units of params->tsc_hz; must not go back
 * Returns the number of packets that it found to work on (0: idle).
 */
uint32_t fastpath_core_step(struct fastpath *fp, uint32_t index, uint64_t now_tsc);

/* Age flows of all services up to now, without bound. Replay between far-apart packets. */
void fastpath_age(struct fastpath *fp, uint64_t now_tsc);
/* Nothing comes any more: drop what waits for a packet that is to come. The end of a replay. */
void fastpath_settle(struct fastpath *fp);

#endif
