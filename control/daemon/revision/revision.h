/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One entry of the history of configurations: what was in force, since when, by whom, and whether for
 * good. Its file carries a check sum, so that what a crash or a failing disk left of it is found out.
 * Pure functions, with the caller's clock.
 */

#ifndef WEIR_DAEMON_REVISION_H
#define WEIR_DAEMON_REVISION_H

#include "control/daemon/revision/who.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REVISION_BOOT_SIZE 40

enum revision_how {
	REVISION_START, /* from --config at the daemon's start */
	REVISION_APPLY,
	REVISION_RELOAD, /* from --config on SIGHUP */
	REVISION_UNDO, /* an operator went back */
	REVISION_ROLLBACK, /* nobody confirmed it in time */
	REVISION_HOW_COUNT,
};

/* A moment that a step of the wall clock does not move, and that means nothing after a reboot. */
struct boot_time {
	uint64_t ms; /* CLOCK_BOOTTIME */
	char boot[REVISION_BOOT_SIZE]; /* the kernel's name of this boot */
};

struct revision {
	uint64_t number; /* counts up by one from 1 */
	uint64_t time_ms; /* since 1970 */
	enum revision_how how;
	struct who who;
	uint64_t of; /* the entry that it repeats; 0: none, it was new */
	uint32_t changes; /* lines of its difference to the one before */
	uint64_t start_mark; /* of the content of --config when it came into force */
	bool confirmed; /* in force for good; else until `until` */
	struct boot_time until;
	char *file; /* owned; where the operator had it */
	char *text; /* owned; NULL in lists */
	size_t length; /* of text */
	/*
	 * Owned; which objects its policies were made of: [{path, sha256}], a path once. NULL: not known, as
	 * before it has been judged.
	 */
	json_t *objects;
};

/* What an object was, by its path; NULL: not known. objects may be NULL. */
const char *revision_object(const json_t *objects, const char *path);

const char *revision_how_name(enum revision_how how);
void revision_fini(struct revision *r);

/* The bytes of its file; malloc'ed, NULL when out of memory. */
char *revision_print(const struct revision *r);

/*
 * Read a file. Returns 0 and fills ret (end with revision_fini()); -EINVAL with what is wrong in err, or
 * -ENOMEM.
 */
int revision_parse(
	const char *bytes, size_t length, struct revision *ret, char *err, size_t err_size);

/* How long an unconfirmed one still has; 0: its time is up, also when the machine has started again. */
uint64_t revision_left_ms(const struct revision *r, const struct boot_time *now);

/*
 * Lists are newest first, and without texts.
 *
 * Which one the daemon begins with: an index into the list, or -1 for the file of --config. What was
 * changed last counts: a file whose content is not the one of `start_mark` has been edited since.
 *
 * ret_expired  the newest was not confirmed in time, and the result is the one to go back to
 */
int revision_choose(const struct revision *list, size_t count, uint64_t start_mark,
	const struct boot_time *now, bool *ret_expired);

/*
 * Where undo goes from the newest: to the one that was in force before it. An entry that repeats an
 * older one stands where that stood, so undo after undo goes further back. While the newest is not
 * confirmed it goes to the last one that is. Returns an index, or -1: there is nothing before.
 */
int revision_before(const struct revision *list, size_t count);

/* The newest that is in force for good; -1: none. */
int revision_confirmed(const struct revision *list, size_t count);

#endif
