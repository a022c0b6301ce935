/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/history.h"

#include "control/daemon/clock.h"
#include "dataplane/api/client.h"

#include <string.h>

#define WORTH_COSTS 20 /* a snapshot is shown for so many times as long as it took */

void history_clear(struct history *h)
{
	snapshot_destroy(h->now);
	for (unsigned int i = 0; i < HISTORY_STEPS; i++)
		snapshot_destroy(h->old[i]);
	memset(h, 0, sizeof(*h));
}

/* Whether `now` will do: what costs little is taken anew, so that who asks twice sees what came between. */
static bool is_fresh(const struct history *h, const struct weir_telemetry *t, uint64_t now,
	unsigned int max_age_ms)
{
	if (!h->now || h->expired || h->now->start_ns != t->start_ns)
		return false;
	uint64_t age = now - h->now->taken_ns;

	return age < max_age_ms * NS_PER_MS && age < h->cost_ns * WORTH_COSTS;
}

int history_refresh(struct history *h, const struct weir_client *c, unsigned int max_age_ms)
{
	const struct weir_telemetry *t = weir_client_telemetry(c);
	uint64_t now = clock_now_ns();
	struct snapshot *s;

	if (is_fresh(h, t, now, max_age_ms))
		return 0;
	int rc = snapshot_take(t, weir_client_hello(c)->telemetry_size, now, &s);

	if (rc)
		return rc;
	if (h->fill)
		h->fill(h->fill_ctx, s);
	if (h->now && (h->now->pid != s->pid || h->now->start_ns != s->start_ns))
		history_clear(h);
	snapshot_destroy(h->now);
	h->now = s;
	h->cost_ns = clock_now_ns() - now;
	h->expired = false;
	return 0;
}

void history_expire(struct history *h)
{
	h->expired = true;
}

int history_step(struct history *h, const struct weir_client *c)
{
	int rc = history_refresh(h, c, 0);

	if (rc)
		return rc;
	snapshot_destroy(h->old[h->next]);
	h->old[h->next] = h->now;
	h->next = (h->next + 1) % HISTORY_STEPS;
	h->now = NULL;
	return 0;
}

const struct snapshot *history_latest(const struct history *h)
{
	return h->old[(h->next + HISTORY_STEPS - 1) % HISTORY_STEPS];
}

const struct snapshot *history_base(const struct history *h)
{
	for (unsigned int i = 0; i < HISTORY_STEPS; i++) {
		const struct snapshot *s = h->old[(h->next + i) % HISTORY_STEPS];

		if (s)
			return s;
	}
	return NULL;
}
