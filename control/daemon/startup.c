/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which configuration to begin with, and what is left for the daemon that comes next.
 *
 * The file given by --config counts. There is one exception: when a data plane goes on running what an
 * operator applied later, and the file has not been touched since it was last taken, the daemon that
 * comes back (after a crash, an update of the package) goes on with what was applied.
 */

#include "control/daemon/startup.h"

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TEXT_NAME  "config.yaml"
#define ABOUT_NAME "config.json"
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

uint64_t text_mark(const char *text, size_t length)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		h = (h ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* Is somebody listening there? Says nothing about whether it would answer. */
static bool dataplane_listens(const struct rundir *run)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/dataplane.sock", run->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	bool listens = n > 0 && (size_t)n < sizeof(a.sun_path) &&
		(!connect(fd, (const struct sockaddr *)&a, sizeof(a)) || errno == EAGAIN);

	close(fd);
	return listens;
}

static void take(struct daemon *d, struct model *m, char *text, size_t length, const char *file,
	double applied_at)
{
	d->model = m;
	d->text = text;
	d->text_length = length;
	d->file = strdup(file);
	d->applied_at = applied_at;
}

/* Go on with what an operator applied? */
static bool take_applied(struct daemon *d, uint64_t mark)
{
	struct model_errors errors = { 0 };
	struct model *m;
	size_t length;
	char *text;
	json_t *about = state_read(&d->run, ABOUT_NAME);
	const char *file = json_string_value(json_object_get(about, "file"));
	const char *seen = json_string_value(json_object_get(about, "start_mark"));
	bool taken = false;

	if (!file || !seen || strtoull(seen, NULL, 16) != mark || !dataplane_listens(&d->run) ||
		rundir_read(&d->run, TEXT_NAME, &text, &length))
		goto out;
	if (text_mark(text, length) == mark || model_parse(text, length, &m, &errors)) {
		model_errors_fini(&errors);
		free(text);
		goto out;
	}
	take(d, m, text, length, file, json_number_value(json_object_get(about, "applied_at")));
	taken = true;
	if (strcmp(file, d->options.config))
		log_warning(
			"going on with %s, which was applied after %s", file, d->options.config);
	else
		log_warning(
			"going on with an older content of %s, which the data plane runs", file);
out:
	json_decref(about);
	return taken;
}

int startup_load(struct daemon *d)
{
	struct model_errors errors = { 0 };
	struct timespec now;
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
	clock_gettime(CLOCK_REALTIME, &now);
	d->start_mark = text_mark(text, length);
	take(d, m, text, length, d->options.config, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
	return 0;
}

int startup_continue(struct daemon *d)
{
	struct model *m = d->model;
	char *text = d->text;
	char *file = d->file;
	size_t length;
	char *ports;

	if (take_applied(d, d->start_mark)) {
		model_destroy(m);
		free(text);
		free(file);
	}
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
	char mark[24];
	char *ports = plan_ports_save(d->ports);
	int rc = ports ? rundir_write(&d->run, PORTS_NAME, ports, strlen(ports)) : -ENOMEM;

	free(ports);
	if (!rc)
		rc = rundir_write(&d->run, TEXT_NAME, d->text, d->text_length);
	if (rc)
		log_error(
			"the configuration cannot be noted in %s: %s", d->run.path, strerror(-rc));
	snprintf(mark, sizeof(mark), "%llx", (unsigned long long)d->start_mark);
	state_write(&d->run, ABOUT_NAME,
		json_pack("{s:s, s:f, s:s}", "file", d->file, "applied_at", d->applied_at,
			"start_mark", mark));
}

void startup_forget(struct daemon *d)
{
	static const char *const names[] = { TEXT_NAME, ABOUT_NAME, PORTS_NAME };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		rundir_unlink(&d->run, names[i]);
}
