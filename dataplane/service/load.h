/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What is in flight at a backend: what was asked of it and not answered yet.
 *
 * nat, TCP  a SYN until the SYN-ACK, a request (the client's first payload after the last response began)
 *           until the response begins; or until the flow is closed by either side or reset. Between the
 *           SYN-ACK and the first request nothing is: a client that says nothing holds no place, nor does a
 *           SYN with a made-up address for longer than the backend takes to answer it
 * nat, UDP  a datagram until one comes back, for WEIR_UDP_PATIENCE_NS at most
 * dsr       an open flow, as replies are not seen
 *
 * Each worker counts its own, so there is one writer for each number; what is in flight at a backend is the
 * sum over the workers, which whoever places a flow adds up. It is exact but for flows that two workers
 * place at the same moment: a cap is exceeded by one less than the workers at most, however small it is.
 *
 * A flow whose bucket moves is counted down by another worker than counted it up, so that one worker's number
 * may be below zero; all that is done with them is adding, and the sum is right.
 *
 * FLOW_F_IN_FLIGHT says that a flow counts. A choice of backend counts from the moment it is made, so that
 * the new flows of one burst see each other: load_add(), then flow_counts() or load_drop().
 */

#ifndef WEIR_SERVICE_LOAD_H
#define WEIR_SERVICE_LOAD_H

#include "dataplane/service/cell.h"
#include "dataplane/service/service.h"

#include <netinet/in.h>

/* UDP: a request is forgotten with the slice of time it began in. */
#define LOAD_SLICE_SHIFT 28 /* of nanoseconds: 268 ms */
#define LOAD_SLICES	 8u
static_assert((UINT64_C(1) << LOAD_SLICE_SHIFT) * LOAD_SLICES >= WEIR_UDP_PATIENCE_NS,
	"slices hold as long as patience");
#define LOAD_PEAK_SHIFT 27 /* of nanoseconds: 134 ms */

/* When a flow sent its SYN or the first byte of a request: 32 bits of 256 ns, 18 minutes. */
#define FLOW_STAMP_SHIFT 8
#define LOAD_STAMP_SHIFT (LOAD_SLICE_SHIFT - FLOW_STAMP_SHIFT)
#define LOAD_SLICE_MASK	 ((1u << (32 - LOAD_STAMP_SHIFT)) - 1)

static inline uint32_t flow_stamp(const struct flow *f)
{
	uint32_t stamp;

	memcpy(&stamp, f->user, sizeof(stamp));
	return stamp;
}

/* A worker's numbers of one backend. The first is read by the others. */
struct service_load {
	int32_t now;
	int32_t peak; /* of the slice */
	int32_t before; /* peak of the slice before */
	uint32_t slice;
	int32_t begun[LOAD_SLICES]; /* UDP: not answered, by the slice they began in */
};

static inline bool load_expires(const struct service_settings *s)
{
	return s->nat && s->protocol == IPPROTO_UDP;
}

/* In flight at a backend, over all workers; any thread. */
static inline uint32_t service_in_flight(const struct service *s, uint32_t slot)
{
	int32_t sum = 0;

	for (uint32_t i = 0; i < s->worker_count; i++) {
		const struct service_worker *w = s->worker[i];

		/* UDP: who was taken over forgets nothing while it does not answer. */
		if (likely(!__atomic_load_n(&w->lost, __ATOMIC_RELAXED) ||
			    !load_expires(w->settings)))
			sum += __atomic_load_n(&w->load[slot].now, __ATOMIC_RELAXED);
	}
	return sum > 0 ? (uint32_t)sum : 0;
}

static inline void load_peak_show(struct service_worker *w, uint32_t slot)
{
	const struct service_load *l = &w->load[slot];
	const int32_t peak = l->peak > l->before ? l->peak : l->before;

	__atomic_store_n(
		&w->backend_cell[slot].in_flight_peak, (uint64_t)(int64_t)peak, __ATOMIC_RELAXED);
}

static inline void load_add(struct service_worker *w, uint32_t slot, uint64_t now_ns)
{
	struct service_load *l = &w->load[slot];
	uint32_t slice = (uint32_t)(now_ns >> LOAD_PEAK_SHIFT);

	__atomic_store_n(&l->now, l->now + 1, __ATOMIC_RELAXED);
	cell_add(&w->backend_cell[slot].in_flight, 1);
	if (unlikely(slice != l->slice)) {
		l->before = slice == l->slice + 1 ? l->peak : l->now;
		l->slice = slice;
		l->peak = INT32_MIN;
	}
	if (l->now <= l->peak)
		return;
	l->peak = l->now;
	load_peak_show(w, slot);
}

static inline void load_take(struct service_worker *w, uint32_t slot, int32_t count)
{
	__atomic_store_n(&w->load[slot].now, w->load[slot].now - count, __ATOMIC_RELAXED);
	cell_add(&w->backend_cell[slot].in_flight, (uint64_t) - (int64_t)count);
}

static inline void load_drop(struct service_worker *w, uint32_t slot)
{
	load_take(w, slot, 1);
}

/* UDP: forget what began too long ago. */
void load_forget(struct service_worker *w, uint64_t now_ns);
/* Buckets of this worker have gone to another: what was their peak here is none any more. */
void load_moved(struct service_worker *w);

/* A flow counts from now on, and load_add() was done for its backend. UDP: its stamp is set to now. */
static inline uint16_t flow_counts(
	struct service_worker *w, const struct flow *f, uint16_t flags, uint64_t now_ns)
{
	if (unlikely(load_expires(w->settings))) {
		load_forget(w, now_ns);
		w->load[f->backend_slot].begun[w->load_slice % LOAD_SLICES]++;
	}
	return flags | FLOW_F_IN_FLIGHT;
}

/*
 * A request that counts already begins: note among how many others. Returns the flow's flags. What other
 * workers have in flight lies on lines that they write all the time, so of many workers each asks at one
 * request in as many; the others are of the class that says nothing, as are all where nobody looks at caps.
 */
static inline uint16_t flow_finds(struct service_worker *w, uint32_t slot, uint16_t flags)
{
	uint32_t found = WEIR_FOUND_CLASSES - 1;

	if (__atomic_load_n(&w->service->allowance, __ATOMIC_RELAXED) != NULL &&
		++w->found_turn >= w->service->worker_count) {
		const uint32_t others = service_in_flight(w->service, slot) - 1;

		w->found_turn = 0;
		found = weir_found_class((int32_t)others > 0 ? others : 0);
	}
	return (flags & (uint16_t)~FLOW_F_FOUND) | (uint16_t)(found << FLOW_FOUND_SHIFT);
}
static_assert(WEIR_FOUND_CLASSES == 32, "a class fits into FLOW_F_FOUND");

/* A flow counts no more. Returns its flags. */
static inline uint16_t flow_counts_not(
	struct service_worker *w, const struct flow *f, uint16_t flags)
{
	if (!(flags & FLOW_F_IN_FLIGHT))
		return flags;
	flags &= (uint16_t)~FLOW_F_IN_FLIGHT;
	if (unlikely(w->cell_epoch[f->backend_slot] != f->backend_epoch))
		return flags; /* the slot's numbers are another backend's */
	if (unlikely(load_expires(w->settings))) {
		uint32_t slice = flow_stamp(f) >> LOAD_STAMP_SHIFT;

		if ((((uint32_t)w->load_slice - slice) & LOAD_SLICE_MASK) >= LOAD_SLICES)
			return flags; /* forgotten already */
		w->load[f->backend_slot].begun[slice % LOAD_SLICES]--;
	}
	load_drop(w, f->backend_slot);
	return flags;
}

#endif
