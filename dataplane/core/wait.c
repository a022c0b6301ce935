/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/wait.h"

#include "dataplane/core/bell.h"
#include "dataplane/core/core.h"

#include <rte_rcu_qsbr.h>

#include <time.h>

void core_wait_prepare(const struct fastpath *fp, struct core *c, const struct generation *g)
{
	const struct generation_core *mine = &g->core[c->index];
	struct core_wait *w = &c->wait;

	w->count = 0;
	w->possible = fp->params.bells && mine->receive_count <= CORE_WAIT_QUEUES;
	if (!w->possible)
		return;
	for (uint32_t i = 0; i < mine->receive_count; i++) {
		const struct port_queue *q = mine->receive[i].queue;

		if (!q->arm) {
			w->possible = false;
			return;
		}
		w->queue[w->count] = q;
		w->fd[w->count++] = (struct pollfd){ .fd = q->wait_fd, .events = POLLIN };
	}
	w->fd[w->count] = (struct pollfd){ .fd = fp->params.bells[c->index].fd, .events = POLLIN };
}

static void arm(const struct core_wait *w, bool on)
{
	for (uint32_t i = 0; i < w->count; i++)
		w->queue[i]->arm(w->queue[i]->handle, on);
}

/* How late it is woken is known when a core rang, or when the time was up. */
static void waited(const struct fastpath *fp, struct core *c, int events)
{
	const struct bell *bell = &fp->params.bells[c->index];

	if (events <= 0)
		c->asked = UINT64_C(1) * CORE_WAIT_NS * (fp->tsc_hz / 1000) / 1000000;
	else if (c->wait.fd[c->wait.count].revents)
		c->asked = RTE_MAX(__atomic_load_n(&bell->rung_tsc, __ATOMIC_RELAXED),
				   c->last_now + 1) -
			c->last_now;
	else
		c->asked = CORE_WAIT_EVENT;
}

/* Queues may be gone as soon as the core has been out of a generation that is not the last one any more. */
static bool generation_is(const struct fastpath *fp, const struct core *c, uint64_t number)
{
	return c->seen == number &&
		__atomic_load_n(&fp->generation, __ATOMIC_ACQUIRE)->number == number;
}

uint32_t core_wait(struct fastpath *fp, struct core *c)
{
	const struct timespec most = { .tv_nsec = CORE_WAIT_NS };
	struct bell *bell = &fp->params.bells[c->index];
	struct core_wait *w = &c->wait;
	const uint64_t number = c->seen;
	uint32_t found;

	bell_set(bell);
	arm(w, true);
	found = fastpath_core_step(fp, c->index, rte_rdtsc());
	rte_rcu_qsbr_quiescent(fp->qsbr, c->index);
	if (!found && !c->transmit.waiting && !c->age_behind && c->seen == number) {
		cell_add(&c->stage.cell->sleeps, 1);
		rte_rcu_qsbr_thread_offline(fp->qsbr, c->index);
		int events = ppoll(w->fd, w->count + 1, &most, NULL);

		rte_rcu_qsbr_thread_online(fp->qsbr, c->index);
		waited(fp, c, events);
	}
	bell_clear(bell);
	if (generation_is(fp, c, number))
		arm(w, false);
	return found;
}

void core_wake_others(const struct fastpath *fp, struct core *c)
{
	uint64_t handed = c->stage.handed;

	while (handed) {
		bell_ring(&fp->params.bells[__builtin_ctzll(handed)]);
		handed &= handed - 1;
	}
	c->stage.handed = 0;
}
