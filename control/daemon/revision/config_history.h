/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Configurations over time, as the daemon deals with them: what is noted of each, going back by itself
 * when nobody confirms, and the methods for it. Event loop's thread.
 */

#ifndef WEIR_DAEMON_CONFIG_HISTORY_H
#define WEIR_DAEMON_CONFIG_HISTORY_H

#include "control/daemon/revision/revision.h"

struct daemon;
struct rpc_call;

/* Why a configuration comes into force. */
struct config_change {
	enum revision_how how;
	struct who who;
	uint64_t of; /* the entry that it repeats; 0: none */
	const char *
		label; /* what complaints call the file; borrowed for the call; NULL: the file itself */
	uint64_t confirm_ms; /* goes back by itself after this; 0: for good */
	json_t *objects; /* what its policies have to be made of; borrowed for the call; NULL: the files */
};

struct boot_time boot_time_now(void);

/* Open the folder of this instance; without it there is no history, which has been logged. */
void config_history_open(struct daemon *d);

/*
 * The configuration of d is in force because of c. `differs` from the one before, be it only in a comment:
 * else nothing is noted, but a plain apply of what waits for its confirmation is one.
 */
void config_note(struct daemon *d, const struct config_change *c, uint32_t changes, bool differs);

/* What the policies in force are made of is known now: the newest entry says it, when it did not. */
void config_note_objects(struct daemon *d);

/* Tell of it: what is "applied", "refused", "confirmed", "undone" or "rolled back". */
void config_emit(const char *file, const struct config_change *c, const char *what, uint64_t number,
	const char *why);

/* Does the configuration in force wait for its confirmation? */
bool config_waits(const struct daemon *d);
/* Seconds that it still has, a number; else null. A new reference. */
json_t *config_confirm_within(const struct daemon *d);
/* Number of the newest entry; 0: none. */
uint64_t config_number(const struct daemon *d);

/* See to it that it goes back in time. */
void config_arm(struct daemon *d);
void config_timer_run(int fd, short what, void *ctx);

/* Methods. */
void config_confirm(struct daemon *d, struct rpc_call *call);
void config_undo(struct daemon *d, struct rpc_call *call);
void config_history_list(struct daemon *d, struct rpc_call *call);

#endif
