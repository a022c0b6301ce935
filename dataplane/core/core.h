/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The fast path from inside: what dataplane/core shares among its files.
 *
 * struct fastpath    the main thread's: services, generations, the budget
 * struct generation  one configuration as the cores see it, whole; immutable but for what neighbours.h
 *                    says. Published by one pointer, freed after every core has left it
 * struct core        one packet core's own
 */

#ifndef WEIR_CORE_CORE_H
#define WEIR_CORE_CORE_H

#include "dataplane/core/arena.h"
#include "dataplane/core/buckets/pulse.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/core/policy/policy_stock.h"
#include "dataplane/core/wait.h"
#include "dataplane/service/neighbours.h"
#include "dataplane/service/service.h"
#include "dataplane/stage/stage.h"
#include "dataplane/stage/transmit/transmit.h"

#include <rte_common.h>

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct kept;
struct move;
struct rte_rcu_qsbr;
struct service_table;
struct takeover;
struct trace;

#define CORE_SAMPLE_MASK  63u /* one round in 64 is timed stage by stage */
#define CORE_AGE_BUDGET	  32u /* flows looked at when a partition is aged */
#define CORE_AGE_WORKERS  8u /* workers aged in a millisecond, one partition each */
#define CORE_IDLE_SPINS	  256u /* rounds without packets before the first sleep */
#define CORE_SLEEP_MIN_NS 10000
#define CORE_SLEEP_MAX_NS 100000
#define CORE_STRAYS	  1024u /* slots of a core's ring for what was steered wrongly */

struct receive_queue {
	const struct port *port;
	const struct port_queue *queue;
};

/* A ring that packets for a port of core 0, or from the kernel for any port, come through. */
struct collect_ring {
	struct rte_ring *ring;
	uint8_t port;
};

/* A worker and what it works by in this generation. */
struct generation_worker {
	struct service_worker *worker;
	struct service_settings *settings;
};

struct generation_core {
	uint32_t worker_count;
	struct generation_worker *worker; /* owned; [worker_count] */
	uint32_t receive_count;
	struct receive_queue *receive; /* in the generation's; what the core polls */
	struct rte_ring *stray; /* borrowed from the core, which fills it for core 0; NULL: none */
	/* How the core reaches each port: a queue of its own, or NULL to hand over to core 0. */
	const struct port_queue *queue[WEIR_MAX_PORTS];
};

struct generation {
	uint64_t number;
	const struct service_table *table; /* shared */
	struct neighbours *neighbours; /* shared */
	struct port *port[WEIR_MAX_PORTS]; /* borrowed; by index, NULL where there is none */
	uint32_t completes_checksums; /* bit i: port i does */
	struct move *move; /* borrowed; NULL: no buckets move */
	struct takeover *takeover; /* the same; NULL: no core is taken over */
	uint32_t collect_count;
	struct receive_queue *receive; /* owned; by core */
	struct collect_ring *collect; /* owned; emptied by core 0 */
	struct service *service[WEIR_MAX_SERVICES]; /* borrowed; by slot */
	struct generation_core core[WEIR_MAX_CORES];
	/* main thread */
	struct service_settings *settings[WEIR_MAX_SERVICES]; /* shared; by slot */
	struct generation_shared *shared; /* what a whole configuration has in common */
	struct policy_set *outside; /* shared; for packets that are no service's, NULL: none */
};

/* Made with a configuration, and kept by the generations that only change backends. */
struct generation_shared {
	uint32_t references;
	struct service_table *table;
	uint8_t port_index[WEIR_MAX_PORTS]; /* by the configuration's order; UINT8_MAX: not open */
};

/* A core that does not answer is fenced: fence.h. Main thread's. */
struct fenced {
	uint64_t generation; /* the newest that it may be in */
	uint64_t since_ns; /* when it was last seen going round */
	uint64_t shunned_ns; /* it gets no buckets before */
	uint32_t times; /* in a row, without a quiet time between */
	bool shunned;
	bool taken; /* what could be taken over was */
	bool told; /* that nobody can take over */
};

struct core {
	struct stage_core stage;
	struct transmit transmit;
	uint64_t seen; /* number of the generation that was taken over; 0: none */
	uint64_t last_now; /* of the round before */
	uint64_t asked; /* ticks of sleep since then; 0: none; or CORE_WAIT_EVENT */
	uint64_t gap_least; /* ticks; what is longer is a gap */
	uint32_t busy_rounds; /* counts rounds with packets, to time some of them */
	uint32_t age_worker; /* next worker to age flows of */
	uint32_t aged_ms; /* when flows were aged last */
	bool age_behind; /* there was more to age than the budget allowed */
	uint32_t found; /* packets, by the round before */
	uint8_t at; /* enum weir_stage, atomic: where it is or was last */
	uint8_t fence; /* enum core_fence, atomic: fence.h */
	bool timed; /* this round, or the next one with packets, is timed stage by stage */
	struct service_worker
		*charged; /* whose packets were worked on last in this round; NULL: nobody's */
	uint64_t charged_from; /* and since when */
	uint32_t index;
	int node;
	/* from this core to core 0, for ports that core 0 owns; owned, made when first needed */
	struct rte_ring *handover[WEIR_MAX_PORTS];
	/* The same, for what a device steered to this core and is not for its workers. */
	struct rte_ring *stray;
	bool runs; /* atomic: it has a thread, with this clock and number */
	clockid_t cpu_clock;
	int32_t tid;
	struct pulse pulse; /* main thread's, as are the next two */
	struct fenced fenced;
	struct {
		uint64_t busy_cycles; /* at the last look: cores.c */
		uint64_t idle_cycles;
		uint16_t thousandths; /* between the last two */
	} busy;
	struct core_wait wait;
} __rte_cache_aligned;

