/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/dataplane.h"

#include "control/daemon/clock.h"
#include "control/daemon/dataplane/dataplane_private.h"
#include "control/daemon/log.h"
#include "control/daemon/rundir.h"

#include <event2/event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_TIMEOUT_MS 1000
#define LOOK_STARTING_MS    10 /* between looks for a process that is just starting */
#define LOOK_MS		    200 /* between looks for one that somebody else starts */
#define STARTING_MS	    5000
#define HEARTBEAT_MAX_MS    2000

struct request {
	LIST_ENTRY(request) link;
	struct event *timer; /* owned */
	weir_reply_cb cb; /* NULL: has been answered with -ETIMEDOUT */
	void *ctx;
};

void dataplane_look_later(struct dataplane *d, uint64_t ms)
{
	struct timeval wait = clock_timeval_ms(ms);

	evtimer_add(d->look, &wait);
}

/* Requests that are open. */

static void request_reply(void *ctx, int status, const void *body, size_t length)
{
	struct request *r = ctx;
	weir_reply_cb cb = r->cb;
	void *cb_ctx = r->ctx;

	LIST_REMOVE(r, link);
	event_free(r->timer);
	free(r);
	if (cb)
		cb(cb_ctx, status, body, length);
}

static void request_timeout(evutil_socket_t fd, short what, void *ctx)
{
	static const char text[] = "the data plane does not answer";
	struct request *r = ctx;
	weir_reply_cb cb = r->cb;

	/* The client still holds it; it goes when the reply comes, or the connection ends. */
	r->cb = NULL;
	cb(r->ctx, -ETIMEDOUT, text, sizeof(text) - 1);
}

void dataplane_writing_update(struct dataplane *d)
{
	if (d->client && weir_client_wants_write(d->client))
		event_add(d->writable, NULL);
	else if (d->writable)
		event_del(d->writable);
}

int dataplane_request(struct dataplane *d, enum weir_message_type type, const void *body,
	size_t length, unsigned int timeout_ms, weir_reply_cb cb, void *ctx)
{
	return dataplane_request_fds(d, type, body, length, NULL, 0, timeout_ms, cb, ctx);
}

int dataplane_request_fds(struct dataplane *d, enum weir_message_type type, const void *body,
	size_t length, const int *fds, unsigned int fd_count, unsigned int timeout_ms,
	weir_reply_cb cb, void *ctx)
{
	struct timeval wait = clock_timeval_ms(timeout_ms);

	if (!d->client)
		return -ENOTCONN;
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->cb = cb;
	r->ctx = ctx;
	r->timer = evtimer_new(d->base, request_timeout, r);
	if (!r->timer || evtimer_add(r->timer, &wait)) {
		if (r->timer)
			event_free(r->timer);
		free(r);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&d->requests, r, link);
	int rc = weir_client_send_fds(
		d->client, type, body, length, fds, fd_count, request_reply, r);

	if (rc) {
		LIST_REMOVE(r, link);
		event_free(r->timer);
		free(r);
		return rc;
	}
	dataplane_writing_update(d);
	return 0;
}

/* The connection. */

void dataplane_connection_end(struct dataplane *d, const char *why)
{
	struct weir_client *client = d->client;

	if (!client)
		return;
	snprintf(d->error, sizeof(d->error), "%s", why);
	d->error_rc = -ECONNRESET;
	event_free(d->readable);
	event_free(d->writable);
	d->readable = d->writable = NULL;
	d->client = NULL;
	weir_client_close(client); /* answers the open requests */
	/* Nobody would tell of its death. */
	if (d->pidfd < 0)
		d->pid = 0;
	if (d->stop == STOP_NOT) {
		log_warning("the connection to the data plane ended: %s", why);
		d->cb->lost(d->cb->ctx);
		dataplane_look_later(d, 0);
	}
}

static void client_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct dataplane *d = ctx;
	int rc = weir_client_process(d->client);

	/* A callback may have ended the connection, and the next one is not there yet. */
	if (!d->client)
		return;
	if (rc)
		dataplane_connection_end(d, strerror(-rc));
	else
		dataplane_writing_update(d);
}

static void connection_begin(struct dataplane *d, struct weir_client *client)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd = weir_client_fd(client);

	d->readable = event_new(d->base, fd, EV_READ | EV_PERSIST, client_ready, d);
	d->writable = event_new(d->base, fd, EV_WRITE | EV_PERSIST, client_ready, d);
	if (!d->readable || !d->writable || event_add(d->readable, NULL)) {
		if (d->readable)
			event_free(d->readable);
		if (d->writable)
			event_free(d->writable);
		d->readable = d->writable = NULL;
		weir_client_close(client);
		dataplane_look_later(d, LOOK_MS);
		return;
	}
	d->client = client;
	d->error[0] = 0;
	d->error_rc = 0;
	d->ever_ran = true;
	/* The kernel's word, as the greeting's pid may be of another namespace. */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid > 0 &&
		peer.pid != d->pid)
		dataplane_process_follow(d, peer.pid, false);
	weir_client_on_event(client, d->cb->event, d->cb->ctx);
	log_info("connected to the data plane, pid %d", (int)d->pid);
	d->cb->connected(d->cb->ctx);
}

/* Looking for it. */

static void start_one(struct dataplane *d)
{
	pid_t pid;
	int rc = dataplane_spawn(
		d->run, d->instance, d->cb->settings(d->cb->ctx), &pid, d->error, sizeof(d->error));

	d->error_rc = rc;
	if (rc) {
		log_error("cannot start the data plane: %s", d->error);
		dataplane_look_later(d, DATAPLANE_PAUSE_MAX_MS);
		return;
	}
	if (d->ever_ran)
		d->restarts++;
	dataplane_process_follow(d, pid, true);
	log_info("started weir-dataplane, pid %d", (int)pid);
	dataplane_look_later(d, LOOK_STARTING_MS);
}

