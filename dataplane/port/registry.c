/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/registry.h"

#include "dataplane/net/packet.h"
#include "dataplane/port/orphans.h"
#include "dataplane/port/port_private.h"
#include "dataplane/port/twin.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINK_POLL_NS UINT64_C(50000000)

struct port_registry {
	struct port_registry_params params;
	struct open_port *port[WEIR_MAX_PORTS]; /* owned; by telemetry index */
	uint64_t next_poll_ns;
	uint32_t opened; /* ports so far */
	/* Of a free place: whose counters are there, or "". */
	char counted[WEIR_MAX_PORTS][WEIR_NAME_SIZE];
	bool swept;
};

int port_refuse(int rc, char *err, size_t err_size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err, err_size, format, ap);
	va_end(ap);
	return rc;
}

int port_pool_create(const char *name, uint32_t count, uint32_t room_bytes, int node,
	struct rte_mempool **ret_pool)
{
	/* A cache of 256 for each core, which must not keep a small pool's last mbufs from others. */
	unsigned int cache = count >= 4096 ? 256 : 0;
	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, count, cache,
		RTE_ALIGN_CEIL(sizeof(struct packet), RTE_CACHE_LINE_SIZE), (uint16_t)room_bytes,
		node);

	if (!pool)
		return -ENOMEM;
	*ret_pool = pool;
	return 0;
}

void port_pool_free(struct rte_mempool *pool)
{
	const struct timespec step = { .tv_nsec = 2000000 };

	for (int i = 0; pool && i < 100; i++) {
		if (rte_mempool_in_use_count(pool) == 0) {
			rte_mempool_free(pool);
			return;
		}
		nanosleep(&step, NULL);
	}
}

int port_registry_create(
	const struct port_registry_params *params, struct port_registry **ret_registry)
{
	struct port_registry *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->params = *params;
	*ret_registry = r;
	return 0;
}

