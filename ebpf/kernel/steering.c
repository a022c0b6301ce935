/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/kernel/steering.h"

#include "ebpf/kernel/steering_keys.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* in what bpftool generates */
#include "weir_port.skel.h"
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_MAX	  sizeof(struct steering_prefix_key)
#define VALUE_MAX sizeof(struct steering_blocks)

/* An entry of any of the maps, padded with zeroes, so that one comparison serves all. */
struct entry {
	uint8_t key[KEY_MAX];
	uint8_t value[VALUE_MAX];
};

struct entries {
	struct entry *items; /* owned */
	size_t count;
	size_t capacity;
};

/* One pinned map, what it holds and what it should hold; both sorted by key. */
struct steered_map {
	const char *name;
	uint32_t key_size;
	uint32_t value_size;
	int fd;
	struct entries have;
	struct entries want;
};

enum {
	MAP_SERVICES,
	MAP_PREFIXES,
	MAP_SOURCES,
	MAP_COUNT
};

struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int explain(
	const struct reason *r, int rc, const char *format, ...)
{
	va_list ap;

	if (r->text && r->size) {
		va_start(ap, format);
		vsnprintf(r->text, r->size, format, ap);
		va_end(ap);
	}
	return rc;
}

const void *steering_object(size_t *ret_size)
{
	return weir_port_bpf__elf_bytes(ret_size);
}

int steering_path(const char *instance_dir, const char *port, char *buf, size_t size)
{
	int n = snprintf(buf, size, "%s/bpf/", instance_dir);

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	size_t at = (size_t)n;
	for (const char *c = port; *c; c++) {
		bool plain = isalnum((unsigned char)*c) || *c == '-' || *c == '_';

		n = snprintf(buf + at, size - at, plain ? "%c" : "+%02x", (unsigned char)*c);
		if (n < 0 || (size_t)n >= size - at)
			return -ENAMETOOLONG;
		at += (size_t)n;
	}
	return 0;
}

static struct entry *entry_new(struct entries *e)
{
	if (e->count == e->capacity) {
		size_t capacity = e->capacity ? e->capacity * 2 : 64;
		struct entry *items = realloc(e->items, capacity * sizeof(*items));

		if (!items)
			return NULL;
		e->items = items;
		e->capacity = capacity;
	}
	struct entry *new = &e->items[e->count++];
	memset(new, 0, sizeof(*new));
	return new;
}

static int entry_compare(const void *a, const void *b)
{
	return memcmp(((const struct entry *)a)->key, ((const struct entry *)b)->key, KEY_MAX);
}

/* Sort, and join entries of the same key: their bits add up. */
static void entries_settle(struct entries *e)
{
	size_t kept = 0;

	if (!e->count)
		return;
	qsort(e->items, e->count, sizeof(e->items[0]), entry_compare);
	for (size_t i = 1; i < e->count; i++) {
		if (entry_compare(&e->items[i], &e->items[kept]) != 0) {
			e->items[++kept] = e->items[i];
			continue;
		}
		for (size_t k = 0; k < VALUE_MAX; k++)
			e->items[kept].value[k] |= e->items[i].value[k];
	}
	e->count = kept + 1;
}

static const struct entry *entries_find(const struct entries *e, const struct entry *key)
{
	if (!e->count)
		return NULL;
	return bsearch(key, e->items, e->count, sizeof(e->items[0]), entry_compare);
}

static int service_want(
	struct steered_map *maps, const struct steering_service *s, uint16_t port, uint8_t kind)
{
	bool exact = s->prefix_length == 128;
	struct entry *e = entry_new(&maps[exact ? MAP_SERVICES : MAP_PREFIXES].want);

	if (!e)
		return -ENOMEM;
	e->value[0] = 1;
	if (exact) {
		struct steering_service_key k = {
			.port = port, .protocol = s->protocol, .kind = kind
		};
		memcpy(k.address, s->address, sizeof(k.address));
		memcpy(e->key, &k, sizeof(k));
	} else {
		struct steering_prefix_key k = {
			.bits = STEERING_PREFIX_FIXED_BITS + s->prefix_length,
			.port = port,
			.protocol = s->protocol,
			.kind = kind,
		};
		memcpy(k.address, s->address, sizeof(k.address));
		memcpy(e->key, &k, sizeof(k));
	}
	return 0;
}

