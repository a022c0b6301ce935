/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/telemetry/snapshot_private.h"
#include "dataplane/api/messages.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static_assert(sizeof(struct weir_policy_entry) % 8 == 0, "policy entry is whole words");
static_assert(sizeof(struct weir_policy_cell) % 8 == 0, "policy cell is whole words");
static_assert(sizeof(struct weir_class_entry) % 8 == 0, "class entry is whole words");
static_assert(sizeof(struct weir_class_cell) % 8 == 0, "class cell is whole words");

/* Sum what the cores have; offsets: of WEIR_MAX_CORES cells. */
static int sum_cells(const struct region *r, size_t core_count, const uint64_t *offsets, void *sum,
	size_t cell_size)
{
	for (size_t core = 0; core < core_count; core++) {
		if (offsets[core] == 0)
			continue;
		const void *cell = region_at(r, offsets[core], 1, cell_size);
		if (cell == NULL)
			return -EPROTO;
		add_words(sum, cell, cell_size);
	}
	return 0;
}

int snapshot_take_policies(const struct region *r, size_t core_count, uint64_t offset, size_t count,
	struct snapshot_policy **ret_policies)
{
	if (count > WEIR_MAX_POLICIES_PER_SERVICE)
		return -EPROTO;
	if (count == 0)
		return 0;
	const struct weir_policy_entry *entries = region_at(r, offset, count, sizeof(*entries));
	if (entries == NULL)
		return -EPROTO;
	*ret_policies = calloc(count, sizeof(**ret_policies));
	if (*ret_policies == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct snapshot_policy *p = &(*ret_policies)[i];
		copy_words(&p->entry, &entries[i], sizeof(p->entry));
		p->entry.name[sizeof(p->entry.name) - 1] = '\0';
		int err = sum_cells(r, core_count, p->entry.cell_offset, &p->sum, sizeof(p->sum));
		if (err != 0)
			return err;
	}
	return 0;
}

int snapshot_take_classes(const struct region *r, size_t core_count, struct snapshot_service *s)
{
	size_t count = s->entry.class_count;
	if (count > WEIR_MAX_CLASSES_PER_SERVICE)
		return -EPROTO;
	if (count == 0)
		return 0;
	const struct weir_class_entry *entries =
		region_at(r, s->entry.class_offset, count, sizeof(*entries));
	if (entries == NULL)
		return -EPROTO;
	s->classes = calloc(count, sizeof(*s->classes));
	if (s->classes == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct snapshot_class *c = &s->classes[i];
		copy_words(&c->entry, &entries[i], sizeof(c->entry));
		c->entry.name[sizeof(c->entry.name) - 1] = '\0';
		int err = sum_cells(r, core_count, c->entry.cell_offset, &c->sum, sizeof(c->sum));
		if (err != 0)
			return err;
	}
	return 0;
}

struct detached {
	uint64_t *ids;
	size_t count;
};

static int take_detached_of(const struct region *r, uint32_t slot, struct detached *list)
{
	const struct weir_service_entry *s = &r->t->service[slot];
	const uint16_t count = __atomic_load_n(&s->policy_count, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&s->used, __ATOMIC_RELAXED) || count == 0)
		return 0;
	const struct weir_policy_entry *entries =
		region_at(r, load64(&s->policy_offset), count, sizeof(*entries));
	if (entries == NULL || count > WEIR_MAX_POLICIES_PER_SERVICE)
		return -EPROTO;
	for (uint16_t i = 0; i < count; i++) {
		if (__atomic_load_n(&entries[i].state, __ATOMIC_RELAXED) != WEIR_POLICY_DETACHED)
			continue;
		uint64_t *more = reallocarray(list->ids, list->count + 1, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		list->ids = more;
		list->ids[list->count++] = load64(&entries[i].id);
	}
	return 0;
}

static int take_detached(const struct region *r, void *ctx)
{
	struct detached *list = ctx;
	uint32_t count = load32(&r->t->service_count);
	int err = count > WEIR_MAX_SERVICES ? -EPROTO : 0;
	for (uint32_t i = 0; err == 0 && i < count; i++)
		err = take_detached_of(r, i, list);
	return err;
}

static void drop_detached(void *ctx)
{
	struct detached *list = ctx;
	free(list->ids);
	*list = (struct detached){ 0 };
}

int snapshot_detached(
	const struct weir_telemetry *t, size_t size, uint64_t **ret_ids, size_t *ret_count)
{
	struct detached list = { 0 };
	int err = region_read(t, size, take_detached, drop_detached, &list);

	if (err != 0) {
		drop_detached(&list);
		return err;
	}
	*ret_ids = list.ids;
	*ret_count = list.count;
	return 0;
}
