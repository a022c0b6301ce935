/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What operators have set of adaptation by hand, as it is kept in a file for the daemon that comes next.
 * Pure functions; the file is adaptation_store.c's.
 */

#ifndef WEIR_DAEMON_ADAPTATION_KEPT_H
#define WEIR_DAEMON_ADAPTATION_KEPT_H

#include "control/adapt/adapt.h"
#include "control/config/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEPT_MODE_NOT_SET (-1)

struct kept_service {
	char name[MODEL_NAME_MAX + 1];
	bool paused;
	int mode[ADAPT_CONTROLLER_COUNT]; /* enum adapt_mode; KEPT_MODE_NOT_SET */
};

struct adaptation_kept {
	uint64_t text_mark; /* of the configuration that the modes were set on */
	bool paused; /* all services */
	size_t count; /* at most WEIR_MAX_SERVICES, all of them different */
	struct kept_service *services; /* owned */
};

bool kept_service_is_empty(const struct kept_service *s);
void adaptation_kept_fini(struct adaptation_kept *k);

/* The bytes of the file; malloc'ed, NULL when out of memory. */
char *adaptation_kept_print(const struct adaptation_kept *k);

/*
 * Read a file. Returns 0 and fills ret (end with adaptation_kept_fini()); -EINVAL or -ENOMEM with what is
 * wrong in err. Nothing of a file in which something is wrong is used.
 */
int adaptation_kept_parse(
	const char *bytes, size_t length, struct adaptation_kept *ret, char *err, size_t err_size);

#endif
