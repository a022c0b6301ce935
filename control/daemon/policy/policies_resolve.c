/* SPDX-License-Identifier: BSD-3-Clause */

/* Which of the images that are kept are those of a model's policies. */

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policy_admit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool is_of(const struct policy_kept *k, const char *path, const struct model_policy *p)
{
	/* One that cannot be in the kernel is any service's, but only where that has been asked. */
	bool there = k->place == p->place || (p->place && k->offload_why[0]);
	bool same = there && k->load == p->load && k->set_count == p->set_count &&
		!strcmp(k->path, path);

	for (size_t i = 0; same && i < p->set_count; i++)
		same = !strcmp(k->sets[i], p->sets[i]);
	return same;
}

const char *policy_wanted(
	const struct policy_source *from, const struct model_policy *p, const char *path)
{
	/* What is loaded by hand is no configuration's. */
	return p->load ? NULL : revision_object(from->objects, path);
}

static bool is_current(
	const struct policy_kept *k, const char *path, bool reread, const char *wanted)
{
	struct policy_stamp stamp;

	if (wanted)
		return !strcmp(k->object, wanted);
	return !reread ||
		(policy_stamp_read(path, &stamp) && stamp.size &&
			!memcmp(&stamp, &k->stamp, sizeof(stamp)));
}

/* The same object with the same parameters at another service: what was judged is its bytes, not its place. */
static bool is_twin(const struct policy_kept *k, const char *path, const struct model_policy *p)
{
	struct model_policy there = *p;

	/* Whether it can be in the kernel has been asked, or need not be. */
	if (p->place && !k->place && !k->offload_why[0])
		return false;
	there.place = k->place;
	return is_of(k, path, &there);
}

static struct policy_kept *twin_keep(struct daemon *d, const char *path,
	const struct model_policy *p, const struct policy_kept *k)
{
	struct policy_answer a = { .admitted = true,
		.cycles_median = k->cycles_median,
		.cycles_p99 = k->cycles_p99,
		.kernel_cycles = k->kernel_cycles,
		.image_fd = fcntl(k->image_fd, F_DUPFD_CLOEXEC, 0),
		.image_size = k->image_size,
		.object_fd = -1 };
	const struct policy_stamp stamp = k->stamp;
	struct policy_kept *twin;

	if (a.image_fd < 0)
		return NULL;
	memcpy(a.offload_why, k->offload_why, sizeof(a.offload_why));
	twin = policies_keep(d, path, p, &stamp, &a);
	if (twin)
		memcpy(twin->object, k->object, sizeof(twin->object));
	return twin;
}

bool policies_resolve_one(
	struct daemon *d, struct model_policy *p, const struct policy_source *from)
{
	const struct policy_kept *k = d->policies.kept, *twin = NULL;
	char path[PATH_MAX];

	model_object_path(from->file, p->object, path);
	const char *wanted = policy_wanted(from, p, path);

	/* One that takes longer than it may now is judged again, which says so. */
	while (k &&
		(!is_of(k, path, p) || k->cycles_median > p->budget ||
			!is_current(k, path, from->reread, wanted))) {
		if (!twin && is_twin(k, path, p) && k->cycles_median <= p->budget &&
			is_current(k, path, from->reread, wanted))
			twin = k;
		k = k->next;
	}
	if (!k && twin)
		k = twin_keep(d, path, p, twin);
	p->id = k ? k->id : 0;
	p->offloads = k && k->place;
	snprintf(p->name, sizeof(p->name), "%.63s", k ? k->image->name : "");
	return k != NULL;
}

/* A number for a service: what shares arrays with the kernel shares them with no other service. */
static uint64_t place_of(const char *service)
{
	return policies_mark(service, strlen(service), 0);
}

size_t policies_resolve(struct daemon *d, struct model *m, const struct policy_source *from)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	struct model_policy *p;
	size_t position, missing = 0;

	while ((p = model_policy_next(m, &c, &s, &position))) {
		p->place = s && p->offload == MODEL_OFFLOAD_AUTO ? place_of(s->name) : 0;
		missing += !policies_resolve_one(d, p, from);
	}
	return missing;
}
