/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Let the flows of a killed predecessor go on: read its journal (table/flow_journal.h), and enter again
 * each flow that is one of this service's now, whose backend is still there and, in nat, whose
 * translated port is the service's to use. Nothing that the journal says is believed unseen.
 */

#ifndef WEIR_SERVICE_ADOPT_H
#define WEIR_SERVICE_ADOPT_H

#include <stddef.h>
#include <stdint.h>

struct hash_seed;
struct service;
struct service_settings;

struct service_adopted {
	uint32_t flows; /* that go on */
	uint32_t refused;
};

/*
 * s         without flows, and with a journal of its own if it shall have one
 * settings  that its workers will begin with; they take them over here
 * journal   of the predecessor; only read
 * seed      of the client side's hash; flows of a process with another one are refused
 * now_ms    of the flow table's clock
 *
 * Main thread, before any core knows the service. Returns 0, or -EINVAL when the journal is none.
 */
int service_adopt(struct service *s, struct service_settings *settings, const void *journal,
	size_t bytes, const struct hash_seed *seed, uint32_t now_ms,
	struct service_adopted *ret_adopted);

#endif
