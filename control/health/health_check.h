/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The health of backends, checked again and again by a thread that does nothing else: whatever holds the daemon's
 * loop up makes no check late. All functions here are for the loop's thread, and so are the callbacks.
 */

#ifndef WEIR_HEALTH_HEALTH_CHECK_H
#define WEIR_HEALTH_HEALTH_CHECK_H

#include "control/config/model.h"
#include "control/health/health_state.h"

struct event_base;
struct health_check;
struct health_checks;

/* The verdict has changed; reason is that of the last check. */
typedef void (*health_changed_cb)(void *ctx, enum health_verdict verdict, const char *reason);

/* All checks of the process together. */
struct health_figures {
	uint64_t started;
	uint64_t late; /* of these, more than a tenth of their interval after they were due */
	uint64_t worst_ns; /* the longest that one was late */
};

/* Start the thread. loop: where callbacks are called; borrowed. Returns 0 or -errno. */
int health_checks_start(struct event_base *loop, struct health_checks **ret_checks);
/* When all its checks have been destroyed. NULL is fine. */
void health_checks_stop(struct health_checks *of);

/* Whether the thread has got round since this was asked last. */
bool health_checks_alive(struct health_checks *of);

/*
 * Begin to check. The first check starts after a random part of spread_ns, so that many do not start
 * together, the second after a random part of the interval, so that they do not stay together.
 *
 * initial  what is believed until checks say otherwise; HEALTH_UNKNOWN: the first one decides
 * Returns 0 or -ENOMEM. cb is never called from within a function of this header.
 */
int health_check_create(struct health_checks *of, const struct model_health *settings,
	const struct address *address, uint16_t port, enum health_verdict initial,
	uint64_t spread_ns, health_changed_cb cb, void *ctx, struct health_check **ret_check);
void health_check_destroy(struct health_check *c); /* NULL is fine */

/*
 * Go on with other settings; the verdict stays. What changes nothing does not disturb the schedule.
 * Returns 0 or -ENOMEM, and then the old settings go on.
 */
int health_check_configure(struct health_check *c, const struct model_health *settings);

struct health_figures health_check_figures(void);

enum health_verdict health_check_verdict(const struct health_check *c);
uint64_t health_check_passed(const struct health_check *c); /* good ones so far */
const char *health_check_reason(const struct health_check *c); /* of the last check; "" before it */

#endif
