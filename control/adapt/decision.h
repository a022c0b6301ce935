/* SPDX-License-Identifier: BSD-3-Clause */

/* How a controller states a decision, and how people and programs read it. Pure memory. */

#ifndef WEIR_ADAPT_DECISION_H
#define WEIR_ADAPT_DECISION_H

#include "control/adapt/adapt.h"

#include <jansson.h>

/* What can be decided, in the words of `action`. */
#define ADAPT_ACTION_COUNT 18
extern const char *const adapt_actions[ADAPT_ACTION_COUNT];

/* A decision about backend b (NULL: the service) without figures yet. */
struct adapt_decision decision_make(const struct adapt_signals *s, enum adapt_controller controller,
	const char *action, const struct adapt_backend_signals *b);

/* Add a figure; name is a constant. One too many is left out, as is NAN. */
void decision_figure(struct adapt_decision *d, const char *name, double value);
__attribute__((format(printf, 2, 3))) void decision_reason(
	struct adapt_decision *d, const char *format, ...);

/* Hand it to the log; log may be NULL. */
void decision_tell(struct adapt_decision *d, const struct adapt_settings *settings,
	const struct adapt_log *log);

/* A duration as people write it: "84 ms". */
const char *decision_time(double seconds, char buf[16]);

/* "10.0.0.13:8080 weight 100 -> 31: p50 84 ms against the pool's 9 ms (observed only)". */
void decision_sentence(const struct adapt_decision *d, char *buf, size_t size);

/*
 * The entry of `weirctl explain`: {time, service, controller, action, object, mode, from, to, reason,
 * inputs, text}. time_s: seconds since 1970. NULL when out of memory.
 */
json_t *decision_document(const struct adapt_decision *d, const char *service, double time_s);

#endif
