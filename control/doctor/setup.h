/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a machine lacks for Weir, and the steps that give it that: now, and at each boot. A plan is made of
 * facts, by a pure function; carried out, it leaves a record by which it is taken back.
 */

#ifndef WEIR_DOCTOR_SETUP_H
#define WEIR_DOCTOR_SETUP_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

struct facts;

#define SETUP_RECORD "/var/lib/weir/setup.json"

/* What is done to a path: `text` is written to it. */
struct setup_act {
	char *path; /* owned; NULL: nothing is done */
	char *text; /* owned; NULL: the file is removed */
	bool may_fail; /* as unbinding a device that has no driver */
};

struct setup_step {
	char *what; /* for people; owned. NULL: it belongs to the step before */
	char *why; /* owned */
	struct setup_act act;
	/* path NULL: what the file held is put back, or the file removed when there was none. */
	struct setup_act undo;
	char *command; /* run behind the act, and behind its undoing; NULL: none; owned */
};

struct setup_plan {
	struct setup_step *steps; /* owned */
	size_t count;
	bool reboot; /* some of it takes force with the next boot only */
};

/* Returns 0 or -ENOMEM. A plan of no steps is a machine that has all. End with setup_plan_fini(). */
int setup_plan_make(const struct facts *f, struct setup_plan *ret_plan);
void setup_plan_fini(struct setup_plan *p); /* zeros are fine */
/* Leave out the files that are there with that text already. root: "" for this machine. */
void setup_plan_prune(struct setup_plan *p, const char *root);

/*
 * Write the record, then take the steps. When one fails, those before it are taken back.
 *
 * root  put before every path; commands are only run where it is ""
 *
 * Returns 0, -EEXIST (there is a record: undo comes first) or another -errno, with the reason in err.
 */
int setup_apply(const struct setup_plan *p, const char *root, char *err, size_t err_size);
/* A record that may be carried out; NULL when it is none. New reference. */
json_t *setup_record_parse(const char *text, size_t length);
/*
 * Take back what the record tells, last step first, and remove the record. A step that fails does not keep
 * the others from being taken back; the record stays then.
 *
 * Returns 0, -ENOENT (there is no record), -EINVAL (it is none) or the -errno of the first that failed.
 */
int setup_undo(const char *root, char *err, size_t err_size);

#endif
