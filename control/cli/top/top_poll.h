/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A thread that asks the daemon again and again, so that keys are answered also while the daemon is not.
 */

#ifndef WEIR_CLI_TOP_TOP_POLL_H
#define WEIR_CLI_TOP_TOP_POLL_H

#include <jansson.h>

#include <stdbool.h>

struct cli;
struct top_poll;

/* What to ask for. */
struct top_ask {
	bool backends;
	char of_service[64]; /* backends of this one only; "": of all */
	char service[64]; /* histograms of it; "": none */
	char backend[80];
	double interval_s; /* 0: not again by itself */
};

struct top_answer {
	json_t *live; /* NULL when error says why */
	json_t *histogram; /* NULL: not asked for, or not to be had */
	char error[512];
};

/*
 * Start asking at once.
 *
 * cli  says whom to ask; borrowed until top_poll_stop()
 * Returns 0 or -errno.
 */
int top_poll_start(const struct cli *cli, const struct top_ask *ask, struct top_poll **ret_poll);
/* Ends the thread; may take as long as an answer that is waited for (2 s). NULL is fine. */
void top_poll_stop(struct top_poll *p);

/* Readable when there is an answer. */
int top_poll_fd(const struct top_poll *p);
/* The newest answer, whose references are the caller's; false when there is none. */
bool top_poll_take(struct top_poll *p, struct top_answer *ret_answer);
/* Ask for something else; at once, or when it is time. */
void top_poll_ask(struct top_poll *p, const struct top_ask *ask, bool at_once);

#endif
