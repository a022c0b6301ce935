/* SPDX-License-Identifier: BSD-3-Clause */

/* What the commands about maps of policies share. */

#ifndef WEIR_CLI_POLICY_MAP_H
#define WEIR_CLI_POLICY_MAP_H

#include "control/cli/cli.h"

#include <jansson.h>

#include <stddef.h>

/* What every question about a map names; a new reference. */
json_t *policy_map_parameters(const struct cli *cli);
/* The part of a map that begins at a cursor (NULL: its beginning); a new reference. */
int policy_map_part(struct cli *cli, const json_t *cursor, size_t most, json_t **ret_part);

#endif
