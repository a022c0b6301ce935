/* SPDX-License-Identifier: BSD-3-Clause */

/* Helpers of the tests here: models from texts and files. */

#ifndef WEIR_TESTS_CONFIG_TEXT_H
#define WEIR_TESTS_CONFIG_TEXT_H

#include "control/config/model.h"
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A model of a text that must be good; the complaints are printed when it is not. */
static inline struct model *model_of(const char *text)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	if (model_parse(text, strlen(text), &m, &errors) != 0) {
		model_errors_print(stderr, "# text", &errors);
		model_errors_fini(&errors);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

/* A file, with a NUL behind it. malloc'ed. */
static inline char *text_of_file(const char *path)
{
	static const size_t room = (size_t)1 << 20;
	FILE *from = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(from);
	char *text = calloc(1, room);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	size_t length = fread(text, 1, room - 1, from);
	CU_ASSERT(length > 0 && length < room - 1);
	fclose(from);
	return text;
}

#endif
