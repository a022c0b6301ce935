/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/start.h"

#include "dataplane/core/arena.h"
#include "dataplane/core/bell.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/port/orphans.h"
#include "dataplane/port/registry.h"
#include "dataplane/process/eal.h"
#include "dataplane/process/flow_store.h"
#include "dataplane/process/hugepages.h"
#include "dataplane/process/instance.h"
#include "dataplane/process/log.h"
#include "dataplane/process/privileges.h"
#include "dataplane/process/process.h"
#include "dataplane/process/replay.h"
#include "dataplane/process/server.h"
#include "dataplane/process/steering.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define NODES_DIR "/sys/devices/system/node"

/* Address space for telemetry; only what is touched costs memory. */
#define ARENA_BYTES	   ((size_t)8 << 30)
#define REPLAY_ARENA_BYTES ((size_t)1 << 30)

/* Replay has neither devices' buffers nor many flows to keep unless it is told otherwise. */
#define REPLAY_MEMORY_BYTES (UINT64_C(64) << 20)

uint64_t process_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void process_event(void *process, enum weir_event_kind kind, const char *object, const char *text)
{
	struct process *p = process;

	if (kind == WEIR_EVENT_PORT_UP)
		log_notice("%s: %s", object, text);
	else
		log_warning("%s: %s", object, text);
	if (p->server)
		server_event(p->server, kind, object, text);
}

static bool cpu_in(const struct cpu_list *list, uint32_t cpu)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (list->cpu[i] == cpu)
			return true;
	return false;
}

/* What the main thread makes for all cores lies where it runs: on the first core's node, where it may run there. */
static void main_cpus_near(struct process *p)
{
	struct cpu_list near = { .count = 0 };

	for (uint32_t i = 0; i < p->main_cpus.count; i++)
		if (cpu_node(p->main_cpus.cpu[i]) == cpu_node(p->cores.cpu[0]))
			near.cpu[near.count++] = p->main_cpus.cpu[i];
	if (near.count)
		p->main_cpus = near;
}

/* Packet cores as given or by default, and the CPUs left for the main thread. */
static int cores_choose(struct process *p, char *err, size_t err_size)
{
	struct cpu_list allowed, isolated;
	int rc = cpus_allowed(&allowed);

	if (rc < 0) {
		snprintf(err, err_size, "no CPU to run on: %s", strerror(-rc));
		return rc;
	}
	cpus_isolated(&isolated);
	p->cores = p->arguments.cores;
	if (p->arguments.replay) {
		p->cores = (struct cpu_list){ .cpu = { allowed.cpu[0] }, .count = 1 };
	} else if (!p->cores.count) {
		cpu_list_default(&allowed, &isolated, &p->cores);
	}
	for (uint32_t i = 0; i < p->cores.count; i++)
		if (!cpu_in(&allowed, p->cores.cpu[i]) && !cpu_in(&isolated, p->cores.cpu[i])) {
			char text[256];
			cpu_list_print(&allowed, text, sizeof(text));
			snprintf(err, err_size,
				"--cores: CPU %u is not one of those allowed here (%s)",
				p->cores.cpu[i], text);
			return -EINVAL;
		}
	p->main_cpus.count = 0;
	for (uint32_t i = 0; i < allowed.count; i++)
		if (!cpu_in(&p->cores, allowed.cpu[i]))
			p->main_cpus.cpu[p->main_cpus.count++] = allowed.cpu[i];
	main_cpus_near(p);
	if (!p->main_cpus.count)
		p->main_cpus = (struct cpu_list){ .cpu = { p->cores.cpu[0] }, .count = 1 };
	cpu_list_print(&p->cores, p->cores_text, sizeof(p->cores_text));
	return 0;
}

/*
 * Memory that can be had, in bytes; 0 when it is unknown. Free hugepages count: the kernel does not
 * call them available, but they are what a killed predecessor left for us.
 */
static uint64_t memory_available(void)
{
	char line[128];
	unsigned long long kib = 0, pages = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "MemAvailable: %llu kB", &kib);
		(void)sscanf(line, "HugePages_Free: %llu", &pages);
	}
	fclose(f);
	return ((uint64_t)kib << 10) + pages * HUGEPAGE_BYTES;
}

