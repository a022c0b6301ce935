/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the daemon knows of every backend of every service: the verdict of its health check, and
 * whether an operator drains it. Draining is remembered in a state file and kept while the backend
 * exists. Event loop's thread.
 */

#ifndef WEIR_DAEMON_POOL_H
#define WEIR_DAEMON_POOL_H

#include "control/config/model.h"
#include "control/health/health_state.h"
#include "control/telemetry/snapshot.h"

struct event_base;
struct pool;
struct rundir;

/* Something that the data plane should know has changed. */
typedef void (*pool_changed_cb)(void *ctx);

int pool_create(struct event_base *base, const struct rundir *run, pool_changed_cb cb, void *ctx,
	struct pool **ret_pool);
void pool_destroy(struct pool *p); /* NULL is fine */

/* Whether the thread that checks has got round since this was asked last. */
bool pool_alive(struct pool *p);

/*
 * Follow a configuration: backends that stay keep what is known of them, others begin to be checked,
 * those that have gone are forgotten.
 *
 * adopted  of a running data plane: a backend that it has up is believed to be up until `fall`
 *          checks say otherwise; NULL: unknown until the first check
 *
 * Returns 0 or -ENOMEM, and then nothing has changed.
 */
int pool_set_model(struct pool *p, const struct model *m, const struct snapshot *adopted);

/*
 * The state in force, enum weir_backend_state. A backend that the pool does not know is down, or up
 * when its service has no health checks.
 */
uint8_t pool_state(const struct pool *p, const char *service, const struct address *a,
	uint16_t port, enum model_health_type health);

/*
 * The same for a backend of `fallback`. While nothing is known of any of `backends`, just after the
 * start, it is down: it must not be used only because its own check came to an end first.
 */
uint8_t pool_fallback_state(
	struct pool *p, const struct model_service *s, const struct address *a, uint16_t port);

/*
 * The weight in force of a backend with this configured weight: less while it starts slowly, but not below
 * the share that pool_lift() said last.
 */
uint16_t pool_weight(const struct pool *p, const char *service, const struct address *a,
	uint16_t port, uint16_t weight, uint64_t now_ns);

/* Its slow start leaves it this share of its weight at least, 0..1, until it has been away again. */
void pool_lift(
	struct pool *p, const char *service, const struct address *a, uint16_t port, double share);

/* Returns 0 or -ENOENT. What is not a change is fine. */
int pool_drain(
	struct pool *p, const char *service, const struct address *a, uint16_t port, bool drain);

struct pool_health {
	enum model_health_type type;
	enum health_verdict verdict;
	bool draining;
	uint16_t weight; /* configured, not what slow start leaves of it */
	uint64_t passed; /* good checks so far */
	const char *reason; /* borrowed; "" before the first check */
};

bool pool_health(const struct pool *p, const char *service, const struct address *a, uint16_t port,
	struct pool_health *ret);

#endif
