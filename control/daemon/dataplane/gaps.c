/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/gaps.h"

#include "control/daemon/events/events.h"
#include "control/report/report.h"

#include <stdio.h>

const struct weir_gap *gap_watch_find(
	struct gap_watch *w, const struct snapshot *s, size_t *ret_core, size_t *ret_count)
{
	const struct weir_gap *longest = NULL;
	size_t core = 0, count = 0;

	if (w->told_ns && s->taken_ns - w->told_ns < GAP_EVERY_NS)
		return NULL;
	for (size_t i = 0; i < s->core_count; i++) {
		const struct weir_gap *gap =
			report_gap_longest(s, &s->cores[i].cell.gaps, w->told_ns);

		if (!gap || gap->length_ns < GAP_WORTH_NS)
			continue;
		count++;
		if (longest && longest->length_ns >= gap->length_ns)
			continue;
		longest = gap;
		core = i;
	}
	if (!longest)
		return NULL;
	w->told_ns = s->taken_ns;
	*ret_core = core;
	*ret_count = count;
	return longest;
}

/* Who sleeps or polls is only kept by the machine; with packets, the round may have taken so long. */
static const char *whose(const struct weir_gap *gap)
{
	switch (gap->during) {
	case WEIR_GAP_ASLEEP:
		return "it was woken late: the machine's delay, not Weir's";
	case WEIR_GAP_IDLE:
		return "it had no packets: the machine's delay, not Weir's";
	default:
		return "it had packets: the machine's delay, unless its policies take so long";
	}
}

void gap_watch_tell(struct gap_watch *w, const struct snapshot *s)
{
	size_t core, count;
	const struct weir_gap *gap = s ? gap_watch_find(w, s, &core, &count) : NULL;
	char object[32], others[64] = "", text[320];

	if (!gap)
		return;
	if (count > 1)
		snprintf(others, sizeof(others), "; %zu other%s had one of 10 ms or more",
			count - 1, count == 2 ? "" : "s");
	snprintf(object, sizeof(object), "CPU %u", s->cores[core].entry.cpu);
	snprintf(text, sizeof(text),
		"was away for %.1f ms; %s%s; weirctl core show %u has the longest ones",
		(double)gap->length_ns / 1e6, whose(gap), others, s->cores[core].entry.cpu);
	event_emit(EVENT_WARNING, object, text, report_gap(s, gap));
}
