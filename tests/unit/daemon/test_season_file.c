/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/adaptation/adaptation_private.h"
#include "control/daemon/adaptation/season_file.h"
#include "control/daemon/daemon.h"
#include "tests/unit/tap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct season_profile some(void)
{
	struct season_profile p = { 0 };

	for (int i = 0; i < SEASON_BINS; i++) {
		p.usual[i] = (float)i * 1.5F;
		p.days[i] = (uint8_t)(i % 256);
	}
	return p;
}

static void what_is_written_is_read(void)
{
	struct season_profile p = some(), read;
	char bytes[SEASON_FILE_SIZE];

	season_file_print(&p, bytes);
	CU_ASSERT_PTR_NULL(season_file_parse(bytes, sizeof(bytes), &read));
	CU_ASSERT_EQUAL(memcmp(p.usual, read.usual, sizeof(p.usual)), 0);
	CU_ASSERT_EQUAL(memcmp(p.days, read.days, sizeof(p.days)), 0);
}

static void refused(const char *bytes, size_t length, const char *why)
{
	struct season_profile before = some(), read = before;
	const char *wrong = season_file_parse(bytes, length, &read);

	CU_ASSERT_PTR_NOT_NULL_FATAL(wrong);
	CU_ASSERT_STRING_EQUAL(wrong, why);
	CU_ASSERT_EQUAL(memcmp(&before, &read, sizeof(read)), 0);
}

static void damaged_files_are_refused(void)
{
	struct season_profile p = some();
	char bytes[SEASON_FILE_SIZE + 1] = { 0 };

	season_file_print(&p, bytes);
	refused(bytes, 0, "it does not begin with WEIRDAY1");
	refused(bytes, 7, "it does not begin with WEIRDAY1");
	refused(bytes, 8, "it is cut short");
	refused(bytes, SEASON_FILE_SIZE - 1, "it is cut short");
	refused(bytes, SEASON_FILE_SIZE + 1, "it is too long");
	for (size_t i = 8; i < SEASON_FILE_SIZE; i += 97) {
		bytes[i] ^= 4;
		refused(bytes, SEASON_FILE_SIZE, "its check sum is wrong");
		bytes[i] ^= 4;
	}
	bytes[0] = 'w';
	refused(bytes, SEASON_FILE_SIZE, "it does not begin with WEIRDAY1");
}

static void figures_that_cannot_be_are_refused(void)
{
	const float bad[] = { NAN, INFINITY, -1, 1e30F };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct season_profile p = some();
		char bytes[SEASON_FILE_SIZE];

		p.usual[700] = bad[i];
		season_file_print(&p, bytes);
		refused(bytes, sizeof(bytes), "a minute's figure is none");
	}
}

/* What daemons that follow each other find in the same folder. */
static struct daemon d;

static struct adaptation *daemon_begins(void)
{
	struct adaptation *a = calloc(1, sizeof(*a));

	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	a->d = &d;
	return a;
}

static struct season *season_of(struct adaptation *a, const char *service)
{
	struct adapted *of = adapted_of(a, service);

	CU_ASSERT_PTR_NOT_NULL_FATAL(of);
	return adapt_service_season(of->controllers);
}

static bool is_kept(const char *service)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/season/%s.day", d.revisions.path, service);
	return access(path, F_OK) == 0;
}

static void what_is_learned_outlives_the_daemon(void)
{
	static struct model_service services[2];
	static struct model model = { .services = services, .service_count = 2 };
	struct season_profile p = some();

	CU_ASSERT_TRUE_FATAL(tap_folder(d.revisions.path, sizeof(d.revisions.path)));
	strcpy(services[0].name, "web");
	strcpy(services[1].name, "api");
	d.model = &model;
	struct adaptation *a = daemon_begins();

	season_of(a, "web")->profile = season_of(a, "web.day.new")->profile = p;
	season_of(a, "web")->learned = season_of(a, "web.day.new")->learned = true;
	season_of(a, "api");
	adaptation_stop(a);
	CU_ASSERT_TRUE(is_kept("web") && is_kept("web.day.new"));
	CU_ASSERT_FALSE(is_kept("api"));

	a = daemon_begins();
	CU_ASSERT_EQUAL(memcmp(&season_of(a, "web")->profile, &p, sizeof(p)), 0);
	CU_ASSERT_EQUAL(season_of(a, "api")->profile.days[1], 0);
	/* It goes with its service, also where that went while no daemon ran. */
	adaptation_seasons_prune(a);
	CU_ASSERT_TRUE(is_kept("web"));
	CU_ASSERT_FALSE(is_kept("web.day.new"));
	adapted_season_forget(adapted_of(a, "web"));
	CU_ASSERT_FALSE(is_kept("web"));
	adaptation_stop(a);
	CU_ASSERT_FALSE(is_kept("web"));
}

static void a_damaged_file_is_forgotten(void)
{
	char path[PATH_MAX + 64];
	struct adaptation *a = daemon_begins();

	season_of(a, "api")->profile = some();
	season_of(a, "api")->learned = true;
	adaptation_stop(a);
	snprintf(path, sizeof(path), "%s/season/api.day", d.revisions.path);
	CU_ASSERT_EQUAL(truncate(path, 5000), 0);
	a = daemon_begins();
	CU_ASSERT_EQUAL(season_of(a, "api")->profile.days[1], 0);
	/* What is learned from now on takes its place. */
	season_of(a, "api")->profile.days[1] = 1;
	season_of(a, "api")->learned = true;
	a->ticks = 3000;
	adaptation_seasons_turn(a);
	CU_ASSERT_FALSE(season_of(a, "api")->learned);
	adaptation_stop(a);
	a = daemon_begins();
	CU_ASSERT_EQUAL(season_of(a, "api")->profile.days[1], 1);
	adaptation_stop(a);
	CU_ASSERT_EQUAL(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/season", d.revisions.path);
	CU_ASSERT_TRUE(rmdir(path) == 0 && rmdir(d.revisions.path) == 0);
}

static const struct tap_case cases[] = {
	{ "what is written is read", what_is_written_is_read },
	{ "damaged files are refused, and change nothing", damaged_files_are_refused },
	{ "what is learned outlives the daemon, and goes with its service",
		what_is_learned_outlives_the_daemon },
	{ "a damaged file is forgotten, and written anew", a_damaged_file_is_forgotten },
	{ "figures that cannot be are refused", figures_that_cannot_be_are_refused },
};

TAP_MAIN("season file", cases)
