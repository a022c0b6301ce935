/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/stage/trace/trace.h"
#include "dataplane/stage/transmit/transmit.h"

#include <rte_ring.h>

#include <string.h>

/*
 * Packets in a row that came in together and are of one service: what is counted for them. Noted before
 * the device takes them, as they are gone afterwards.
 */
struct run {
	uint64_t rx_tsc;
	uint64_t bytes;
	uint16_t service;
	uint16_t packets;
	uint16_t originated;
};

static inline void run_add(struct run *run, struct rte_mbuf *m, const struct packet *p)
{
	run->bytes += rte_pktmbuf_pkt_len(m);
	run->packets++;
	run->originated += !!(p->flags & PACKET_F_ORIGINATED);
}

static uint16_t note_burst(struct run *runs, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t count = 0;

	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packet_of(pkts[i]);

		if (i == 0 || runs[count - 1].service != p->service ||
			runs[count - 1].rx_tsc != p->rx_tsc)
			runs[count++] = (struct run){ .rx_tsc = p->rx_tsc, .service = p->service };
		run_add(&runs[count - 1], pkts[i], p);
	}
	return count;
}

/* Take back what the device did not take: the last packets of a burst, so those of the last runs. */
static __rte_noinline void note_refused(
	struct run *runs, uint16_t count, struct rte_mbuf **pkts, uint16_t refused)
{
	while (refused--) {
		struct run *run;

		while (runs[count - 1].packets == 0)
			count--;
		run = &runs[count - 1];
		run->bytes -= rte_pktmbuf_pkt_len(pkts[refused]);
		run->packets--;
		run->originated -= !!(packet_of(pkts[refused])->flags & PACKET_F_ORIGINATED);
	}
}

static void count_burst(struct stage_core *c, uint8_t port, const struct run *runs, uint16_t count)
{
	struct weir_port_cell *port_cell = &c->cell->port[port];
	uint64_t now = stage_clock(c);
	struct run all = { .packets = 0 };

	for (uint16_t i = 0; i < count; i++) {
		const struct run *run = &runs[i];
		struct weir_service_cell *cell;

		all.packets += run->packets;
		all.bytes += run->bytes;
		all.originated += run->originated;
		if (run->service == PACKET_NO_SERVICE || run->packets == 0)
			continue;
		cell = c->service_cell[run->service];
		cell_add(&cell->packets_transmitted, run->packets);
		cell_add(&cell->bytes_transmitted, run->bytes);
		/* Clocks of two cores may differ by a little. */
		histogram_add_ns(&cell->residence,
			now > run->rx_tsc ? stage_ns(c, now - run->rx_tsc) : 0, run->packets);
	}
	cell_add(&port_cell->packets_transmitted, all.packets);
	cell_add(&port_cell->bytes_transmitted, all.bytes);
	if (all.originated)
		cell_add(&port_cell->originated, all.originated);
}

/* Whoever sees to stuck cores looks at it from outside. */
static inline void lane_count_set(struct transmit_lane *lane, uint16_t count)
{
	__atomic_store_n(&lane->count, count, __ATOMIC_RELAXED);
}

static void drop_from(struct transmit *t, struct transmit_lane *lane, uint16_t first,
	enum weir_drop_reason reason)
{
	for (uint16_t i = first; i < lane->count; i++)
		stage_drop(t->core, lane->pkts[i], reason);
	lane_count_set(lane, first);
}

/* Offer everything to the device; what it does not take moves to the front. */
static void lane_send(struct transmit *t, struct transmit_lane *lane, uint8_t port)
{
	struct trace_core *tc = stage_trace(t->core);
	struct run runs[STAGE_BURST];
	uint16_t done = 0;

	while (done < lane->count) {
		uint16_t n = RTE_MIN((uint16_t)(lane->count - done), (uint16_t)STAGE_BURST);
		uint16_t run_count;
		uint16_t took;

		run_count = note_burst(runs, lane->pkts + done, n);
		took = likely(!tc) ? lane->queue->tx(lane->queue->handle, lane->pkts + done, n) :
				     trace_transmit(t->core, tc, lane->queue, lane->pkts + done, n);
		if (unlikely(took < n))
			note_refused(runs, run_count, lane->pkts + done + took, n - took);
		count_burst(t->core, port, runs, run_count);
		done += took;
		if (took < n)
			break;
	}
	lane->rounds = done ? 0 : lane->rounds + 1;
	if (done && done < lane->count)
		memmove(lane->pkts, lane->pkts + done,
			(lane->count - done) * sizeof(lane->pkts[0]));
	lane_count_set(lane, (uint16_t)(lane->count - done));
	if (lane->count && lane->rounds >= TRANSMIT_PATIENCE) {
		drop_from(t, lane, 0, WEIR_DROP_TRANSMIT_FULL);
		lane->rounds = 0;
	}
}

static void lane_hand_over(struct transmit *t, struct transmit_lane *lane)
{
	uint16_t took = (uint16_t)rte_ring_sp_enqueue_burst(
		lane->handover, (void *const *)lane->pkts, lane->count, NULL);

	if (took < lane->count)
		drop_from(t, lane, took, WEIR_DROP_TRANSMIT_FULL);
	t->core->handed |= 1; /* to core 0 */
	lane_count_set(lane, 0);
}

static void lane_flush(struct transmit *t, uint8_t port)
{
	struct transmit_lane *lane = &t->lane[port];

	if (!lane->port || !lane->port->up)
		drop_from(t, lane, 0, WEIR_DROP_PORT_DOWN);
	else if (lane->queue)
		lane_send(t, lane, port);
	else
		lane_hand_over(t, lane);
	if (lane->count == 0)
		t->waiting &= ~(1u << port);
}

void transmit_burst(struct transmit *t, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t port = packet_of(pkts[i])->port_out;
		struct transmit_lane *lane = &t->lane[port];

		if (unlikely(lane->count == TRANSMIT_BUFFER))
			lane_flush(t, port);
		if (unlikely(lane->count == TRANSMIT_BUFFER)) {
			stage_drop(t->core, pkts[i], WEIR_DROP_TRANSMIT_FULL);
			continue;
		}
		lane->pkts[lane->count] = pkts[i];
		lane_count_set(lane, (uint16_t)(lane->count + 1));
		t->waiting |= 1u << port;
	}
}

uint32_t transmit_collect(struct transmit *t, uint8_t port, struct rte_ring *from)
{
	struct transmit_lane *lane = &t->lane[port];
	uint32_t room = TRANSMIT_BUFFER - lane->count;
	uint32_t n;

	if (room == 0)
		return 0;
	n = rte_ring_sc_dequeue_burst(from, (void **)(lane->pkts + lane->count), room, NULL);
	lane_count_set(lane, (uint16_t)(lane->count + n));
	if (n)
		t->waiting |= 1u << port;
	return n;
}

void transmit_flush(struct transmit *t)
{
	uint32_t waiting = t->waiting;

	while (waiting) {
		uint8_t port = (uint8_t)__builtin_ctz(waiting);

		waiting &= waiting - 1;
		lane_flush(t, port);
	}
}

void transmit_abandon(struct transmit *t, uint8_t port, enum weir_drop_reason reason)
{
	drop_from(t, &t->lane[port], 0, reason);
	t->waiting &= ~(1u << port);
}