static int source_want(struct steered_map *map, const struct steering_source *s)
{
	static const uint8_t none[sizeof(s->blocks)];
	struct steering_source_key k = { .protocol = s->protocol };

	if (memcmp(s->blocks, none, sizeof(none)) == 0)
		return 0;
	struct entry *e = entry_new(&map->want);
	if (!e)
		return -ENOMEM;
	memcpy(k.address, s->address, sizeof(k.address));
	memcpy(e->key, &k, sizeof(k));
	memcpy(e->value, s->blocks, sizeof(s->blocks));
	return 0;
}

static int want_build(struct steered_map *maps, const struct steering_service *services,
	size_t service_count, const struct steering_source *sources, size_t source_count)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < service_count; i++) {
		rc = service_want(maps, &services[i], services[i].port, STEERING_KIND_PORT);
		if (rc == 0)
			rc = service_want(maps, &services[i], 0, STEERING_KIND_FRAGMENT);
	}
	for (size_t i = 0; rc == 0 && i < source_count; i++)
		rc = source_want(&maps[MAP_SOURCES], &sources[i]);
	for (size_t i = 0; i < MAP_COUNT; i++)
		entries_settle(&maps[i].want);
	return rc;
}

/* Open a pin and make sure that it is what this version of Weir takes it for. */
static int pin_open(const char *directory, const char *name, uint32_t key_size, uint32_t value_size,
	int *ret_fd)
{
	char path[PATH_MAX];
	struct bpf_map_info info = { 0 };
	uint32_t info_size = sizeof(info);

	int n = snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	int rc = bpf_obj_get_info_by_fd(fd, &info, &info_size) < 0 ? -errno : 0;
	if (rc == 0 && (info.key_size != key_size || info.value_size != value_size))
		rc = -EPROTO;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

static int have_read(struct steered_map *m)
{
	uint8_t key[KEY_MAX];
	void *previous = NULL;

	while (bpf_map_get_next_key(m->fd, previous, key) == 0) {
		struct entry *e = entry_new(&m->have);

		if (!e)
			return -ENOMEM;
		memcpy(e->key, key, m->key_size);
		if (bpf_map_lookup_elem(m->fd, key, e->value) < 0)
			m->have.count--; /* gone meanwhile */
		previous = key;
	}
	int rc = -errno;
	entries_settle(&m->have);
	return rc == -ENOENT ? 0 : rc;
}

/* Returns the number of entries changed, or -errno. */
static int map_add(struct steered_map *m)
{
	int changed = 0;

	for (size_t i = 0; i < m->want.count; i++) {
		const struct entry *want = &m->want.items[i];
		const struct entry *have = entries_find(&m->have, want);
		struct entry sum = *want;

		for (size_t k = 0; have && k < VALUE_MAX; k++)
			sum.value[k] |= have->value[k];
		if (have && memcmp(sum.value, have->value, VALUE_MAX) == 0)
			continue;
		if (bpf_map_update_elem(m->fd, sum.key, sum.value, BPF_ANY) < 0)
			return errno == ENOSPC ? -E2BIG : -errno;
		changed++;
	}
	return changed;
}

/* The same the other way round: what is not wanted goes, and of a value its unwanted bits. */
static int map_remove(struct steered_map *m)
{
	int changed = 0;

	for (size_t i = 0; i < m->have.count; i++) {
		const struct entry *have = &m->have.items[i];
		const struct entry *want = entries_find(&m->want, have);
		struct entry rest = *have;
		int rc;

		for (size_t k = 0; want && k < VALUE_MAX; k++)
			rest.value[k] &= want->value[k];
		if (want && memcmp(rest.value, have->value, VALUE_MAX) == 0)
			continue;
		/* What additions brought to this entry just before must stay in it. */
		if (want)
			rc = bpf_map_update_elem(m->fd, rest.key, want->value, BPF_EXIST);
		else
			rc = bpf_map_delete_elem(m->fd, rest.key);
		if (rc < 0 && errno != ENOENT)
			return -errno;
		changed++;
	}
	return changed;
}

/* Without ADD before it, a removal must not bring bits in: reduce what is wanted to what is there. */
static void want_reduce(struct steered_map *m)
{
	for (size_t i = 0; i < m->want.count; i++) {
		const struct entry *have = entries_find(&m->have, &m->want.items[i]);

		for (size_t k = 0; have && k < VALUE_MAX; k++)
			m->want.items[i].value[k] &= have->value[k];
	}
}

static int maps_change(struct steered_map *maps, unsigned int flags)
{
	int changed = 0;

	for (size_t i = 0; (flags & STEERING_F_ADD) && i < MAP_COUNT; i++) {
		int rc = map_add(&maps[i]);
		if (rc < 0)
			return rc;
		changed += rc;
	}
	for (size_t i = 0; (flags & STEERING_F_REMOVE) && i < MAP_COUNT; i++) {
		if (!(flags & STEERING_F_ADD))
			want_reduce(&maps[i]);
		int rc = map_remove(&maps[i]);
		if (rc < 0)
			return rc;
		changed += rc;
	}
	return changed;
}

static int maps_open(struct steered_map *maps, const char *directory, const struct reason *r)
{
	for (size_t i = 0; i < MAP_COUNT; i++) {
		int rc = pin_open(
			directory, maps[i].name, maps[i].key_size, maps[i].value_size, &maps[i].fd);
		if (rc == -EPROTO)
			return explain(r, rc, "%s/%s is of another version of Weir", directory,
				maps[i].name);
		if (rc < 0)
			return explain(r, rc, "%s/%s: %s", directory, maps[i].name, strerror(-rc));
		rc = have_read(&maps[i]);
		if (rc < 0)
			return explain(r, rc, "cannot read %s/%s: %s", directory, maps[i].name,
				strerror(-rc));
	}
	return 0;
}

int steering_sync(const char *directory, const struct steering_service *services,
	size_t service_count, const struct steering_source *sources, size_t source_count,
	unsigned int flags, char *err, size_t err_size)
{
	const struct reason r = { err, err_size };
	struct steered_map maps[MAP_COUNT] = {
		[MAP_SERVICES] = { .name = STEERING_MAP_SERVICES,
			.key_size = sizeof(struct steering_service_key),
			.value_size = 1,
			.fd = -1 },
		[MAP_PREFIXES] = { .name = STEERING_MAP_PREFIXES,
			.key_size = sizeof(struct steering_prefix_key),
			.value_size = 1,
			.fd = -1 },
		[MAP_SOURCES] = { .name = STEERING_MAP_SOURCES,
			.key_size = sizeof(struct steering_source_key),
			.value_size = sizeof(struct steering_blocks),
			.fd = -1 },
	};

	int rc = want_build(maps, services, service_count, sources, source_count);
	if (rc < 0)
		rc = explain(&r, rc, "out of memory");
	if (rc == 0)
		rc = maps_open(maps, directory, &r);
	if (rc == 0) {
		rc = maps_change(maps, flags);
		if (rc < 0)
			rc = explain(&r, rc, "cannot change the maps in %s: %s", directory,
				strerror(-rc));
	}
	for (size_t i = 0; i < MAP_COUNT; i++) {
		if (maps[i].fd >= 0)
			close(maps[i].fd);
		free(maps[i].have.items);
		free(maps[i].want.items);
	}
	return rc;
}

int steering_counters_read(const char *directory, struct steering_counters *ret_counters)
{
	uint64_t sum[STEERING_COUNTER_COUNT][2] = { 0 };
	int cpus = libbpf_num_possible_cpus();
	int fd;

	if (cpus < 0)
		return cpus;
	int rc = pin_open(directory, STEERING_MAP_COUNTERS, sizeof(uint32_t),
		sizeof(struct steering_counter), &fd);
	if (rc < 0)
		return rc;
	struct steering_counter *per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		rc = -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < STEERING_COUNTER_COUNT; i++) {
		if (bpf_map_lookup_elem(fd, &i, per_cpu) < 0)
			rc = -errno;
		for (int cpu = 0; rc == 0 && cpu < cpus; cpu++) {
			sum[i][0] += per_cpu[cpu].packets;
			sum[i][1] += per_cpu[cpu].bytes;
		}
	}
	free(per_cpu);
	close(fd);
	if (rc < 0)
		return rc;
	ret_counters->redirected_packets = sum[STEERING_REDIRECTED][0];
	ret_counters->redirected_bytes = sum[STEERING_REDIRECTED][1];
	ret_counters->passed_packets = sum[STEERING_PASSED][0];
	ret_counters->passed_bytes = sum[STEERING_PASSED][1];
	ret_counters->no_socket_packets = sum[STEERING_NO_SOCKET][0];
	ret_counters->no_socket_bytes = sum[STEERING_NO_SOCKET][1];
	return 0;
}
