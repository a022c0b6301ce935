/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate.h"
#include "dataplane/core/arena.h"
#include "dataplane/core/fastpath.h"
#include "ebpf/engine/image.h"
#include "tests/bench/isolation.h"

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <sched.h>
#include <string.h>

#define POLICY_ID     1
#define POOL	      16383
#define FULL_CAPACITY 1024
#define CAPACITY      (1u << 18)
#define BACKENDS      2 /* of each */
#define SERVICE_A     "noisy"
#define SERVICE_B     "quiet"
#define PORT_A	      80
#define PORT_B	      53

struct config_message {
	struct weir_config header;
	struct weir_config_port ports[BENCH_PORTS];
	struct weir_config_service service[SIDES];
	struct weir_config_backend backend[SIDES * BACKENDS];
	struct weir_config_source source;
	struct weir_config_neighbour neighbour[SIDES * BACKENDS];
	struct weir_config_policy policy;
};

static void address(uint8_t ret_address[16], uint32_t ip)
{
	memset(ret_address, 0, 10);
	memset(ret_address + 10, 0xff, 2);
	for (int i = 0; i < 4; i++)
		ret_address[12 + i] = (uint8_t)(ip >> (24 - 8 * i));
}

static void service_fill(struct weir_config_service *s, const char *name, uint32_t ip,
	uint8_t protocol, uint8_t mode, uint16_t port, uint32_t first)
{
	*s = (struct weir_config_service){
		.prefix_length = 128,
		.protocol = protocol,
		.mode = mode,
		.port = port,
		.cores = 1,
		.limit_packets = WEIR_UNLIMITED,
		.limit_bits = WEIR_UNLIMITED,
		.limit_connections = WEIR_UNLIMITED,
		.per_source_packets = WEIR_UNLIMITED,
		.per_source_connections = WEIR_UNLIMITED,
		.burst_ns = 10000000,
		.flow_capacity = CAPACITY,
		.first_backend = first,
		.backend_count = BACKENDS,
	};
	snprintf(s->name, sizeof(s->name), "%s", name);
	address(s->address, ip);
}

static void config_fill(const struct isolation *b, struct config_message *c)
{
	const struct flood *f = b->flood;
	const bool nat = f->mode == WEIR_MODE_NAT;

	memset(c, 0, sizeof(*c));
	c->header = (struct weir_config){
		.digest = 1,
		.port_count = BENCH_PORTS,
		.service_count = SIDES,
		.backend_count = SIDES * BACKENDS,
		.source_count = nat,
		.neighbour_count = SIDES * BACKENDS,
		.policy_count = f->slow,
	};
	for (int i = 0; i < BENCH_PORTS; i++) {
		snprintf(c->ports[i].name, sizeof(c->ports[i].name), "port%d", i);
		c->ports[i].kind = WEIR_PORT_CAPTURE;
	}
	service_fill(&c->service[SIDE_A], SERVICE_A, 0xcb00710a, f->protocol, f->mode, PORT_A, 0);
	service_fill(&c->service[SIDE_B], SERVICE_B, 0xcb00710b, IPPROTO_UDP, WEIR_MODE_DSR, PORT_B,
		BACKENDS);
	c->service[SIDE_A].source_count = nat;
	c->service[SIDE_A].policy_count = f->slow;
	if (f->full)
		c->service[SIDE_A].flow_capacity = FULL_CAPACITY;
	for (uint32_t i = 0; i < SIDES * BACKENDS; i++) {
		c->backend[i] = (struct weir_config_backend){
			.port = c->service[i / BACKENDS].port,
			.weight = 100,
			.state = WEIR_BACKEND_UP,
			.neighbour = i,
		};
		address(c->backend[i].address, 0x0a010001 + i);
		c->neighbour[i].port = BENCH_PORT_BACK;
		c->neighbour[i].resolved = 1;
		address(c->neighbour[i].address, 0x0a010001 + i);
		bench_mac_backend(i, c->neighbour[i].mac);
	}
	/* 1,024 ports for a backend. */
	address(c->source.address, 0x0a020001);
	c->source.blocks[1] = 0xf;
	c->policy = (struct weir_config_policy){ .id = POLICY_ID, .name = "slow" };
}

