/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What was set by hand outlives the daemon: a file beside the history of configurations. Pauses stay until
 * somebody resumes; modes as well, but only as long as the configuration is the one that they were set on,
 * since another one takes them back.
 */

#include "control/daemon/adaptation/adaptation_private.h"
#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/rundir.h"
#include "control/daemon/text_mark.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "adapt.json"

static const char *store_path(const struct daemon *d, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s/" FILE_NAME, d->revisions.path);
	return buf;
}

static void untrue_note(struct adaptation *a, const char *path, const char *what, const char *why)
{
	snprintf(a->untrue, sizeof(a->untrue), "%.96s %s: %.100s", path, what, why);
	log_warning("%s", a->untrue);
}

static const struct model_service *service_at(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->service_count; i++)
		if (!strcmp(m->services[i].name, name))
			return &m->services[i];
	return NULL;
}

static void modes_take(struct adapted *to, const struct kept_service *from, const struct model *m,
	const struct model_service *s)
{
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++) {
		enum adapt_controller c = (enum adapt_controller)i;
		const char *refusal = from->mode[i] == KEPT_MODE_NOT_SET ?
			NULL :
			adaptation_mode_refusal(m, s, c, (enum adapt_mode)from->mode[i]);

		if (refusal)
			log_warning(
				"service %s: the mode of %s that was set by hand is let go: it %s",
				s->name, adapt_controller_name(c), refusal);
		else
			to->set[i] = from->mode[i];
	}
}

static void service_take(struct adaptation *a, const struct kept_service *k, bool same_text)
{
	const struct model_service *s = service_at(a->d->model, k->name);
	struct kept_service taken = *k;

	for (int i = 0; !same_text && i < ADAPT_CONTROLLER_COUNT; i++)
		taken.mode[i] = KEPT_MODE_NOT_SET;
	if (s && kept_service_is_empty(&taken))
		return;
	struct adapted *to = s ? adapted_of(a, k->name) : NULL;

	if (!to) {
		log_warning("what was set by hand of adaptation is let go: %s service %.64s",
			s ? "out of memory for" : "there is no", k->name);
		return;
	}
	to->paused = taken.paused;
	modes_take(to, &taken, a->d->model, s);
	log_notice("going on with what was set by hand of adaptation of service %s%s", s->name,
		taken.paused ? ": it is paused" : "");
}

void adaptation_continue(struct adaptation *a)
{
	struct adaptation_kept k;
	char path[PATH_MAX], err[160];
	size_t length;
	char *bytes;
	int rc = file_read(store_path(a->d, path), &bytes, &length);

	if (rc == -ENOENT)
		return;
	if (rc) {
		untrue_note(
			a, path, "cannot be read, so adaptation is as configured", strerror(-rc));
		return;
	}
	rc = adaptation_kept_parse(bytes, length, &k, err, sizeof(err));
	free(bytes);
	if (rc) {
		untrue_note(a, path, "is not used, so adaptation is as configured", err);
		return;
	}
	a->paused = k.paused;
	if (k.paused)
		log_notice("adaptation is still paused; see `weirctl adapt resume`");
	bool same_text = k.text_mark == text_mark(a->d->text, a->d->text_length);

	for (size_t i = 0; i < k.count; i++)
		service_take(a, &k.services[i], same_text);
	adaptation_kept_fini(&k);
}

static int services_keep(const struct adaptation *a, struct adaptation_kept *k)
{
	k->services = calloc(a->count + 1, sizeof(*k->services));
	if (!k->services)
		return -ENOMEM;
	for (size_t i = 0; i < a->count; i++) {
		struct kept_service *s = &k->services[k->count];

		strcpy(s->name, a->items[i]->service);
		s->paused = a->items[i]->paused;
		memcpy(s->mode, a->items[i]->set, sizeof(s->mode));
		k->count += !kept_service_is_empty(s);
	}
	return 0;
}

void adaptation_save(struct adaptation *a)
{
	struct adaptation_kept k = { .text_mark = text_mark(a->d->text, a->d->text_length),
		.paused = a->paused };
	char path[PATH_MAX];
	int rc = services_keep(a, &k);

	store_path(a->d, path);
	a->untrue[0] = '\0';
	if (!rc && !k.paused && !k.count) {
		rc = unlink(path) && errno != ENOENT ? -errno : 0;
	} else if (!rc) {
		char *bytes = adaptation_kept_print(&k);

		rc = bytes ? file_replace(path, bytes, strlen(bytes), true) : -ENOMEM;
		free(bytes);
	}
	adaptation_kept_fini(&k);
	if (rc)
		untrue_note(a, path, "does not have what is set by hand, which a restart forgets",
			strerror(-rc));
}
