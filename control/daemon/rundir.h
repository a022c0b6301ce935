/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The instance's folder under /run/weir (or $WEIR_RUN_DIR): its lock and the small files by which a
 * restarted daemon goes on where the last one stopped.
 */

#ifndef WEIR_DAEMON_RUNDIR_H
#define WEIR_DAEMON_RUNDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rundir {
	char top[PATH_MAX - 256]; /* /run/weir */
	char path[PATH_MAX - 128]; /* /run/weir/NAME */
	int lock_fd;
};

/*
 * Make the folder where it is missing and take the instance's lock, which ends with the process.
 *
 * Returns 0, -EBUSY (a daemon of this instance runs) or another -errno, with a sentence in err.
 */
int rundir_open(const char *instance, struct rundir *ret, char *err, size_t err_size);
void rundir_close(struct rundir *r);

/* Remove the folder, when it is empty but for the lock. */
void rundir_remove(struct rundir *r);

/* Full path of a file in it; buf of PATH_MAX. */
const char *rundir_path(const struct rundir *r, const char *name, char *buf);

/* Replace a file's content as one step. Returns 0 or -errno. */
int rundir_write(const struct rundir *r, const char *name, const char *text, size_t length);
void rundir_unlink(const struct rundir *r, const char *name);

/*
 * Make a folder and those above it (0755), where they are missing; mode is the last one's.
 * Returns 0 or -errno.
 */
int folder_make(const char *path, mode_t mode);

/*
 * Replace a file's content as one step (0600); durable: it is on the disk before. Returns 0 or -errno.
 */
int file_replace(const char *path, const char *text, size_t length, bool durable);

/*
 * Read a whole file. ret_text is malloc'ed, with a NUL behind ret_length bytes.
 * Returns 0, -ENOENT, -EFBIG (over 64 MiB), -ENOMEM or another -errno.
 */
int file_read(const char *path, char **ret_text, size_t *ret_length);
int rundir_read(const struct rundir *r, const char *name, char **ret_text, size_t *ret_length);

#endif
