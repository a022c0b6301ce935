/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The checks of one backend, one after the other, each at its time. In the thread that runs the base.
 */

#ifndef WEIR_HEALTH_CHECK_RUN_H
#define WEIR_HEALTH_CHECK_RUN_H

#include "control/health/health_check.h"

struct event_base;
struct check_run;

/* A check has ended; the verdict behind it, and how it went itself. The callback may not destroy the run. */
typedef void (*check_run_cb)(void *ctx, enum health_verdict verdict, bool good, const char *reason);

/* Made in any thread, before the base knows of it; checks begin with check_run_begin(). Returns 0 or -ENOMEM. */
int check_run_create(struct event_base *base, const struct address *address, uint16_t port,
	enum health_verdict initial, check_run_cb cb, void *ctx, struct check_run **ret_run);
void check_run_destroy(struct check_run *r); /* NULL is fine */

/* settings: its path is the run's from now on. */
void check_run_configure(struct check_run *r, const struct model_health *settings);
/* Once, when it has settings. The first check starts after a random part of spread_ns. */
void check_run_begin(struct check_run *r, uint64_t spread_ns);

/* Of all runs, which are of one thread; from any thread. */
struct health_figures check_run_figures(void);

#endif
