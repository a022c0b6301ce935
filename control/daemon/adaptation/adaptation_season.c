/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What forecasts have learned of the day outlives the daemon: a small file per service, in season/ beside
 * the history of configurations. Each is written every five minutes and at the end, at most one in a tick;
 * not through to the disk, as one that a crash of the machine damages is only forgotten. It goes with its
 * service.
 */

#include "control/daemon/adaptation/adaptation_private.h"
#include "control/daemon/adaptation/season_file.h"
#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER	    "season"
#define SUFFIX	    ".day"
#define SEASON_PATH (PATH_MAX + NAME_MAX + 16)
#define KEEP_TICKS  3000
#define KEEP_STEP   7 /* from a service's turn to the next one's; no divisor of KEEP_TICKS */

static const char *folder_path(const struct adaptation *a, char buf[SEASON_PATH])
{
	snprintf(buf, SEASON_PATH, "%s/" FOLDER, a->d->revisions.path);
	return buf;
}

/* With a suffix, so that no service's file is another one's half-written one. */
static const char *season_path(
	const struct adaptation *a, const char *service, char buf[SEASON_PATH])
{
	snprintf(buf, SEASON_PATH, "%s/" FOLDER "/%s" SUFFIX, a->d->revisions.path, service);
	return buf;
}

void adapted_season_continue(struct adapted *a)
{
	struct season *season = adapt_service_season(a->controllers);
	char path[SEASON_PATH];
	size_t length;
	char *bytes;
	int rc = file_read(season_path(a->of, a->service, path), &bytes, &length);

	if (rc == -ENOENT)
		return;
	const char *wrong = rc ? strerror(-rc) : season_file_parse(bytes, length, &season->profile);

	if (!rc)
		free(bytes);
	if (wrong)
		log_warning("%s is not used, so the forecast learns the shape of the day anew: %s",
			path, wrong);
}

static void season_keep(struct adapted *a)
{
	struct season *season = adapt_service_season(a->controllers);
	char bytes[SEASON_FILE_SIZE], path[SEASON_PATH];

	if (!season->learned)
		return;
	season_file_print(&season->profile, bytes);
	int rc = folder_make(folder_path(a->of, path), 0700);

	if (!rc)
		rc = file_replace(
			season_path(a->of, a->service, path), bytes, sizeof(bytes), false);
	season->learned = rc != 0;
	if (rc && !a->of->season_untrue)
		log_warning("%s cannot be written, so a restart forgets the shape of the day: %s",
			path, strerror(-rc));
	a->of->season_untrue = rc != 0;
}

void adaptation_seasons_turn(struct adaptation *a)
{
	for (size_t i = 0; i < a->count; i++)
		if ((a->ticks + KEEP_STEP * i) % KEEP_TICKS == 0)
			season_keep(a->items[i]);
}

void adaptation_seasons_keep(struct adaptation *a)
{
	for (size_t i = 0; i < a->count; i++)
		season_keep(a->items[i]);
}

void adapted_season_forget(const struct adapted *a)
{
	char path[SEASON_PATH];

	unlink(season_path(a->of, a->service, path));
}

/* Whether a file is that of a service. */
static bool is_wanted(const struct model *m, const char *file)
{
	for (size_t i = 0; i < m->service_count; i++) {
		size_t length = strlen(m->services[i].name);

		if (!strncmp(m->services[i].name, file, length) && !strcmp(file + length, SUFFIX))
			return true;
	}
	return false;
}

void adaptation_seasons_prune(const struct adaptation *a)
{
	char path[SEASON_PATH];
	struct dirent *e;
	DIR *folder = opendir(folder_path(a, path));

	while (folder && (e = readdir(folder)))
		if (e->d_name[0] != '.' && !is_wanted(a->d->model, e->d_name))
			unlinkat(dirfd(folder), e->d_name, 0);
	if (folder)
		closedir(folder);
}