static size_t config_pack(struct config_message *c)
{
	const size_t behind = sizeof(c->neighbour) + c->header.policy_count * sizeof(c->policy);

	if (c->header.source_count)
		return offsetof(struct config_message, neighbour) + behind;
	memmove(&c->source, c->neighbour, behind);
	return offsetof(struct config_message, source) + behind;
}

static void config_apply(struct isolation *b)
{
	static struct config_message config;
	struct port *ports[BENCH_PORTS] = { &b->port[0], &b->port[1] };
	const struct weir_policy_stage stage = {
		.id = POLICY_ID,
		.image_bytes = b->policy->size,
		.flags = WEIR_POLICY_F_VERIFIED,
	};
	char err[256] = "";
	size_t length;

	if (b->flood->slow &&
		fastpath_policy_stage(b->fp, &stage, b->policy, NULL, 0, err, sizeof(err)))
		bench_fail("the policy is refused: %s", err);
	config_fill(b, &config);
	length = config_pack(&config);
	if (weir_config_validate(&config, length, err, sizeof(err)))
		bench_fail("the configuration is not valid: %s", err);
	if (fastpath_apply(b->fp, &config.header, length, ports, err, sizeof(err)))
		bench_fail("the configuration is refused: %s", err);
	for (int i = 0; i < SIDES; i++)
		source_init(&b->source[i], &b->port[BENCH_PORT_FRONT], config.service[i].address,
			config.service[i].port, config.service[i].protocol, (uint8_t)(64 + i));
}

static struct rte_mempool *pool_of(uint32_t queue)
{
	static struct rte_mempool *pool[ISOLATION_CORES];
	static const char *const names[] = { "shared", "of A", "of B" };

	if (!pool[queue])
		pool[queue] = rte_pktmbuf_pool_create(names[queue], POOL, 256, BENCH_PRIVATE_SIZE,
			RTE_PKTMBUF_HEADROOM + 2 * BENCH_FRAME_MAX, SOCKET_ID_ANY);
	if (!pool[queue])
		bench_fail("no memory for packets");
	return pool[queue];
}

static void port_make(struct isolation *b, uint32_t index)
{
	struct port *port = &b->port[index];

	*port = (struct port){
		.index = (uint8_t)index,
		.kind = WEIR_PORT_CAPTURE,
		.up = true,
		.mac = { 2, 0, 0, 0, 0, (uint8_t)(1 + index) },
		.mtu = 1500,
		.node = -1,
		.rx_queue_count = index ? 0 :
			b->steered	? ISOLATION_CORES :
					  1,
		.tx_queue_count = ISOLATION_CORES - 1,
		.rx_queue = b->rx[index],
		.tx_queue = b->tx[index],
	};
	for (uint8_t i = 0; i < ISOLATION_CORES; i++) {
		b->rx[index][i] = (struct port_queue){
			.rx = device_receive, .handle = &b->queue[i], .core = i
		};
		b->tx[index][i] = (struct port_queue){ .tx = device_send, .handle = b };
		b->queue[i] = (struct device_queue){
			.pool = pool_of(i), .polled = rte_rdtsc(), .hz = rte_get_tsc_hz()
		};
	}
}