static bool nobody_there(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED;
}

static void connect_failed(struct dataplane *d, int rc, const char *err)
{
	bool news = d->error_rc != rc;

	d->error_rc = rc;
	if (nobody_there(rc))
		snprintf(d->error, sizeof(d->error), "nobody listens at %.200s/dataplane.sock",
			d->run->path);
	else
		snprintf(d->error, sizeof(d->error), "%s", *err ? err : strerror(-rc));
	if (!d->looked) {
		d->looked = true;
		d->cb->absent(d->cb->ctx);
	}
	if (!nobody_there(rc)) {
		if (news)
			log_warning("cannot talk to the data plane: %s", d->error);
		dataplane_look_later(d, LOOK_MS);
	} else if (!d->spawn) {
		if (news)
			log_notice("no data plane runs; waiting for one");
		dataplane_look_later(d, LOOK_MS);
	} else if (!d->pid) {
		start_one(d);
	} else {
		bool starting = clock_now_ns() - d->born_ns < STARTING_MS * NS_PER_MS;

		dataplane_look_later(d, starting ? LOOK_STARTING_MS : LOOK_MS);
	}
}

static void connect_done(evutil_socket_t fd, short what, void *ctx)
{
	struct dataplane *d = ctx;
	struct weir_client *client;
	char err[256];

	event_free(d->connected);
	d->connected = NULL;
	int rc = connector_finish(d->connector, &client, err, sizeof(err));

	d->connector = NULL;
	if (d->stop != STOP_NOT) {
		if (!rc)
			weir_client_close(client);
		return;
	}
	if (rc) {
		connect_failed(d, rc, err);
		return;
	}
	d->looked = true;
	connection_begin(d, client);
}

static void look_now(evutil_socket_t fd, short what, void *ctx)
{
	struct dataplane *d = ctx;
	char path[PATH_MAX];

	if (d->stop != STOP_NOT) {
		dataplane_stop_step(d);
		return;
	}
	if (d->client || d->connector)
		return;
	if (connector_start(rundir_path(d->run, "dataplane.sock", path), GREETING_TIMEOUT_MS,
		    &d->connector)) {
		dataplane_look_later(d, LOOK_MS);
		return;
	}
	d->connected = event_new(d->base, connector_fd(d->connector), EV_READ, connect_done, d);
	if (d->connected && !event_add(d->connected, NULL))
		return;
	/* Out of memory: give this attempt up, after waiting for it. */
	struct weir_client *client;
	char err[8];

	if (d->connected)
		event_free(d->connected);
	d->connected = NULL;
	if (!connector_finish(d->connector, &client, err, sizeof(err)))
		weir_client_close(client);
	d->connector = NULL;
	dataplane_look_later(d, LOOK_MS);
}

int dataplane_start(struct event_base *base, const struct rundir *run, const char *instance,
	bool spawn, const struct dataplane_callbacks *cb, struct dataplane **ret_dataplane)
{
	struct dataplane *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	LIST_INIT(&d->requests);
	d->base = base;
	d->run = run;
	d->instance = instance;
	d->spawn = spawn;
	d->cb = cb;
	d->pidfd = -1;
	d->look = evtimer_new(base, look_now, d);
	if (!d->look) {
		free(d);
		return -ENOMEM;
	}
	dataplane_look_later(d, 0);
	*ret_dataplane = d;
	return 0;
}

void dataplane_destroy(struct dataplane *d)
{
	struct weir_client *client;
	char err[8];

	if (!d)
		return;
	if (d->stop == STOP_NOT)
		d->stop = STOP_KILLED;
	dataplane_connection_end(d, "stopping");
	if (d->connected)
		event_free(d->connected);
	if (d->connector && !connector_finish(d->connector, &client, err, sizeof(err)))
		weir_client_close(client);
	dataplane_process_forget(d);
	event_free(d->look);
	free(d);
}

struct weir_client *dataplane_client(const struct dataplane *d)
{
	return d->client;
}

void dataplane_reconnect(struct dataplane *d)
{
	dataplane_connection_end(d, "it does not answer");
}

enum dataplane_state dataplane_state(const struct dataplane *d)
{
	if (!d->client) {
		if (d->error_rc == -EPROTO)
			return DATAPLANE_INCOMPATIBLE;
		if (d->error_rc == -ETIMEDOUT)
			return DATAPLANE_NOT_ANSWERING;
		return d->pid ? DATAPLANE_STARTING : DATAPLANE_STOPPED;
	}
	uint64_t beat =
		__atomic_load_n(&weir_client_telemetry(d->client)->heartbeat_ns, __ATOMIC_RELAXED);
	uint64_t now = clock_now_ns();

	return now > beat && now - beat > HEARTBEAT_MAX_MS * NS_PER_MS ? DATAPLANE_NOT_ANSWERING :
									 DATAPLANE_RUNNING;
}

const char *dataplane_state_name(enum dataplane_state s)
{
	static const char *const names[] = { [DATAPLANE_STOPPED] = "stopped",
		[DATAPLANE_STARTING] = "starting",
		[DATAPLANE_RUNNING] = "running",
		[DATAPLANE_NOT_ANSWERING] = "not answering",
		[DATAPLANE_INCOMPATIBLE] = "incompatible" };

	return names[s];
}

const char *dataplane_error(const struct dataplane *d)
{
	return d->error;
}

pid_t dataplane_pid(const struct dataplane *d)
{
	return d->pid;
}

unsigned int dataplane_restarts(const struct dataplane *d)
{
	return d->restarts;
}
