/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Control reading a damaged telemetry region, and making its documents of it. The input is a list of
 * patches {offset, value} over a good region; the region lies in memory of its exact size, so that a
 * step outside is seen.
 */

#include "control/report/report.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/report/region.h"

#include <errno.h>
#include <string.h>

struct patch {
	uint32_t offset;
	uint8_t value[8];
};

static void make_documents(const struct snapshot *s, const struct snapshot *base)
{
	struct model_backend backend = { .port = 8080, .weight = 1 };
	struct model_service service = { .name = "web",
		.prefix_length = 128,
		.port = 80,
		.protocol = MODEL_TCP,
		.mode = MODEL_NAT,
		.backends = &backend,
		.backend_count = 1 };
	struct model_port port = { .name = "front", .device = "eth1" };
	struct model m = {
		.services = &service, .service_count = 1, .ports = &port, .port_count = 1
	};
	region_address(backend.address.bytes, 11);
	json_t *documents[] = { report_service_list(&m, s, base),
		report_service(&m, &service, s, base), report_backend_list(&m, NULL, s, base),
		report_port_list(&m, s, base), report_core_list(&m, s, base),
		report_replay(&m, s) };
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		char *text = json_dumps(documents[i], 0);
		FUZZ_CHECK(text != NULL);
		free(text);
		json_decref(documents[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct region *r = region_create();
	struct snapshot *base = NULL, *s = NULL;
	FUZZ_CHECK(snapshot_take(&r->t, sizeof(*r), 1, &base) == 0);
	for (size_t at = 0; at + sizeof(struct patch) <= size; at += sizeof(struct patch)) {
		struct patch p;
		memcpy(&p, data + at, sizeof(p));
		memcpy((char *)r + p.offset % (sizeof(*r) - sizeof(p.value)), p.value,
			sizeof(p.value));
	}
	r->t.directory_seq &= ~UINT64_C(1); /* odd is waited for, which is not what is looked for */
	uint64_t *detached = NULL;
	size_t detached_count;
	int err = snapshot_detached(&r->t, sizeof(*r), &detached, &detached_count);
	FUZZ_CHECK(err == 0 || err == -EPROTO);
	free(detached);
	err = snapshot_take(&r->t, sizeof(*r), 2, &s);
	FUZZ_CHECK(err == 0 || err == -EPROTO);
	if (err == 0)
		make_documents(s, base);
	snapshot_destroy(s);
	snapshot_destroy(base);
	free(r);
	return 0;
}