static void *core_run(void *arg)
{
	struct isolation *b = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(b->cpu[1], &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		bench_fail("CPU %d is not ours", b->cpu[1]);
	/* Else its buffers would come from and go to the pool one by one. */
	if (rte_thread_register())
		bench_fail("no more threads");
	if (b->hurried)
		(void)bench_hurry();
	__atomic_store_n(&b->runs, true, __ATOMIC_RELEASE);
	fastpath_core_run(b->fp, 2);
	rte_thread_unregister();
	return NULL;
}

/* Flows that are there to stay: each has sent a packet behind its SYN. */
static void table_fill(struct isolation *b)
{
	struct source *a = &b->source[SIDE_A];

	a->flows = 2 * FULL_CAPACITY;
	a->new_flows = false;
	isolation_rates(b, 1000000, 0);
	isolation_run(b, 10000);
	source_flags(a, TH_ACK | TH_PUSH);
	isolation_run(b, 10000);
	source_flags(a, TH_SYN);
	a->next = 4 * FULL_CAPACITY;
}

void isolation_start(struct isolation *b)
{
	struct fastpath_params params = {
		.core_count = ISOLATION_CORES,
		.idle = WEIR_IDLE_SPIN,
		.memory_bytes = UINT64_C(64) << 20,
		.seed = 42,
		.tsc_hz = rte_get_tsc_hz(),
	};

	if (arena_create((size_t)1 << 30, &b->arena))
		bench_fail("no memory for telemetry");
	params.arena = b->arena;
	for (uint32_t i = 0; i < ISOLATION_CORES; i++)
		params.core[i].cpu = (uint32_t)b->cpu[i == 2];
	if (fastpath_create(&params, &b->fp))
		bench_fail("no fast path");
	for (uint32_t i = 0; i < BENCH_PORTS; i++)
		port_make(b, i);
	config_apply(b);
	for (int i = 0; i < SIDES; i++) {
		b->source[i].flows = ISOLATION_FLOWS;
		b->queue[b->steered ? 1 + i : 0].source[i] = &b->source[i];
	}
	b->step = b->next_step = 0;
	b->runs = false;
	if (b->hurried)
		(void)bench_hurry();
	if (pthread_create(&b->thread, NULL, core_run, b))
		bench_fail("no thread");
	while (!__atomic_load_n(&b->runs, __ATOMIC_ACQUIRE))
		sched_yield();
	if (b->flood->full)
		table_fill(b);
	b->source[SIDE_A].new_flows = b->flood->new_flows;
}

void isolation_stop(struct isolation *b)
{
	isolation_rates(b, 0, 0);
	b->step = b->next_step = 0;
	isolation_run(b, 20000);
	fastpath_stop(b->fp);
	pthread_join(b->thread, NULL);
	fastpath_destroy(b->fp);
	arena_destroy(b->arena);
	for (uint32_t i = 0; i < ISOLATION_CORES; i++)
		if (rte_mempool_in_use_count(pool_of(i)))
			bench_fail("packets are lost in Weir");
}

void isolation_rates(struct isolation *b, uint64_t of_a, uint64_t of_b)
{
	__atomic_store_n(&b->source[SIDE_A].rate, of_a, __ATOMIC_RELAXED);
	__atomic_store_n(&b->source[SIDE_B].rate, of_b, __ATOMIC_RELAXED);
}

void isolation_run(struct isolation *b, uint64_t microseconds)
{
	uint64_t now = rte_rdtsc();
	const uint64_t until = now + microseconds * (rte_get_tsc_hz() / 1000000);

	while (now < until) {
		uint64_t start = now;
		uint32_t found = fastpath_core_step(b->fp, 0, now);

		now = rte_rdtsc();
		b->dispatcher_cycles += found ? now - start : 0;
		if (now < b->next_step)
			continue;
		/* Who was kept waiting does not make up for it. */
		b->next_step = RTE_MAX(b->next_step + b->step, now);
		start = now;
		found = fastpath_core_step(b->fp, 1, now);
		now = rte_rdtsc();
		b->worker_cycles += found ? now - start : 0;
	}
}

const struct weir_core_cell *isolation_core(const struct isolation *b, uint32_t core)
{
	const struct weir_telemetry *t = arena_telemetry(b->arena);

	return (const void *)((const char *)t + t->core[core].cell_offset);
}

const struct weir_service_cell *isolation_cell(
	const struct isolation *b, enum isolation_side side, uint32_t core)
{
	const struct weir_telemetry *t = arena_telemetry(b->arena);
	const uint64_t offset = t->service[side].cell_offset[core];

	return offset ? (const void *)((const char *)t + offset) : NULL;
}

uint64_t isolation_gaps(const struct isolation *b)
{
	return __atomic_load_n(&isolation_core(b, 0)->gaps.count, __ATOMIC_RELAXED) +
		__atomic_load_n(&isolation_core(b, 2)->gaps.count, __ATOMIC_RELAXED);
}
