/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/telemetry/snapshot.h"

#include "control/telemetry/snapshot_private.h"
#include "dataplane/api/messages.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The directory changes in microseconds, seldom; a writer that died inside a change stays odd. */
#define ATTEMPTS 50
#define WAIT_NS	 200000

/* The cells are summed as what they are: arrays of 64-bit counters. */
static_assert(sizeof(struct weir_service_cell) % 8 == 0, "service cell is whole words");
static_assert(sizeof(struct weir_backend_cell) % 8 == 0, "backend cell is whole words");
static_assert(sizeof(struct weir_core_cell) % 8 == 0, "core cell is whole words");
static_assert(sizeof(struct weir_backend_entry) % 8 == 0, "backend entry is whole words");
static_assert(sizeof(struct weir_port_entry) % 8 == 0, "port entry is whole words");
static_assert(sizeof(struct weir_core_entry) % 8 == 0, "core entry is whole words");
static_assert(sizeof(struct weir_node_memory) % 8 == 0, "node memory is whole words");
static_assert(offsetof(struct weir_telemetry, node) % 8 == 0, "node is aligned");
static_assert(offsetof(struct weir_telemetry, core) % 8 == 0, "core is aligned");
static_assert(offsetof(struct weir_telemetry, port) % 8 == 0, "port is aligned");

/* Written seldom. A writer that died inside a change has none to show. */
static void copy_gaps(struct weir_core_gaps *to, const struct weir_core_gaps *from)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint64_t before = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);
		if (before % 2 != 0)
			continue;
		copy_words(to, from, sizeof(*to));
		atomic_thread_fence(memory_order_acquire);
		if (load64(&from->seq) == before)
			return;
	}
	memset(to, 0, sizeof(*to));
}

static int take_cores(const struct region *r, struct snapshot *s)
{
	uint32_t count = load32(&r->t->core_count);
	if (count > WEIR_MAX_CORES)
		return -EPROTO;
	s->cores = calloc(count ? count : 1, sizeof(*s->cores));
	if (s->cores == NULL)
		return -ENOMEM;
	s->core_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct snapshot_core *c = &s->cores[i];
		copy_words(&c->entry, &r->t->core[i], sizeof(c->entry));
		if (c->entry.cell_offset == 0)
			continue;
		const struct weir_core_cell *cell =
			region_at(r, c->entry.cell_offset, 1, sizeof(c->cell));
		if (cell == NULL)
			return -EPROTO;
		copy_words(&c->cell, cell, sizeof(c->cell));
		copy_gaps(&c->cell.gaps, &cell->gaps);
	}
	return 0;
}

static int take_ports(const struct region *r, struct snapshot *s)
{
	uint32_t count = load32(&r->t->port_count);
	if (count > WEIR_MAX_PORTS)
		return -EPROTO;
	s->ports = calloc(count ? count : 1, sizeof(*s->ports));
	if (s->ports == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		struct snapshot_port *p = &s->ports[s->port_count];
		copy_words(&p->entry, &r->t->port[i], sizeof(p->entry));
		if (!p->entry.used)
			continue;
		p->entry.name[sizeof(p->entry.name) - 1] = '\0';
		p->entry.device[sizeof(p->entry.device) - 1] = '\0';
		p->entry.driver[sizeof(p->entry.driver) - 1] = '\0';
		for (size_t core = 0; core < s->core_count; core++)
			add_words(&p->sum, &s->cores[core].cell.port[i], sizeof(p->sum));
		s->port_count++;
	}
	return 0;
}

/* Nothing has happened: whatever adds to a histogram counts there, too. */
static bool is_untouched(const struct weir_backend_cell *c)
{
	return load64(&c->new_flows) == 0 && load64(&c->packets) == 0 &&
		load64(&c->packets_from) == 0 && load64(&c->connect.count) == 0 &&
		load64(&c->first_byte.count) == 0;
}

/* Sum the cells of the used slots that `entries` names. */
static int sum_backends(const struct region *r, const struct weir_backend_entry *entries,
	size_t core_count, struct snapshot_service *s)
{
	uint32_t slots = s->entry.backend_count;
	for (size_t core = 0; core < core_count; core++) {
		uint64_t offset = s->entry.backend_cell_offset[core];
		if (offset == 0)
			continue;
		const struct weir_backend_cell *cells = region_at(r, offset, slots, sizeof(*cells));
		if (cells == NULL)
			return -EPROTO;
		for (size_t i = 0; i < s->backend_count; i++) {
			struct snapshot_backend *b = &s->backends[i];
			/* Most of many are idle: their histograms are neither read nor kept. */
			if (is_untouched(&cells[b->slot]))
				continue;
			add_words(&b->sum, &cells[b->slot], sizeof(b->sum));
		}
	}
	return 0;
}

static bool falls_back(const struct snapshot_service *s)
{
	for (size_t i = 0; i < s->backend_count; i++) {
		const struct weir_backend_entry *e = &s->backends[i].entry;
		if (!e->fallback && !e->pool && e->state == WEIR_BACKEND_UP && e->weight != 0)
			return false;
	}
	return true;
}

