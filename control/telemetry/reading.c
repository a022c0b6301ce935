/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/telemetry/reading.h"

#include "control/telemetry/snapshot_private.h"
#include "dataplane/api/messages.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define HEAVY_ATTEMPTS 8

static_assert(sizeof(struct weir_heavy_set) % 8 == 0, "heavy set is whole words");

struct wishes {
	unsigned int (*of)(void *ctx, const char *service);
	void *ctx;
};

static void service_free(struct reading_service *s)
{
	free(s->backends);
	free(s->classes);
	free(s->tails);
	free(s->heavy);
}

void reading_destroy(struct reading *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; r->services != NULL && i < r->service_count; i++)
		service_free(&r->services[i]);
	free(r->services);
	free(r);
}

static int take_cores(const struct region *region, struct reading *r, uint32_t *ret_count)
{
	uint32_t count = load32(&region->t->core_count);
	if (count > WEIR_MAX_CORES)
		return -EPROTO;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t offset = load64(&region->t->core[i].cell_offset);
		if (offset == 0)
			continue;
		const struct weir_core_cell *cell = region_at(region, offset, 1, sizeof(*cell));
		if (cell == NULL)
			return -EPROTO;
		r->core[i].busy_cycles = load64(&cell->busy_cycles);
		r->core[i].idle_cycles = load64(&cell->idle_cycles);
	}
	*ret_count = count;
	return 0;
}

static void add_tail(struct reading_tail *to, const struct weir_backend_cell *cell)
{
	const struct weir_histogram *from = &cell->first_byte;
	uint64_t count = load64(&from->count);
	if (count == 0)
		return;
	for (uint32_t i = 0; i < WEIR_FOUND_CLASSES; i++) {
		uint64_t n = load64(&cell->found.count[i]);
		to->found.count[i] += n;
		to->found.sum_ns[i] += n > 0 ? load64(&cell->found.sum_ns[i]) : 0;
	}
	to->count += count;
	uint64_t end = load64(&cell->first_byte_to) + 1;
	end = end < WEIR_HIST_BUCKETS ? end / 2 : WEIR_HIST_BUCKETS / 2;
	for (uint64_t i = load64(&cell->first_byte_from) / 2; i < end; i++)
		to->bucket[i] +=
			(uint32_t)(load64(&from->bucket[2 * i]) + load64(&from->bucket[2 * i + 1]));
}
static_assert(READING_TAIL_SHIFT == 1 && WEIR_HIST_BUCKETS % 2 == 0, "buckets in pairs");

static void add_cell(struct reading_backend *b, const struct weir_backend_cell *c)
{
	b->in_flight += (int64_t)load64(&c->in_flight);
	b->in_flight_peak += (int64_t)load64(&c->in_flight_peak);
	b->requests += load64(&c->requests);
	b->new_flows += load64(&c->new_flows);
	b->syn_sent += load64(&c->syn_sent);
	b->packets_from += load64(&c->packets_from);
	b->resets += load64(&c->resets);
	b->connects += load64(&c->connect.count);
	b->answered += load64(&c->first_byte.count);
	b->answered_ns += load64(&c->first_byte.sum_ns);
}

static int take_backend_cells(const struct region *region, uint32_t core_count,
	const struct weir_service_entry *e, struct reading_service *s)
{
	uint32_t slots = load32(&e->backend_count);
	for (uint32_t core = 0; core < core_count; core++) {
		uint64_t offset = load64(&e->backend_cell_offset[core]);
		if (offset == 0)
			continue;
		const struct weir_backend_cell *cells =
			region_at(region, offset, slots, sizeof(*cells));
		if (cells == NULL)
			return -EPROTO;
		for (size_t i = 0; i < s->backend_count; i++) {
			add_cell(&s->backends[i], &cells[s->backends[i].slot]);
			if (s->tails != NULL)
				add_tail(&s->tails[i], &cells[s->backends[i].slot]);
		}
	}
	return 0;
}

