/* SPDX-License-Identifier: BSD-3-Clause */

/* The images that are kept: what comes, what goes, and finding them by their ids. */

#include "control/config/fnv.h"
#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policy_admit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who loads policies may load any, so spread is all that is wanted. */
uint64_t policies_mark(const void *bytes, size_t size, uint64_t with)
{
	uint64_t h = fnv_1a(FNV_BASIS ^ with, bytes, size);

	return h ? h : 1;
}

uint64_t policies_form(const char *path, const struct model_policy *p)
{
	uint64_t h = fnv_1a(FNV_BASIS ^ p->load, path, strlen(path) + 1);

	for (size_t i = 0; i < p->set_count; i++)
		h = fnv_1a(h, p->sets[i], strlen(p->sets[i]) + 1);
	return h ? h : 1;
}

static void bytes_drop(struct policy_bytes *b)
{
	if (!b || --b->users)
		return;
	if (b->image)
		munmap((void *)(uintptr_t)b->image, b->image_size);
	if (b->image_fd >= 0)
		close(b->image_fd);
	if (b->object_fd >= 0)
		close(b->object_fd);
	free(b);
}

static bool object_mark(int fd, char ret_text[SHA256_TEXT_SIZE])
{
	struct stat info;

	if (fstat(fd, &info))
		return false;
	void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		return false;
	sha256_text(bytes, (size_t)info.st_size, ret_text);
	munmap(bytes, (size_t)info.st_size);
	return true;
}

/* Takes the descriptors. NULL: out of memory, or no image. */
static struct policy_bytes *bytes_take(const struct policy_answer *a)
{
	struct policy_bytes *b = calloc(1, sizeof(*b));

	if (!b) {
		close(a->image_fd);
		if (a->object_fd >= 0)
			close(a->object_fd);
		return NULL;
	}
	*b = (struct policy_bytes){ .users = 1,
		.image_fd = a->image_fd,
		.image_size = a->image_size,
		.object_fd = a->object_fd };
	void *image = mmap(NULL, a->image_size, PROT_READ, MAP_SHARED, a->image_fd, 0);

	if (image != MAP_FAILED)
		b->image = image;
	if (!b->image || policy_image_check(image, a->image_size, NULL, 0) ||
		(b->object_fd >= 0 && !object_mark(b->object_fd, b->object))) {
		bytes_drop(b);
		return NULL;
	}
	b->mark = policies_mark(image, a->image_size, 0);
	return b;
}

static void kept_free(struct policy_kept *k)
{
	for (uint32_t i = 0; k->has_arrays && i < k->image->map_count; i++)
		close(k->array[i]);
	bytes_drop(k->bytes);
	for (size_t i = 0; i < k->set_count; i++)
		free(k->sets[i]);
	free(k->sets);
	free(k->path);
	free(k);
}

static int sets_copy(struct policy_kept *k, const struct model_policy *p)
{
	k->sets = calloc(p->set_count + 1, sizeof(*k->sets));
	for (size_t i = 0; k->sets && i < p->set_count; i++) {
		k->sets[i] = strdup(p->sets[i]);
		if (!k->sets[i])
			return -ENOMEM;
		k->set_count++;
	}
	return k->sets ? 0 : -ENOMEM;
}

static struct policy_kept **bucket_of(struct policies *all, uint64_t id)
{
	return &all->by_id[id % POLICIES_BUCKETS];
}

/* In front: it is found before an older one of the same name. */
static void link_in(struct policies *all, struct policy_kept *k)
{
	struct policy_kept **bucket = bucket_of(all, k->id);

	k->next = all->kept;
	all->kept = k;
	k->beside = *bucket;
	*bucket = k;
}

static void bucket_leave(struct policies *all, const struct policy_kept *k)
{
	struct policy_kept **at = bucket_of(all, k->id);

	while (*at != k)
		at = &(*at)->beside;
	*at = k->beside;
}

struct policy_kept *policies_keep_bytes(struct daemon *d, const char *path,
	const struct model_policy *p, const struct policy_stamp *stamp,
	const struct policy_answer *a, struct policy_bytes *bytes)
{
	struct policy_kept *k = malloc(sizeof(*k));
	const uint64_t place = a->offload_why[0] ? 0 : p->place;

	if (!k)
		return NULL;
	bytes->users++;
	*k = (struct policy_kept){
		.id = policies_mark(&bytes->mark, sizeof(bytes->mark), p->load ^ place),
		.form = policies_form(path, p),
		.load = p->load,
		.place = place,
		.bytes = bytes,
		.image = bytes->image,
		.path = strdup(path),
		.stamp = *stamp,
		.cycles_median = a->cycles_median,
		.cycles_p99 = a->cycles_p99,
		.kernel_cycles = a->kernel_cycles,
	};
	memcpy(k->offload_why, a->offload_why, sizeof(k->offload_why));
	if (!k->path || sets_copy(k, p)) {
		kept_free(k);
		return NULL;
	}
	link_in(&d->policies, k);
	return k;
}

struct policy_kept *policies_keep(struct daemon *d, const char *path, const struct model_policy *p,
	const struct policy_stamp *stamp, const struct policy_answer *a)
{
	struct policy_bytes *bytes = bytes_take(a);
	struct policy_kept *k = bytes ? policies_keep_bytes(d, path, p, stamp, a, bytes) : NULL;

	bytes_drop(bytes);
	return k;
}

struct policy_kept *policies_find(const struct daemon *d, uint64_t id)
{
	struct policy_kept *k = d->policies.by_id[id % POLICIES_BUCKETS];

	while (k && k->id != id)
		k = k->beside;
	return k;
}

static void unused_all(struct policies *all)
{
	for (struct policy_kept *k = all->kept; k; k = k->next)
		k->used = false;
}

/* All of an id: objects of several names can be the same. */
static void used_by(struct policies *all, const struct model *m)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	size_t position;

	while (m && (p = model_policy_next(m, &c, &s, &position)))
		for (struct policy_kept *k = *bucket_of(all, p->id); k; k = k->beside)
			k->used |= k->id == p->id;
}

void policies_sweep(struct daemon *d, const struct model *m, const struct model *other)
{
	struct policy_kept **at = &d->policies.kept;

	unused_all(&d->policies);
	used_by(&d->policies, m);
	used_by(&d->policies, other);
	while (*at) {
		struct policy_kept *k = *at;

		if (k->used) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		bucket_leave(&d->policies, k);
		kept_free(k);
	}
}

void policies_in_force(struct daemon *d, const struct model *m)
{
	unused_all(&d->policies);
	used_by(&d->policies, m);
	for (struct policy_kept *k = d->policies.kept; k; k = k->next)
		k->staged = k->staged && k->used;
}

void policies_lost(struct daemon *d)
{
	policies_stage_fail(d, -ECONNRESET, "the data plane has ended");
	free(d->policies.detached);
	d->policies.detached = NULL;
	d->policies.detached_count = 0;
	for (struct policy_kept *k = d->policies.kept; k; k = k->next) {
		k->staged = false;
		k->kernel_ports = 0;
		policies_copies_forget(k);
		snprintf(k->kernel_why, sizeof(k->kernel_why), "no data plane runs");
	}
}