/* The operator's view of a port; called whenever something of it may have changed. */
static void entry_write(struct port_registry *r, const struct open_port *p)
{
	struct weir_telemetry *t = r->params.telemetry;
	struct weir_port_entry *e = &t->port[p->port.index];
	struct weir_port_entry now = {
		.used = 1,
		.kind = p->port.kind,
		.link_up = atomic_load_explicit(&p->port.up, memory_order_relaxed),
		.steering = p->steering,
		.checksums = p->port.checks_sums ? WEIR_PORT_CHECKSUM_RX_IPV4 : 0,
		.node = p->port.node,
		.ifindex = p->ifindex,
		.rx_queues = p->port.rx_queue_count,
		.tx_queues = p->port.tx_queue_count,
		.mtu = p->port.mtu,
		.speed_mbps = p->speed_mbps,
		.buffers = p->pool ? p->pool->size : 0,
		.buffers_free = e->buffers_free,
		.from_kernel = e->from_kernel,
		.wakes = !r->params.interrupts ? WEIR_PORT_WAKES_NOBODY :
			p->wake_why[0]	       ? WEIR_PORT_CANNOT_WAKE :
						 WEIR_PORT_WAKES,
	};

	memcpy(now.mac, p->port.mac, sizeof(now.mac));
	memcpy(now.name, p->name, sizeof(now.name));
	memcpy(now.device, p->device, sizeof(now.device));
	memcpy(now.driver, p->driver_name, sizeof(now.driver));
	memcpy(now.wake_why, p->wake_why, sizeof(now.wake_why));
	memcpy(now.steering_why, p->steering_why, sizeof(now.steering_why));
	if (memcmp(e, &now, sizeof(now)) == 0)
		return;
	__atomic_store_n(&t->directory_seq, t->directory_seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*e = now;
	if (t->port_count <= p->port.index)
		t->port_count = p->port.index + 1u;
	__atomic_store_n(&t->directory_seq, t->directory_seq + 1, __ATOMIC_RELEASE);
}

static void entry_clear(struct port_registry *r, uint8_t index)
{
	struct weir_telemetry *t = r->params.telemetry;

	__atomic_store_n(&t->directory_seq, t->directory_seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memset(&t->port[index], 0, sizeof(t->port[index]));
	while (t->port_count && !t->port[t->port_count - 1].used)
		t->port_count--;
	__atomic_store_n(&t->directory_seq, t->directory_seq + 1, __ATOMIC_RELEASE);
}

static struct weir_port_cell *cell_of(struct port_registry *r, uint32_t core, uint8_t index)
{
	struct weir_telemetry *t = r->params.telemetry;
	struct weir_core_cell *cell = (void *)((char *)t + t->core[core].cell_offset);

	return &cell->port[index];
}

/* What the one that it replaces has counted goes on here. No core uses either. */
static void counters_inherit(struct port_registry *r, uint8_t index, uint8_t from)
{
	for (uint32_t core = 0; core < r->params.telemetry->core_count; core++)
		*cell_of(r, core, index) = *cell_of(r, core, from);
}

static void counters_end(struct port_registry *r, uint8_t index)
{
	r->counted[index][0] = 0;
	for (uint32_t core = 0; core < r->params.telemetry->core_count; core++)
		memset(cell_of(r, core, index), 0, sizeof(struct weir_port_cell));
}

static bool name_is_open(const struct port_registry *r, const char *name)
{
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (r->port[i] && strcmp(r->port[i]->name, name) == 0)
			return true;
	return false;
}

/*
 * The place of a new port: where the one of its name was, so that its counters go on and all sums hold; else one that
 * has counted nothing; else any. WEIR_MAX_PORTS: none is free.
 */
static uint8_t place_find(const struct port_registry *r, const char *name)
{
	uint8_t unused = WEIR_MAX_PORTS, any = WEIR_MAX_PORTS;

	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		if (r->port[i])
			continue;
		if (strcmp(r->counted[i], name) == 0)
			return i;
		if (unused == WEIR_MAX_PORTS && !r->counted[i][0])
			unused = i;
		if (any == WEIR_MAX_PORTS)
			any = i;
	}
	return unused != WEIR_MAX_PORTS ? unused : any;
}

static void port_end(struct port_registry *r, uint8_t index)
{
	struct open_port *p = r->port[index];

	r->port[index] = NULL;
	entry_clear(r, index);
	memcpy(r->counted[index], p->name, sizeof(p->name));
	if (name_is_open(r, p->name))
		counters_end(r, index);
	p->driver->close(p);
	free(p);
}

void port_registry_destroy(struct port_registry *r)
{
	if (!r)
		return;
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (r->port[i])
			port_end(r, i);
	port_orphans_end(r->params.orphans, false);
	free(r);
}

/* An interface is what a port is; its name is what it is called. A capture has only its name. */
static struct open_port *port_find(struct port_registry *r, const struct weir_config_port *c)
{
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		struct open_port *p = r->port[i];

		if (!p || p->port.kind != c->kind || p->fresh || p->wanted)
			continue;
		if (strcmp(p->device, c->device) == 0 &&
			(c->kind != WEIR_PORT_CAPTURE || strcmp(p->name, c->name) == 0))
			return p;
	}
	return NULL;
}

static int port_open(struct port_registry *r, const struct weir_config_port *c,
	struct open_port *heir_of, struct open_port **ret_port, char *err, size_t err_size)
{
	static const struct port_driver *const drivers[] = {
		[WEIR_PORT_KERNEL] = &port_driver_af_xdp,
		[WEIR_PORT_PCI] = &port_driver_pci,
		[WEIR_PORT_CAPTURE] = &port_driver_capture,
	};
	const uint8_t index = place_find(r, c->name);

	if (index == WEIR_MAX_PORTS)
		return port_refuse(-E2BIG, err, err_size,
			"port %s: more than %d ports, counting those that are being replaced",
			c->name, WEIR_MAX_PORTS);
	struct open_port *p = calloc(1, sizeof(*p));
	if (!p)
		return port_refuse(-ENOMEM, err, err_size, "port %s: out of memory", c->name);
	p->driver = drivers[c->kind];
	p->port.index = index;
	p->port.kind = c->kind;
	p->port.serial = ++r->opened;
	p->port.node = -1;
	p->fresh = true;
	memcpy(p->name, c->name, sizeof(p->name));
	memcpy(p->old_name, c->name, sizeof(p->old_name));
	memcpy(p->device, c->device, sizeof(p->device));
	int rc = p->driver->open(p, heir_of, &r->params, err, err_size);
	if (rc < 0) {
		free(p);
		return rc;
	}
	r->port[index] = p;
	if (heir_of)
		counters_inherit(r, index, heir_of->port.index);
	else if (strcmp(r->counted[index], p->name) != 0)
		counters_end(r, index);
	entry_write(r, p);
	*ret_port = p;
	return 0;
}

static void port_rename(struct port_registry *r, struct open_port *p, const char *name)
{
	if (strcmp(p->name, name) == 0)
		return;
	memcpy(p->name, name, sizeof(p->name));
	if (p->driver->renamed)
		p->driver->renamed(p, &r->params);
	entry_write(r, p);
}