/* On a small machine the default is too much: take half of what there is. */
static void memory_choose(struct process *p)
{
	uint64_t available = memory_available();

	p->memory_bytes = p->arguments.memory_bytes;
	if (p->arguments.replay && !p->arguments.memory_given)
		p->memory_bytes = REPLAY_MEMORY_BYTES;
	if (p->arguments.replay || p->arguments.memory_given || !available ||
		p->memory_bytes <= available / 2)
		return;
	p->memory_bytes = available / 2 & ~(HUGEPAGE_BYTES - 1);
	if (p->memory_bytes < MINIMUM_MEMORY_BYTES)
		p->memory_bytes = MINIMUM_MEMORY_BYTES;
	log_warning("only %llu MiB of memory are free: packet buffers and tables get %llu MiB; set "
		    "memory: in the configuration to decide yourself",
		(unsigned long long)(available >> 20), (unsigned long long)(p->memory_bytes >> 20));
}

/* The budget in pages, over the nodes that have packet cores. */
static void hugepages_want(const struct process *p, struct hugepage_counts *ret_wanted)
{
	bool used[WEIR_MAX_NODES] = { 0 };
	uint32_t nodes = 0;

	for (uint32_t i = 0; i < p->cores.count; i++) {
		int node = cpu_node(p->cores.cpu[i]);
		if (node >= WEIR_MAX_NODES || used[node])
			continue;
		used[node] = true;
		nodes++;
	}
	uint64_t pages = (p->memory_bytes + HUGEPAGE_BYTES - 1) / HUGEPAGE_BYTES;
	memset(ret_wanted, 0, sizeof(*ret_wanted));
	for (uint32_t node = 0; node < WEIR_MAX_NODES; node++)
		if (used[node])
			ret_wanted->node[node] = (uint32_t)((pages + nodes - 1) / nodes);
}

static int hugepages_prepare(struct process *p, char *err, size_t err_size)
{
	const char *state = instance_hugepages_path(p->instance);
	struct hugepage_counts wanted, got;
	uint64_t want_sum = 0, got_sum = 0;

	p->hugepages = false;
	if (p->arguments.hugepages == HUGEPAGES_NONE) {
		hugepages_give_back(NODES_DIR, state);
		return 0;
	}
	hugepages_want(p, &wanted);
	/* The kernel would take what others need, and take its time for it. */
	int rc = -ENOMEM;
	memset(&got, 0, sizeof(got));
	if (p->memory_bytes <= memory_available() / 4 * 3)
		rc = hugepages_take(NODES_DIR, state, &wanted, &got);
	bool enough = true;
	for (uint32_t node = 0; node < WEIR_MAX_NODES; node++) {
		enough &= got.node[node] >= wanted.node[node];
		want_sum += wanted.node[node];
		got_sum += wanted.node[node] ? got.node[node] : 0;
	}
	if (enough) {
		p->hugepages = true;
		return 0;
	}
	hugepages_give_back(NODES_DIR, state);
	char what[256];
	snprintf(what, sizeof(what),
		"%llu of %llu hugepages of 2 MiB could be had%s%s; more memory, a smaller memory: or "
		"sysctl vm.nr_hugepages=%llu early after boot",
		(unsigned long long)got_sum, (unsigned long long)want_sum, rc < 0 ? ": " : "",
		rc < 0 ? strerror(-rc) : "", (unsigned long long)want_sum);
	if (p->arguments.hugepages == HUGEPAGES_REQUIRED) {
		snprintf(err, err_size, "--hugepages required: only %s", what);
		return -ENOMEM;
	}
	log_warning("going on without hugepages, which is slower: only %s would be better", what);
	return 0;
}

static int eal_prepare(struct process *p, char *err, size_t err_size)
{
	char prefix[WEIR_NAME_SIZE + 8];
	struct eal_params params = {
		.prefix = prefix,
		.cores = p->cores,
		.main_cpus = p->main_cpus,
		.memory_bytes = p->memory_bytes,
		.hugepages = p->hugepages,
		.pci = !p->arguments.replay,
	};

	/* In replay there is only the main thread. */
	if (p->arguments.replay)
		params.cores.count = 0;
	snprintf(prefix, sizeof(prefix), "weir_%s", p->arguments.instance);
	return eal_start(&params, err, err_size);
}

