/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies that an operator has loaded or unloaded by hand, on top of the configuration: they are in the
 * model in force and not in its text. A list of {service, policies: [{object, mode, on_error, set, budget,
 * load}]}: all policies of each service that is not as the text says. The next apply takes them back.
 * Event loop's thread.
 */

#ifndef WEIR_DAEMON_POLICIES_SET_H
#define WEIR_DAEMON_POLICIES_SET_H

#include "control/config/model.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

struct daemon;
struct who;

/* How packets that are no service's are called where a service is asked for; no service can be. */
#define POLICIES_OUTSIDE "-"

/*
 * Put into a model that has just been read what will have been done by hand.
 *
 * change    {service, what: "load" or "unload", object, mode, on_error, set, budget, append, policy, load};
 *           NULL: nothing new
 * keep      what was done before stays
 * ret_list  the list to come, a new reference
 * Returns 0, or a negative errno with a sentence in err.
 */
int policies_plan(const struct daemon *d, struct model *m, const json_t *change, bool keep,
	json_t **ret_list, char *err, size_t err_size);

/* Go on with what another daemon noted. */
void policies_set_continue(struct daemon *d, json_t *list);

/* Say why a change was refused. */
void policies_set_refused(const json_t *change, const struct who *who, const char *why);

/* Warnings for `status`. */
void policies_set_warn(const struct daemon *d, json_t *warnings);

/* Does an operator call it so: by its name, or its place, from 1? */
bool policy_is(const struct model_policy *p, size_t position, const char *name);

/* By name, or by POLICIES_OUTSIDE; false when there is no such service. */
bool policies_of(const struct model *m, const char *service,
	const struct model_service **ret_service, const struct model_policy **ret_policies,
	size_t *ret_count);

#endif
