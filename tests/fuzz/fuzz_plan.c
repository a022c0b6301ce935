/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a configuration file to the message for the data plane: whatever the reader accepts, the planner
 * either refuses with a reason or makes into a message that the data plane accepts, and the canonical
 * form of a configuration means the same as the original.
 */

#include "control/config/model.h"
#include "control/plan/plan.h"
#include "dataplane/api/validate.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static void message_check(const struct model *m, struct plan_ports *ports, bool replay)
{
	static const struct plan_world world = { .ephemeral_first = 32768,
		.ephemeral_last = 60999 };
	char err[512] = "";
	void *body = NULL;
	size_t length = 0;
	int rc = plan_build(m, &world, ports, replay, &body, &length, err, sizeof(err));

	if (rc) {
		FUZZ_CHECK(rc == -ENOSPC || rc == -EINVAL || rc == -ENOMEM);
		FUZZ_CHECK(rc == -ENOMEM || err[0] != '\0');
		return;
	}
	rc = weir_config_validate(body, length, err, sizeof(err));
	if (rc)
		fprintf(stderr, "the data plane refuses the plan: %s\n", err);
	FUZZ_CHECK(rc == 0);
	free(body);
}

static void canonical_check(const struct model *m)
{
	struct model_errors errors = { 0 };
	struct model *again = NULL;
	char *yaml = model_to_yaml(m);

	FUZZ_CHECK(yaml);
	int rc = model_parse(yaml, strlen(yaml), &again, &errors);
	if (rc)
		model_errors_print(stderr, "canonical", &errors);
	FUZZ_CHECK(rc == 0);
	FUZZ_CHECK(model_digest(m) == model_digest(again));
	char *diff = model_diff(m, again);
	FUZZ_CHECK(diff && diff[0] == '\0');
	free(diff);
	model_destroy(again);
	free(yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_errors errors = { 0 };
	struct model *m = NULL;
	int rc = model_parse((const char *)data, size, &m, &errors);

	if (rc) {
		FUZZ_CHECK(rc == -EINVAL);
		FUZZ_CHECK(errors.count > 0);
		model_errors_fini(&errors);
		return 0;
	}
	canonical_check(m);
	struct plan_ports *ports = plan_ports_create();
	FUZZ_CHECK(ports);
	message_check(m, ports, false);
	/* The second plan keeps the ports of the first. */
	message_check(m, ports, true);
	char *saved = plan_ports_save(ports);
	FUZZ_CHECK(saved);
	struct plan_ports *loaded = plan_ports_load(saved);
	FUZZ_CHECK(loaded);
	message_check(m, loaded, true);
	plan_ports_destroy(loaded);
	free(saved);
	plan_ports_destroy(ports);
	model_destroy(m);
	return 0;
}
