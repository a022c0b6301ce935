/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/buckets/move.h"
#include "dataplane/core/buckets/takeover.h"
#include "dataplane/core/core.h"
#include "dataplane/core/fastpath_check.h"
#include "dataplane/table/fragment_table.h"

#include <rte_ring.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct sums {
	uint64_t received;
	uint64_t transmitted;
	uint64_t to_kernel;
	uint64_t originated;
	uint64_t dropped;
};

__attribute__((format(printf, 3, 4))) static int unbalanced(
	char *err, size_t err_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err, err_size, format, args);
	va_end(args);
	return -EBADMSG;
}

static void queue_count(struct rte_mbuf *const *pkts, uint32_t n, uint64_t *queued)
{
	/* What Weir made itself counts when it is sent. */
	for (uint32_t i = 0; i < n; i++)
		queued[packet_of(pkts[i])->service] +=
			!(packet_of(pkts[i])->flags & PACKET_F_ORIGINATED);
}

/* Look at what waits in a ring by turning it round once. */
static void ring_count(struct rte_ring *ring, uint64_t *queued)
{
	uint32_t n = ring ? rte_ring_count(ring) : 0;

	while (n--) {
		struct rte_mbuf *m;

		rte_ring_sc_dequeue(ring, (void **)&m);
		queue_count(&m, 1, queued);
		rte_ring_sp_enqueue(ring, m);
	}
}

static void count_queued(struct fastpath *fp, uint64_t queued[UINT16_MAX + 1])
{
	for (uint32_t i = 0; i < fp->core_count; i++) {
		struct core *c = fp->core[i];

		ring_count(c->stray, queued);
		for (uint32_t port = 0; port < WEIR_MAX_PORTS; port++) {
			ring_count(c->handover[port], queued);
			queue_count(
				c->transmit.lane[port].pkts, c->transmit.lane[port].count, queued);
		}
	}
	queued[PACKET_NO_SERVICE] += fragment_table_held(fp->core[0]->stage.fragments);
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		for (uint32_t i = 0; fp->service[slot] && i < fp->service[slot]->worker_count; i++)
			ring_count(fp->service[slot]->worker[i]->ring, queued);
	if (fp->move)
		ring_count(fp->move->hold.ring, queued);
	for (uint32_t i = 0; fp->takeover && i < fp->takeover->count; i++)
		ring_count(fp->takeover->taken[i].hold.ring, queued);
}

static int service_check(const struct service *s, uint64_t queued, char *err, size_t err_size)
{
	uint64_t waiting = directory_queued(&s->cells);
	uint64_t flows = 0;
	uint64_t backend_flows = 0;

	if (waiting != queued)
		return unbalanced(err, err_size,
			"%s: %" PRIu64 " packets are neither sent nor dropped, %" PRIu64
			" are queued",
			s->identity.name, waiting, queued);
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++) {
		const struct weir_service_cell *c = s->cells.cell[i];
		uint64_t in_buckets = 0;

		if (!c)
			continue;
		flows += c->new_flows - c->closed_flows;
		for (uint32_t b = 0; b < WEIR_HIST_BUCKETS; b++)
			in_buckets += c->residence.bucket[b];
		if (c->residence.count != c->packets_transmitted ||
			in_buckets != c->residence.count)
			return unbalanced(err, err_size,
				"%s: %" PRIu64 " packets sent, %" PRIu64 " residence times",
				s->identity.name, c->packets_transmitted, c->residence.count);
		for (uint32_t b = 0; s->cells.backend_cell[i] && b < s->cells.slots; b++)
			backend_flows += s->cells.backend_cell[i][b].new_flows -
				s->cells.backend_cell[i][b].closed_flows;
	}
	if (flows != service_flow_count(s))
		return unbalanced(err, err_size, "%s: %" PRIu64 " flows counted, %u in the table",
			s->identity.name, flows, service_flow_count(s));
	if (backend_flows > flows)
		return unbalanced(err, err_size,
			"%s: %" PRIu64 " flows of backends, %" PRIu64 " flows", s->identity.name,
			backend_flows, flows);
	return 0;
}

static void ports_sum(const struct fastpath *fp, struct sums *sums)
{
	for (uint32_t i = 0; i < fp->core_count; i++) {
		for (uint32_t port = 0; port < WEIR_MAX_PORTS; port++) {
			const struct weir_port_cell *c = &fp->core[i]->stage.cell->port[port];

			sums->received += c->packets_received;
			sums->transmitted += c->packets_transmitted;
			sums->to_kernel += c->packets_to_kernel;
			sums->originated += c->originated;
			for (uint32_t reason = 0; reason < WEIR_DROP_COUNT; reason++)
				sums->dropped += c->dropped[reason];
		}
	}
}

static void cells_sum(const struct service_cells *cells, struct sums *sums)
{
	sums->dropped += cells->abandoned;
	for (uint32_t i = 0; i < WEIR_MAX_CORES; i++)
		for (uint32_t reason = 0; cells->cell[i] && reason < WEIR_DROP_COUNT; reason++)
			sums->dropped += cells->cell[i]->dropped[reason];
}

int fastpath_check_balance(struct fastpath *fp, char *err, size_t err_size)
{
	static uint64_t queued[UINT16_MAX + 1];
	struct sums sums = { .dropped = fp->retired_sums.dropped };
	uint64_t all_queued = 0;

	for (uint32_t i = 0; i <= UINT16_MAX; i++)
		queued[i] = 0;
	count_queued(fp, queued);
	for (uint32_t i = 0; i <= UINT16_MAX; i++)
		all_queued += queued[i];
	ports_sum(fp, &sums);
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++) {
		const struct service *s = fp->service[slot];
		int ret = s ? service_check(s, queued[slot], err, err_size) : 0;

		if (ret)
			return ret;
		cells_sum(s ? &s->cells : &fp->retired[slot], &sums);
	}
	if (sums.received + sums.originated !=
		sums.transmitted + sums.to_kernel + sums.dropped + all_queued)
		return unbalanced(err, err_size,
			"ports: received %" PRIu64 ", transmitted %" PRIu64
			", to the kernel %" PRIu64 ", dropped %" PRIu64 ", queued %" PRIu64,
			sums.received, sums.transmitted, sums.to_kernel, sums.dropped, all_queued);
	return 0;
}
