/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/bell.h"

#include <rte_cycles.h>

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bell *bells_create(uint32_t count)
{
	void *memory = NULL;

	if (posix_memalign(&memory, RTE_CACHE_LINE_SIZE, count * sizeof(struct bell)) != 0)
		return NULL;
	memset(memory, 0, count * sizeof(struct bell));
	struct bell *bells = memory;

	for (uint32_t i = 0; i < count; i++) {
		bells[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (bells[i].fd < 0) {
			bells_destroy(bells, i);
			return NULL;
		}
	}
	return bells;
}

void bells_destroy(struct bell *bells, uint32_t count)
{
	for (uint32_t i = 0; bells && i < count; i++)
		close(bells[i].fd);
	free(bells);
}

void bell_set(struct bell *b)
{
	__atomic_store_n(&b->asleep, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void bell_clear(struct bell *b)
{
	uint64_t times;

	__atomic_store_n(&b->asleep, false, __ATOMIC_RELAXED);
	ssize_t n = read(b->fd, &times, sizeof(times));

	(void)n; /* nobody need have rung */
}

void bell_ring(struct bell *b)
{
	const uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&b->asleep, __ATOMIC_RELAXED)) ||
		!__atomic_exchange_n(&b->asleep, false, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&b->rung_tsc, rte_rdtsc(), __ATOMIC_RELAXED);
	ssize_t n = write(b->fd, &one, sizeof(one));

	(void)n; /* it cannot be full */
}
