/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Buckets of a worker that does not answer go to others of its service, with their flows, while it may go
 * on writing at any moment: what it knows (its partitions of the flow table, its sets of translated
 * ports) is left to it, and nobody reads that any more. The others get partitions and sets of their own, and in
 * these each flow that stands up to the checks of claim.h, once, as it was found: a record that is being changed at that
 * moment is refused. What the old worker does to its flows afterwards is lost.
 *
 * Counters stay right all along but for what is lost that way; rescue_settle() makes up for that when the worker is
 * known to be done.
 *
 * Main thread.
 */

#ifndef WEIR_SERVICE_RESCUE_H
#define WEIR_SERVICE_RESCUE_H

#include "dataplane/service/service.h"

/* What a worker may still write. */
struct service_lost {
	struct service_lost *next; /* owned */
	struct service_worker *worker; /* borrowed */
	uint32_t entered; /* flows that went on, */
	uint32_t refused; /* and that did not */
	uint32_t *
		flows; /* owned; those that went on, by backend slot; counted by the epochs of the worker */
	uint32_t *in_flight; /* in the memory of flows: those of them that count as in flight */
	uint8_t lane[FLOW_PARTITIONS]; /* of translated ports; where there is a partition */
	struct flow_partition *part[FLOW_PARTITIONS]; /* owned; NULL: not this bucket */
	struct flow_partition *spare[FLOW_PARTITIONS]; /* owned until rescue_bucket() */
};

/* Begin with a worker. Returns NULL when there is no memory. */
struct service_lost *rescue_begin(struct service *s, struct service_worker *from);
/* Nothing was taken yet: forget it. */
void rescue_undo(struct service *s, struct service_lost *lost);

/*
 * Make room for one bucket's flows.
 *
 * to  who gets it
 *
 * Where the budget has not enough for a partition as large as the service's are there is a smaller one, at least for
 * the flows that there are: it may use more than there is.
 *
 * Returns 0 or -ENOMEM.
 */
int rescue_prepare(struct service_lost *lost, struct service *s, uint8_t bucket,
	struct service_worker *to, int node);

/*
 * Give one bucket and its flows to another worker. No core dispatches to either, all but the old worker are in a
 * generation with these settings, and room was made for it.
 *
 * settings  of the generation in force, in nat shifted: service_settings_shift()
 * seed      of the client side's hash
 * now_ms    of the flow table's clock
 */
void rescue_bucket(struct service_lost *lost, const struct service_settings *settings,
	uint8_t bucket, struct service_worker *to, const struct hash_seed *seed, uint32_t now_ms);

/*
 * The worker is done with what it knew, and waits: make its counters what they would be had it lost the buckets at
 * once, free what was left to it, and show it how things are.
 */
void rescue_settle(struct service *s, struct service_lost *lost);

/* The service ends: all that was left to anybody, and partitions that are not of its table. */
void rescue_end(struct service *s);

#endif