static int take_backends(const struct region *region, uint32_t core_count,
	const struct weir_service_entry *e, unsigned int wish, struct reading_service *s)
{
	uint32_t slots = load32(&e->backend_count);
	uint64_t offset = load64(&e->backend_offset);
	if (slots == 0 || offset == 0)
		return 0;
	const struct weir_backend_entry *shared = region_at(region, offset, slots, sizeof(*shared));
	if (shared == NULL || slots > WEIR_MAX_BACKENDS)
		return -EPROTO;
	s->backends = calloc(slots, sizeof(*s->backends));
	if (s->backends == NULL)
		return -ENOMEM;
	s->falls_back = true;
	for (uint32_t i = 0; i < slots; i++) {
		struct reading_backend *b = &s->backends[s->backend_count];
		copy_words(&b->entry, &shared[i], sizeof(b->entry));
		if (b->entry.state == WEIR_BACKEND_UNUSED)
			continue;
		b->slot = i;
		s->backend_count++;
		if (b->entry.pool == 0 && !b->entry.fallback && b->entry.state == WEIR_BACKEND_UP &&
			b->entry.weight != 0)
			s->falls_back = false;
	}
	if ((wish & READING_TAILS) != 0) {
		s->tails = calloc(s->backend_count + 1, sizeof(*s->tails));
		if (s->tails == NULL)
			return -ENOMEM;
	}
	return take_backend_cells(region, core_count, e, s);
}

/* A set that never rests is left out: it is full of packets, and will be read the next time. */
static void copy_set(struct weir_heavy_set *to, const struct weir_heavy_set *from)
{
	for (int attempt = 0; attempt < HEAVY_ATTEMPTS; attempt++) {
		uint32_t before = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);
		if (before % 2 != 0)
			continue;
		copy_words(to, from, sizeof(*to));
		atomic_thread_fence(memory_order_acquire);
		if (load32(&from->seq) == before)
			return;
	}
	memset(to, 0, sizeof(*to));
}

static int take_heavy(const struct region *region, uint32_t core_count,
	const struct weir_service_entry *e, struct reading_service *s)
{
	size_t count = 0;

	for (uint32_t core = 0; core < core_count; core++)
		count += load64(&e->heavy_offset[core]) != 0;
	s->heavy = malloc((count + 1) * sizeof(*s->heavy));
	if (s->heavy == NULL)
		return -ENOMEM;
	for (uint32_t core = 0; core < core_count; core++) {
		uint64_t offset = load64(&e->heavy_offset[core]);
		if (offset == 0 || s->heavy_count == count)
			continue;
		struct weir_heavy *to = &s->heavy[s->heavy_count++];
		const struct weir_heavy *from = region_at(region, offset, 1, sizeof(*from));
		if (from == NULL)
			return -EPROTO;
		for (uint32_t i = 0; i < WEIR_HEAVY_SETS; i++)
			copy_set(&to->set[i], &from->set[i]);
	}
	return 0;
}

static uint16_t load16(const uint16_t *from)
{
	return __atomic_load_n(from, __ATOMIC_RELAXED);
}

