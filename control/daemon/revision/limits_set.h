/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Limits that an operator has set by hand, on top of the configuration: they are in the model in force and
 * not in its text. A list of {service, key, value, configured}, values in the writing of the
 * configuration file. The next apply takes them back. Event loop's thread.
 */

#ifndef WEIR_DAEMON_LIMITS_SET_H
#define WEIR_DAEMON_LIMITS_SET_H

#include "control/config/model.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

struct daemon;
struct who;

/*
 * Set in a model that has just been read what will be set by hand in it.
 *
 * limit     {service, key, value}; gets `from`, the value in force. NULL: nothing new
 * keep      what has been set before stays set
 * ret_list  the list to come, a new reference
 * Returns 0, or a negative errno with a sentence in err.
 */
int limits_plan(const struct daemon *d, struct model *m, json_t *limit, bool keep,
	json_t **ret_list, char *err, size_t err_size);

/*
 * A file in the run directory, for the daemon that comes next: what is set, and in which text. continue sets
 * it again when that text is in force; what the model has not is let go, with a word. forget: the data
 * plane has ended with us.
 */
void limits_save(const struct daemon *d);
void limits_continue(struct daemon *d);
void limits_forget(const struct daemon *d);

/* What `limit show` shows: of a service, or of the one that a limit was set for. */
json_t *limits_document(const struct daemon *d, const struct model_service *s);
json_t *limits_document_of(const struct daemon *d, const json_t *limit);

/* Say that a limit was set (why is ""), or why that was refused. */
void limits_emit(const json_t *limit, const struct who *who, const char *why);

/* Warnings for `status`. */
void limits_warn(const struct daemon *d, json_t *warnings);

#endif
