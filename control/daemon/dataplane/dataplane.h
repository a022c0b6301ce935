/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The daemon's end of one data plane process: finds it, starts it where that is our task, notices its
 * death, and carries requests with a deadline. Nothing here waits. Event loop's thread.
 */

#ifndef WEIR_DAEMON_DATAPLANE_H
#define WEIR_DAEMON_DATAPLANE_H

#include "control/config/model.h"
#include "dataplane/api/client.h"

#include <sys/types.h>

struct dataplane;
struct event_base;
struct rundir;

struct dataplane_callbacks {
	void *ctx;
	/* A connection is there; dataplane_client() has its greeting and telemetry. */
	void (*connected)(void *ctx);
	/* It has ended; open requests have been answered with -ECONNRESET. */
	void (*lost)(void *ctx);
	/* The first look found nobody who answers; the search goes on. Called once, or never. */
	void (*absent)(void *ctx);
	void (*event)(void *ctx, const struct weir_event *event);
	/* With what to start one; borrowed. */
	const struct model_dataplane *(*settings)(void *ctx);
};

enum dataplane_state {
	DATAPLANE_STOPPED, /* nobody there */
	DATAPLANE_STARTING, /* a process of ours that does not answer yet */
	DATAPLANE_RUNNING,
	DATAPLANE_NOT_ANSWERING, /* its heartbeat is old, or it does not greet */
	DATAPLANE_INCOMPATIBLE, /* speaks another version */
};

/*
 * Begin to look for the instance's data plane. run, instance and cb are borrowed until
 * dataplane_destroy(). Returns 0 or -errno.
 */
int dataplane_start(struct event_base *base, const struct rundir *run, const char *instance,
	bool spawn, const struct dataplane_callbacks *cb, struct dataplane **ret_dataplane);

/*
 * End it: one that we are to start is stopped as well (asked, then forced), one of somebody else's is
 * left alone. done is called from the loop, once. No other callback comes afterwards.
 */
void dataplane_stop(struct dataplane *d, void (*done)(void *ctx), void *ctx);
void dataplane_destroy(struct dataplane *d); /* frees, kills nobody; NULL is fine */

struct weir_client *dataplane_client(const struct dataplane *d); /* NULL: not connected */

/*
 * Send a request. cb is called once, from the loop: with the reply, with -ETIMEDOUT, or with
 * -ECONNRESET. Returns 0, -ENOTCONN, or what weir_client_send() says; then cb is not called.
 */
int dataplane_request(struct dataplane *d, enum weir_message_type type, const void *body,
	size_t length, unsigned int timeout_ms, weir_reply_cb cb, void *ctx);

/* The same with descriptors, of which duplicates go along. */
int dataplane_request_fds(struct dataplane *d, enum weir_message_type type, const void *body,
	size_t length, const int *fds, unsigned int fd_count, unsigned int timeout_ms,
	weir_reply_cb cb, void *ctx);

/* Drop the connection and make a new one: what is unknown of the peer becomes known again. */
void dataplane_reconnect(struct dataplane *d);

enum dataplane_state dataplane_state(const struct dataplane *d);
const char *dataplane_state_name(enum dataplane_state s);
const char *dataplane_error(const struct dataplane *d); /* why there is no connection; "" unknown */
pid_t dataplane_pid(const struct dataplane *d); /* 0: none */
unsigned int dataplane_restarts(const struct dataplane *d);

#endif
