/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Copies of hashes and prefix lists for policies in the kernel. Such a policy only reads them (the kernel's verifier
 * has seen to that), so all changes come through the daemon: it makes each in the fast path and then in the copy, in
 * the same order, and answers when both have it. A copy begins empty and is filled from what the fast path has;
 * until it is whole, and whenever it may not be, the fast path judges by itself. Event loop's thread.
 */

#ifndef WEIR_DAEMON_POLICIES_COPIES_H
#define WEIR_DAEMON_POLICIES_COPIES_H

#include <stddef.h>
#include <stdint.h>

struct daemon;
struct policy_kept;

enum policy_copies_state {
	POLICY_COPIES_NONE = 0, /* to be filled */
	POLICY_COPIES_FILLING,
	POLICY_COPIES_WHOLE,
	POLICY_COPIES_FAILED, /* until the policy, or the data plane, begins anew */
};

/* Why its copies keep a policy out of the kernel; NULL: they do not, or it has none. */
const char *policies_copies_why(const struct policy_kept *k);

/* Fill the next ones that are not; when all are, the policies come into the kernel. */
void policies_copies_begin(struct daemon *d);

/* The data plane has gone with what the copies are of, or they may differ from it: they begin anew. */
void policies_copies_forget(struct policy_kept *k);

/*
 * The fast path has changed some entries: change the copy, too.
 *
 * map      name of the map
 * remove   they are gone; else they are set
 * records  count keys, each with its value when they are set; copied
 * done     called once, perhaps at once
 */
typedef void (*policies_copies_cb)(void *ctx);
void policies_copies_change(struct daemon *d, uint64_t id, const char *map, int remove,
	const void *records, size_t count, policies_copies_cb done, void *ctx);
/* It has refused a change, or answered nothing: what it has of the map is not known. */
void policies_copies_doubt(struct daemon *d, uint64_t id, const char *map);

#endif
