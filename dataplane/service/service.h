/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A service as the data plane holds it, in three parts by how long they live and who writes them:
 *
 * struct service           as long as the service: flow table, translated ports, limiters, workers
 * struct service_settings  one generation's view of it: pool, weights, limits. Immutable, shared by
 *                          all generations in which it is the same
 * struct service_worker    the service on one of its cores: what that core alone reads and writes
 *
 * The main thread makes and frees all of them; references are counted by it alone.
 */

#ifndef WEIR_SERVICE_SERVICE_H
#define WEIR_SERVICE_SERVICE_H

#include "dataplane/api/address.h"
#include "dataplane/api/messages.h"
#include "dataplane/net/packet.h"
#include "dataplane/service/account.h"
#include "dataplane/service/policies.h"
#include "dataplane/table/affinity.h"
#include "dataplane/table/flow_table.h"
#include "dataplane/table/limiter.h"
#include "dataplane/table/nat_ports.h"
#include "dataplane/table/source_table.h"

#include <rte_common.h>

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

struct rte_ring;
struct service_allowance;
struct service_directives;
struct service_load;
struct service_lost;
struct service_police;

#define SERVICE_RING   1024u /* packets that wait for a worker, at most */
#define SERVICE_BURST  64u
/* In the place of a worker's number or a core's index. */
#define SERVICE_HOLD   WEIR_MAX_CORES /* where packets of buckets that move wait: core/move.c */
#define SERVICE_NOBODY UINT8_MAX

/* What becomes of the flows that a backend has. */
enum service_stay {
	SERVICE_STAY = 0,
	SERVICE_STAY_BUSY, /* ejected, and others take its flows: those of TCP that await nothing go, in nat */
	SERVICE_STAY_NONE, /* it is down, or nobody's slot any more */
};

/* A backend slot. */
struct service_backend {
	uint8_t address[16]; /* IPv4 mapped; in settings with 4 bytes at the end */
	uint16_t port_be; /* 0: the packet's own */
	uint16_t weight;
	uint16_t epoch; /* of the slot: flows of an earlier owner have another */
	uint8_t state; /* enum weir_backend_state */
	bool fallback; /* new flows only while none of the others takes any */
	bool takes_flows; /* it is in the Maglev table of the main pool */
	uint8_t pool; /* 0: the main one */
	uint8_t stay; /* enum service_stay */
	uint8_t reserved;
	uint32_t neighbour; /* of the generation's neighbours, as in the configuration */
};
static_assert(sizeof(struct service_backend) == 32, "two backends to a cache line");

/* A Maglev table and what it was built from; shared while the pool is the same. */
struct service_pool {
	uint32_t references;
	struct account *account; /* of the service */
	uint32_t count; /* backends that take new flows */
	struct maglev_backend *backend; /* owned; [count], in order of the slots */
	uint16_t *table; /* owned; NULL when nobody takes new flows */
};

/* Which source goes to which backend; shared while it has the same size and kind of source. */
struct service_affinity {
	uint32_t references;
	uint32_t places; /* as configured */
	uint8_t prefix;
	struct hash_seed seed;
	struct affinity *table; /* owned */
};

/* Translation source addresses; shared while they and the backends are the same. */
struct service_sources {
	uint32_t references;
	struct nat_view *view; /* owned */
};

/* Who sends: shared while its size and the length of the prefix are the same. */
struct service_per_source {
	uint32_t references;
	uint32_t epoch; /* of the table, among the service's; from 1 */
	uint32_t entries; /* as configured; 0: chosen */
	uint8_t prefix;
	struct source_table *table; /* owned */
};

/* Outer source addresses of ipip and gue; shared while the service's settings are varied. */
struct service_tunnel {
	uint32_t references;
	uint32_t source_count; /* at least 1 */
	uint16_t overhead; /* bytes of the outer headers */
	bool gue;
	uint8_t source[][16]; /* IPv4 mapped */
};

