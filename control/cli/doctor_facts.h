/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef WEIR_CLI_DOCTOR_FACTS_H
#define WEIR_CLI_DOCTOR_FACTS_H

#include "control/cli/cli.h"

struct facts;

/*
 * Gather the facts of this machine, and of the configuration: the file that is the command's first argument, or
 * the running one. f is initialized; root is put before the files that are read. Returns an enum cli_status.
 */
int doctor_facts_take(struct cli *cli, const char *root, struct facts *f);

#endif