static int telemetry_prepare(struct process *p, char *err, size_t err_size)
{
	int rc = arena_create(p->arguments.replay ? REPLAY_ARENA_BYTES : ARENA_BYTES, &p->arena);

	if (rc < 0) {
		snprintf(err, err_size, "cannot make the telemetry region: %s", strerror(-rc));
		return rc;
	}
	struct weir_telemetry *t = arena_telemetry(p->arena);
	p->telemetry = t;
	t->pid = (uint32_t)getpid();
	t->flags = p->hugepages ? WEIR_TELEMETRY_F_HUGEPAGES : 0;
	if (p->cores.count == 1)
		t->flags |= WEIR_TELEMETRY_F_SHARED_CORE;
	t->tsc_hz = rte_get_tsc_hz();
	t->node_count = 1;
	for (uint32_t i = 0; i < p->cores.count; i++) {
		int node = cpu_node(p->cores.cpu[i]);
		if (node < WEIR_MAX_NODES && (uint32_t)node + 1 > t->node_count)
			t->node_count = (uint32_t)node + 1;
	}
	for (int from = 0; from < WEIR_MAX_NODES && from <= node_last(); from++)
		for (int to = 0; to < WEIR_MAX_NODES && to <= node_last(); to++)
			t->node_distance[from][to] = (uint8_t)node_distance(from, to);
	if (p->arguments.replay) {
		t->flags |= WEIR_TELEMETRY_F_REPLAY;
		t->tsc_hz = REPLAY_TSC_HZ;
		return 0;
	}
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	t->start_ns = process_now_ns();
	t->start_time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return 0;
}

/*
 * As if killed: packet cores cannot be stopped in order, and what is left on the host is what a successor looks for. It
 * lets the flows go on.
 */
static void give_up(void *ctx, uint32_t cpu)
{
	RTE_SET_USED(ctx);
	log_error(
		"packet CPU %u does not go round, and nobody can take over what it does: giving up, to "
		"be started anew",
		cpu);
	_exit(EXIT_FAILURE);
}

static int fastpath_prepare(struct process *p, char *err, size_t err_size)
{
	struct fastpath_params params = {
		.arena = p->arena,
		.core_count = p->cores.count,
		.idle = p->arguments.idle,
		.early_drops_only_here = p->arguments.early_drops_only_here,
		/* A port's buffers are an eighth each (port/); the rest is slack and EAL's own. */
		.memory_bytes = p->memory_bytes / 2,
		.seed = p->arguments.seed,
		.tsc_hz = p->telemetry->tsc_hz,
		.single_threaded = p->arguments.replay,
		.give_up = give_up,
		.give_up_ctx = p,
	};

	if (p->arguments.idle == WEIR_IDLE_INTERRUPT && !p->arguments.replay)
		p->bells = bells_create(p->cores.count);
	params.bells = p->bells;
	if (p->instance)
		(void)flow_store_create(p->arguments.instance_dir, &p->flow_store);
	params.journal = flow_store_journal(p->flow_store);
	if (p->flow_store && !p->arguments.seed_given)
		params.seed = flow_store_seed(p->flow_store);
	else if (!p->arguments.replay && !p->arguments.seed_given &&
		getrandom(&params.seed, sizeof(params.seed), 0) != sizeof(params.seed))
		params.seed = process_now_ns() ^ (uint64_t)getpid() << 32;
	if (!p->arguments.replay &&
		getrandom(&params.port_seed, sizeof(params.port_seed), 0) !=
			sizeof(params.port_seed))
		params.port_seed = process_now_ns();
	for (uint32_t i = 0; i < p->cores.count; i++) {
		params.core[i].cpu = p->cores.cpu[i];
		params.core[i].node = cpu_node(p->cores.cpu[i]);
	}
	int rc = fastpath_create(&params, &p->fastpath);
	if (rc < 0)
		snprintf(err, err_size, "cannot build the fast path with %llu MiB: %s",
			(unsigned long long)(p->memory_bytes >> 20), strerror(-rc));
	return rc;
}

