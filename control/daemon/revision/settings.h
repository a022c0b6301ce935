/* SPDX-License-Identifier: BSD-3-Clause */

/* The `dataplane:` settings, which only a start of the data plane brings into force. */

#ifndef WEIR_DAEMON_SETTINGS_H
#define WEIR_DAEMON_SETTINGS_H

#include "control/config/model.h"

#include <stdbool.h>
#include <stddef.h>

struct weir_hello_reply;

/* True when they differ; text names the keys: "cores, idle". */
bool settings_differ(
	const struct model_dataplane *a, const struct model_dataplane *b, char *text, size_t size);

/* The same, between a configuration and a data plane that runs. */
bool settings_differ_from_running(const struct model_dataplane *m,
	const struct weir_hello_reply *running, char *text, size_t size);

/* "1,2-3": CPUs as the data plane writes them. */
void cores_print(const struct model_dataplane *m, char *text, size_t size);

#endif
