/* SPDX-License-Identifier: BSD-3-Clause */

/* What is set of adaptation by hand, from its file: wrong ones are refused, and what is read can be written. */

#include "control/daemon/adaptation/adaptation_kept.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check(const struct kept_service *s, const struct kept_service *again)
{
	FUZZ_CHECK(*s->name && strlen(s->name) <= MODEL_NAME_MAX);
	FUZZ_CHECK(!strcmp(s->name, again->name) && s->paused == again->paused);
	for (int i = 0; i < ADAPT_CONTROLLER_COUNT; i++) {
		FUZZ_CHECK(s->mode[i] == again->mode[i]);
		FUZZ_CHECK(s->mode[i] == KEPT_MODE_NOT_SET ||
			(s->mode[i] >= ADAPT_OFF && s->mode[i] <= ADAPT_ON));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct adaptation_kept k, again;
	char err[160] = "";

	if (adaptation_kept_parse((const char *)data, size, &k, err, sizeof(err))) {
		FUZZ_CHECK(err[0] != 0);
		return 0;
	}
	FUZZ_CHECK(k.count <= WEIR_MAX_SERVICES);
	char *bytes = adaptation_kept_print(&k);

	FUZZ_CHECK(bytes != NULL);
	FUZZ_CHECK(!adaptation_kept_parse(bytes, strlen(bytes), &again, err, sizeof(err)));
	FUZZ_CHECK(again.text_mark == k.text_mark && again.paused == k.paused);
	FUZZ_CHECK(again.count == k.count);
	for (size_t i = 0; i < k.count; i++)
		check(&k.services[i], &again.services[i]);
	free(bytes);
	adaptation_kept_fini(&again);
	adaptation_kept_fini(&k);
	return 0;
}
