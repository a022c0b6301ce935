/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate.h"
#include "dataplane/core/arena.h"
#include "dataplane/core/fastpath.h"
#include "ebpf/engine/image.h"
#include "ebpf/engine/object.h"
#include "tests/bench/bench.h"

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#define POLICY_ID	   1
#define SERVICE_NAME	   "bench"
/* The made-up clock goes on as if ten million packets came in a second. */
#define PACKETS_PER_SECOND 10000000
/* More than one source ever sends here, so that a limit is looked at and never reached. */
#define SOURCE_RATE	   1000000000
/* Steps without a packet that the fast path may take to send what it still holds. */
#define IDLE_STEPS_MAX	   1000
/* Bursts between two looks at whether the CPU was taken away: a tenth of a millisecond or so. */
#define CHUNK_BURSTS	   32

struct config_message {
	struct weir_config header;
	struct weir_config_port ports[BENCH_PORTS];
	struct weir_config_service service;
	struct weir_config_backend backends[BENCH_BACKENDS];
	struct weir_config_source sources[BENCH_SOURCES];
	struct weir_config_neighbour neighbours[BENCH_BACKENDS];
	struct weir_config_policy policy;
};

static void config_fill(const struct bench *b, struct config_message *c)
{
	bool nat = b->mode == WEIR_MODE_NAT;

	memset(c, 0, sizeof(*c));
	c->header = (struct weir_config){
		.digest = 1,
		.port_count = BENCH_PORTS,
		.service_count = 1,
		.backend_count = BENCH_BACKENDS,
		.source_count = nat ? BENCH_SOURCES : 0,
		.neighbour_count = BENCH_BACKENDS,
		.policy_count = b->policy != NULL,
	};
	c->policy = (struct weir_config_policy){ .id = POLICY_ID, .name = "bench" };
	for (int i = 0; i < BENCH_PORTS; i++) {
		snprintf(c->ports[i].name, sizeof(c->ports[i].name), "port%d", i);
		c->ports[i].kind = WEIR_PORT_CAPTURE;
	}
	c->service = (struct weir_config_service){
		.name = SERVICE_NAME,
		.prefix_length = 128,
		.protocol = 6,
		.mode = (uint8_t)b->mode,
		.port = BENCH_SERVICE_PORT,
		.cores = (uint16_t)RTE_MAX(b->workers, 1u),
		.limit_packets = WEIR_UNLIMITED,
		.limit_bits = WEIR_UNLIMITED,
		.limit_connections = WEIR_UNLIMITED,
		.per_source_packets = b->per_source ? SOURCE_RATE : WEIR_UNLIMITED,
		.per_source_connections = WEIR_UNLIMITED,
		.per_source_burst_ns = 1000000000,
		.per_source_entries = b->per_source ? RTE_MIN(2 * b->flows, 1u << 24) : 0,
		.per_source_prefix = b->family == 4 ? 32 : 128,
		.burst_ns = 10000000,
		.flow_capacity = b->capacity,
		.backend_count = BENCH_BACKENDS,
		.source_count = nat ? BENCH_SOURCES : 0,
		.policy_count = b->policy != NULL,
	};
	bench_address_service(b->family, c->service.address);
	for (uint32_t i = 0; i < BENCH_BACKENDS; i++) {
		c->backends[i] = (struct weir_config_backend){
			.port = nat ? BENCH_BACKEND_PORT : BENCH_SERVICE_PORT,
			.weight = 100,
			.state = WEIR_BACKEND_UP,
			.neighbour = i,
		};
		bench_address_backend(b->family, i, c->backends[i].address);
		c->neighbours[i].port = BENCH_PORT_BACK;
		c->neighbours[i].resolved = 1;
		bench_address_backend(b->family, i, c->neighbours[i].address);
		bench_mac_backend(i, c->neighbours[i].mac);
	}
	for (uint32_t i = 0; i < BENCH_SOURCES; i++) {
		bench_address_source(b->family, i, c->sources[i].address);
		memset(c->sources[i].blocks, 0xff, sizeof(c->sources[i].blocks));
		c->sources[i].blocks[0] = 0xf0; /* not the ports below 1024 */
	}
}

