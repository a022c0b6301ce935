/* SPDX-License-Identifier: BSD-3-Clause */

/* Shared by the files of dataplane*.c. */

#ifndef WEIR_DAEMON_DATAPLANE_PRIVATE_H
#define WEIR_DAEMON_DATAPLANE_PRIVATE_H

#include "control/daemon/dataplane/dataplane.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define DATAPLANE_PAUSE_MAX_MS 5000 /* between attempts to start one */

struct event;
struct request;

enum stop_step {
	STOP_NOT,
	STOP_ASKED,
	STOP_TERMINATED,
	STOP_KILLED,
};

struct dataplane {
	struct event_base *base; /* borrowed */
	const struct rundir *run; /* borrowed */
	const char *instance; /* borrowed */
	const struct dataplane_callbacks *cb; /* borrowed */
	bool spawn;
	struct weir_client *client; /* owned; NULL: not connected */
	struct event *readable; /* owned, with the client */
	struct event *writable; /* owned, with the client */
	struct connector *connector; /* owned; NULL: no attempt under way */
	struct event *connected; /* owned, with the connector */
	struct event *look; /* owned; the next attempt, or the next step of stopping */
	pid_t pid; /* of the process that pidfd stands for; 0: none known */
	int pidfd; /* owned; -1: none known */
	bool is_child; /* to be reaped by us */
	struct event *death; /* owned, with pidfd */
	uint64_t born_ns;
	unsigned int short_lives;
	unsigned int restarts;
	bool looked; /* once */
	bool ever_ran;
	int error_rc;
	char error[256];
	LIST_HEAD(, request) requests;
	enum stop_step stop;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* When to look for it again, or to take the next step of stopping it. */
void dataplane_look_later(struct dataplane *d, uint64_t ms);
/* After something has been sent. */
void dataplane_writing_update(struct dataplane *d);
/* Open requests are answered, and who is to know is told. */
void dataplane_connection_end(struct dataplane *d, const char *why);

/* Its process: dataplane_process.c. Follow it to its end; without pidfds the end of the connection has to do. */
void dataplane_process_follow(struct dataplane *d, pid_t pid, bool is_child);
void dataplane_process_forget(struct dataplane *d);
/* The time for the last step of stopping is over: take the next. */
void dataplane_stop_step(struct dataplane *d);

/* One attempt to connect, in a thread of its own because the greeting waits for its answer. */
struct connector;

int connector_start(const char *path, int timeout_ms, struct connector **ret_connector);
int connector_fd(const struct connector *c); /* readable when it is done */
/*
 * Wait for the end and free. Returns what weir_client_connect() returned; ret_client is the caller's
 * on success.
 */
int connector_finish(
	struct connector *c, struct weir_client **ret_client, char *err, size_t err_size);

/*
 * Start weir-dataplane in a session of its own. Returns 0 or -errno with a sentence in err.
 */
int dataplane_spawn(const struct rundir *run, const char *instance,
	const struct model_dataplane *settings, pid_t *ret_pid, char *err, size_t err_size);

/* A descriptor that is readable when the process has ended; or -errno. */
int process_watch(pid_t pid);

#endif
