/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The folder with the last configurations, one file each, and what the daemon knows of them without
 * opening it. Event loop's thread.
 */

#ifndef WEIR_DAEMON_REVISION_STORE_H
#define WEIR_DAEMON_REVISION_STORE_H

#include "control/daemon/revision/revision.h"

#include <limits.h>

#define REVISIONS_MAX 20

struct revision_store {
	char path[PATH_MAX - 128]; /* with room for what lies in it */
	struct revision list[REVISIONS_MAX + 1]; /* newest first, without texts */
	size_t count;
	uint64_t last; /* highest number ever seen, also of files that cannot be used */
};

/*
 * Make the folder where it is missing, and read what is there. Files that are damaged are left where they
 * are, told of in the log, and not used. Returns 0 or -errno: then nothing can be kept, which has been
 * logged, and the store is empty.
 */
int revision_store_open(struct revision_store *s, const char *path);
/* The folder goes when nothing was kept in it. */
void revision_store_close(struct revision_store *s);

/*
 * Keep one as the newest; its number is given here. Only when it is on the disk older ones go, and never
 * the last one that is in force for good. Returns 0 or -errno, which has been logged.
 */
int revision_store_add(struct revision_store *s, const struct revision *r);

/* Write the newest again, without its text in r: in force for good, or until r says. */
int revision_store_confirm(struct revision_store *s);
int revision_store_extend(struct revision_store *s, const struct boot_time *until);
/* Or with what its policies are made of, which was not known when it was noted. */
int revision_store_objects(struct revision_store *s, json_t *objects);

/* An entry with its text; end with revision_fini(). Returns 0 or -errno with a sentence in err. */
int revision_store_read(const struct revision_store *s, uint64_t number, struct revision *ret,
	char *err, size_t err_size);

/* Its index in the list, or -1. */
int revision_store_find(const struct revision_store *s, uint64_t number);
/* Leave out an entry that turned out to be of no use. */
void revision_store_skip(struct revision_store *s, size_t index);

#endif