static inline bool core_is_fenced(const struct core *c)
{
	return __atomic_load_n(&c->fence, __ATOMIC_ACQUIRE) != 0;
}

struct fastpath {
	/* read by every core in every round */
	struct generation *generation; /* published with release, read with acquire */
	bool stop; /* relaxed */
	uint64_t clock_ns; /* CLOCK_MONOTONIC less stage_ns() of the packet cores' clock; relaxed */
	bool single_threaded;
	uint8_t idle;
	uint32_t core_count;
	uint64_t tsc_hz;
	struct rte_rcu_qsbr *qsbr; /* owned */
	struct hash_seed seed;
	struct core *core[WEIR_MAX_CORES]; /* owned */
	/* main thread */
	struct fastpath_params params;
	struct arena *arena; /* borrowed */
	struct weir_telemetry *telemetry;
	struct service *service[WEIR_MAX_SERVICES]; /* owned; by slot */
	struct service_cells
		retired[WEIR_MAX_SERVICES]; /* of removed ones, by slot, until drained */
	struct move *move; /* owned; that of the generation in force */
	struct takeover *takeover; /* the same; NULL: no core is taken over */
	struct kept *kept; /* owned; fence.c */
	struct budget budget; /* of the services */
	uint64_t generation_count;
	uint64_t loops_seen[WEIR_MAX_CORES]; /* for fastpath_is_alive() */
	uint64_t cores_looked_ns; /* cores.c */
	struct {
		fastpath_event event; /* NULL: nobody has looked yet */
		void *ctx;
		uint64_t now_ns; /* of the last look, */
		uint64_t tsc; /* and when that was by this clock */
	} pulse;
	struct policy_stock policy_stock;
	struct weir_policy_entry *outside_entry; /* owned memory of the region; NULL: never any */
	struct traced {
		struct trace *trace; /* owned; NULL: nothing is traced */
		uint32_t session; /* the last one; counts up */
		uint16_t service; /* slot, or TRACE_ANY_SERVICE */
		uint64_t read_ms; /* when it was read last */
		char name[WEIR_NAME_SIZE]; /* of the service, else of the port */
	} traced;
	/* Of services that are gone: what the ports received and sent for them. */
	struct retired_sums {
		uint64_t received;
		uint64_t transmitted;
		uint64_t dropped;
	} retired_sums;
};

/* fastpath.c: a service by its name, or NULL. Main thread. */
struct service *fastpath_service(const struct fastpath *fp, const char *name);

/* pipeline.c: a packet's way. Returns how many packets were found. */
uint32_t pipeline_round(const struct fastpath *fp, struct core *c, const struct generation *g);

/* worker.c: go on with another generation; the core's own thread, or nobody's. */
void core_take_over(const struct fastpath *fp, struct core *c, const struct generation *g);

/* generation.c */
struct generation_input {
	struct port *const *ports; /* by the configuration's order */
	uint32_t port_count;
	struct neighbours *neighbours; /* reference is taken over on success */
	struct generation_shared *shared; /* reference is taken over on success */
	struct policy_set *outside; /* the same */
	struct service **service; /* [WEIR_MAX_SERVICES] */
	struct service_settings *
		*settings; /* [WEIR_MAX_SERVICES]; references taken over on success */
};
int generation_create(
	struct fastpath *fp, const struct generation_input *in, struct generation **ret_generation);
void generation_destroy(struct generation *g); /* NULL is fine */
/* Publish g, wait until no core is in the one before, and return that. */
struct generation *generation_publish(struct fastpath *fp, struct generation *g);
/* fence.c: destroy what was returned, as soon as no fenced core may be in it. */
void generation_let_go(struct fastpath *fp, struct generation *g);
/* Until no core is in the round that it is in now; one that does not end its round is told of meanwhile. */
void grace_wait(struct fastpath *fp);
int generation_shared_create(const struct fastpath *fp, const struct weir_config_service *services,
	const struct weir_config_source *sources, uint32_t service_count,
	struct service *const *service_of, struct generation_shared **ret_shared);
void generation_shared_release(struct generation_shared *s);

/* pulse.c: while the main thread waits for cores. */
void pulse_wait(struct fastpath *fp);

/* journal.c: give a new service its journal, and let a predecessor's flows go on; and take it back. */
void journal_begin(struct fastpath *fp, struct service *s, struct service_settings *settings);
void journal_close(struct fastpath *fp, struct service *s);

/* directory.c: the services' part of telemetry */
int directory_cells_create(struct fastpath *fp, const struct weir_config_service *config,
	const uint8_t *core, uint32_t count, struct service_cells *ret_cells);
/* The same for one core more. */
int directory_cells_add(struct fastpath *fp, struct service_cells *cells, uint32_t core);
void directory_cells_free(struct fastpath *fp, struct service_cells *cells);
/* Slots for backends that a new service gets. */
uint32_t directory_slots(const struct fastpath *fp, const struct weir_config_service *config);
/* Show the services of a generation. */
void directory_write(struct fastpath *fp, const struct generation *g);
/* Show what services have of the budget; when nothing is left of the generation before. */
void directory_memory(struct fastpath *fp);
/* Show what directives have in force for one. */
void directory_direct(struct fastpath *fp, const struct service_settings *settings);
/* Packets received but neither sent nor dropped, by a service's cells. */
uint64_t directory_queued(const struct service_cells *cells);

#endif