struct service_settings {
	/* line 0: read with every burst */
	struct service *service; /* borrowed: lives longer */
	const uint16_t *maglev; /* pool->table */
	struct service_backend *backend; /* owned; by slot */
	const struct nat_view *nat; /* sources->view; NULL in dsr */
	uint16_t backend_slots;
	bool directs_sources; /* police is there */
	uint16_t slot; /* of the service: telemetry, packet metadata */
	uint8_t mode;
	uint8_t protocol;
	bool ipv6;
	bool limits_packets;
	bool limits_bits;
	bool limits_connections;
	bool source_leaving; /* flows with a source address that went away are placed anew */
	bool proxy_protocol; /* new flows begin with a PROXY header */
	bool judged; /* it has policies */
	bool proxied; /* that is, or was, so: some flows may have one */
	struct service_affinity *affinity; /* shared; NULL: none */
	struct source_table *source_table; /* per_source->table; NULL: no limits per source */
	alignas(RTE_CACHE_LINE_SIZE) struct limiter_rate packets;
	struct limiter_rate bits;
	struct limiter_rate connections;
	struct source_limits source_limits;
	/* The first three again, for sources that are not known: the half stays for those that are. */
	struct limiter_rate others_packets;
	struct limiter_rate others_bits;
	struct limiter_rate others_connections;
	struct service_police *police; /* shared; NULL: directives say nothing of sources */
	uint32_t affinity_timeout; /* in the table's units */
	bool silent; /* who cannot be served is not told */
	const struct service_tunnel *tunnel; /* shared_tunnel; NULL but in ipip and gue */
	uint32_t pool_count; /* besides the main one */
	struct service_pool **pools; /* owned; [pool_count], shared; ROUTE(n) is pools[n - 1] */
	const struct policy_set *policies; /* policy_set */
	/* main thread */
	uint32_t references;
	uint32_t source_epoch; /* of per_source; 0: none */
	uint64_t police_serial; /* of the directives that police is made from */
	struct service_per_source *per_source; /* shared; NULL: none */
	struct service_pool *pool; /* shared; the main one */
	uint32_t *
		weight_in_force; /* by slot, by which the pool was made; in the memory of backend */
	struct service_limits {
		uint64_t packets;
		uint64_t bits;
		uint64_t connections;
		uint64_t burst_ns;
		uint64_t hz; /* of the workers' clock */
	} configured;
	struct service_limits in_force;
	struct service_sources *sources; /* shared; NULL in dsr */
	struct policy_set *policy_set; /* shared; NULL: neither policies nor classes */
	struct service_tunnel *shared_tunnel; /* shared */
};
static_assert(offsetof(struct service_settings, packets) == RTE_CACHE_LINE_SIZE, "settings line 0");

struct service_worker {
	/* line 0: the worker core's, set when it takes over a generation */
	const struct service_settings *settings; /* borrowed: of the generation the core is in */
	struct flow_partition *
		*part; /* owned; [256]: where flows lie, as this worker is to know it */
	struct weir_service_cell *cell;
	struct weir_backend_cell *backend_cell; /* by slot */
	struct service *service;
	struct rte_ring *ring; /* owned; NULL where the dispatcher works itself */
	uint16_t *cell_epoch; /* owned; by slot: which epoch a backend's cell counts for */
	uint32_t source_epoch; /* which table of sources its cell counts for */
	uint16_t age_bucket; /* next partition to be aged */
	uint8_t core; /* index */
	uint8_t number; /* among the service's workers; SERVICE_HOLD: packets only wait there */
	/* line 1: the same; for packets that begin or end something at a backend */
	alignas(RTE_CACHE_LINE_SIZE) struct service_load *load; /* owned; by slot: load.h */
	struct weir_heavy *heavy;
	uint32_t heavy_skip; /* client packets until the next that is sampled */
	uint32_t heavy_random;
	/* Idle flows that are to be closed: buckets left to look at, and where it goes on. */
	uint16_t close_left;
	uint16_t close_bucket;
	uint32_t close_record;
	uint32_t close_serial;
	uint64_t load_slice; /* of time, up to which UDP's was forgotten */
	/* Main thread's, relaxed atomic: its buckets were taken over, and it may not know yet. */
	bool lost;
	uint32_t found_turn; /* requests since one was asked what it found: load.h */
	/* from here on the dispatcher's: packets of the burst at hand */
	alignas(RTE_CACHE_LINE_SIZE) uint32_t staged;
	bool behind; /* its ring is nearly full: stage/early */
	struct service_worker *next_behind;
	struct rte_mbuf *stage[SERVICE_BURST];
};
static_assert(offsetof(struct service_worker, load) == RTE_CACHE_LINE_SIZE, "worker line 0");
static_assert(offsetof(struct service_worker, staged) == 2 * RTE_CACHE_LINE_SIZE,
	"worker and dispatcher write different lines");

