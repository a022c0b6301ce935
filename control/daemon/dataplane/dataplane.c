/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/dataplane.h"

#include "control/daemon/clock.h"
#include "control/daemon/dataplane/dataplane_private.h"
#include "control/daemon/log.h"
#include "control/daemon/rundir.h"

#include <event2/event.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETING_TIMEOUT_MS 1000
#define LOOK_STARTING_MS    10 /* between looks for a process that is just starting */
#define LOOK_MS		    200 /* between looks for one that somebody else starts */
#define STARTING_MS	    5000
#define SHORT_LIFE_MS	    2000 /* dying younger than this again and again leads to pauses */
#define PAUSE_MAX_MS	    5000
#define HEARTBEAT_MAX_MS    2000
#define STOP_ASKED_MS	    5000
#define STOP_TERMINATE_MS   2000

struct request {
	LIST_ENTRY(request) link;
	struct event *timer; /* owned */
	weir_reply_cb cb; /* NULL: has been answered with -ETIMEDOUT */
	void *ctx;
};

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

static void look_later(struct dataplane *d, uint64_t ms)
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

static void writing_update(struct dataplane *d)
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
	writing_update(d);
	return 0;
}

/* The connection. */

static void connection_end(struct dataplane *d, const char *why)
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
		look_later(d, 0);
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
		connection_end(d, strerror(-rc));
	else
		writing_update(d);
}

static void process_died(evutil_socket_t fd, short what, void *ctx);

static void process_forget(struct dataplane *d)
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

/* Follow a process to its end. Without pidfds the end of the connection has to do. */
static void process_follow(struct dataplane *d, pid_t pid, bool is_child)
{
	process_forget(d);
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
		look_later(d, LOOK_MS);
		return;
	}
	d->client = client;
	d->error[0] = 0;
	d->error_rc = 0;
	d->ever_ran = true;
	/* The kernel's word, as the greeting's pid may be of another namespace. */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.pid > 0 &&
		peer.pid != d->pid)
		process_follow(d, peer.pid, false);
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
		look_later(d, PAUSE_MAX_MS);
		return;
	}
	if (d->ever_ran)
		d->restarts++;
	process_follow(d, pid, true);
	log_info("started weir-dataplane, pid %d", (int)pid);
	look_later(d, LOOK_STARTING_MS);
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
		look_later(d, LOOK_MS);
	} else if (!d->spawn) {
		if (news)
			log_notice("no data plane runs; waiting for one");
		look_later(d, LOOK_MS);
	} else if (!d->pid) {
		start_one(d);
	} else {
		bool starting = clock_now_ns() - d->born_ns < STARTING_MS * NS_PER_MS;

		look_later(d, starting ? LOOK_STARTING_MS : LOOK_MS);
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

static void stop_step(struct dataplane *d);

static void look_now(evutil_socket_t fd, short what, void *ctx)
{
	struct dataplane *d = ctx;
	char path[PATH_MAX];

	if (d->stop != STOP_NOT) {
		stop_step(d);
		return;
	}
	if (d->client || d->connector)
		return;
	if (connector_start(rundir_path(d->run, "dataplane.sock", path), GREETING_TIMEOUT_MS,
		    &d->connector)) {
		look_later(d, LOOK_MS);
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
	look_later(d, LOOK_MS);
}

/* Its end. */

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
	process_forget(d);
	if (d->stop != STOP_NOT) {
		connection_end(d, how);
		stop_finish(d);
		return;
	}
	log_error("the data plane, pid %d, is gone: %s", (int)pid, how);
	connection_end(d, how);
	d->short_lives = lived_ns < SHORT_LIFE_MS * NS_PER_MS ? d->short_lives + 1 : 0;
	uint64_t pause = 0;

	if (d->short_lives > 1) {
		unsigned int doublings = d->short_lives - 2;

		pause = doublings > 6 ? PAUSE_MAX_MS : UINT64_C(100) << doublings;
		if (pause > PAUSE_MAX_MS)
			pause = PAUSE_MAX_MS;
	}
	look_later(d, pause);
}

static void process_signal(struct dataplane *d, int number)
{
	if (d->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, d->pidfd, number, NULL, 0);
	else if (d->pid > 0)
		kill(d->pid, number);
}

/* The time for the last step of stopping is over: take the next. */
static void stop_step(struct dataplane *d)
{
	switch (d->stop) {
	case STOP_ASKED:
		d->stop = STOP_TERMINATED;
		process_signal(d, SIGTERM);
		look_later(d, STOP_TERMINATE_MS);
		break;
	case STOP_TERMINATED:
		d->stop = STOP_KILLED;
		log_warning("the data plane, pid %d, does not stop; killing it", (int)d->pid);
		process_signal(d, SIGKILL);
		look_later(d, STOP_TERMINATE_MS);
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
		connection_end(d, "stopping");
		look_later(d, 0);
		return;
	}
	d->stop = STOP_ASKED;
	if (d->client && !weir_client_send(d->client, WEIR_MESSAGE_STOP, NULL, 0, NULL, NULL)) {
		writing_update(d);
		look_later(d, STOP_ASKED_MS);
	} else {
		look_later(d, 0);
	}
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
	look_later(d, 0);
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
	connection_end(d, "stopping");
	if (d->connected)
		event_free(d->connected);
	if (d->connector && !connector_finish(d->connector, &client, err, sizeof(err)))
		weir_client_close(client);
	process_forget(d);
	event_free(d->look);
	free(d);
}

struct weir_client *dataplane_client(const struct dataplane *d)
{
	return d->client;
}

void dataplane_reconnect(struct dataplane *d)
{
	connection_end(d, "it does not answer");
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
