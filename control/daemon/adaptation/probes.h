/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What weir-probe of backend hosts tells (control/probe/message.h): received, checked, and added up for
 * each backend of the services whose answers go past Weir. The sums are then put where the data plane has
 * those of nat services, in snapshots and in adaptation's readings, so that all who read them need not
 * know of probes. Event loop's thread.
 */

#ifndef WEIR_DAEMON_PROBES_H
#define WEIR_DAEMON_PROBES_H

#include "control/adapt/adapt.h"
#include "control/config/model.h"
#include "control/telemetry/reading.h"
#include "control/telemetry/snapshot.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct probes;

/* Why a datagram, or what it says of a service, is not taken. */
#define PROBES_REFUSALS(X)                                                   \
	X(LENGTH, "length", "not a report, or cut short")                    \
	X(VERSION, "version", "of a version that this daemon does not know") \
	X(KEY, "key", "not sealed with the key")                             \
	X(LAYOUT, "layout", "sealed, but against the layout")                \
	X(SENDER, "sender", "not from the address that it says it is from")  \
	X(BACKEND, "backend", "from an address that is no backend's")        \
	X(CLOCK, "clock", "the sender's clock is more than a minute away")   \
	X(SEQUENCE, "sequence", "seen before, or older than one that was")   \
	X(SERVICE, "service", "of a service that the sender is no backend of")

enum probes_refusal {
#define X(name, label, help) PROBES_##name,
	PROBES_REFUSALS(X)
#undef X
	PROBES_REFUSAL_COUNT,
};

const char *probes_refusal_name(enum probes_refusal r);

struct probes_figures {
	uint64_t received;
	uint64_t refused[PROBES_REFUSAL_COUNT];
};

/*
 * Listen as m says. file: of the configuration, which the key's path is relative to.
 * Returns 0 or a negative errno; err is then a sentence.
 */
int probes_start(struct event_base *base, const struct model_probes *m, const char *file,
	struct probes **ret_probes, char *err, size_t err_size);
void probes_stop(struct probes *p); /* NULL is fine */

bool probes_are_at(const struct probes *p, const struct model_listen *m);
/* Read the key again; what was seen stays known. As probes_start(); on failure the key is as it was. */
int probes_renew(struct probes *p, const struct model_probes *m, const char *file, char *err,
	size_t err_size);

/*
 * Take one datagram.
 *
 * m        the model in force; it may change from call to call
 * from     where it came from
 * now_ns   CLOCK_MONOTONIC
 * real_ns  since 1970
 */
void probes_take(struct probes *p, const struct model *m, const void *data, size_t length,
	const struct address *from, uint64_t now_ns, uint64_t real_ns);

/* For probes without a socket, in tests: with this key. NULL: out of memory. */
struct probe_key;
struct probes *probes_create(const struct probe_key *key);

/*
 * Hold what comes in against m, which is borrowed until the next call, and forget backends that it does not
 * have. After the start, and each time when the model is another.
 */
void probes_follow(struct probes *p, const struct model *m);

const struct probes_figures *probes_figures(const struct probes *p);
/* Backends that are told of now. */
size_t probes_count_fresh(const struct probes *p, uint64_t now_ns);

/* p NULL is fine for these: there is nothing to say then. */
void probes_fill_snapshot(const struct probes *p, struct snapshot *s);
/*
 * One reading of a service that is not nat. Figures come in with the interval of the reports; they are
 * passed on a share at a time, so that ticks between two reports have some of them too.
 */
void probes_fill_reading(struct probes *p, const struct model_service *m, struct reading_service *s,
	uint64_t now_ns);
/* Which backends are not told of: adaptation leaves them as configured. */
void probes_fill_signals(const struct probes *p, const struct model_service *m,
	struct adapt_signals *s, uint64_t now_ns);
/* {age, open, waiting} of a backend, or null. */
json_t *probes_backend_document(const struct probes *p, const char *service,
	const struct model_backend *b, uint64_t now_ns);

#endif
