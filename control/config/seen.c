/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/seen.h"

#include "control/config/fnv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void seen_init(struct error_list *errors, struct seen *s, size_t count)
{
	size_t size = 16;
	while (size < 2 * count)
		size *= 2;
	s->entries = calloc(size, sizeof(*s->entries));
	s->mask = size - 1;
	if (s->entries == NULL)
		errors->no_memory = true;
}

static struct seen_entry *seen_slot(const struct seen *s, const void *key, size_t length)
{
	uint64_t hash = fnv_1a(FNV_BASIS, key, length);
	size_t at = (size_t)(hash ^ hash >> 32) & s->mask;
	while (s->entries[at].node != NULL &&
		(s->entries[at].length != length || memcmp(s->entries[at].key, key, length) != 0))
		at = (at + 1) & s->mask;
	return &s->entries[at];
}

struct node *seen_add(struct seen *s, const void *key, size_t length, struct node *node)
{
	if (s->entries == NULL)
		return NULL;
	assert(length <= sizeof(s->entries->key)); /* what was read has its limits */
	struct seen_entry *e = seen_slot(s, key, length);
	if (e->node != NULL)
		return e->node;
	e->node = node;
	e->length = (uint8_t)length;
	memcpy(e->key, key, length);
	return NULL;
}

struct node *seen_find(const struct seen *s, const void *key, size_t length)
{
	return s->entries != NULL ? seen_slot(s, key, length)->node : NULL;
}
