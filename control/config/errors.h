/* SPDX-License-Identifier: BSD-3-Clause */

/* Collects a file's complaints; inside control/config only. */

#ifndef WEIR_CONFIG_ERRORS_H
#define WEIR_CONFIG_ERRORS_H

#include "control/config/model.h"

#include <stdarg.h>
#include <stddef.h>

/* So many complaints are kept; a last line tells that there were more. */
#define ERRORS_MAX 1000

struct error_list {
	struct model_errors found;
	size_t capacity;
	size_t left_out;
	bool no_memory; /* something could not be kept: the caller returns -ENOMEM */
};

/* Add one complaint; the text becomes one line of printable characters. */
void errors_add(struct error_list *e, unsigned int line, unsigned int column, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* Sort by place in the file and hand over; e is empty afterwards. */
void errors_finish(struct error_list *e, struct model_errors *ret_errors);

#endif