/* Where a service counts: memory of the telemetry region, made and freed by core/directory.c. */
struct service_cells {
	struct weir_service_cell *cell[WEIR_MAX_CORES]; /* by index of the core */
	struct weir_backend_cell *backend_cell[WEIR_MAX_CORES]; /* cores of workers; [slots] each */
	struct weir_heavy *heavy[WEIR_MAX_CORES]; /* cores of workers */
	struct weir_backend_entry *entry; /* [slots] */
	struct weir_policy_entry
		*policy; /* [WEIR_MAX_POLICIES_PER_SERVICE]; NULL: it never had any */
	struct weir_class_entry *class; /* [WEIR_MAX_CLASSES_PER_SERVICE]; the same */
	uint32_t slots; /* of backends; the backends of the first configuration and a reserve */
	uint64_t abandoned; /* packets that the main thread dropped after the service was removed */
};

struct service {
	/* read by the dispatcher for each packet */
	struct service_worker
		*worker[WEIR_MAX_CORES + 1]; /* owned; [worker_count], and SERVICE_HOLD's */
	/*
	 * By bucket. Which worker gets its packets: core 0 writes that when buckets move. Which core may take
	 * them from a device's queue by itself: none any more when it has moved.
	 */
	uint8_t bucket_worker[FLOW_PARTITIONS];
	uint8_t bucket_direct[FLOW_PARTITIONS];
	/*
	 * Where its flows lie: in `flows`, or in a spare partition since it was taken over. Main thread's; workers
	 * have copies.
	 */
	struct flow_partition *part[FLOW_PARTITIONS];
	/* Index of the core that it is to go back to, or NOBODY. Main thread's. */
	uint8_t bucket_home[FLOW_PARTITIONS];
	/* Which worker reads and writes what belongs to it; NOBODY on the way from one to another. */
	uint8_t bucket_owner[FLOW_PARTITIONS];
	uint8_t worker_count; /* grows only */
	/* main thread's */
	bool moved; /* some bucket has */
	bool spreading; /* cores_wanted has changed, and buckets follow: core/spread.h */
	uint64_t spread_again_ns; /* not before: no core was free */
	struct service_worker *on_core[WEIR_MAX_CORES]; /* of those above, by index of the core */
	/* the same, by workers: what directives say of backends; NULL while there are none */
	const struct service_allowance *allowance;
	uint32_t close_serial; /* relaxed atomic: counts up when idle flows are to be closed */
	/* shared by the workers, one atomic word each */
	alignas(RTE_CACHE_LINE_SIZE) struct limiter packets;
	alignas(RTE_CACHE_LINE_SIZE) struct limiter bits;
	alignas(RTE_CACHE_LINE_SIZE) struct limiter connections;
	/* main thread */
	alignas(RTE_CACHE_LINE_SIZE) struct flow_table *flows; /* owned */
	struct nat_ports *ports; /* owned; NULL in dsr */
	struct account account; /* of all memory but the cells */
	size_t flow_bytes; /* of the flow table, as planned */
	void *journal; /* handle of struct fastpath_journal; NULL: its flows end with the process */
	uint32_t flow_capacity;
	uint32_t source_epoch; /* of the last table of sources that was made */
	uint16_t slot;
	uint16_t cores_wanted; /* cores_min..cores_max, which are configured */
	uint16_t cores_min;
	uint16_t cores_max;
	uint16_t cores_short; /* of those wanted it does not get, as none is free: core/cores.h */
	bool away; /* some bucket has a home elsewhere */
	bool short_of_cores; /* it was made while some core was unfit: it gets more when all are well */
	struct service_lost *lost; /* owned; rescue.h */
	struct service_directives *directives; /* owned */
	struct weir_config_service identity; /* name, address, prefix, port, protocol, mode */
	struct service_cells cells;
};

