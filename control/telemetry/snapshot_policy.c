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
