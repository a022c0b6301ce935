/* SPDX-License-Identifier: BSD-3-Clause */

#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	struct sockaddr_un to;
	socklen_t to_length; /* 0: nobody listens */
	uint64_t watchdog_ns;
	uint64_t alive_ns; /* when it was last said */
	char status[256]; /* said last */
} notify;

/* A path, or an abstract name, which begins with '@'. */
static void address_set(const char *text)
{
	size_t length = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || length < 2 ||
		length >= sizeof(notify.to.sun_path))
		return;
	notify.to.sun_family = AF_UNIX;
	memcpy(notify.to.sun_path, text, length);
	if (text[0] == '@')
		notify.to.sun_path[0] = '\0';
	notify.to_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void watchdog_set(const char *text, const char *pid)
{
	char *end;
	unsigned long long us;

	if (!text || (pid && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
		return;
	errno = 0;
	us = strtoull(text, &end, 10);
	if (errno || *end || us > UINT64_MAX / 1000)
		return;
	notify.watchdog_ns = us * 1000;
}

void notify_init(void)
{
	const char *to = getenv("NOTIFY_SOCKET");

	memset(&notify, 0, sizeof(notify));
	if (to)
		address_set(to);
	if (notify.to_length)
		watchdog_set(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

bool notify_is_wanted(void)
{
	return notify.to_length != 0;
}

bool notify_journal_reads(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	/* It is inherited, also by what writes elsewhere. */
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* A manager that cannot be reached will find out by itself. */
static void tell(const char *text)
{
	int fd;

	if (!notify.to_length)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&notify.to,
		notify.to_length);
	close(fd);
}

static void tell_with_status(const char *what, const char *status)
{
	char text[sizeof(notify.status) + 32];

	if (status)
		snprintf(notify.status, sizeof(notify.status), "%s", status);
	/* A line each; what comes from outside must not make lines of its own. */
	for (char *at = notify.status; *at; at++)
		if (*at == '\n')
			*at = ' ';
	snprintf(text, sizeof(text), "%s%s%s", what, status ? "STATUS=" : "",
		status ? notify.status : "");
	tell(text);
}

void notify_ready(const char *status)
{
	tell_with_status("READY=1\n", status);
}

void notify_stopping(const char *status)
{
	tell_with_status("STOPPING=1\n", status);
}

void notify_status(const char *status)
{
	if (strncmp(notify.status, status, sizeof(notify.status) - 1) != 0)
		tell_with_status("", status);
}

uint64_t notify_watchdog_ns(void)
{
	return notify.watchdog_ns;
}

void notify_alive(uint64_t now_ns)
{
	if (!notify.watchdog_ns ||
		(notify.alive_ns && now_ns - notify.alive_ns < notify.watchdog_ns / 2))
		return;
	notify.alive_ns = now_ns;
	tell("WATCHDOG=1\n");
}
