/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/kernel/judges.h"

#include "ebpf/kernel/steering_keys.h"

#include <bpf/bpf.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define JUDGES_BYTES (STEERING_MAX_JUDGES * sizeof(struct steering_judge))
#define MAX_KEYS     (STEERING_MAX_SERVICES + STEERING_MAX_PREFIXES)

struct judges {
	int judged; /* all owned */
	int ranges;
	int programs;
	int packet;
	int memory;
	struct steering_judge *judge; /* [STEERING_MAX_JUDGES], shared with the kernel */
};

/* A service as one of the two maps has it. */
struct place {
	struct steering_prefix_key key; /* bits: of a prefix, with the fixed ones */
	const struct judge_want *first; /* of wanted ones */
};

/* Wanted ones, sorted by both that they are looked for by. */
struct wanted {
	const struct judge_want **by_id; /* owned */
	size_t id_count;
	struct place *places; /* owned */
	size_t place_count;
	bool ranges; /* some judge is of a service with a range */
};

static int pin_open(const char *directory, const char *name)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", directory, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -1;
	return bpf_obj_get(path);
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void judges_close(struct judges *j)
{
	if (!j)
		return;
	if (j->judge)
		munmap(j->judge, JUDGES_BYTES);
	fd_close(j->judged);
	fd_close(j->ranges);
	fd_close(j->programs);
	fd_close(j->packet);
	fd_close(j->memory);
	free(j);
}

int judges_open(const char *directory, struct judges **ret_judges)
{
	struct judges *j = malloc(sizeof(*j));
	void *at = MAP_FAILED;

	if (!j)
		return -ENOMEM;
	*j = (struct judges){
		.judged = pin_open(directory, STEERING_MAP_JUDGED),
		.ranges = pin_open(directory, STEERING_MAP_RANGES),
		.programs = pin_open(directory, STEERING_MAP_PROGRAMS),
		.packet = pin_open(directory, STEERING_MAP_PACKET),
		.memory = pin_open(directory, STEERING_MAP_JUDGES),
	};
	if (j->judged >= 0 && j->ranges >= 0 && j->programs >= 0 && j->packet >= 0 &&
		j->memory >= 0)
		at = mmap(NULL, JUDGES_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, j->memory, 0);
	if (at == MAP_FAILED) {
		judges_close(j);
		return -ENOENT;
	}
	j->judge = at;
	*ret_judges = j;
	return 0;
}

/* The wanted. */

