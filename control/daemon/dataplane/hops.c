/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/hops.h"

#include "control/daemon/clock.h"

#include <errno.h>
#include <stdlib.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define CONFIRM_MS     1000
#define GRACE_MS       1000

int hops_reset(struct hops *h, size_t count)
{
	struct hop *items = calloc(count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	free(h->items);
	h->items = items;
	h->count = count;
	return 0;
}

void hops_fini(struct hops *h)
{
	free(h->items);
	*h = (struct hops){ 0 };
}

static void ask_again(struct hop *h, uint64_t now_ns)
{
	h->backoff_ms = h->backoff_ms ? h->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (h->backoff_ms > BACKOFF_MAX_MS)
		h->backoff_ms = BACKOFF_MAX_MS;
	h->ask_ns = now_ns + h->backoff_ms * NS_PER_MS;
}

struct hop_verdict hop_decide(
	struct hop *h, enum hop_sight sight, bool told_resolved, uint64_t now_ns)
{
	struct hop_verdict v = { .ask = false };

	if (sight == HOP_GOOD || sight == HOP_STALE) {
		v.resolved = true;
		v.ask = sight == HOP_STALE && now_ns >= h->ask_ns;
		h->lost_ns = 0;
		h->backoff_ms = 0;
		if (sight == HOP_GOOD)
			h->ask_ns = 0;
		else if (v.ask)
			h->ask_ns = now_ns + CONFIRM_MS * NS_PER_MS;
		return v;
	}
	if (!h->lost_ns) {
		/* News: whatever was asked before is no reason to wait. */
		h->lost_ns = now_ns;
		h->ask_ns = 0;
	}
	v.keep_mac =
		told_resolved && sight == HOP_GONE && now_ns - h->lost_ns < GRACE_MS * NS_PER_MS;
	v.resolved = v.keep_mac;
	v.ask = now_ns >= h->ask_ns;
	if (v.ask)
		ask_again(h, now_ns);
	return v;
}
