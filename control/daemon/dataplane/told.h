/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the data plane has been told: the CONFIG message that it took, kept in step with the BACKENDS
 * and NEIGHBOURS messages since, so that a difference from what is true now is what has to be sent.
 * Pure memory.
 */

#ifndef WEIR_DAEMON_TOLD_H
#define WEIR_DAEMON_TOLD_H

#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stddef.h>

struct told {
	void *body; /* owned; NULL: nothing is known */
	size_t length;
	/* Into body. */
	struct weir_config *header;
	struct weir_config_port *ports;
	struct weir_config_service *services;
	struct weir_config_backend *backends;
	struct weir_config_source *sources;
	struct weir_config_neighbour *neighbours;
};

/* Take over the body of a CONFIG message. */
void told_set(struct told *t, void *body, size_t length);
void told_clear(struct told *t);

/* Of an adopted data plane nothing is known of states and neighbours: all of them will be sent. */
void told_forget_states(struct told *t);

/*
 * A mark of what only CONFIG can change: all of the body but the states of backends and the link
 * addresses of neighbours. Equal in any process. Never 0.
 */
uint64_t told_digest(const void *body, size_t length);

#endif
