/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/state_file.h"

#include "control/daemon/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *state_read(const struct rundir *r, const char *name)
{
	json_error_t error;
	size_t length;
	char *text;
	int rc = rundir_read(r, name, &text, &length);

	if (rc) {
		if (rc != -ENOENT)
			log_warning("%s/%s: %s", r->path, name, strerror(-rc));
		return NULL;
	}
	json_t *document = json_loadb(text, length, 0, &error);

	free(text);
	if (!document)
		log_warning("%s/%s: not used: %s", r->path, name, error.text);
	return document;
}

int state_write(const struct rundir *r, const char *name, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_INDENT(1)) : NULL;
	int rc = text ? rundir_write(r, name, text, strlen(text)) : -ENOMEM;

	json_decref(document);
	free(text);
	if (rc)
		log_error("%s/%s cannot be written: %s", r->path, name, strerror(-rc));
	return rc;
}
