/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Maps of policies that run, read and changed by hand while workers use them. Main thread.
 */

#include "dataplane/core/core.h"
#include "ebpf/engine/program.h"

#include <linux/bpf.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_TRIES 1000u /* a bucket that a worker holds is free again in no time */

struct map_request {
	const struct weir_policy_map *head;
	const uint8_t *records;
	struct policy_map *map;
	uint32_t values; /* of each key */
	char *err;
	size_t err_size;
};

static const struct policy_set *set_find(const struct fastpath *fp, const char *service)
{
	const struct generation *g = fp->generation;

	if (!service[0])
		return g ? g->outside : NULL;
	for (uint32_t i = 0; g && i < WEIR_MAX_SERVICES; i++)
		if (g->settings[i] && strcmp(g->settings[i]->service->identity.name, service) == 0)
			return g->settings[i]->policy_set;
	return NULL;
}

static int map_find(const struct fastpath *fp, struct map_request *r)
{
	const struct weir_policy_map *h = r->head;
	const struct policy_set *set = set_find(fp, h->service);

	if (!set || h->position >= set->place_count) {
		snprintf(r->err, r->err_size, "service %s has no policy %u",
			h->service[0] ? h->service : "(none)", h->position + 1);
		return -ENOENT;
	}
	const struct policy_place *place = &set->place[h->position];

	r->map = policy_program_map(place->seat->program, h->map);
	if (!r->map) {
		snprintf(r->err, r->err_size, "policy %s has no map %s", place->name, h->map);
		return -ENOENT;
	}
	r->values = r->map->worker_count;
	if ((h->key_bytes && h->key_bytes != r->map->key_size) ||
		(h->value_bytes && h->value_bytes != r->map->value_size)) {
		snprintf(r->err, r->err_size, "map %s has keys of %u and values of %u bytes",
			h->map, r->map->key_size, r->map->value_size);
		return -EINVAL;
	}
	return 0;
}

/* The values of a key that is there, in `to`; false when it is not. */
static bool values_read(const struct map_request *r, const void *key, uint8_t *to)
{
	for (uint32_t i = 0; i < r->values; i++) {
		const void *value = policy_map_lookup(r->map, key, i);

		if (!value)
			return false;
		memcpy(to + (size_t)i * r->map->value_size, value, r->map->value_size);
	}
	return true;
}

static uint32_t records_get(const struct map_request *r, uint8_t *to)
{
	const uint32_t key_size = r->map->key_size;
	const size_t record = key_size + (size_t)r->values * r->map->value_size;
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->head->count; i++) {
		const uint8_t *key = r->records + (size_t)i * key_size;

		if (!values_read(r, key, to + count * record + key_size))
			continue;
		memcpy(to + count++ * record, key, key_size);
	}
	return count;
}

static uint32_t records_dump(
	const struct map_request *r, uint8_t *to, uint32_t most, uint64_t *ret_next)
{
	const uint32_t key_size = r->map->key_size;
	const size_t record = key_size + (size_t)r->values * r->map->value_size;
	uint64_t cursor = r->head->cursor;
	uint32_t count = 0;

	while (count < most) {
		uint8_t *at = to + count * record;

		if (!policy_map_next(r->map, &cursor, 0, at, at + key_size)) {
			*ret_next = 0;
			return count;
		}
		/* An entry that went away meanwhile is not told. */
		if (r->values == 1 || values_read(r, at, at + key_size))
			count++;
	}
	*ret_next = cursor;
	return count;
}

static int record_change(const struct map_request *r, const uint8_t *record)
{
	const uint8_t *value = record + r->map->key_size;
	int rc = 0;

	if (r->head->op == WEIR_POLICY_MAP_DELETE) {
		for (uint32_t tries = 0; tries < BUSY_TRIES; tries++) {
			rc = policy_map_delete(r->map, record);
			if (rc != -EBUSY)
				break;
			sched_yield();
		}
		return rc;
	}
	for (uint32_t i = 0; i < r->values && rc == 0; i++)
		for (uint32_t tries = 0; tries < BUSY_TRIES; tries++) {
			rc = policy_map_update(r->map, record, value, BPF_ANY, i);
			if (rc != -EBUSY)
				break;
			sched_yield();
		}
	return rc;
}

/* What is wrong with an entry, in words of maps. */
static const char *record_text(int rc)
{
	switch (rc) {
	case -ENOENT:
		return "there is no such entry";
	case -E2BIG: /* of a hash: no room, of an array: no such place */
	case -ENOSPC:
		return "the map has no place for it";
	default:
		return strerror(-rc);
	}
}

static int records_change(const struct map_request *r, uint32_t *ret_done)
{
	const struct weir_policy_map *h = r->head;
	const size_t record = h->key_bytes + h->value_bytes;

	for (*ret_done = 0; *ret_done < h->count; ++*ret_done) {
		int rc = record_change(r, r->records + *ret_done * record);

		if (rc == 0)
			continue;
		snprintf(r->err, r->err_size, "map %s: entry %u of %u: %s%s", h->map, *ret_done + 1,
			h->count, record_text(rc),
			*ret_done ? "; those before it are changed" : "");
		return rc;
	}
	return 0;
}

/* How many records an answer may hold. */
static uint32_t answer_room(const struct map_request *r)
{
	const size_t record = r->map->key_size + (size_t)r->values * r->map->value_size;
	const size_t most = RTE_MAX((size_t)WEIR_POLICY_MAX_BYTES / record, (size_t)1);

	if (r->head->op == WEIR_POLICY_MAP_SET || r->head->op == WEIR_POLICY_MAP_DELETE)
		return 0;
	return (uint32_t)RTE_MIN((size_t)r->head->count, most);
}

static int map_answer(struct map_request *r, void **ret_body, size_t *ret_length)
{
	const struct policy_map *map = r->map;
	const size_t record = map->key_size + (size_t)r->values * map->value_size;
	const uint32_t room = answer_room(r);
	struct weir_policy_map_reply *reply = calloc(1, sizeof(*reply) + room * record);
	int rc = 0;

	if (!reply)
		return -ENOMEM;
	reply->type = map->type;
	reply->key_bytes = map->key_size;
	reply->value_bytes = map->value_size;
	reply->values = r->values;
	reply->max_entries = map->max_entries;
	if (r->head->op == WEIR_POLICY_MAP_DUMP)
		reply->count = records_dump(r, (uint8_t *)(reply + 1), room, &reply->next);
	else if (r->head->op != WEIR_POLICY_MAP_GET)
		rc = records_change(r, &reply->count);
	else if (room < r->head->count)
		rc = -E2BIG;
	else
		reply->count = records_get(r, (uint8_t *)(reply + 1));
	if (rc) {
		free(reply);
		return rc;
	}
	*ret_body = reply;
	*ret_length = sizeof(*reply) + (room ? reply->count * record : 0);
	return 0;
}

int fastpath_policy_map(struct fastpath *fp, const struct weir_policy_map *request, void **ret_body,
	size_t *ret_length, char *err, size_t err_size)
{
	struct map_request r = {
		.head = request,
		.records = (const uint8_t *)(request + 1),
		.err = err,
		.err_size = err_size,
	};
	int rc = map_find(fp, &r);

	return rc ? rc : map_answer(&r, ret_body, ret_length);
}