static int id_compare(const void *a, const void *b)
{
	const struct judge_want *x = *(const struct judge_want *const *)a;
	const struct judge_want *y = *(const struct judge_want *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int place_compare(const void *a, const void *b)
{
	return memcmp(&((const struct place *)a)->key, &((const struct place *)b)->key,
		sizeof(struct steering_prefix_key));
}

static struct place place_of(const struct judge_want *w)
{
	struct place p = { .key = { .bits = STEERING_PREFIX_FIXED_BITS + w->prefix_length,
				   .port = w->port,
				   .protocol = w->protocol,
				   .kind = STEERING_KIND_PORT },
		.first = w };

	memcpy(p.key.address, w->address, sizeof(p.key.address));
	return p;
}

static void wanted_fini(struct wanted *all)
{
	free(all->by_id);
	free(all->places);
}

static int wanted_init(struct wanted *all, const struct judge_want *wants, size_t count)
{
	*all = (struct wanted){ .by_id = calloc(count + 1, sizeof(*all->by_id)),
		.places = calloc(count + 1, sizeof(*all->places)) };
	if (!all->by_id || !all->places) {
		wanted_fini(all);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		const struct judge_want *w = &wants[i];

		if (w->id)
			all->by_id[all->id_count++] = w;
		if (!w->before)
			all->places[all->place_count++] = place_of(w);
		all->ranges |= w->id && (w->prefix_length < 128 || !w->port);
	}
	qsort(all->by_id, all->id_count, sizeof(*all->by_id), id_compare);
	qsort(all->places, all->place_count, sizeof(*all->places), place_compare);
	return 0;
}

static const struct judge_want *wanted_find(const struct wanted *all, uint64_t id)
{
	const struct judge_want key = { .id = id }, *at = &key;
	const struct judge_want **found = id && all->id_count ?
		bsearch(&at, all->by_id, all->id_count, sizeof(*all->by_id), id_compare) :
		NULL;

	return found ? *found : NULL;
}

static const struct judge_want *wanted_at(const struct wanted *all, const struct place *key)
{
	const struct place *found = all->place_count ?
		bsearch(key, all->places, all->place_count, sizeof(*key), place_compare) :
		NULL;

	return found ? found->first : NULL;
}

/* What the port has. */

static bool is_range(const struct place *p)
{
	return p->key.bits != STEERING_PREFIX_FIXED_BITS + 128;
}

static struct steering_service_key service_key(const struct place *p)
{
	struct steering_service_key key = {
		.port = p->key.port, .protocol = p->key.protocol, .kind = p->key.kind
	};

	memcpy(key.address, p->key.address, sizeof(key.address));
	return key;
}

/* Returns false when the service does not stand there. */
static bool place_read(const struct judges *j, const struct place *p, uint32_t *ret_index)
{
	const struct steering_service_key key = service_key(p);
	struct steering_range range;

	if (!is_range(p))
		return bpf_map_lookup_elem(j->judged, &key, ret_index) == 0;
	/* The trie finds what is shorter, too. */
	if (bpf_map_lookup_elem(j->ranges, &p->key, &range) < 0 ||
		range.bits + STEERING_PREFIX_FIXED_BITS != p->key.bits)
		return false;
	*ret_index = range.judge;
	return true;
}

static int place_write(const struct judges *j, const struct place *p, uint32_t index)
{
	const struct steering_service_key key = service_key(p);
	const struct steering_range range = { .judge = index,
		.bits = p->key.bits - STEERING_PREFIX_FIXED_BITS };
	int rc = is_range(p) ? bpf_map_update_elem(j->ranges, &p->key, &range, BPF_ANY) :
			       bpf_map_update_elem(j->judged, &key, &index, BPF_ANY);

	return rc < 0 ? -errno : 0;
}

static void place_delete(const struct judges *j, const struct place *p)
{
	const struct steering_service_key key = service_key(p);

	if (is_range(p))
		(void)bpf_map_delete_elem(j->ranges, &p->key);
	else
		(void)bpf_map_delete_elem(j->judged, &key);
}

/* All services that stand there; the list is the caller's. */
static int places_list(const struct judges *j, struct place **ret_places, size_t *ret_count)
{
	struct place *places = calloc(MAX_KEYS, sizeof(*places));
	struct steering_service_key key, *previous = NULL;
	const struct steering_prefix_key *last = NULL;
	size_t count = 0;

	if (!places)
		return -ENOMEM;
	while (count < STEERING_MAX_SERVICES &&
		bpf_map_get_next_key(j->judged, previous, &key) == 0) {
		struct steering_prefix_key *to = &places[count++].key;

		*to = (struct steering_prefix_key){ .bits = STEERING_PREFIX_FIXED_BITS + 128,
			.port = key.port,
			.protocol = key.protocol,
			.kind = key.kind };
		memcpy(to->address, key.address, sizeof(to->address));
		previous = &key;
	}
	while (count < MAX_KEYS && bpf_map_get_next_key(j->ranges, last, &places[count].key) == 0)
		last = &places[count++].key;
	*ret_places = places;
	*ret_count = count;
	return 0;
}

static uint32_t index_of(const struct judges *j, uint64_t id)
{
	for (uint32_t i = 1; id && i < STEERING_MAX_JUDGES; i++)
		if (j->judge[i].id == id)
			return i;
	return 0;
}

/* The one that has dropped least, so that what is not read yet of its predecessor is not taken for its own. */
static uint32_t index_new(const struct judges *j)
{
	uint32_t found = 0;

	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++)
		if (!j->judge[i].id && (!found || j->judge[i].packets < j->judge[found].packets))
			found = i;
	return found;
}

static void id_set(struct judges *j, uint32_t index, uint64_t id)
{
	__atomic_store_n(&j->judge[index].id, id, __ATOMIC_RELEASE);
}

static void next_set(struct judges *j, uint32_t index, uint32_t next)
{
	__atomic_store_n(&j->judge[index].next, next, __ATOMIC_RELEASE);
}

/* What is there of a judge, if it is the same in the same place. */
static const struct judge_want *still_wanted(
	const struct judges *j, const struct wanted *all, uint32_t index)
{
	const struct judge_want *w = wanted_find(all, j->judge[index].id);

	return w && w->chain == j->judge[index].chain ? w : NULL;
}

/* Keys first, so that no packet is sent to a judge that is gone. */
static int places_keep(struct judges *j, const struct wanted *all)
{
	struct place *places = NULL;
	size_t count;
	int rc = places_list(j, &places, &count);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		const struct judge_want *w = wanted_at(all, &places[i]);
		uint32_t index = 0;

		if (!place_read(j, &places[i], &index) || !index ||
			(w && index < STEERING_MAX_JUDGES && still_wanted(j, all, index) == w))
			continue;
		/* Until the data plane knows of the change it is not another one's either. */
		if (all->ranges || j->judge[0].ranges)
			rc = place_write(j, &places[i], 0);
		else
			place_delete(j, &places[i]);
	}
	free(places);
	return rc;
}

