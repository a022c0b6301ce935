/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From what the operator wrote, and what is known of the world, to what the data plane is told: pure
 * functions that build the CONFIG message and the steering entries. Used by the daemon and by replay.
 */

#ifndef WEIR_PLAN_PLAN_H
#define WEIR_PLAN_PLAN_H

#include "control/config/model.h"
#include "dataplane/api/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which service owns which blocks of a source address's ports. Kept from one plan to the next, so that
 * flows in being keep their ports; see plan.c for the rule.
 */
struct plan_ports;

struct plan_ports *plan_ports_create(void);
struct plan_ports *plan_ports_copy(const struct plan_ports *p);
void plan_ports_destroy(struct plan_ports *p);
/* To and from text, so that a restarted daemon goes on with the same blocks. malloc'ed / NULL. */
char *plan_ports_save(const struct plan_ports *p);
struct plan_ports *plan_ports_load(const char *text);

/* A next hop. */
struct plan_hop {
	struct address via;
	size_t port_index;
	uint16_t weight; /* 1.. */
};

/* What the plan asks of the world; any callback may be NULL. */
struct plan_world {
	void *ctx;
	/* State and weight in force of a backend; without it: up, configured weight. */
	void (*backend)(void *ctx, const struct model_service *s, const struct model_backend *b,
		uint8_t *ret_state, uint16_t *ret_weight);
	/*
	 * Next hops towards an address, at most WEIR_MAX_HOPS: its own address when on link. Returns
	 * how many; 0 when no route is known. Without it: the address itself, on the port of its
	 * `neighbours` entry.
	 */
	size_t (*next_hops)(
		void *ctx, const struct address *to, struct plan_hop ret_hops[WEIR_MAX_HOPS]);
	/* Link address of a next hop; false while unresolved. Static `neighbours` are asked first. */
	bool (*link_address)(
		void *ctx, const struct address *via, size_t port_index, uint8_t ret_mac[6]);
	/* True when the host itself uses this address, so that the kernel's ephemeral ports are not ours. */
	bool (*host_owns)(void *ctx, const struct address *a);
	uint16_t ephemeral_first; /* ip_local_port_range; 0, 0 when nothing is excluded */
	uint16_t ephemeral_last;
};

/*
 * Build the body of a CONFIG message.
 *
 * ports     updated on success only
 * replay    ports become captures
 * ret_body  malloc'ed
 *
 * Returns 0, -ENOMEM, or -ENOSPC / -EINVAL with the reason in err (no blocks left for a service).
 */
int plan_build(const struct model *m, const struct plan_world *world, struct plan_ports *ports,
	bool replay, void **ret_body, size_t *ret_length, char *err, size_t err_size);

#endif
