/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Adaptation in the daemon: every 100 ms a reading of the telemetry, one step of each service's
 * controllers, and what they decided on its way to the data plane, with an expiry. Decisions are kept in a
 * bounded ring per service for `weirctl explain`. Event loop's thread.
 *
 * Directives are fail static: when this end is silent for a second the data plane keeps the weights and
 * guards latency by itself, and after 30 s all is as configured.
 */

#ifndef WEIR_DAEMON_ADAPTATION_H
#define WEIR_DAEMON_ADAPTATION_H

#include "control/adapt/adapt.h"
#include "control/config/model.h"

#include <jansson.h>

struct adaptation;
struct daemon;
struct metrics_adapt;
struct rpc_call;

/* Begin to tick. Returns 0 or -ENOMEM. */
int adaptation_start(struct daemon *d, struct adaptation **ret_adaptation);
void adaptation_stop(struct adaptation *a); /* NULL is fine */

/* The data plane is another one, or was away: what it was told is not in force any more. */
void adaptation_forget_told(struct adaptation *a);
/* Another configuration is in force: modes that were set by hand are let go. */
void adaptation_model_changed(struct adaptation *a);

/* How much of the fair rate of one source is in force now; INFINITY: none. */
double adaptation_source_rate(
	const struct adaptation *a, const char *service, enum adapt_resource resource);

/* Say of each service of a list (of `name`) what its controllers do now, for `top`. */
void adaptation_annotate(const struct adaptation *a, json_t *services);
/* Modes that an operator has set by hand, as texts behind the others. */
void adaptation_warn(const struct adaptation *a, json_t *warnings);
/* For the exporter: malloc'ed, its texts borrowed until the next tick; NULL: none, or out of memory. */
struct metrics_adapt *adaptation_metrics(
	const struct adaptation *a, size_t *ret_count, double *ret_cost_s);

/* The last decisions about a service, newest first: a new reference. */
json_t *adaptation_decisions(const struct adaptation *a, const char *service, size_t most);

/* The methods of the control API; each answers its call. */
void adaptation_status(struct daemon *d, struct rpc_call *call, const struct model_service *s);
void adaptation_set(struct daemon *d, struct rpc_call *call, const struct model_service *s);
void adaptation_pause(
	struct daemon *d, struct rpc_call *call, const struct model_service *s, bool pause);
void adaptation_record(struct daemon *d, struct rpc_call *call, const struct model_service *s);

#endif