/* Without sources, as in dsr, the arrays behind them move up. */
static size_t config_pack(struct config_message *c)
{
	const size_t behind = sizeof(c->neighbours) + c->header.policy_count * sizeof(c->policy);

	if (c->header.source_count)
		return offsetof(struct config_message, neighbours) + behind;
	memmove(c->sources, c->neighbours, behind);
	return offsetof(struct config_message, sources) + behind;
}

struct policy_image *bench_policy_read(const char *path)
{
	struct policy_image *image;
	char err[512] = "";

	if (policy_object_read(path, &image, err, sizeof(err)))
		bench_fail("%s: %s", path, err);
	return image;
}

/* As the daemon would after verifying it: objects of our own are not asked about here. */
static void policy_hand_over(struct bench *b)
{
	const struct weir_policy_stage stage = {
		.id = POLICY_ID,
		.image_bytes = b->policy->size,
		.flags = WEIR_POLICY_F_VERIFIED,
	};
	char err[256] = "";

	if (fastpath_policy_stage(b->fp, &stage, b->policy, NULL, 0, err, sizeof(err)))
		bench_fail("the policy is refused: %s", err);
}

void bench_path_create(struct bench *b)
{
	static struct config_message config;
	struct port *ports[BENCH_PORTS];
	char err[256] = "";

	if (arena_create((size_t)1 << 30, &b->arena))
		bench_fail("no memory for telemetry");
	struct fastpath_params params = {
		.arena = b->arena,
		.core_count = 1 + b->workers,
		.idle = WEIR_IDLE_SPIN,
		.memory_bytes = b->memory_bytes,
		.seed = BENCH_SEED,
		.tsc_hz = b->tsc_hz,
		.single_threaded = true,
	};
	for (uint32_t i = 0; i < params.core_count; i++)
		params.core[i] = (struct fastpath_core_params){ .cpu = i, .node = b->node };
	int rc = fastpath_create(&params, &b->fp);
	if (rc)
		bench_fail("fastpath_create: %s", strerror(-rc));
	if (b->policy)
		policy_hand_over(b);
	config_fill(b, &config);
	size_t length = config_pack(&config);
	if (weir_config_validate(&config, length, err, sizeof(err)))
		bench_fail("the configuration is not valid: %s", err);
	for (int i = 0; i < BENCH_PORTS; i++)
		ports[i] = &b->port[i];
	rc = fastpath_apply(b->fp, &config.header, length, ports, err, sizeof(err));
	if (rc)
		bench_fail("fastpath_apply: %s: %s", strerror(-rc), err);
	b->now = b->tsc_hz; /* any moment will do */
}

void bench_path_destroy(struct bench *b)
{
	fastpath_destroy(b->fp);
	arena_destroy(b->arena);
	b->fp = NULL;
	b->arena = NULL;
}

static uint64_t preemptions(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage))
		bench_fail("getrusage: %s", strerror(errno));
	return (uint64_t)usage.ru_nivcsw;
}

/*
 * Time goes by in chunks of some bursts. One in which the kernel gave the CPU to somebody else says
 * nothing about a packet's price, and is left out of the sum and counted.
 */
struct stopwatch {
	struct bench_time *time;
	uint64_t preempted; /* before this chunk */
	uint64_t cycles; /* of this chunk */
	uint32_t packets;
	uint32_t bursts;
};

static void stopwatch_start(struct stopwatch *s, struct bench_time *time)
{
	*time = (struct bench_time){ 0 };
	*s = (struct stopwatch){ .time = time, .preempted = preemptions() };
}

static void stopwatch_chunk(struct stopwatch *s)
{
	uint64_t preempted = preemptions();

	if (preempted == s->preempted) {
		s->time->cycles += s->cycles;
		s->time->packets += s->packets;
	} else {
		s->time->packets_left_out += s->packets;
	}
	*s = (struct stopwatch){ .time = s->time, .preempted = preempted };
}

static inline void stopwatch_add(struct stopwatch *s, uint64_t cycles, uint32_t packets)
{
	s->cycles += cycles;
	s->packets += packets;
	if (++s->bursts == CHUNK_BURSTS)
		stopwatch_chunk(s);
}