/* True when a configured service is this one: its flows, counters and limiters stay. */
bool service_matches(const struct service *s, const struct weir_config_service *config);

struct service_params {
	const struct weir_config_service *config;
	const struct service_cells *cells;
	uint16_t slot;
	const uint8_t *core; /* indices of the worker cores */
	const int *core_node; /* by index of the core */
	uint32_t worker_count;
	bool rings; /* a dispatcher hands over through rings */
	uint32_t flow_capacity;
	size_t flow_bytes;
	struct budget *budget; /* lives longer */
	uint64_t seed;
	uint32_t port_start; /* where the rotation of translated ports begins */
};

/*
 * Make a service with an empty flow table, its workers and their rings. Main thread.
 *
 * Returns 0, or -ENOMEM with the reason in err.
 */
int service_create(const struct service_params *params, struct service **ret_service, char *err,
	size_t err_size);
/* Free all but the cells: no worker uses it any more, rings and stages are empty. */
void service_destroy(struct service *s);

/*
 * Give a running service a worker without buckets on one more core. Its cells there are made already; the
 * core learns of it by the next generation. Main thread. Returns 0 or -ENOMEM.
 */
int service_worker_add(struct service *s, uint8_t core, int node);

/*
 * Bytes that a service takes beside its flow table and what is made for single sources, about.
 *
 * slots    of backends
 * workers  how many, each with a ring
 */
uint64_t service_other_bytes(
	const struct weir_config_service *config, uint32_t slots, uint32_t workers, bool rings);

/* A ring like a worker's, but in nobody's account, or NULL; rte_free() it. */
struct rte_ring *service_ring_create(int node);

/* Does a worker have a bucket, and if so all that belongs to it? Any thread; for sure only its own core. */
static inline bool service_worker_has(const struct service_worker *w, uint32_t bucket)
{
	return __atomic_load_n(&w->service->bucket_owner[bucket], __ATOMIC_ACQUIRE) == w->number;
}

/* Flows in use, over all buckets; any thread, approximately. */
uint32_t service_flow_count(const struct service *s);

/* How many it has. */
uint32_t service_worker_buckets(const struct service_worker *w);
/* The next one behind a bucket, round and round; when it has none, any. */
uint16_t service_worker_next(const struct service_worker *w, uint16_t bucket);

/*
 * Largest flow table that fits into a number of bytes; 0 when not even one of SERVICE_MIN_FLOWS does.
 */
#define SERVICE_MIN_FLOWS 1024u
uint32_t service_flow_capacity(size_t bytes, bool ipv6, bool nat, uint32_t wanted);

/*
 * Make a generation's view of a service from its configuration.
 *
 * old         of the generation before, or NULL: backends that stay keep their slots, and an unchanged
 *             pool its Maglev table
 * backends    of this service, [config->backend_count]
 * sources     of this service, [config->source_count]
 * hz          of the clock that workers are given
 *
 * Returns 0, or a negative errno with the reason in err.
 */
int service_settings_create(struct service *s, const struct service_settings *old,
	const struct weir_config_service *config, const struct weir_config_backend *backends,
	const struct weir_config_source *sources, uint64_t hz, const struct hash_seed *seed,
	struct service_settings **ret_settings, char *err, size_t err_size);
