/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Is a flow that somebody left behind one of this service's as it is now? For who enters flows again: after
 * a restart (adopt.h), or when a worker does not answer (rescue.h). Main thread.
 */

#ifndef WEIR_SERVICE_CLAIM_H
#define WEIR_SERVICE_CLAIM_H

#include "dataplane/service/service.h"

/* What was left behind, and what it means in the service of today. */
struct claim {
	const struct flow_tuple *tuple; /* [2], by enum flow_side */
	const uint8_t *client; /* client and service address, 8 or 32 bytes */
	const uint8_t *backend; /* backend and translated source address; dsr: backend and zeros */
	uint64_t hash; /* of the client's side */
	uint16_t backend_slot; /* before claim_backend_fits(): where it may be */
	uint16_t source_slot;
};

/* Is it a flow of a client with this service? Sets the hash. */
bool claim_client_fits(const struct service *s, const struct hash_seed *seed, struct claim *c);

/* Is its backend still there, and is the translated port free? Sets the slots, and takes the port. */
bool claim_backend_fits(const struct service_settings *settings, struct claim *c);

/* Give the port back. */
void claim_drop(const struct service_settings *settings, const struct claim *c);

#endif
