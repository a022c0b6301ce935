/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/dataplane_private.h"
#include "control/daemon/revision/settings.h"
#include "control/daemon/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

struct connector {
	pthread_t thread;
	int done_fd;
	char path[PATH_MAX];
	int timeout_ms;
	int rc;
	struct weir_client *client;
	char err[256];
};

static void *connector_run(void *ctx)
{
	struct connector *c = ctx;

	c->rc = weir_client_connect(c->path, c->timeout_ms, &c->client, c->err, sizeof(c->err));
	eventfd_write(c->done_fd, 1);
	return NULL;
}

int connector_start(const char *path, int timeout_ms, struct connector **ret_connector)
{
	struct connector *c = calloc(1, sizeof(*c));
	sigset_t all, before;

	if (!c)
		return -ENOMEM;
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->timeout_ms = timeout_ms;
	c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->done_fd < 0) {
		int rc = -errno;

		free(c);
		return rc;
	}
	/* Signals are the event loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = -pthread_create(&c->thread, NULL, connector_run, c);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		close(c->done_fd);
		free(c);
		return rc;
	}
	*ret_connector = c;
	return 0;
}

int connector_fd(const struct connector *c)
{
	return c->done_fd;
}

int connector_finish(
	struct connector *c, struct weir_client **ret_client, char *err, size_t err_size)
{
	pthread_join(c->thread, NULL);
	int rc = c->rc;

	if (!rc)
		*ret_client = c->client;
	snprintf(err, err_size, "%s", c->err);
	close(c->done_fd);
	free(c);
	return rc;
}

int process_watch(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* Beside ourselves, as in a build folder, or in sbin next to our bin. */
static int executable_find(char *ret_path, size_t size)
{
	static const char *const places[] = { "weir-dataplane", "../sbin/weir-dataplane" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = 0;
	char *slash = strrchr(self, '/');

	if (!slash)
		return -ENOENT;
	slash[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if ((size_t)snprintf(ret_path, size, "%s%s", self, places[i]) >= size)
			return -ENAMETOOLONG;
		if (!access(ret_path, X_OK))
			return 0;
	}
	snprintf(ret_path, size, "%s", self);
	return -ENOENT;
}

#define ARGUMENTS_MAX 24

struct arguments {
	const char *list[ARGUMENTS_MAX + 1];
	size_t count;
};

static void argument_add(struct arguments *a, const char *name, const char *value)
{
	if (a->count + 2 > ARGUMENTS_MAX)
		return;
	a->list[a->count++] = name;
	a->list[a->count++] = value;
}

static int process_start(const char *path, char *const *argv, pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	pid_t pid;

	if (posix_spawn_file_actions_init(&files))
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	int rc = -posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);

	/* Libraries open what an exec does not close. */
	if (!rc)
		rc = -posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);

	/* A session of its own: neither our end nor a Ctrl-C at our terminal ends it. */
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	if (!rc)
		rc = -posix_spawn(&pid, path, &files, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	if (!rc)
		*ret_pid = pid;
	return rc;
}

int dataplane_spawn(const struct rundir *run, const char *instance,
	const struct model_dataplane *settings, pid_t *ret_pid, char *err, size_t err_size)
{
	static const char *const hugepages[] = { [MODEL_HUGEPAGES_AUTO] = "auto",
		[MODEL_HUGEPAGES_REQUIRED] = "required",
		[MODEL_HUGEPAGES_NONE] = "none" };
	static const char *const idle[] = { [MODEL_IDLE_SLEEP] = "sleep",
		[MODEL_IDLE_SPIN] = "spin",
		[MODEL_IDLE_INTERRUPT] = "interrupt" };
	char path[PATH_MAX];
	char cores[1024];
	char memory[32];
	struct arguments a = { .count = 0 };
	int rc = executable_find(path, sizeof(path));

	if (rc) {
		snprintf(err, err_size, "no weir-dataplane beside %s: %s", path, strerror(-rc));
		return rc;
	}
	cores_print(settings, cores, sizeof(cores));
	snprintf(memory, sizeof(memory), "%lluM",
		(unsigned long long)(settings->memory_bytes >> 20));
	a.list[a.count++] = "weir-dataplane";
	argument_add(&a, "--instance", instance);
	argument_add(&a, "--run-dir", run->top);
	if (settings->core_count)
		argument_add(&a, "--cores", cores);
	if (settings->memory_bytes)
		argument_add(&a, "--memory", memory);
	argument_add(&a, "--hugepages", hugepages[settings->hugepages]);
	argument_add(&a, "--early-drops",
		settings->early_drops == MODEL_EARLY_DROPS_WEIR ? "weir" : "kernel");
	argument_add(&a, "--idle", idle[settings->idle]);
	/* posix_spawn() wants char *const[], and does not write to it. */
	char *argv[ARGUMENTS_MAX + 1];

	memcpy(argv, a.list, sizeof(argv));
	argv[a.count] = NULL;
	rc = process_start(path, argv, ret_pid);
	if (rc)
		snprintf(err, err_size, "%s: %s", path, strerror(-rc));
	return rc;
}