int port_registry_prepare(struct port_registry *r, const struct weir_config_view *view,
	struct port *ret_ports[WEIR_MAX_PORTS], char *err, size_t err_size)
{
	for (uint32_t i = 0; i < view->header->port_count; i++) {
		const struct weir_config_port *c = &view->ports[i];
		struct open_port *p = port_find(r, c);
		struct open_port *reopened;

		/* A lost one is opened anew when it is back, and else stays what it is: down. */
		if (p && p->lost && !p->held && port_open(r, c, p, &reopened, err, err_size) == 0)
			p = reopened;
		if (!p) {
			int rc = port_open(r, c, NULL, &p, err, err_size);

			if (rc < 0) {
				port_registry_rollback(r);
				return rc;
			}
		}
		p->wanted = true;
		ret_ports[i] = p->lost ? NULL : &p->port;
		memcpy(p->old_name, p->name, sizeof(p->old_name));
		port_rename(r, p, c->name);
	}
	return 0;
}

/* Once: interfaces of ports that a killed predecessor had and this configuration has not. */
static void leftovers_remove(struct port_registry *r)
{
	const char *names[WEIR_MAX_PORTS];
	size_t count = 0;

	if (r->swept || !r->params.instance_dir)
		return;
	r->swept = true;
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++)
		if (r->port[i] && r->port[i]->port.kind == WEIR_PORT_PCI)
			names[count++] = r->port[i]->name;
	twins_sweep(r->params.instance_dir, names, count);
}

void port_registry_commit(struct port_registry *r)
{
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		struct open_port *p = r->port[i];

		if (p && !p->wanted) {
			port_end(r, i);
		} else if (p) {
			p->wanted = false;
			p->fresh = false;
			if (p->held)
				p->driver->release(p);
			p->held = false;
		}
	}
	port_orphans_end(r->params.orphans, true);
	r->params.orphans = NULL;
	leftovers_remove(r);
}

void port_registry_rollback(struct port_registry *r)
{
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		struct open_port *p = r->port[i];

		if (p && p->fresh) {
			port_end(r, i);
		} else if (p && p->wanted) {
			port_rename(r, p, p->old_name);
			p->wanted = false;
		}
	}
}

void port_registry_steer(struct port_registry *r, uint8_t port, const struct steering_rule *rules,
	uint32_t count, bool *in_force, uint32_t services, const char *why)
{
	struct open_port *p = r->port[port];

	if (!p || p->lost || !p->driver->steer || p->port.rx_queue_count == 1) {
		memset(in_force, 0, count * sizeof(*in_force));
		return;
	}
	p->driver->steer(p, rules, count, in_force, services, why);
	entry_write(r, p);
}

void port_registry_poll(struct port_registry *r, uint64_t now_ns)
{
	if (now_ns < r->next_poll_ns)
		return;
	r->next_poll_ns = now_ns + LINK_POLL_NS;
	port_pools_reap(now_ns);
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		struct open_port *p = r->port[i];

		if (!p || !p->driver->poll || p->lost)
			continue;
		p->driver->poll(p, &r->params);
		entry_write(r, p);
		__atomic_store_n(&r->params.telemetry->port[i].from_kernel, p->from_kernel,
			__ATOMIC_RELAXED);
		if (p->pool)
			__atomic_store_n(&r->params.telemetry->port[i].buffers_free,
				rte_mempool_avail_count(p->pool), __ATOMIC_RELAXED);
	}
}

bool port_registry_has_returned(struct port_registry *r)
{
	bool found = false;

	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		struct open_port *p = r->port[i];

		if (p && p->held && !p->held_told) {
			p->held_told = true;
			found = true;
		} else if (p && p->lost && !p->held && p->driver->is_back) {
			found |= p->driver->is_back(p);
		}
	}
	return found;
}

void port_registry_memory_each(const struct port_registry *r,
	void (*see)(void *ctx, const char *owner, const char *what, int node, const void *at),
	void *ctx)
{
	for (uint8_t i = 0; i < WEIR_MAX_PORTS; i++) {
		const struct open_port *p = r->port[i];
		const struct rte_mempool_memhdr *chunk;

		if (!p || !p->pool)
			continue;
		STAILQ_FOREACH(chunk, &p->pool->mem_list, next)
			see(ctx, p->name, "packet buffer", p->port.node, chunk->addr);
	}
}
