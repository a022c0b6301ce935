/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which configuration to begin with, and what is left for the daemon that comes next.
 *
 * What was changed last counts. The history has the configuration that was in force, and the content that
 * the file of --config had when it came into force: when the file still has it, the operator's last word
 * was in the history, and that goes on (after a crash, a reboot, an update of the package). When the file
 * has another content, it has been edited since, and is taken.
 */

#include "control/daemon/startup.h"

#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/revision/limits_set.h"
#include "control/daemon/text_mark.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PORTS_NAME "ports.plan"

json_t *config_errors_document(const char *file, const struct model_errors *e)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < e->count; i++) {
		char *line;

		if (asprintf(&line, "%s:%u:%u: %s", file, e->items[i].line, e->items[i].column,
			    e->items[i].text) < 0)
			break;
		json_t *text = json_string(line);

		/* What is quoted of the file need not be UTF-8, which JSON has to be. */
		if (!text)
			text = json_sprintf(
				"%u:%u: not UTF-8", e->items[i].line, e->items[i].column);
		json_array_append_new(list, text);
		free(line);
	}
	return json_pack("{s:o}", "errors", list);
}

static void take(struct daemon *d, struct model *m, char *text, size_t length, const char *file,
	double applied_at)
{
	model_destroy(d->model);
	free(d->text);
	free(d->file);
	d->model = m;
	d->text = text;
	d->text_length = length;
	d->file = strdup(file);
	d->applied_at = applied_at;
}

/* Go on with an entry of the history? It says so when that is not what the file has. */
static bool take_revision(struct daemon *d, size_t index, bool expired)
{
	struct model_errors errors = { 0 };
	uint64_t number = d->revisions.list[index].number;
	struct revision r;
	struct model *m;
	char why[256];

	if (revision_store_read(&d->revisions, number, &r, why, sizeof(why))) {
		log_warning(
			"configuration %" PRIu64 " of the history is not used: %s", number, why);
		return false;
	}
	if (model_parse(r.text, r.length, &m, &errors)) {
		log_warning("configuration %" PRIu64 " of the history is not used: %s", number,
			errors.count ? errors.items[0].text : "out of memory");
		model_errors_fini(&errors);
		revision_fini(&r);
		return false;
	}
	if (expired)
		log_warning("configuration %" PRIu64
			    " was not confirmed in time: going back to %" PRIu64 " (%s)",
			config_number(d), number, r.file);
	else if (r.length != d->text_length || memcmp(r.text, d->text, r.length) != 0)
		log_warning("going on with configuration %" PRIu64
			    " of the history (%s), which was applied after %s; to go back to that: "
			    "weirctl config apply %s",
			number, r.file, d->options.config, d->options.config);
	take(d, m, r.text, r.length, r.file, (double)r.time_ms / 1000);
	r.text = NULL;
	d->policies.objects = json_incref(r.objects);
	revision_fini(&r);
	return true;
}

static double time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Is the newest entry what the file has? Then there is nothing to note. */
static bool newest_is_the_file(struct daemon *d)
{
	struct revision r;
	char why[256];

	if (!d->revisions.count || config_waits(d) ||
		revision_store_read(&d->revisions, config_number(d), &r, why, sizeof(why)))
		return false;
	bool same = r.length == d->text_length && !memcmp(r.text, d->text, r.length);

	revision_fini(&r);
	return same;
}

/* Choose between the history and the file, which has been read. Nothing is noted of it yet. */
static void choose(struct daemon *d)
{
	struct revision_store *s = &d->revisions;
	struct boot_time now = boot_time_now();
	struct config_change c = { .how = REVISION_START };
	bool expired, taken = false;
	int index = -1;

	while (!taken) {
		index = revision_choose(s->list, s->count, d->start_mark, &now, &expired);
		if (index < 0)
			break;
		struct revision *r = &s->list[index];

		c.of = r->of ? r->of : r->number;
		taken = take_revision(d, (size_t)index, expired);
		if (!taken)
			revision_store_skip(s, (size_t)index);
	}
	if (!taken) {
		c.of = 0;
	} else if (expired) {
		c.how = REVISION_ROLLBACK;
		d->applied_at = time_now();
	}
	d->start = c;
}

void startup_note(struct daemon *d)
{
	const struct config_change *c = &d->start;

	if (c->how == REVISION_ROLLBACK) {
		config_note(d, c, 0, true);
		config_emit(d->file, c, "rolled back", config_number(d), "");
	} else if (!c->of && !newest_is_the_file(d)) {
		config_note(d, c, 0, true);
	}
}

int startup_load(struct daemon *d)
{
	struct model_errors errors = { 0 };
	struct model *m;
	size_t length;
	char *text;
	int rc = file_read(d->options.config, &text, &length);

	if (rc) {
		log_error("%s: %s", d->options.config, strerror(-rc));
		return 1;
	}
	rc = model_parse(text, length, &m, &errors);
	if (rc) {
		/* Plain lines, as an editor or `config check` expects them. */
		if (rc == -EINVAL)
			model_errors_print(stderr, d->options.config, &errors);
		log_error("%s: %s", d->options.config,
			rc == -EINVAL ? "not a valid configuration; nothing has been started" :
					strerror(-rc));
		model_errors_fini(&errors);
		free(text);
		return 1;
	}
	d->start_mark = text_mark(text, length);
	take(d, m, text, length, d->options.config, time_now());
	return 0;
}

int startup_continue(struct daemon *d)
{
	size_t length;
	char *ports;

	d->limits_set = json_array();
	config_history_open(d);
	choose(d);
	limits_continue(d);
	policies_init(d);
	policies_continue(d);
	if (!rundir_read(&d->run, PORTS_NAME, &ports, &length)) {
		d->ports = plan_ports_load(ports);
		if (!d->ports)
			log_warning("%s/" PORTS_NAME " is not usable: flows may be disturbed",
				d->run.path);
		free(ports);
	}
	if (!d->ports)
		d->ports = plan_ports_create();
	return d->ports && d->file ? 0 : -ENOMEM;
}

void daemon_save(struct daemon *d)
{
	char *ports = plan_ports_save(d->ports);
	int rc = ports ? rundir_write(&d->run, PORTS_NAME, ports, strlen(ports)) : -ENOMEM;

	free(ports);
	if (rc)
		log_error("the port blocks cannot be noted in %s: %s", d->run.path, strerror(-rc));
	limits_save(d);
	policies_save(d);
}

void startup_forget(struct daemon *d)
{
	rundir_unlink(&d->run, PORTS_NAME);
	limits_forget(d);
	policies_forget(d);
}
