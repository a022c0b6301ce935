/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_ALIGN 64u

/* A free range below `top`. The list is sorted by offset, and no two ranges touch. */
struct free_range {
	struct free_range *next; /* owned */
	size_t offset;
	size_t size;
};

struct arena {
	int fd;
	size_t size;
	size_t top; /* beyond it nothing was ever handed out: still zero */
	struct free_range *free; /* owned */
	unsigned char *base;
};

static size_t round_up(size_t bytes)
{
	return (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

int arena_create(size_t size_bytes, struct arena **ret_arena)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
	int rc;

	if (size_bytes < sizeof(struct weir_telemetry) + (1u << 20))
		return -EINVAL;
	struct arena *a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->size = size_bytes;
	a->fd = memfd_create("weir-telemetry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (a->fd < 0) {
		rc = -errno;
		goto fail_free;
	}
	if (ftruncate(a->fd, (off_t)size_bytes) < 0) {
		rc = -errno;
		goto fail_close;
	}
	void *base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (base == MAP_FAILED) {
		rc = -errno;
		goto fail_close;
	}
	a->base = base;
	if (fcntl(a->fd, F_ADD_SEALS, seals) < 0) {
		rc = -errno;
		goto fail_unmap;
	}
	/* A core dump would otherwise walk the whole address range. */
	(void)madvise(base, size_bytes, MADV_DONTDUMP);
	struct weir_telemetry *t = base;
	t->magic = WEIR_TELEMETRY_MAGIC;
	t->version = WEIR_TELEMETRY_VERSION;
	t->size = size_bytes;
	a->top = round_up(sizeof(*t));
	*ret_arena = a;
	return 0;
fail_unmap:
	munmap(base, size_bytes);
fail_close:
	close(a->fd);
fail_free:
	free(a);
	return rc;
}

void arena_destroy(struct arena *a)
{
	if (!a)
		return;
	while (a->free) {
		struct free_range *r = a->free;

		a->free = r->next;
		free(r);
	}
	munmap(a->base, a->size);
	close(a->fd);
	free(a);
}

int arena_fd(const struct arena *a)
{
	return a->fd;
}

struct weir_telemetry *arena_telemetry(struct arena *a)
{
	return (struct weir_telemetry *)(void *)a->base;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	if (bytes == 0 || bytes > a->size)
		return NULL;
	size_t size = round_up(bytes);
	for (struct free_range **at = &a->free; *at; at = &(*at)->next) {
		struct free_range *r = *at;

		if (r->size < size)
			continue;
		size_t offset = r->offset;
		r->offset += size;
		r->size -= size;
		if (!r->size) {
			*at = r->next;
			free(r);
		}
		return memset(a->base + offset, 0, size);
	}
	if (size > a->size - a->top)
		return NULL;
	void *p = a->base + a->top;
	a->top += size;
	return p;
}

/* Join r with the range behind it when they touch. */
static void join_next(struct free_range *r)
{
	struct free_range *next = r->next;

	if (!next || r->offset + r->size != next->offset)
		return;
	r->size += next->size;
	r->next = next->next;
	free(next);
}

void arena_free(struct arena *a, void *p, size_t bytes)
{
	if (!p || !bytes)
		return;
	size_t offset = (size_t)((unsigned char *)p - a->base);
	struct free_range *before = NULL;
	struct free_range **at = &a->free;
	while (*at && (*at)->offset < offset) {
		before = *at;
		at = &(*at)->next;
	}
	struct free_range *r = malloc(sizeof(*r));
	if (!r)
		return; /* the range is lost to us, which harms nobody else */
	*r = (struct free_range){ .next = *at, .offset = offset, .size = round_up(bytes) };
	*at = r;
	join_next(r);
	if (before)
		join_next(before);
}

uint64_t arena_offset(const struct arena *a, const void *p)
{
	return p ? (uint64_t)((const unsigned char *)p - a->base) : 0;
}
