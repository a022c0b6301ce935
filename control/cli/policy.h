/* SPDX-License-Identifier: BSD-3-Clause */

/* What the commands about policies share. */

#ifndef WEIR_CLI_POLICY_H
#define WEIR_CLI_POLICY_H

#include "control/cli/cli.h"
#include "ebpf/engine/admit.h"

#include <jansson.h>

/* Admit the object that is the command's argument, with its --set, --budget and --unverified. */
int policy_admit_argument(struct cli *cli, bool trial, struct policy_admission *ret_admission);
/* The document about it; trial may be NULL. */
json_t *policy_document(
	const char *path, const struct policy_admission *a, const struct policy_trial *trial);
int policy_print(struct cli *cli, const json_t *document);
/* Say why it is refused. Returns CLI_FAILED. */
int policy_refused(struct cli *cli, const struct policy_admission *a);

#endif