/*
 * A copy with other states and weights of some backends; NULL when none of the updates is of this
 * service.
 *
 * updates  found by the service's name, address and port; -ENOENT when a backend is not there
 */
int service_settings_update(const struct service_settings *old,
	const struct weir_backend_update *updates, uint32_t count, const struct hash_seed *seed,
	struct service_settings **ret_settings, char *err, size_t err_size);
/*
 * A copy with weights, limits and policing as directives have them now; NULL when the old one will do.
 *
 * clock_ns  of the workers, now
 */
int service_settings_direct(const struct service_settings *old, const struct hash_seed *seed,
	uint64_t clock_ns, struct service_settings **ret_settings);
struct service_settings *service_settings_hold(struct service_settings *s);
void service_settings_release(struct service_settings *s); /* NULL is fine */

/*
 * pools.c: give settings their pools; a table of old that is the same is shared. Returns 0 or -ENOMEM; what was
 * made goes with service_pools_release() either way.
 */
int service_pools_attach(struct service_settings *s, const struct service_settings *old,
	uint32_t pool_count, const struct hash_seed *seed);
void service_pools_release(struct service_settings *s);
/* Give settings their policies, and take over the reference. */
void service_policies_set(struct service_settings *s, struct policy_set *set);

/*
 * affinity.c: give settings the table that their configuration asks for, that of old where it is the same.
 * Returns 0 or -ENOMEM.
 */
int service_affinity_attach(struct service_settings *s, const struct service_settings *old,
	const struct weir_config_service *config, const struct hash_seed *seed);
void service_affinity_release(struct service_affinity *a); /* NULL is fine */

/*
 * Which backend a new flow gets: that of its source where there is affinity and the backend takes new
 * flows, else by hashing. With a pool that is not empty.
 *
 * hash     of the flow
 * address  of the client, 4 or 16 bytes
 */
uint16_t service_choose(const struct service_settings *s, uint64_t hash, const uint8_t *address,
	uint64_t now_ns, bool remember);

/*
 * per_source.c: give settings the table of sources that their configuration asks for, that of old where
 * it is the same. Returns 0, or -ENOMEM with the reason in err.
 */
int per_source_attach(struct service_settings *s, const struct service_settings *old,
	const struct weir_config_service *config, uint64_t hz, const struct hash_seed *seed,
	char *err, size_t err_size);
void per_source_share(struct service_settings *s, const struct service_settings *old);
void per_source_release(struct service_per_source *p); /* NULL is fine */

/* tunnel.c: from a service's sources, of which there is one or more. Returns 0 or -ENOMEM. */
int service_tunnel_create(struct service *s, const struct weir_config_service *config,
	const struct weir_config_source *sources, struct service_tunnel **ret_tunnel);
void service_tunnel_release(struct service *s, struct service_tunnel *t); /* NULL is fine */

/*
 * A copy in which some buckets have other translated ports, all of them free: nat_ports_shift(). NULL in
 * dsr. Returns 0, -ENOMEM or -EBUSY.
 */
int service_settings_shift(const struct service_settings *old, const bool *shifted,
	const struct hash_seed *seed, uint8_t *ret_lane, struct service_settings **ret_settings);

/* Slot of a backend in use, or -1. */
int service_backend_find(
	const struct service_settings *s, const uint8_t address[16], uint16_t port);

/*
 * Let a worker go on with other settings; its own core does this between two bursts. Cells of slots
 * that got another backend start from zero.
 */
void service_worker_take_over(struct service_worker *w, const struct service_settings *settings);

/*
 * Age one partition of a worker, and move on to its next when that is done. Worker's core.
 *
 * Returns true when there was more to do than budget, the flows looked at, allowed.
 */
bool service_worker_age(
	struct service_worker *w, uint64_t now_ns, uint32_t now_ms, uint32_t budget);

#endif
