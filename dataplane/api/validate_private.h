/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files that check messages. */

#ifndef WEIR_API_VALIDATE_PRIVATE_H
#define WEIR_API_VALIDATE_PRIVATE_H

#include "dataplane/api/validate.h"

#include <stdbool.h>

/* Ceilings that keep products of rate and time inside 64 bits. */
#define VALIDATE_MAX_RATE     UINT64_C(1000000000000000)
#define VALIDATE_MAX_BURST_NS UINT64_C(60000000000)

/* Where the reason for a refusal goes; text may be NULL. */
struct complaint {
	char *text;
	size_t size;
};

/* Write the reason. Returns -EINVAL, so that checks can return it. */
__attribute__((format(printf, 2, 3))) int complain(
	const struct complaint *c, const char *format, ...);

/* True for a name of at most size - 1 characters as messages.h has them. */
bool weir_name_is_good(const char *name, size_t size);

/*
 * Whatever must not occur twice: names, services' keys, backends, neighbours, port blocks of a source
 * address. Everything else of the view must have been checked. Returns 0, -EINVAL or -ENOMEM.
 */
int config_uniqueness_check(const struct weir_config_view *v, const struct complaint *c);

/* Policies, classes and numbers of pools; the counts of the header must fit the length. */
int config_policies_check(const struct weir_config_view *v, const struct complaint *c);

#endif
