/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From model and port blocks to the entries that the ports' XDP maps should have. They are the same
 * on every port. Control thread; pure functions.
 */

#ifndef WEIR_PLAN_STEERING_H
#define WEIR_PLAN_STEERING_H

#include "control/plan/plan.h"
#include "ebpf/kernel/steering.h"

#include <stddef.h>

struct plan_steering {
	struct steering_service *services; /* owned */
	size_t service_count;
	struct steering_source *sources; /* owned; one for each address and protocol */
	size_t source_count;
};

/*
 * The wanted entries of a model.
 *
 * ports         as the plan_build() of this model left it
 * ret_steering  set on success; free with plan_steering_fini()
 *
 * Returns 0 or -ENOMEM.
 */
int plan_steering_build(
	const struct model *m, const struct plan_ports *ports, struct plan_steering *ret_steering);
void plan_steering_fini(struct plan_steering *s);

#endif
