/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Run CUnit cases and print TAP, so that `meson test` counts single cases. In meson.build:
 *     test('flow table', executable(..., dependencies: [tap, ...]), protocol: 'tap', suite: 'unit')
 */

#ifndef WEIR_TESTS_UNIT_TAP_H
#define WEIR_TESTS_UNIT_TAP_H

#include <CUnit/CUnit.h>

#include <stdbool.h>
#include <stddef.h>

struct tap_case {
	const char *name; /* a sentence: "a full table refuses new flows" */
	void (*run)(void);
};

/*
 * Returns the exit status of main(): 0 when every case passed. With TAP_ONLY in the environment only those whose name
 * has it in it are run, of which there has to be one.
 */
int tap_run(const char *suite, const struct tap_case *cases, size_t count);

/* An empty folder for the test, where temporary ones belong; it removes it. False with errno: there is none. */
bool tap_folder(char *ret_path, size_t size);

#define TAP_MAIN(suite, cases)                                                    \
	int main(void)                                                            \
	{                                                                         \
		return tap_run(suite, cases, sizeof(cases) / sizeof((cases)[0])); \
	}

#endif