static int ports_prepare(struct process *p, char *err, size_t err_size)
{
	struct port_registry_params params = {
		.telemetry = p->telemetry,
		.instance_dir = p->arguments.instance_dir,
		.orphans = p->instance ? port_orphans_collect(p->arguments.instance_dir) : NULL,
		.memory_bytes = p->memory_bytes,
		.interrupts = p->bells != NULL,
		.bell = p->bells,
		.core_count = p->cores.count,
		.default_node = cpu_node(p->cores.cpu[0]),
		.event = process_event,
		.event_ctx = p,
		.capture_in = p->arguments.replay ? replay_file_in : NULL,
		.capture_out = p->arguments.replay ? replay_file_out : NULL,
		.capture_ctx = p,
	};
	for (uint32_t i = 0; i < p->cores.count; i++)
		params.core_node[i] = cpu_node(p->cores.cpu[i]);
	int rc = port_registry_create(&params, &p->ports);

	if (rc < 0)
		snprintf(err, err_size, "out of memory");
	return rc;
}

static struct process *launched; /* what core_main() runs for */

static int core_main(void *arg)
{
	int rc = privileges_end();

	if (rc < 0)
		log_warning("a packet core cannot give up privileges: %s", strerror(-rc));
	fastpath_core_run(launched->fastpath, (uint32_t)(uintptr_t)arg);
	return 0;
}

static int cores_launch(struct process *p, char *err, size_t err_size)
{
	launched = p;
	for (uint32_t i = 0; !p->arguments.replay && i < p->cores.count; i++) {
		int rc = rte_eal_remote_launch(core_main, (void *)(uintptr_t)i, i + 1);
		if (rc < 0) {
			snprintf(err, err_size, "cannot start packet core %u: %s", p->cores.cpu[i],
				strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static void shortcomings_warn(const struct process *p)
{
	if (p->arguments.replay)
		return;
	if (p->cores.count == 1)
		log_warning(
			"one packet core: it receives and works for all services, so they share it; "
			"more CPUs in cores: would hold them apart");
	if (cpu_in(&p->cores, p->main_cpus.cpu[0]))
		log_warning("no CPU is left for the main thread: it runs on packet CPU %u",
			p->main_cpus.cpu[0]);
}

int process_start(struct process *p, char *err, size_t err_size)
{
	int rc = cores_choose(p, err, err_size);

	if (rc == 0 && !p->arguments.replay)
		rc = instance_open(p->arguments.instance_dir, &p->instance, err, err_size);
	if (rc < 0)
		return rc;
	/*
	 * The server blocks signals: before threads are there, which inherit that, and before anything is
	 * taken from the host that a signal would keep us from giving back.
	 */
	rc = server_create(p, p->arguments.api_fd < 0 ? instance_socket_path(p->instance) : NULL,
		p->arguments.api_fd, &p->server, err, err_size);
	memory_choose(p);
	if (rc == 0 && p->instance)
		rc = hugepages_prepare(p, err, err_size);
	if (rc == 0)
		rc = eal_prepare(p, err, err_size);
	if (rc == 0)
		rc = telemetry_prepare(p, err, err_size);
	if (rc == 0)
		rc = fastpath_prepare(p, err, err_size);
	if (rc == 0)
		rc = ports_prepare(p, err, err_size);
	if (rc == 0)
		rc = cores_launch(p, err, err_size);
	if (rc == 0)
		rc = server_listen(p->server, err, err_size);
	if (rc == 0)
		shortcomings_warn(p);
	return rc;
}

void process_end(struct process *p)
{
	if (p->telemetry)
		__atomic_or_fetch(
			&p->telemetry->flags, WEIR_TELEMETRY_F_STOPPING, __ATOMIC_RELAXED);
	if (p->fastpath) {
		fastpath_stop(p->fastpath);
		if (!p->arguments.replay)
			rte_eal_mp_wait_lcore();
		fastpath_destroy(p->fastpath);
	}
	flow_store_destroy(p->flow_store);
	port_registry_destroy(p->ports);
	bells_destroy(p->bells, p->cores.count);
	server_destroy(p->server);
	steering_end(p);
	free(p->config);
	arena_destroy(p->arena);
	eal_stop();
	if (p->instance) {
		hugepages_give_back(NODES_DIR, instance_hugepages_path(p->instance));
		instance_close(p->instance);
	}
}
