/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define API_FD	  3
#define LOG_LINES 5

static bool runnable(const char *path)
{
	return access(path, X_OK) == 0;
}

/* Beside this program (build folder), or where it is installed. */
static int find_program(struct cli *cli, char path[PATH_MAX])
{
	static const char *const places[] = { "weir-dataplane", "../sbin/weir-dataplane" };
	const char *given = getenv("WEIR_DATAPLANE");
	if (given != NULL && given[0] != '\0') {
		snprintf(path, PATH_MAX, "%s", given);
		return runnable(path) ?
			CLI_DONE :
			cli_fail(cli, CLI_FAILED, "cannot run %s, which $WEIR_DATAPLANE names: %s",
				path, strerror(errno));
	}
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (length > 0) {
		self[length] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			if (snprintf(path, PATH_MAX, "%s/%s", self, places[i]) < PATH_MAX &&
				runnable(path))
				return CLI_DONE;
	}
	return cli_fail(cli, CLI_FAILED,
		"weir-dataplane is not installed beside weirctl; set $WEIR_DATAPLANE to it");
}

/* argv[0] .. NULL; texts are borrowed from the invocation. */
static void make_arguments(const struct cli *cli, const char *program, const char **argv)
{
	static const char *const passed[] = { "--in", "--out", "--seed" };
	size_t n = 0;
	argv[n++] = program;
	argv[n++] = "--instance";
	argv[n++] = "replay";
	argv[n++] = "--replay";
	argv[n++] = "--api-fd";
	argv[n++] = "3";
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		const char *value;
		for (size_t k = 0; (value = cli_value(cli, passed[i] + 2, k)) != NULL; k++) {
			argv[n++] = passed[i];
			argv[n++] = value;
		}
	}
	argv[n] = NULL;
}

/* In the child: nothing but the socket and standard descriptors, and an end with its parent. */
static void become_data_plane(const char *path, char *const *argv, int api_fd, int log_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null_fd, STDIN_FILENO);
	/* Its standard output is not ours to print: that is one document. */
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	if (api_fd == API_FD)
		fcntl(api_fd, F_SETFD, 0);
	else
		dup2(api_fd, API_FD);
	close_range(API_FD + 1, UINT_MAX, 0);
	execv(path, argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

int replay_process_start(struct cli *cli, struct replay_process *ret_process)
{
	char path[PATH_MAX];
	const char *argv[2 * CLI_MAX_VALUES + 8];
	int pair[2];
	int status = find_program(cli, path);
	if (status != CLI_DONE)
		return status;
	make_arguments(cli, path, argv);
	int log_fd = memfd_create("weir-dataplane log", MFD_CLOEXEC);
	if (log_fd < 0)
		return cli_fail(cli, CLI_FAILED, "cannot start %s: %s", path, strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		int err = errno;
		close(log_fd);
		return cli_fail(cli, CLI_FAILED, "cannot start %s: %s", path, strerror(err));
	}
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		become_data_plane(path, (char *const *)(uintptr_t)argv, pair[1], log_fd);
	int err = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		close(log_fd);
		return cli_fail(cli, CLI_FAILED, "cannot start %s: %s", path, strerror(err));
	}
	*ret_process = (struct replay_process){ .pid = pid, .api_fd = pair[0], .log_fd = log_fd };
	return CLI_DONE;
}

bool replay_process_end(struct replay_process *p, int timeout_ms)
{
	int status = 0;
	const struct timespec step = { .tv_nsec = 2000000 };
	for (int waited_ms = 0; waited_ms < timeout_ms; waited_ms += 2) {
		pid_t pid = waitpid(p->pid, &status, WNOHANG);
		if (pid == p->pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		nanosleep(&step, NULL);
	}
	kill(p->pid, SIGKILL);
	waitpid(p->pid, &status, 0);
	return false;
}

void replay_process_log(struct cli *cli, struct replay_process *p, bool show)
{
	char tail[2048];
	off_t length = lseek(p->log_fd, 0, SEEK_END);
	off_t from = length > (off_t)sizeof(tail) - 1 ? length - (off_t)sizeof(tail) + 1 : 0;
	ssize_t n = show ? pread(p->log_fd, tail, sizeof(tail) - 1, from) : 0;
	close(p->log_fd);
	if (n <= 0)
		return;
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	tail[n] = '\0';
	/* Back to the beginning of the last lines. */
	char *start = tail + n;
	for (int lines = 0; start > tail; start--)
		if (start[-1] == '\n' && ++lines == LOG_LINES)
			break;
	fprintf(cli->err, "The data plane's last words:\n%s\n", start);
}
