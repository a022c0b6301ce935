/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Generations: built beside the one in force, published by one pointer, freed when no core is in them
 * any more. Main thread.
 */

#include "dataplane/core/buckets/core_plan.h"
#include "dataplane/core/core.h"
#include "dataplane/table/service_table.h"

#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GRACE_SPINS  1000u /* looks in a row before the first nap */
#define GRACE_NAP_NS 20000

/* Every service, and every source address of every nat service. */
static int table_create(const struct fastpath *fp, const struct weir_config_service *services,
	const struct weir_config_source *sources, uint32_t count, struct service *const *service_of,
	struct service_table **ret_table)
{
	struct service_table_service *keys = calloc(count + 1, sizeof(*keys));
	struct service_table_source *replies;
	uint32_t source_count = 0;
	uint32_t at = 0;
	int ret = -ENOMEM;

	for (uint32_t i = 0; i < count; i++)
		source_count += services[i].source_count;
	replies = calloc(source_count + 1, sizeof(*replies));
	if (!keys || !replies)
		goto out;
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_config_service *s = &services[i];

		keys[i] = (struct service_table_service){
			.prefix_length = s->prefix_length,
			.protocol = s->protocol,
			.port = s->port,
			.index = service_of[i]->slot,
		};
		memcpy(keys[i].address, s->address, sizeof(keys[i].address));
		for (uint32_t j = 0; j < s->source_count; j++) {
			const struct weir_config_source *from = &sources[s->first_source + j];
			struct service_table_source *to = &replies[at++];

			to->protocol = s->protocol;
			to->index = service_of[i]->slot;
			memcpy(to->address, from->address, sizeof(to->address));
			memcpy(to->blocks, from->blocks, sizeof(to->blocks));
		}
	}
	ret = service_table_create(keys, count, replies, source_count, &fp->seed, &table_memory_eal,
		fp->core[0]->node, ret_table);
out:
	free(keys);
	free(replies);
	return ret;
}

int generation_shared_create(const struct fastpath *fp, const struct weir_config_service *services,
	const struct weir_config_source *sources, uint32_t service_count,
	struct service *const *service_of, struct generation_shared **ret_shared)
{
	struct generation_shared *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->references = 1;
	ret = table_create(fp, services, sources, service_count, service_of, &s->table);
	if (ret) {
		free(s);
		return ret;
	}
	*ret_shared = s;
	return 0;
}

void generation_shared_release(struct generation_shared *s)
{
	if (!s || --s->references)
		return;
	service_table_destroy(s->table);
	free(s);
}

/* From a core to core 0; on the core's node, or where there is memory. */
static struct rte_ring *ring_create(uint32_t slots, int node)
{
	size_t bytes = (size_t)rte_ring_get_memsize(slots);
	struct rte_ring *ring =
		rte_zmalloc_socket("ring to core 0", bytes, RTE_CACHE_LINE_SIZE, node);

	if (!ring)
		ring = rte_zmalloc("ring to core 0", bytes, RTE_CACHE_LINE_SIZE);
	if (ring)
		rte_ring_init(ring, "core 0", slots, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return ring;
}

/* Each sending core its own queue where there are enough, else all through core 0. */
static int port_attach(struct fastpath *fp, struct generation *g, struct port *port)
{
	uint32_t first = core_plan_first_worker(fp->core_count);
	uint32_t senders = fp->core_count - first;
	/* Core 0 only dispatches, and sends what the kernel has for the wire. */
	const bool core0_sends = first && port->from_kernel;

	g->port[port->index] = port;
	if (port->from_kernel)
		g->collect[g->collect_count++] = (struct collect_ring){
			.ring = port->from_kernel,
			.port = port->index,
		};
	if (port->completes_checksums)
		g->completes_checksums |= 1u << port->index;
	if (port->tx_queue_count == 0)
		return 0;
	if (port->tx_queue_count >= senders + core0_sends) {
		for (uint32_t i = 0; i < senders; i++)
			g->core[first + i].queue[port->index] = &port->tx_queue[i];
		if (core0_sends)
			g->core[0].queue[port->index] = &port->tx_queue[senders];
		return 0;
	}
	g->core[0].queue[port->index] = &port->tx_queue[0];
	for (uint32_t i = first; i < fp->core_count; i++) {
		struct core *c = fp->core[i];

		if (!c->handover[port->index])
			c->handover[port->index] = ring_create(TRANSMIT_RING, c->node);
		if (!c->handover[port->index])
			return -ENOMEM;
		g->collect[g->collect_count++] = (struct collect_ring){
			.ring = c->handover[port->index],
			.port = port->index,
		};
	}
	return 0;
}

/* Core 0 receives, and by queues that devices steer services to, the cores of those. */
static uint32_t receiver_of(const struct fastpath *fp, const struct port_queue *queue)
{
	return queue->core < fp->core_count ? queue->core : 0;
}

static int queues_attach(struct fastpath *fp, struct generation *g,
	const struct generation_input *in, uint32_t core, struct receive_queue **next)
{
	struct generation_core *mine = &g->core[core];
	struct core *c = fp->core[core];

	mine->receive = *next;
	for (uint32_t i = 0; i < in->port_count; i++) {
		struct port *port = in->ports[i];

		for (uint32_t q = 0; port && q < port->rx_queue_count; q++)
			if (port->rx_queue[q].rx && receiver_of(fp, &port->rx_queue[q]) == core)
				mine->receive[mine->receive_count++] = (struct receive_queue){
					.port = port,
					.queue = &port->rx_queue[q],
				};
	}
	*next += mine->receive_count;
	if (core != 0 && mine->receive_count != 0 && !c->stray) {
		c->stray = ring_create(CORE_STRAYS, c->node);
		if (!c->stray)
			return -ENOMEM;
	}
	mine->stray = c->stray; /* also when no queue is left: it may not be empty */
	return 0;
}

static int ports_attach(
	struct fastpath *fp, struct generation *g, const struct generation_input *in)
{
	struct receive_queue *next;
	uint32_t queues = 0;

