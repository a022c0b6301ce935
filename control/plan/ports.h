/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Who has which blocks of a source address's ports; inside control/plan only. Blocks are told apart
 * by address and protocol: tcp and udp have ports of their own.
 */

#ifndef WEIR_PLAN_PORTS_H
#define WEIR_PLAN_PORTS_H

#include "control/plan/plan.h"

#include <stdint.h>

#define BLOCK_BYTES (WEIR_PORT_BLOCKS / 8)

/* What one service has of one address. */
struct plan_share {
	char service[MODEL_NAME_MAX + 1];
	struct address address;
	uint8_t protocol;
	bool wanted; /* scratch of plan_ports_assign() */
	uint8_t blocks[BLOCK_BYTES];
};

struct plan_ports {
	struct plan_share *shares;
	size_t count;
	size_t capacity;
};

/* The share, or NULL. Borrowed until p changes. */
const struct plan_share *plan_ports_find(const struct plan_ports *p, const char *service,
	const struct address *address, uint8_t protocol);

/*
 * Give blocks to the model's nat services: what a service has it keeps, what is no longer wanted
 * returns, new services get their part of what is free. The rule is in ports.c.
 *
 * Returns 0, -ENOMEM, or -ENOSPC with the reason in err; on failure p may be half changed.
 */
int plan_ports_assign(struct plan_ports *p, const struct model *m, const struct plan_world *world,
	char *err, size_t err_size);

#endif
