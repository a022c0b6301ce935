/* SPDX-License-Identifier: BSD-3-Clause */

/* The policies that a configuration names, as `config apply` would judge them, without a daemon. */

#ifndef WEIR_CLI_CONFIG_POLICIES_H
#define WEIR_CLI_CONFIG_POLICIES_H

#include "control/config/model.h"

#include <jansson.h>

/*
 * Judge each once, however many services have it.
 *
 * file      the configuration's: objects lie relative to its folder, and complaints begin with it
 * errors    gets a line for each policy that apply would refuse
 * warnings  gets a line for each that cannot be verified here
 * Takes up to seconds a policy. Returns 0 or -ENOMEM.
 */
int config_policies_check(
	const char *file, const struct model *m, json_t *errors, json_t *warnings);

#endif