/* budget: how many backends there may still be, over all services; keeps memory in bounds. */
static int take_backends(
	const struct region *r, size_t core_count, struct snapshot_service *s, size_t *budget)
{
	uint32_t slots = s->entry.backend_count;
	if (slots == 0 || s->entry.backend_offset == 0)
		return 0;
	const struct weir_backend_entry *shared =
		region_at(r, s->entry.backend_offset, slots, sizeof(*shared));
	if (shared == NULL || slots > WEIR_MAX_BACKENDS)
		return -EPROTO;
	struct weir_backend_entry *entries = malloc(slots * sizeof(*entries));
	if (entries == NULL)
		return -ENOMEM;
	copy_words(entries, shared, slots * sizeof(*entries));

	size_t used = 0;
	for (uint32_t i = 0; i < slots; i++)
		used += entries[i].state != WEIR_BACKEND_UNUSED;
	int err = -EPROTO;
	if (used > *budget)
		goto out;
	*budget -= used;
	err = -ENOMEM;
	s->backends = calloc(used ? used : 1, sizeof(*s->backends));
	if (s->backends == NULL)
		goto out;
	for (uint32_t i = 0; i < slots; i++) {
		if (entries[i].state == WEIR_BACKEND_UNUSED)
			continue;
		s->backends[s->backend_count].slot = i;
		s->backends[s->backend_count++].entry = entries[i];
	}
	s->falls_back = falls_back(s);
	err = sum_backends(r, entries, core_count, s);
out:
	free(entries);
	return err;
}

static int take_service(
	const struct region *r, size_t core_count, struct snapshot_service *s, size_t *budget)
{
	for (size_t core = 0; core < core_count; core++) {
		uint64_t offset = s->entry.cell_offset[core];
		if (offset == 0)
			continue;
		const uint64_t busy_before = s->sum.busy_cycles;
		const void *cell = region_at(r, offset, 1, sizeof(s->sum));
		if (cell == NULL)
			return -EPROTO;
		add_words(&s->sum, cell, sizeof(s->sum));
		s->busy_cycles[core] = s->sum.busy_cycles - busy_before;
	}
	int err = snapshot_take_policies(
		r, core_count, s->entry.policy_offset, s->entry.policy_count, &s->policies);
	if (err == 0)
		err = snapshot_take_classes(r, core_count, s);
	return err != 0 ? err : take_backends(r, core_count, s, budget);
}

static int take_services(const struct region *r, struct snapshot *s)
{
	uint32_t count = load32(&r->t->service_count);
	if (count > WEIR_MAX_SERVICES)
		return -EPROTO;
	s->services = calloc(count ? count : 1, sizeof(*s->services));
	if (s->services == NULL)
		return -ENOMEM;
	size_t budget = WEIR_MAX_BACKENDS;
	for (uint32_t i = 0; i < count; i++) {
		struct snapshot_service *service = &s->services[s->service_count];
		copy_words(&service->entry, &r->t->service[i], sizeof(service->entry));
		if (!service->entry.used)
			continue;
		s->service_count++;
		service->slot = i;
		service->entry.name[sizeof(service->entry.name) - 1] = '\0';
		int err = take_service(r, s->core_count, service, &budget);
		if (err != 0)
			return err;
	}
	return 0;
}

/* Packets that are no service's have policies as well. */
static int take_outside(const struct region *r, struct snapshot *s)
{
	s->outside_policy_count = load32(&r->t->outside_policy_count);
	return snapshot_take_policies(r, s->core_count, load64(&r->t->outside_policy_offset),
		s->outside_policy_count, &s->outside_policies);
}

static int take_header(const struct region *r, struct snapshot *s)
{
	const struct weir_telemetry *t = r->t;
	uint32_t nodes = load32(&t->node_count);
	if (nodes > WEIR_MAX_NODES)
		return -EPROTO;
	s->start_ns = load64(&t->start_ns);
	s->start_time_ns = load64(&t->start_time_ns);
	s->heartbeat_ns = load64(&t->heartbeat_ns);
	s->tsc_hz = load64(&t->tsc_hz);
	s->generation = load64(&t->generation);
	s->config_digest = load64(&t->config_digest);
	s->pid = load32(&t->pid);
	s->flags = load32(&t->flags);
	s->node_count = nodes;
	copy_words(s->node, t->node, nodes * sizeof(s->node[0]));
	copy_words(s->node_distance, t->node_distance, sizeof(s->node_distance));
	s->memory_budget = load64(&t->memory_budget);
	s->memory_used = load64(&t->memory_used);
	s->placement_areas = load32(&t->placement_areas);
	s->placement_elsewhere = load32(&t->placement_elsewhere);
	return 0;
}

struct wanted {
	uint64_t now_ns;
	struct snapshot *snapshot; /* NULL: none was made */
};

