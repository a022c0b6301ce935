/* SPDX-License-Identifier: BSD-3-Clause */

/* The keys of a service's static limits. */

#include "control/config/schema_row.h"
#include "dataplane/api/messages.h"

static bool source_is_limited(const void *object)
{
	const struct model_per_source *p = object;

	return p->packets != MODEL_UNLIMITED || p->connections != MODEL_UNLIMITED;
}

static bool source_entries_are_set(const void *object)
{
	return source_is_limited(object) && ((const struct model_per_source *)object)->entries > 0;
}

static const struct schema_key per_source_keys[] = {
	{ .name = "prefix4",
		.type = SCHEMA_NUMBER,
		FIELD(model_per_source, prefix4),
		.preset = "32",
		.min = 1,
		.max = 32,
		.applies = source_is_limited,
		.help = "So many bits of an IPv4 address make a source." },
	{ .name = "prefix6",
		.type = SCHEMA_NUMBER,
		FIELD(model_per_source, prefix6),
		.preset = "64",
		.min = 1,
		.max = 128,
		.applies = source_is_limited,
		.help = "The same of an IPv6 address; a host often has a /64 to itself." },
	{ .name = "packets",
		.type = SCHEMA_RATE,
		FIELD(model_per_source, packets),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "packets per second",
		.example = "10k",
		.help = "Packets from each source. 0 lets nothing pass." },
	{ .name = "connections",
		.type = SCHEMA_RATE,
		FIELD(model_per_source, connections),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "new flows per second",
		.example = "100",
		.help = "New flows of each source. 0 lets none begin; known flows go on." },
	{ .name = "burst",
		.type = SCHEMA_TIME,
		FIELD(model_per_source, burst_ns),
		.preset_help = "that of `limits`",
		.min = MS / 10,
		.max = 60 * S,
		.example = "100ms",
		.applies = source_is_limited,
		.help = "How much of these two may come at once, as time at full rate; at least two "
			"packets or flows. A browser opens six connections at once: for those, 100 new "
			"flows per second need a burst of 60ms." },
	{ .name = "entries",
		.type = SCHEMA_NUMBER,
		FIELD(model_per_source, entries),
		.preset_help = "65536, less where `dataplane.memory` is small",
		.min = 1024,
		.max = 16777216,
		.applies = source_entries_are_set,
		.help = "Sources that have a budget of their own, 40 bytes each, rounded up to a power "
			"of two; what comes beyond them shares 16 budgets." },
	{ 0 },
};

const struct schema_key schema_limits_keys[] = {
	{ .name = "packets",
		.type = SCHEMA_RATE,
		FIELD(model_limits, packets),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "packets per second",
		.example = "1M",
		.help = "Packets from clients. 0 lets nothing pass." },
	{ .name = "bits",
		.type = SCHEMA_RATE,
		FIELD(model_limits, bits),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000000),
		.unit = "bits per second",
		.example = "10G",
		.help = "Bits of frames from clients, without frame check sequence. 0 lets nothing "
			"pass." },
	{ .name = "connections",
		.type = SCHEMA_RATE,
		FIELD(model_limits, connections),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "new flows per second",
		.example = "50k",
		.help = "New flows. 0 lets none begin; known flows go on." },
	{ .name = "burst",
		.type = SCHEMA_TIME,
		FIELD(model_limits, burst_ns),
		.preset = "10ms",
		.min = MS / 10,
		.max = 60 * S,
		.example = "10ms",
		.help = "How much of the rates above may come at once, as time at full rate; at "
			"least two packets, frames or flows." },
	{ .name = "per-source",
		.type = SCHEMA_MAP,
		FIELD(model_limits, per_source),
		.children = per_source_keys,
		.preset_help = "no limits",
		.help = "Ceilings for what each client address or prefix sends; checked before the "
			"others." },
	{ 0 },
};
