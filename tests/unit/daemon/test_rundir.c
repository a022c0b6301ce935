/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rundir.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAEMONS 4
#define ROUNDS	3000

/* Exit status: 0, or what went wrong. */
static int begin_and_end(const char *inside)
{
	struct rundir r;
	char err[512];

	for (int i = 0; i < ROUNDS; i++) {
		int rc = rundir_open("edge", &r, err, sizeof(err));

		if (rc == -EBUSY || rc == -EAGAIN)
			continue;
		if (rc)
			return 1;
		int fd = open(inside, O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0)
			return 2;
		close(fd);
		if (unlink(inside))
			return 3;
		rundir_remove(&r);
		rundir_close(&r);
	}
	return 0;
}

/* The one that ends takes the lock's file away, while others are about to lock it. */
static void one_at_a_time(void)
{
	char folder[128], inside[192], path[192];
	pid_t daemons[DAEMONS];

	CU_ASSERT_TRUE_FATAL(tap_folder(folder, sizeof(folder)));
	snprintf(inside, sizeof(inside), "%s/inside", folder);
	snprintf(path, sizeof(path), "%s/run", folder);
	setenv("WEIR_RUN_DIR", path, 1);
	for (int i = 0; i < DAEMONS; i++) {
		daemons[i] = fork();
		if (!daemons[i])
			_exit(begin_and_end(inside));
	}
	for (int i = 0; i < DAEMONS; i++) {
		int status = -1;

		CU_ASSERT_EQUAL(waitpid(daemons[i], &status, 0), daemons[i]);
		CU_ASSERT_EQUAL(status, 0);
	}
	CU_ASSERT_EQUAL(rmdir(path), 0); /* so nothing of the instance is left */
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

static const struct tap_case cases[] = {
	{ "of daemons that begin and end all the time one has the instance", one_at_a_time },
};

TAP_MAIN("run folder", cases)
