/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/schema_row.h"

const struct schema_key schema_probes_keys[] = {
	{ .name = "listen",
		.type = SCHEMA_LISTEN,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_probes, listen),
		.example = "\"10.0.0.2:9469\"",
		.help = "Address and UDP port of this host where weir-probe's datagrams come in." },
	{ .name = "key-file",
		.type = SCHEMA_FILE,
		.flags = SCHEMA_F_REQUIRED,
		FIELD(model_probes, key_file),
		.example = "/etc/weir/probe.key",
		.help = "The key that the probes have as well, 16 to 1024 bytes, in a file that is not open "
			"to everybody; a relative path begins at the folder of this file. It is read when "
			"the configuration is applied." },
	{ 0 },
};
