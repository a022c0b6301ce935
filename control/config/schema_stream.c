/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/schema_row.h"

static bool stream_is_set(const void *object)
{
	return ((const struct model_stream *)object)->broker_count > 0;
}

static const struct schema_choice yes_no_choices[] = {
	{ .name = "true", .value = 1, .help = "once a second, the figures of each service too" },
	{ .name = "false", .value = 0, .help = "events only" },
	{ 0 },
};

const struct schema_key schema_stream_keys[] = {
	{ .name = "brokers",
		.type = SCHEMA_HOST_LIST,
		.flags = SCHEMA_F_REQUIRED,
		.offset = offsetof(struct model_stream, brokers),
		.count_offset = offsetof(struct model_stream, broker_count),
		.min = 1,
		.max = 32,
		.help = "Where to find the cluster; those that answer tell of the others." },
	{ .name = "topic",
		.type = SCHEMA_NAME,
		FIELD(model_stream, topic),
		.preset = "weir-events",
		.applies = stream_is_set,
		.help = "The topic that all messages go to. Their key is the service's name." },
	{ .name = "summaries",
		.type = SCHEMA_CHOICE,
		FIELD(model_stream, summaries),
		.preset = "true",
		.choices = yes_no_choices,
		.applies = stream_is_set,
		.help = "Whether each service's figures, as `weirctl service list --json` has them, "
			"are sent once a second." },
	{ .name = "queue",
		.type = SCHEMA_NUMBER,
		FIELD(model_stream, queue),
		.preset = "10000",
		.unit = "messages",
		.min = 100,
		.max = 1000000,
		.applies = stream_is_set,
		.help = "Messages kept while the brokers are slow or down, and at most 2 KiB of memory "
			"for each. What comes while it is full is lost and counted." },
	{ 0 },
};
