/* SPDX-License-Identifier: BSD-3-Clause */

/* The part of the schema that is about policies, and what their verdicts name. */

#include "control/config/schema_row.h"
#include "dataplane/api/messages.h"

static const struct schema_choice mode_choices[] = {
	{ .name = "enforce",
		.value = MODEL_POLICY_ENFORCE,
		.help = "its verdicts are carried out" },
	{ .name = "observe",
		.value = MODEL_POLICY_OBSERVE,
		.help = "its verdicts are counted, and every packet goes on" },
	{ 0 },
};

static const struct schema_choice error_choices[] = {
	{ .name = "pass", .value = MODEL_POLICY_ERROR_PASS, .help = "the packet goes on" },
	{ .name = "drop", .value = MODEL_POLICY_ERROR_DROP, .help = "it is dropped" },
	{ 0 },
};

static const struct schema_choice offload_choices[] = {
	{ .name = "auto",
		.value = MODEL_OFFLOAD_AUTO,
		.help = "on kernel ports, where it can, in front of Weir" },
	{ .name = "never", .value = MODEL_OFFLOAD_NEVER, .help = "in Weir alone" },
	{ 0 },
};

const struct schema_key schema_policy_keys[] = {
	{ .name = "object",
		.type = SCHEMA_FILE,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_policy, object),
		.help = "The object file that clang made; a relative path begins at the folder of this "
			"file. It is read when the configuration is applied." },
	{ .name = "mode",
		.type = SCHEMA_CHOICE,
		FIELD(model_policy, mode),
		.preset = "enforce",
		.choices = mode_choices,
		.help = "Whether it decides." },
	{ .name = "on-error",
		.type = SCHEMA_CHOICE,
		FIELD(model_policy, on_error),
		.preset = "pass",
		.choices = error_choices,
		.help = "What becomes of a packet for which the policy comes to no verdict, and of all "
			"packets when it has been detached because it took too long." },
	{ .name = "set",
		.type = SCHEMA_SETTINGS,
		.offset = offsetof(struct model_policy, sets),
		.count_offset = offsetof(struct model_policy, set_count),
		.preset_help = "as in the object",
		.max = 256,
		.help = "Parameters of the policy: the globals that its source marks with WEIR_PARAM." },
	{ .name = "budget",
		.type = SCHEMA_NUMBER,
		FIELD(model_policy, budget),
		.preset = "2000",
		.min = 1,
		.max = 1000000000,
		.help = "CPU cycles that it may take a packet: as the median when it is tried out, "
			"else it is refused; on average in a second under traffic, else it is "
			"detached, unless that is less than a twentieth of a core." },
	{ .name = "offload",
		.type = SCHEMA_CHOICE,
		FIELD(model_policy, offload),
		.preset = "auto",
		.choices = offload_choices,
		.help = "Whether the kernel runs it, too: a service's first policies can be there, "
			"with arrays and with lists that they only read. `weirctl policy show` says why where it is not." },
	{ 0 },
};

const struct schema_key schema_class_keys[] = {
	{ .name = "name",
		.type = SCHEMA_NAME,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_class, name),
		.help = "Unique among the service's classes." },
	{ .name = "packets",
		.type = SCHEMA_RATE,
		FIELD(model_class, packets),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "packets per second",
		.example = "10k",
		.help = "Packets of the class. 0 lets nothing pass." },
	{ .name = "bits",
		.type = SCHEMA_RATE,
		FIELD(model_class, bits),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000000),
		.unit = "bits per second",
		.example = "100M",
		.help = "Bits of its frames, without frame check sequence. 0 lets nothing pass." },
	{ .name = "connections",
		.type = SCHEMA_RATE,
		FIELD(model_class, connections),
		.preset_help = "unlimited",
		.max = UINT64_C(10000000000),
		.unit = "new flows per second",
		.example = "100",
		.help = "New flows of the class. 0 lets none begin; known flows go on." },
	{ .name = "burst",
		.type = SCHEMA_TIME,
		FIELD(model_class, burst_ns),
		.preset = "10ms",
		.min = MS / 10,
		.max = 60 * S,
		.example = "10ms",
		.help = "How much of these may come at once, as time at full rate; at least two "
			"packets, frames or flows." },
	{ 0 },
};

const struct schema_key schema_pool_keys[] = {
	{ .name = "name",
		.type = SCHEMA_NAME,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_pool, name),
		.help = "Unique among the service's pools." },
	{ .name = "backends",
		.type = SCHEMA_LIST,
		.flags = SCHEMA_F_REQUIRED,
		LIST_OF(model_pool, backends, backend_count, model_backend),
		.children = schema_backend_keys,
		.min = 1,
		.max = WEIR_MAX_BACKENDS_PER_SERVICE,
		.help = "Who serves what policies send here. Checked and drained as others are; listed "
			"in one place of the service only." },
	{ 0 },
};
