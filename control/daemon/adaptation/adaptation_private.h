/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files of adaptation in the daemon. */

#ifndef WEIR_DAEMON_ADAPTATION_PRIVATE_H
#define WEIR_DAEMON_ADAPTATION_PRIVATE_H

#include "control/adapt/decision.h"
#include "control/adapt/service.h"
#include "control/adapt/signals.h"
#include "control/daemon/adaptation/adaptation.h"
#include "control/daemon/adaptation/adaptation_kept.h"

#include <event2/event.h>

#define DECISIONS   256
#define RECORD_LAST 64 /* ticks that a recorder may be late */

struct kept_decision {
	double time_s; /* since 1970 */
	struct adapt_decision d;
};

/* One service. */
struct adapted {
	struct adaptation *of; /* borrowed */
	char service[MODEL_NAME_MAX + 1];
	bool wanted; /* by the model, in this tick */
	struct adapt_service *controllers; /* owned */
	struct adapt_settings settings; /* of the last tick */
	struct signals_past past;
	int set[ADAPT_CONTROLLER_COUNT]; /* enum adapt_mode by hand; KEPT_MODE_NOT_SET */
	bool paused;
	double source_rate[ADAPT_RESOURCE_COUNT]; /* in force; INFINITY */
	bool polices;
	bool lifts; /* some slow start is shortened */
	bool stepped; /* the controllers have learned something since all were off */
	uint64_t decided; /* so far */
	uint64_t decided_by_action[ADAPT_ACTION_COUNT];
	struct kept_decision *decisions; /* owned ring of DECISIONS; NULL: none yet */

	bool directed; /* the data plane may have something of ours in force */
	void *sent; /* owned; the last message, its time left out */
	size_t sent_length;
	uint64_t sent_ns;
	unsigned int open; /* messages without an answer */
	bool refused; /* the last one, which has been logged */

	uint64_t record_until_ns; /* somebody records; 0: nobody */
	uint64_t recorded; /* ticks so far */
	char *records[RECORD_LAST]; /* owned ring of lines */
};

struct adaptation {
	struct daemon *d; /* borrowed */
	struct event *timer; /* owned */
	struct reading *before; /* owned */
	struct adapted **items; /* owned; in the order of the model, mostly */
	size_t count;
	uint64_t ticks;
	size_t cursor; /* of the reading under way */
	uint64_t cost_ns; /* of all ticks */
	uint64_t started_ns;
	bool paused; /* all services */
	bool season_untrue; /* what was learned of the day cannot be written, which has been logged */
	char untrue[320]; /* what is wrong with the file of what was set by hand; "": nothing */
};

struct adapted *adapted_find(const struct adaptation *a, const char *service, size_t guess);
/* Made when it is not there; NULL: out of memory. */
struct adapted *adapted_of(struct adaptation *a, const char *service);
void adapted_destroy(struct adapted *a);
bool adapted_is_off(const struct adapted *a);

/* Why a controller cannot be in that mode, after its name; NULL: it can. */
const char *adaptation_mode_refusal(const struct model *m, const struct model_service *s,
	enum adapt_controller controller, enum adapt_mode mode);

/* adaptation_store.c */

/* At the start: what the daemon before us had set by hand is in force again. */
void adaptation_continue(struct adaptation *a);
/* Note what is set by hand now, for the daemon that comes next. */
void adaptation_save(struct adaptation *a);

/* adaptation_season.c */

/* Of a service that is new to us: what the daemon before us had learned of its day. */
void adapted_season_continue(struct adapted *a);
/* It is not in the configuration any more. */
void adapted_season_forget(const struct adapted *a);
/* Once a tick: those whose turn it is are written. */
void adaptation_seasons_turn(struct adaptation *a);
/* Write all of them. */
void adaptation_seasons_keep(struct adaptation *a);
/* Remove what is kept of services that are not there. */
void adaptation_seasons_prune(const struct adaptation *a);

/* adaptation_tell.c */

/* Where a step's decisions go; ctx: the adapted. */
void adapted_decide(void *ctx, const struct adapt_decision *d);
/* Send it, unless the data plane has just that. directive NULL: all as configured. */
void adapted_send(struct adapted *a, const struct model_service *s, const struct adapt_signals *now,
	const struct adapt_directive *directive);

#endif