static void copy_name(char to[WEIR_NAME_SIZE], const char from[WEIR_NAME_SIZE])
{
	for (size_t i = 0; i < WEIR_NAME_SIZE; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	to[WEIR_NAME_SIZE - 1] = '\0';
}

static int take_classes(const struct region *region, uint32_t core_count,
	const struct weir_service_entry *e, struct reading_service *s)
{
	size_t count = load16(&e->class_count);
	if (count == 0)
		return 0;
	const struct weir_class_entry *from =
		region_at(region, load64(&e->class_offset), count, sizeof(*from));
	if (from == NULL || count > WEIR_MAX_CLASSES_PER_SERVICE)
		return -EPROTO;
	s->classes = calloc(count, sizeof(*s->classes));
	if (s->classes == NULL)
		return -ENOMEM;
	s->class_count = count;
	for (size_t i = 0; i < count; i++) {
		struct reading_class *c = &s->classes[i];
		copy_name(c->name, from[i].name);
		c->configured = load64(&from[i].limit_connections);
		for (uint32_t core = 0; core < core_count; core++) {
			uint64_t offset = load64(&from[i].cell_offset[core]);
			if (offset == 0)
				continue;
			const struct weir_class_cell *cell =
				region_at(region, offset, 1, sizeof(*cell));
			if (cell == NULL)
				return -EPROTO;
			c->new_flows += load64(&cell->new_flows);
		}
	}
	return 0;
}

static int take_service(const struct region *region, uint32_t core_count,
	const struct weir_service_entry *e, unsigned int wish, struct reading_service *s)
{
	for (uint32_t core = 0; core < core_count; core++) {
		uint64_t offset = load64(&e->cell_offset[core]);
		if (offset == 0)
			continue;
		const struct weir_service_cell *c = region_at(region, offset, 1, sizeof(*c));
		if (c == NULL)
			return -EPROTO;
		s->busy_cycles[core] = load64(&c->busy_cycles);
		s->packets += load64(&c->packets_received) - load64(&c->packets_from_backends);
		s->bytes += load64(&c->bytes_received) - load64(&c->bytes_from_backends);
		s->offered += load64(&c->offered);
		s->new_flows += load64(&c->new_flows);
		for (int i = 0; i < WEIR_DROP_COUNT; i++)
			s->dropped[i] += load64(&c->dropped[i]);
	}
	int err = take_backends(region, core_count, e, wish, s);
	if (err == 0)
		err = take_classes(region, core_count, e, s);
	if (err == 0 && (wish & READING_HEAVY) != 0)
		err = take_heavy(region, core_count, e, s);
	return err;
}

/* Of every service, also those that are not read: it has a part of its cores. */
static void count_cores(struct reading *r, const struct weir_service_entry *e)
{
	uint64_t mask = load64(&e->worker_mask);

	r->cores_short += load16(&e->cores_short);
	for (; mask != 0; mask &= mask - 1)
		r->core[__builtin_ctzll(mask)].services++;
}

static int take_services(const struct region *region, uint32_t core_count,
	const struct wishes *wishes, struct reading *r)
{
	uint32_t count = load32(&region->t->service_count);
	if (count > WEIR_MAX_SERVICES)
		return -EPROTO;
	r->services = calloc(count ? count : 1, sizeof(*r->services));
	if (r->services == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_service_entry *e = &region->t->service[i];
		struct reading_service *s = &r->services[r->service_count];
		if (!__atomic_load_n(&e->used, __ATOMIC_RELAXED))
			continue;
		count_cores(r, e);
		copy_name(s->name, e->name);
		unsigned int wish = wishes->of(wishes->ctx, s->name);
		if (wish == READING_NOT)
			continue;
		r->service_count++;
		s->slot = i;
		s->epoch = __atomic_load_n(&e->epoch, __ATOMIC_RELAXED);
		s->worker_mask = load64(&e->worker_mask);
		s->directed = load32(&e->directed);
		s->cores_wanted = load16(&e->cores_wanted);
		s->cores_short = load16(&e->cores_short);
		int err = take_service(region, core_count, e, wish, s);
		if (err != 0)
			return err;
	}
	return 0;
}

struct wanted {
	uint64_t now_ns;
	struct wishes wishes;
	struct reading *reading; /* NULL: none was made */
};

static int take_all(const struct region *region, void *ctx)
{
	struct wanted *wanted = ctx;
	struct reading *r = calloc(1, sizeof(*r));
	uint32_t core_count;
	if (r == NULL)
		return -ENOMEM;
	r->taken_ns = wanted->now_ns;
	r->start_ns = load64(&region->t->start_ns);
	r->heartbeat_ns = load64(&region->t->heartbeat_ns);
	r->pid = load32(&region->t->pid);
	int err = take_cores(region, r, &core_count);
	if (err == 0)
		err = take_services(region, core_count, &wanted->wishes, r);
	if (err != 0) {
		reading_destroy(r);
		return err;
	}
	wanted->reading = r;
	return 0;
}

static void drop_all(void *ctx)
{
	struct wanted *wanted = ctx;
	reading_destroy(wanted->reading);
	wanted->reading = NULL;
}

int reading_take(const struct weir_telemetry *t, size_t size, uint64_t now_ns,
	unsigned int (*wish)(void *ctx, const char *service), void *ctx,
	struct reading **ret_reading)
{
	struct wanted wanted = { .now_ns = now_ns, .wishes = { wish, ctx } };
	int err = region_read(t, size, take_all, drop_all, &wanted);

	if (err == 0)
		*ret_reading = wanted.reading;
	return err;
}

struct reading_service *reading_find(const struct reading *r, const char *service, size_t guess)
{
	if (r == NULL)
		return NULL;
	if (guess < r->service_count && strcmp(r->services[guess].name, service) == 0)
		return &r->services[guess];
	for (size_t i = 0; i < r->service_count; i++)
		if (strcmp(r->services[i].name, service) == 0)
			return &r->services[i];
	return NULL;
}