static int others_write(struct judges *j, const struct wanted *all)
{
	uint32_t index;
	int rc = 0;

	for (size_t i = 0; all->ranges && rc == 0 && i < all->place_count; i++)
		if (!place_read(j, &all->places[i], &index))
			rc = place_write(j, &all->places[i], 0);
	return rc;
}

static void rest_remove(struct judges *j, const struct wanted *all)
{
	bool any = false;

	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++) {
		const uint32_t next = j->judge[i].next;

		if (next && next < STEERING_MAX_JUDGES && !still_wanted(j, all, next))
			next_set(j, i, 0);
	}
	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++) {
		if (!j->judge[i].id)
			continue;
		if (still_wanted(j, all, i)) {
			any = true;
			continue;
		}
		(void)bpf_map_delete_elem(j->programs, &i);
		next_set(j, i, 0);
		id_set(j, i, 0);
	}
	if (!any)
		id_set(j, 0, 0);
}

int judges_keep(struct judges *j, const struct judge_want *wants, size_t count)
{
	struct wanted all;
	int rc = wanted_init(&all, wants, count);

	if (rc)
		return rc;
	rc = others_write(j, &all);
	if (rc == 0)
		rc = places_keep(j, &all);
	rest_remove(j, &all);
	wanted_fini(&all);
	return rc;
}

int judges_settle(struct judges *j, const struct judge_want *wants, size_t count)
{
	struct wanted all;
	struct place *places = NULL;
	size_t n;
	int rc = wanted_init(&all, wants, count);

	if (rc)
		return rc;
	rc = places_list(j, &places, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct judge_want *w = wanted_at(&all, &places[i]);

		if (!w || (!w->id && !all.ranges))
			place_delete(j, &places[i]);
	}
	if (rc == 0)
		__atomic_store_n(&j->judge[0].ranges, all.ranges, __ATOMIC_RELEASE);
	free(places);
	wanted_fini(&all);
	return rc;
}

/* Where packets come to it from. */
static int link_in(struct judges *j, const struct judge_want *w, uint32_t index)
{
	const struct place p = place_of(w);
	uint32_t before = index_of(j, w->before), now;

	if (w->before && !before)
		return -ENOENT;
	if (before)
		next_set(j, before, index);
	else if (!place_read(j, &p, &now) || now != index)
		return place_write(j, &p, index);
	return 0;
}

bool judges_has(struct judges *j, const struct judge_want *w)
{
	uint32_t index = index_of(j, w->id), program;

	/* A program array is emptied when nobody has it open for a moment. */
	return index && j->judge[index].chain == w->chain &&
		bpf_map_lookup_elem(j->programs, &index, &program) == 0 &&
		link_in(j, w, index) == 0;
}

int judges_add(struct judges *j, const struct judge_want *w, int program)
{
	uint32_t index = index_of(j, w->id);

	if (!index)
		index = index_new(j);
	if (!index)
		return -ENOSPC;
	if (bpf_map_update_elem(j->programs, &index, &program, BPF_ANY) < 0)
		return -errno;
	j->judge[index].chain = w->chain;
	if (index >= j->judge[0].next)
		next_set(j, 0, index + 1);
	id_set(j, index, w->id);
	id_set(j, 0, 1);
	return link_in(j, w, index);
}

int judges_packet_fd(const struct judges *j)
{
	return j->packet;
}

int judges_programs_fd(const struct judges *j)
{
	return j->programs;
}

int judges_program(struct judges *j, uint64_t id)
{
	uint32_t index = index_of(j, id), program;

	if (!index || bpf_map_lookup_elem(j->programs, &index, &program) < 0)
		return -ENOENT;
	int fd = bpf_prog_get_fd_by_id(program);

	return fd < 0 ? -errno : fd;
}
