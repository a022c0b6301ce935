/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a device is asked to do: packets of a service to the queue of the core that works for it. A rule is a
 * hint that saves the way over core 0. Where a device takes none, takes it and does not do it, or does it
 * wrongly, packets reach their worker over core 0 all the same.
 */

#ifndef WEIR_PORT_STEERING_H
#define WEIR_PORT_STEERING_H

#include "dataplane/api/telemetry.h"

#include <stdbool.h>
#include <stdint.h>

#define STEERING_RULES_MAX 1024u

struct steering_rule {
	uint8_t address[16]; /* destination; IPv4 mapped */
	uint8_t prefix_length; /* of the 128 bits */
	uint8_t protocol; /* 6 or 17 */
	uint8_t core; /* index of the packet core: 1 or more */
	bool replies; /* from backends to a translation source, else from clients to the service */
	bool partial; /* some of the service's replies have no rule */
	uint16_t port; /* destination, host order, under the mask */
	uint16_t port_mask; /* 0: any port */
	uint16_t service; /* index in the configuration */
};

#endif
