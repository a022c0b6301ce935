/* SPDX-License-Identifier: BSD-3-Clause */

/* The names of the twins that this instance has made: a file in its folder, one a line. Main thread. */

#ifndef WEIR_PORT_TWIN_NOTES_H
#define WEIR_PORT_TWIN_NOTES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#define TWIN_NOTES_MAX 64

struct twin_notes {
	size_t count;
	char name[TWIN_NOTES_MAX][IFNAMSIZ];
};

/* Lines that are no names of interfaces are left out. */
void twin_notes_read(const char *instance_dir, struct twin_notes *ret_notes);
bool twin_notes_have(const struct twin_notes *n, const char *name);
/* Each returns 0 or -errno; the file is whole or as it was, and gone when it would be empty. */
int twin_notes_add(const char *instance_dir, const char *name);
int twin_notes_remove(const char *instance_dir, const char *name);

#endif
