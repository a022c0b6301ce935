/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The next hops in use: what the data plane has been told of each, and when the kernel should be asked
 * to resolve or confirm it again. Packets that bypass the kernel do not make it do so by itself. Pure
 * bookkeeping with the caller's clock.
 */

#ifndef WEIR_DAEMON_HOPS_H
#define WEIR_DAEMON_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hop {
	uint64_t ask_ns; /* not before this */
	uint64_t lost_ns; /* since when its link address is gone; 0: it is not */
	uint32_t backoff_ms; /* of the last question in vain */
};

struct hops {
	struct hop *items; /* owned; in the order of the CONFIG message's neighbours */
	size_t count;
};

/* What the kernel knows of a next hop. */
enum hop_sight {
	HOP_GONE, /* no entry, or being resolved */
	HOP_FAILED, /* nobody answers */
	HOP_STALE, /* has an address that should be confirmed */
	HOP_GOOD,
};

struct hop_verdict {
	bool ask; /* the kernel should be asked now */
	bool resolved; /* the data plane may send to it */
	bool keep_mac; /* with the link address that it was told before */
};

/* Begin with other next hops. Returns 0 or -ENOMEM, and then nothing has changed. */
int hops_reset(struct hops *h, size_t count);
void hops_fini(struct hops *h);

/*
 * Decide about one next hop.
 *
 * told_resolved  the data plane has a link address for it
 *
 * An unresolved one is asked for at once, then after 100 ms, 200 ms, ... up to 5 s. A stale one is
 * confirmed, once a second at most. One whose entry has vanished keeps its link address for a second,
 * which is enough to resolve it again; one that failed to answer loses it at once.
 */
struct hop_verdict hop_decide(
	struct hop *h, enum hop_sight sight, bool told_resolved, uint64_t now_ns);

#endif
