/* SPDX-License-Identifier: BSD-3-Clause */

/* The data plane's process: following it to its end, and ending it. */

#include "control/daemon/clock.h"
#include "control/daemon/dataplane/dataplane_private.h"
#include "control/daemon/log.h"

#include <event2/event.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT_LIFE_MS	  2000 /* dying younger than this again and again leads to pauses */
#define STOP_ASKED_MS	  5000
#define STOP_TERMINATE_MS 2000

void dataplane_process_forget(struct dataplane *d)
{
	if (d->death)
		event_free(d->death);
	d->death = NULL;
	if (d->pidfd >= 0)
		close(d->pidfd);
	d->pidfd = -1;
	d->pid = 0;
	d->is_child = false;
}

static void death_describe(struct dataplane *d, char *text, size_t size)
{
	siginfo_t info = { 0 };

	if (!d->is_child || waitid(P_PID, (id_t)d->pid, &info, WEXITED | WNOHANG)) {
		snprintf(text, size, "it ended");
		return;
	}
	if (info.si_code == CLD_EXITED)
		snprintf(text, size, "it ended with status %d", info.si_status);
	else
		snprintf(text, size, "it was ended by signal %d (%s)", info.si_status,
			strsignal(info.si_status));
}

static void stop_finish(struct dataplane *d)
{
	evtimer_del(d->look);
	d->stopped(d->stopped_ctx);
}

static void process_died(evutil_socket_t fd, short what, void *ctx)
{
	struct dataplane *d = ctx;
	char how[96];
	pid_t pid = d->pid;
	uint64_t lived_ns = clock_now_ns() - d->born_ns;

	death_describe(d, how, sizeof(how));
	dataplane_process_forget(d);
	if (d->stop != STOP_NOT) {
		dataplane_connection_end(d, how);
		stop_finish(d);
		return;
	}
	log_error("the data plane, pid %d, is gone: %s", (int)pid, how);
	dataplane_connection_end(d, how);
	d->short_lives = lived_ns < SHORT_LIFE_MS * NS_PER_MS ? d->short_lives + 1 : 0;
	uint64_t pause = 0;

	if (d->short_lives > 1) {
		unsigned int doublings = d->short_lives - 2;

		pause = doublings > 6 ? DATAPLANE_PAUSE_MAX_MS : UINT64_C(100) << doublings;
		if (pause > DATAPLANE_PAUSE_MAX_MS)
			pause = DATAPLANE_PAUSE_MAX_MS;
	}
	dataplane_look_later(d, pause);
}

void dataplane_process_follow(struct dataplane *d, pid_t pid, bool is_child)
{
	dataplane_process_forget(d);
	d->pid = pid;
	d->is_child = is_child;
	d->born_ns = clock_now_ns();
	d->pidfd = process_watch(pid);
	if (d->pidfd < 0)
		return;
	d->death = event_new(d->base, d->pidfd, EV_READ, process_died, d);
	if (d->death)
		event_add(d->death, NULL);
}

static void process_signal(struct dataplane *d, int number)
{
	if (d->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, d->pidfd, number, NULL, 0);
	else if (d->pid > 0)
		kill(d->pid, number);
}

void dataplane_stop_step(struct dataplane *d)
{
	switch (d->stop) {
	case STOP_ASKED:
		d->stop = STOP_TERMINATED;
		process_signal(d, SIGTERM);
		dataplane_look_later(d, STOP_TERMINATE_MS);
		break;
	case STOP_TERMINATED:
		d->stop = STOP_KILLED;
		log_warning("the data plane, pid %d, does not stop; killing it", (int)d->pid);
		process_signal(d, SIGKILL);
		dataplane_look_later(d, STOP_TERMINATE_MS);
		break;
	case STOP_KILLED:
	case STOP_NOT:
		stop_finish(d);
		break;
	}
}

void dataplane_stop(struct dataplane *d, void (*done)(void *ctx), void *ctx)
{
	d->stopped = done;
	d->stopped_ctx = ctx;
	d->stop = STOP_KILLED; /* nothing left to do, unless a process of ours is there */
	if (!d->spawn || !d->pid) {
		dataplane_connection_end(d, "stopping");
		dataplane_look_later(d, 0);
		return;
	}
	d->stop = STOP_ASKED;
	if (d->client && !weir_client_send(d->client, WEIR_MESSAGE_STOP, NULL, 0, NULL, NULL)) {
		dataplane_writing_update(d);
		dataplane_look_later(d, STOP_ASKED_MS);
	} else {
		dataplane_look_later(d, 0);
	}
}
