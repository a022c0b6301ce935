/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/tap.h"

#include <CUnit/TestRun.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned int cases_done;

static void case_complete(
	const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	printf("%sok %u - %s: %s\n", failure ? "not " : "", ++cases_done, suite->pName,
		test->pName);
	for (CU_pFailureRecord f = failure; f; f = f->pNext)
		printf("# %s:%u: %s\n", f->strFileName ? f->strFileName : "?", f->uiLineNumber,
			f->strCondition ? f->strCondition : "?");
	fflush(stdout);
}

int tap_run(const char *suite_name, const struct tap_case *cases, size_t count)
{
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
	if (!suite)
		return 99;
	const char *only = getenv("TAP_ONLY");
	size_t wanted = 0;

	for (size_t i = 0; i < count; i++) {
		if (only && !strstr(cases[i].name, only))
			continue;
		if (!CU_add_test(suite, cases[i].name, cases[i].run))
			return 99;
		wanted++;
	}
	printf("1..%zu\n", wanted);
	fflush(stdout);
	CU_set_test_complete_handler(case_complete);
	CU_ErrorCode rc = CU_run_all_tests();
	unsigned int failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return rc == CUE_SUCCESS && !failed && wanted && cases_done == wanted ? 0 : 1;
}

bool tap_folder(char *ret_path, size_t size)
{
	const char *parent = getenv("TMPDIR");
	int length = snprintf(
		ret_path, size, "%s/weir-test-XXXXXX", parent && *parent ? parent : P_tmpdir);

	if (length < 0 || (size_t)length >= size) {
		errno = ENAMETOOLONG;
		return false;
	}
	return mkdtemp(ret_path) != NULL;
}