	for (uint32_t i = 0; i < in->port_count; i++)
		if (in->ports[i])
			queues += in->ports[i]->rx_queue_count;
	g->receive = rte_zmalloc("receive queues", (queues + 1) * sizeof(g->receive[0]), 64);
	g->collect = rte_zmalloc("transmit rings",
		WEIR_MAX_PORTS * (WEIR_MAX_CORES + 1) * sizeof(g->collect[0]), 64);
	if (!g->receive || !g->collect)
		return -ENOMEM;
	for (uint32_t i = 0; i < in->port_count; i++) {
		int ret = in->ports[i] ? port_attach(fp, g, in->ports[i]) : 0;

		if (ret)
			return ret;
	}
	next = g->receive;
	for (uint32_t i = 0; i < fp->core_count; i++) {
		int ret = queues_attach(fp, g, in, i, &next);

		if (ret)
			return ret;
	}
	return 0;
}

static int workers_attach(struct fastpath *fp, struct generation *g)
{
	for (uint32_t i = 0; i < fp->core_count; i++) {
		g->core[i].worker = rte_zmalloc_socket("workers",
			WEIR_MAX_SERVICES * sizeof(g->core[i].worker[0]), 64, SOCKET_ID_ANY);
		if (!g->core[i].worker)
			return -ENOMEM;
	}
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		struct service *s = g->service[slot];

		for (uint32_t i = 0; s && i < s->worker_count; i++) {
			struct generation_core *core = &g->core[s->worker[i]->core];

			core->worker[core->worker_count++] = (struct generation_worker){
				.worker = s->worker[i],
				.settings = g->settings[slot],
			};
		}
	}
	return 0;
}

int generation_create(
	struct fastpath *fp, const struct generation_input *in, struct generation **ret_generation)
{
	struct generation *g = rte_zmalloc("generation", sizeof(*g), RTE_CACHE_LINE_SIZE);
	int ret = -ENOMEM;

	if (!g)
		return ret;
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++) {
		g->service[i] = in->settings[i] ? in->service[i] : NULL;
		g->settings[i] = in->settings[i];
	}
	ret = ports_attach(fp, g, in);
	if (ret == 0)
		ret = workers_attach(fp, g);
	if (ret) {
		memset(g->settings, 0, sizeof(g->settings));
		generation_destroy(g);
		return ret;
	}
	g->shared = in->shared;
	g->table = in->shared->table;
	g->neighbours = in->neighbours;
	g->outside = in->outside;
	g->move = fp->move;
	g->takeover = fp->takeover;
	g->number = ++fp->generation_count;
	*ret_generation = g;
	return 0;
}

void generation_destroy(struct generation *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		service_settings_release(g->settings[i]);
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++)
		rte_free(g->core[i].worker);
	rte_free(g->receive);
	rte_free(g->collect);
	policy_set_release(g->outside);
	neighbours_release(g->neighbours);
	generation_shared_release(g->shared);
	rte_free(g);
}

void grace_wait(struct fastpath *fp)
{
	const struct timespec nap = { .tv_nsec = GRACE_NAP_NS };
	const uint64_t token = rte_rcu_qsbr_start(fp->qsbr);

	for (uint32_t i = 0; !rte_rcu_qsbr_check(fp->qsbr, token, false); i++) {
		if (i < GRACE_SPINS) {
			rte_pause();
			continue;
		}
		nanosleep(&nap, NULL);
		pulse_wait(fp);
	}
}

struct generation *generation_publish(struct fastpath *fp, struct generation *g)
{
	struct generation *old = fp->generation;

	__atomic_store_n(&fp->generation, g, __ATOMIC_RELEASE);
	if (fp->single_threaded) {
		for (uint32_t i = 0; i < fp->core_count; i++)
			core_take_over(fp, fp->core[i], g);
	} else {
		grace_wait(fp);
	}
	return old;
}
