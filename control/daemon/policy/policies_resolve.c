/* SPDX-License-Identifier: BSD-3-Clause */

/* Which of the images that are kept are those of a model's policies. */

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policy_admit.h"

#include <stdio.h>
#include <string.h>

const char *policy_wanted(
	const struct policy_source *from, const struct model_policy *p, const char *path)
{
	/* What is loaded by hand is no configuration's. */
	return p->load ? NULL : revision_object(from->objects, path);
}

/* What is looked for. */
struct sought {
	const struct model_policy *policy;
	const char *path;
	const char *wanted; /* of policy_wanted() */
	uint64_t form;
	bool reread;
	bool stamp_read; /* a file is asked once, however many are made of it */
	struct policy_stamp stamp;
};

static bool is_current(const struct policy_kept *k, struct sought *s)
{
	if (s->wanted)
		return !strcmp(k->bytes->object, s->wanted);
	if (!s->reread)
		return true;
	if (!s->stamp_read)
		policy_stamp_read(s->path, &s->stamp);
	s->stamp_read = true;
	return s->stamp.size && !memcmp(&s->stamp, &k->stamp, sizeof(s->stamp));
}

/* The same object with the same parameters, perhaps at another service: what is judged is bytes, not a place. */
static bool is_made_alike(const struct policy_kept *k, struct sought *s)
{
	const struct model_policy *p = s->policy;
	bool same = k->form == s->form && k->load == p->load && k->set_count == p->set_count &&
		!strcmp(k->path, s->path);

	for (size_t i = 0; same && i < p->set_count; i++)
		same = !strcmp(k->sets[i], p->sets[i]);
	/* One that takes longer than it may now is judged again, which says so. */
	return same && k->cycles_median <= p->budget && is_current(k, s);
}

/* One that cannot be in the kernel is any service's, but only where that has been asked. */
static bool is_of_place(const struct policy_kept *k, uint64_t place)
{
	return k->place == place || (place && k->offload_why[0]);
}

/* Whether it can be in the kernel has been asked, or need not be. */
static bool can_be_at(const struct policy_kept *k, uint64_t place)
{
	return !place || k->place || k->offload_why[0];
}

static struct policy_kept *twin_keep(struct daemon *d, const char *path,
	const struct model_policy *p, const struct policy_kept *k)
{
	struct policy_answer a = { .admitted = true,
		.cycles_median = k->cycles_median,
		.cycles_p99 = k->cycles_p99,
		.kernel_cycles = k->kernel_cycles };

	memcpy(a.offload_why, k->offload_why, sizeof(a.offload_why));
	return policies_keep_bytes(d, path, p, &k->stamp, &a, k->bytes);
}

bool policies_resolve_one(
	struct daemon *d, struct model_policy *p, const struct policy_source *from)
{
	const struct policy_kept *found = NULL, *twin = NULL;
	char path[PATH_MAX];

	model_object_path(from->file, p->object, path);
	struct sought s = { .policy = p,
		.path = path,
		.wanted = policy_wanted(from, p, path),
		.form = policies_form(path, p),
		.reread = from->reread };

	for (const struct policy_kept *k = d->policies.kept; k && !found; k = k->next) {
		bool here = is_of_place(k, p->place);

		if ((!here && (twin || !can_be_at(k, p->place))) || !is_made_alike(k, &s))
			continue;
		if (here)
			found = k;
		else
			twin = k;
	}
	if (!found && twin)
		found = twin_keep(d, path, p, twin);
	p->id = found ? found->id : 0;
	p->offloads = found && found->place;
	snprintf(p->name, sizeof(p->name), "%.63s", found ? found->image->name : "");
	return found != NULL;
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
