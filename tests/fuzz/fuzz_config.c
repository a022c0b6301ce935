/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A configuration file, for its complaints: one line each, with a place, in the order of the file.
 * What becomes of good files is fuzz_plan.c's matter. The same bytes are also read as saved port
 * blocks, another file that somebody may have damaged.
 */

#include "control/config/model.h"
#include "control/plan/plan.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static void check_errors(const struct model_errors *errors)
{
	FUZZ_CHECK(errors->count > 0);
	for (size_t i = 0; i < errors->count; i++) {
		const struct model_error *e = &errors->items[i];
		FUZZ_CHECK(e->line > 0 && e->column > 0);
		FUZZ_CHECK(strchr(e->text, '\n') == NULL);
		FUZZ_CHECK(strstr(e->text, ": ") != NULL);
		FUZZ_CHECK(i == 0 || e[-1].line <= e->line);
	}
}

static void check_blocks(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	FUZZ_CHECK(text != NULL);
	struct plan_ports *ports = plan_ports_load(text);
	if (ports != NULL) {
		char *saved = plan_ports_save(ports);
		FUZZ_CHECK(saved != NULL);
		struct plan_ports *again = plan_ports_load(saved);
		FUZZ_CHECK(again != NULL);
		plan_ports_destroy(again);
		free(saved);
	}
	plan_ports_destroy(ports);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	int r = model_parse((const char *)data, size, &m, &errors);
	FUZZ_CHECK(r == 0 || r == -EINVAL);
	if (r == 0) {
		char *diff = model_diff(NULL, m);
		FUZZ_CHECK(diff != NULL && strncmp(diff, "+ ", 2) == 0);
		free(diff);
		model_destroy(m);
	} else {
		check_errors(&errors);
		model_errors_fini(&errors);
	}
	check_blocks(data, size);
	return 0;
}
