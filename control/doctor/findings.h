/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the doctor finds: judgements of facts, by pure functions.
 */

#ifndef WEIR_DOCTOR_FINDINGS_H
#define WEIR_DOCTOR_FINDINGS_H

#include <stddef.h>

struct facts;

enum finding_level {
	FINDING_OK,
	FINDING_NOTE, /* may be as it is; good to know */
	FINDING_WARNING, /* costs speed, latency or safety */
	FINDING_PROBLEM, /* keeps Weir from working */
	FINDING_LEVEL_COUNT
};

struct finding {
	enum finding_level level;
	const char *check; /* static: "hugepages" */
	char object[64]; /* the port; "" for the machine */
	char *text; /* what is so, and what it means; owned */
	char *mend; /* a command or a line of configuration; NULL where there is nothing to mend; owned */
};

struct findings {
	struct finding *items;
	size_t count;
	size_t levels[FINDING_LEVEL_COUNT]; /* how many of each */
};

const char *finding_level_label(enum finding_level level); /* "warning" */

/* Judge all. Findings are in the order of the checks; what is unknown is not judged. */
void doctor_check(const struct facts *f, struct findings *to);
void findings_fini(struct findings *l);

#endif
