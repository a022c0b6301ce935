/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What directives have in force for a service (messages.h). Main thread, but for struct
 * service_allowance, which workers read.
 *
 * Weights and limits reach the workers with a generation; who may take a new flow changes too often for
 * that, so those are single words that the main thread writes and workers read, each for itself.
 */

#ifndef WEIR_SERVICE_DIRECTIVE_H
#define WEIR_SERVICE_DIRECTIVE_H

#include "dataplane/api/validate.h"

#include <stdbool.h>
#include <stdint.h>

struct account;
struct service;
struct service_settings;

/* One backend slot. Relaxed atomics: written by the main thread. */
struct service_allowance {
	uint32_t cap; /* on what is in flight, over all workers; WEIR_NO_CAP */
	uint32_t cap_yellow;
	uint32_t spill; /* with so many in flight another choice is better; WEIR_NO_CAP: never */
	uint32_t
		close_idle; /* thousandths of its idle flows, when the service's close_serial moves */
};

/* One backend slot, as it was told; holds while the slot has the same epoch. */
struct service_told {
	uint16_t epoch;
	bool ejected;
	bool told; /* false: as configured */
	uint16_t configured; /* weight that the backend had then, which `weight` was made from */
	uint32_t weight;
	uint32_t cap;
	uint32_t cap_yellow;
	uint64_t guard_answered; /* as the guard saw them last */
	uint64_t guard_sum_ns;
};

struct service_directives {
	uint32_t state; /* enum weir_directed */
	uint64_t guard_at_ns; /* when the guard looked last; 0: it has not */
	uint64_t since_ns; /* the data plane's clock when they came */
	struct weir_directives header; /* the last ones */
	uint64_t police_serial; /* counts up when what they say of sources changes */
	struct weir_directive_source *source; /* owned; [header.source_count] */
	struct weir_directive_class class[WEIR_MAX_CLASSES_PER_SERVICE]; /* [header.class_count] */
	uint32_t slots;
	struct service_told *backend; /* owned; [slots] */
	struct service_allowance *allowance; /* owned; [slots] */
	struct account *account; /* of the service */
};

int service_directives_create(
	uint32_t slots, struct account *account, struct service_directives **ret_directives);
void service_directives_destroy(struct service_directives *d); /* NULL is fine */

/*
 * Note what was told; `now` of any clock that stands still never.
 *
 * settings  of the generation in force
 * Returns -EINVAL (a prefix that the family does not have), -ESTALE (older than the last) or -ENOMEM, with the
 * reason in err: then nothing has changed.
 */
int service_directives_take(struct service_directives *d, const struct service_settings *settings,
	const struct weir_directives_view *v, uint64_t now_ns, char *err, size_t err_size);
/* Forget all: as configured. */
void service_directives_clear(struct service_directives *d);

/*
 * Bring caps in line with what was told and with the slots' present owners, and tell the workers whether
 * they have to heed them.
 */
void service_directives_allow(
	struct service_directives *d, const struct service_settings *settings);

/* Have the workers close idle flows, where the last directives said so. */
void service_directives_close(struct service_directives *d, const struct service_settings *settings,
	const struct weir_directives_view *v);

/* From what is in flight now: what each backend may have before another choice is better. Often. */
void service_directives_spill(
	struct service_directives *d, const struct service_settings *settings);

/* In 1/WEIR_WEIGHT_UNIT, inside the configured bounds; 0 for who is ejected. */
uint32_t service_weight_told(const struct service_settings *s, uint32_t slot);
/* WEIR_NO_CAP: none. */
uint32_t service_cap_told(const struct service_settings *s, uint32_t slot);
/* True when weights in force are no more those that were told: the pool has to be made anew. */
bool service_weights_differ(const struct service_settings *s);
/* Take over those that were told, before the pool of new settings is made. */
void service_weights_follow(struct service_settings *s);
/* What was told of a class: new flows per second, WEIR_UNLIMITED when nothing. */
uint64_t service_class_told(const struct service_directives *d, const char *name);
/* Whether what is told is far enough from what is in force, or is the configured one. */
bool service_is_followed(uint64_t in_force, uint64_t told, uint64_t configured);
/* The lower one of what is configured and what is told. */
uint64_t service_limit_in_force(uint64_t configured, uint64_t told);

#endif