void bench_path_run(struct bench *b, struct bench_time *ret_time)
{
	uint64_t tick = b->tsc_hz / (PACKETS_PER_SECOND / BENCH_BURST);
	struct stopwatch watch;
	unsigned int idle = 0;

	stopwatch_start(&watch, ret_time);
	while (b->sent_count < b->filled && idle < IDLE_STEPS_MAX) {
		uint64_t start = rte_rdtsc();
		uint32_t found = fastpath_core_step(b->fp, 0, b->now);
		stopwatch_add(&watch, rte_rdtsc() - start, found);
		b->now += tick;
		idle = found ? 0 : idle + 1;
	}
	stopwatch_chunk(&watch);
}

/* As small as a packet's way can be: what fastpath_core_step() stands in for in the floor. */
static __rte_noinline uint32_t floor_step(const struct port *from, const struct port *to)
{
	struct rte_mbuf *pkts[BENCH_BURST];
	uint16_t n = from->rx_queue->rx(from->rx_queue->handle, pkts, BENCH_BURST);

	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(pkts[i]);
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		struct rte_ether_hdr *eth = rte_pktmbuf_mtod(pkts[i], struct rte_ether_hdr *);
		struct rte_ether_addr mac = eth->src_addr;
		eth->src_addr = eth->dst_addr;
		eth->dst_addr = mac;
	}
	if (n)
		to->tx_queue->tx(to->tx_queue->handle, pkts, n);
	return n;
}

void bench_floor_run(struct bench *b, struct bench_time *ret_time)
{
	const struct port *from = &b->port[BENCH_PORT_FRONT];
	const struct port *to = &b->port[BENCH_PORT_BACK];
	struct stopwatch watch;
	uint32_t found;

	stopwatch_start(&watch, ret_time);
	do {
		uint64_t start = rte_rdtsc();
		found = floor_step(from, to);
		stopwatch_add(&watch, rte_rdtsc() - start, found);
	} while (found);
	stopwatch_chunk(&watch);
}

static const struct weir_core_cell *core_cell(const struct weir_telemetry *t)
{
	return (const void *)((const char *)t + t->core[0].cell_offset);
}

/* The one service; its cell on the one core. */
static const struct weir_service_cell *service_cell(const struct weir_telemetry *t)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		const struct weir_service_entry *s = &t->service[i];
		if (s->used && !strcmp(s->name, SERVICE_NAME) && s->cell_offset[0])
			return (const void *)((const char *)t + s->cell_offset[0]);
	}
	bench_fail("the service is not in the telemetry");
}

void bench_counters_read(const struct bench *b, struct bench_counters *ret_counters)
{
	const struct weir_telemetry *t = arena_telemetry(b->arena);
	const struct weir_core_cell *core = core_cell(t);
	const struct weir_service_cell *service = service_cell(t);
	struct bench_counters c = {
		.service_received = service->packets_received,
		.service_transmitted = service->packets_transmitted,
		.new_flows = service->new_flows,
		.closed_flows = service->closed_flows,
		.stateless = service->stateless,
	};

	for (int i = 0; i < BENCH_PORTS; i++) {
		const struct weir_port_cell *port = &core->port[i];
		c.port_received += port->packets_received;
		c.port_transmitted += port->packets_transmitted;
		c.to_kernel += port->packets_to_kernel;
		for (int reason = 0; reason < WEIR_DROP_COUNT; reason++)
			c.dropped += port->dropped[reason];
	}
	for (int reason = 0; reason < WEIR_DROP_COUNT; reason++)
		c.dropped += service->dropped[reason];
	memcpy(c.stage_cycles, core->stage_cycles, sizeof(c.stage_cycles));
	memcpy(c.stage_packets, core->stage_packets, sizeof(c.stage_packets));
	*ret_counters = c;
}

const char *bench_counters_drop(const struct bench *b)
{
	static const char *const labels[] = {
#define X(name, label, help) label,
		WEIR_DROP_REASONS(X)
#undef X
	};
	const struct weir_telemetry *t = arena_telemetry(b->arena);
	const struct weir_service_cell *service = service_cell(t);

	for (int reason = 0; reason < WEIR_DROP_COUNT; reason++) {
		uint64_t count = service->dropped[reason];
		for (int i = 0; i < BENCH_PORTS; i++)
			count += core_cell(t)->port[i].dropped[reason];
		if (count)
			return labels[reason];
	}
	return NULL;
}