static int take_all(const struct region *r, void *ctx)
{
	struct wanted *wanted = ctx;
	struct snapshot *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->taken_ns = wanted->now_ns;
	int err = take_header(r, s);
	if (err == 0)
		err = take_cores(r, s);
	if (err == 0)
		err = take_ports(r, s);
	if (err == 0)
		err = take_services(r, s);
	if (err == 0)
		err = take_outside(r, s);
	if (err != 0) {
		snapshot_destroy(s);
		return err;
	}
	wanted->snapshot = s;
	return 0;
}

static void drop_all(void *ctx)
{
	struct wanted *wanted = ctx;
	snapshot_destroy(wanted->snapshot);
	wanted->snapshot = NULL;
}

int region_read(const struct weir_telemetry *t, size_t size,
	int (*take)(const struct region *r, void *ctx), void (*drop)(void *ctx), void *ctx)
{
	if (t == NULL || size < sizeof(*t) || load32(&t->magic) != WEIR_TELEMETRY_MAGIC ||
		load32(&t->version) != WEIR_TELEMETRY_VERSION)
		return -EPROTO;
	/* Read once: what is checked here is what bounds every access below. */
	struct region r = { .t = t, .size = load64(&t->size) };
	if (r.size < sizeof(*t) || r.size > size)
		return -EPROTO;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (attempt > 0)
			nanosleep(&(struct timespec){ .tv_nsec = WAIT_NS }, NULL);
		uint64_t before = __atomic_load_n(&t->directory_seq, __ATOMIC_ACQUIRE);
		if (before % 2 != 0)
			continue;
		int err = take(&r, ctx);
		atomic_thread_fence(memory_order_acquire);
		if (load64(&t->directory_seq) == before)
			return err;
		/* Half old and half new, or called wrong only because of that. */
		drop(ctx);
		if (err == -ENOMEM)
			return err;
	}
	return -EAGAIN;
}

int snapshot_take(const struct weir_telemetry *t, size_t size, uint64_t now_ns,
	struct snapshot **ret_snapshot)
{
	struct wanted wanted = { .now_ns = now_ns };
	int err = region_read(t, size, take_all, drop_all, &wanted);

	if (err == 0)
		*ret_snapshot = wanted.snapshot;
	return err;
}

void snapshot_destroy(struct snapshot *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; s->services != NULL && i < s->service_count; i++) {
		free(s->services[i].backends);
		free(s->services[i].policies);
		free(s->services[i].classes);
	}
	free(s->services);
	free(s->outside_policies);
	free(s->ports);
	free(s->cores);
	free(s);
}

const struct snapshot_service *snapshot_find_service(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; s != NULL && i < s->service_count; i++)
		if (strcmp(s->services[i].entry.name, name) == 0)
			return &s->services[i];
	return NULL;
}

const struct snapshot_backend *snapshot_find_backend(
	const struct snapshot_service *s, const uint8_t address[16], uint16_t port)
{
	for (size_t i = 0; s != NULL && i < s->backend_count; i++) {
		const struct weir_backend_entry *e = &s->backends[i].entry;
		if (e->port == port && memcmp(e->address, address, sizeof(e->address)) == 0)
			return &s->backends[i];
	}
	return NULL;
}

bool snapshot_same_run(const struct snapshot *now, const struct snapshot *before)
{
	return now != NULL && before != NULL && now->pid == before->pid &&
		now->start_ns == before->start_ns;
}

static int service_compare(const void *slot, const void *element)
{
	const struct snapshot_service *s = element;
	uint32_t wanted = *(const uint32_t *)slot;

	return wanted < s->slot ? -1 : wanted > s->slot;
}

const struct snapshot_service *snapshot_before_service(
	const struct snapshot *now, const struct snapshot *before, const struct snapshot_service *s)
{
	if (s == NULL || !snapshot_same_run(now, before))
		return NULL;
	const struct snapshot_service *was = bsearch(&s->slot, before->services,
		before->service_count, sizeof(*before->services), service_compare);
	return was != NULL && was->entry.epoch == s->entry.epoch ? was : NULL;
}

static int backend_compare(const void *slot, const void *element)
{
	const struct snapshot_backend *b = element;
	uint32_t wanted = *(const uint32_t *)slot;

	return wanted < b->slot ? -1 : wanted > b->slot;
}

const struct snapshot_backend *snapshot_before_backend(
	const struct snapshot_service *before, const struct snapshot_backend *b)
{
	if (before == NULL || b == NULL || before->backend_count == 0)
		return NULL;
	const struct snapshot_backend *was = bsearch(&b->slot, before->backends,
		before->backend_count, sizeof(*before->backends), backend_compare);
	return was != NULL && was->entry.epoch == b->entry.epoch ? was : NULL;
}

double snapshot_weight_in_force(const struct snapshot_service *s, const struct snapshot_backend *b)
{
	if (s == NULL || b == NULL || b->entry.state != WEIR_BACKEND_UP)
		return 0;
	if (b->entry.pool == 0 && (b->entry.fallback != 0) != s->falls_back)
		return 0;
	return (double)b->entry.weight_in_force / WEIR_WEIGHT_UNIT;
}
