/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Who serves a service: its backends, its fallback pool, or nobody. Said in the log when that changes.
 * Event loop's thread.
 */

#ifndef WEIR_DAEMON_SERVING_H
#define WEIR_DAEMON_SERVING_H

#include "control/config/model.h"

struct pool;

/* Backends of a service that... */
struct serving_count {
	size_t usable; /* can take new flows */
	size_t usable_fallback; /* the same of `fallback` */
	size_t draining; /* are well, but drained or of weight 0; without `fallback` */
	size_t unknown; /* have not been checked yet */
};

struct serving_count serving_count(const struct pool *p, const struct model_service *s);

struct serving_entry;
struct serving {
	struct serving_entry *entries; /* owned; in the model's order when it was last followed */
	size_t count;
};

/* Compare with what was said last, and say what has changed. */
void serving_follow(struct serving *v, const struct pool *p, const struct model *m);
void serving_fini(struct serving *v);

#endif
