/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rpc/rpc_server.h"

#include "control/daemon/clock.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES	(1u << 20) /* a long line is searched for its end after each read */
#define WRITE_TIMEOUT_S 30 /* for a reader that takes nothing at all */

struct client {
	TAILQ_ENTRY(client) link;
	struct rpc_server *server; /* borrowed */
	struct bufferevent *stream; /* owned */
	struct rpc_peer peer;
	struct rpc_call *call; /* borrowed; the open one, which holds back the next line */
	struct event *resume; /* owned; go on with lines that are already here */
	bool ended; /* the peer sends no more */
};

struct rpc_call {
	struct client *client; /* borrowed; NULL when the connection has ended */
	struct rpc_peer peer;
	struct rpc_request request;
};

struct rpc_server {
	struct event_base *base; /* borrowed */
	struct evconnlistener *listener; /* owned */
	TAILQ_HEAD(, client) clients;
	unsigned int client_count;
	rpc_handler handler;
	void *ctx;
	bool read_only;
	char path[108];
};

static void client_close(struct client *c)
{
	if (c->call)
		c->call->client = NULL;
	TAILQ_REMOVE(&c->server->clients, c, link);
	c->server->client_count--;
	event_free(c->resume);
	bufferevent_free(c->stream);
	free(c);
}

/* Takes the answer. May close the client. */
static void client_answer(struct client *c, json_t *answer)
{
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	struct evbuffer *out = bufferevent_get_output(c->stream);

	if (!text || evbuffer_get_length(out) + strlen(text) > RPC_QUEUE_MAX ||
		evbuffer_add_printf(out, "%s\n", text) < 0)
		client_close(c);
	free(text);
}

static void line_take(struct client *c, const char *line, size_t length)
{
	struct rpc_server *s = c->server;
	struct rpc_call *call = calloc(1, sizeof(*call));

	if (!call) {
		client_close(c);
		return;
	}
	json_t *error = rpc_request_parse(line, length, &call->request);

	if (error) {
		free(call);
		client_answer(c, error);
		return;
	}
	call->client = c;
	call->peer = c->peer;
	c->call = call;
	s->handler(s->ctx, call);
}

/* Take one line per turn of the loop, so that no client keeps the others waiting. */
static void lines_read(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->stream);
	size_t length;

	if (c->call)
		return;
	char *line = evbuffer_readln(in, &length, EVBUFFER_EOL_LF);

	if (!line) {
		if (evbuffer_get_length(in) > RPC_LINE_MAX) {
			evbuffer_drain(in, evbuffer_get_length(in));
			bufferevent_disable(c->stream, EV_READ);
			c->ended = true;
			client_answer(c,
				rpc_answer_error(NULL, RPC_INVALID_REQUEST,
					"the request is too long", NULL));
		} else if (c->ended && !evbuffer_get_length(bufferevent_get_output(c->stream))) {
			client_close(c);
		}
		return;
	}
	/* More may be waiting; also after the answer to this one. */
	event_active(c->resume, EV_TIMEOUT, 0);
	if (length && line[length - 1] == '\r')
		length--;
	if (length)
		line_take(c, line, length);
	free(line);
}

static void client_readable(struct bufferevent *stream, void *ctx)
{
	lines_read(ctx);
}

static void client_resume(evutil_socket_t fd, short what, void *ctx)
{
	lines_read(ctx);
}

/* All answers are out. */
static void client_drained(struct bufferevent *stream, void *ctx)
{
	struct client *c = ctx;

	if (c->ended && !c->call)
		event_active(c->resume, EV_TIMEOUT, 0);
}

static void client_event(struct bufferevent *stream, short what, void *ctx)
{
	struct client *c = ctx;

	/* A peer that has said all may still wait for answers: `echo ... | socat`. */
	if ((what & BEV_EVENT_EOF) && !(what & BEV_EVENT_ERROR)) {
		c->ended = true;
		event_active(c->resume, EV_TIMEOUT, 0);
		return;
	}
	client_close(c);
}

/* Who connected; remembered now, because a process can be gone when its request is read. */
static struct rpc_peer peer_find(const struct rpc_server *s, int fd)
{
	struct rpc_peer peer = { .read_only = s->read_only };
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size)) {
		peer.known = true;
		peer.uid = cred.uid;
		peer.pid = cred.pid;
	}
	return peer;
}

static void client_accept(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int length, void *ctx)
{
	struct rpc_server *s = ctx;
	struct client *c = s->client_count < RPC_CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		evutil_closesocket(fd);
		return;
	}
	c->server = s;
	c->peer = peer_find(s, fd);
	c->stream = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->resume = c->stream ? event_new(s->base, -1, 0, client_resume, c) : NULL;
	if (!c->resume) {
		if (c->stream)
			bufferevent_free(c->stream);
		else
			evutil_closesocket(fd);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	s->client_count++;
	struct timeval patience = { .tv_sec = WRITE_TIMEOUT_S };

	bufferevent_setcb(c->stream, client_readable, client_drained, client_event, c);
	bufferevent_set_timeouts(c->stream, NULL, &patience);
	/* Reading stops one byte after the longest line; see lines_read(). */
	bufferevent_set_max_single_read(c->stream, READ_BYTES);
	bufferevent_setwatermark(c->stream, EV_READ, 0, RPC_LINE_MAX + 1);
	bufferevent_enable(c->stream, EV_READ | EV_WRITE);
}

static void accept_failed(struct evconnlistener *listener, void *ctx)
{
	/* Out of descriptors: those who wait are served when some are free again. */
	usleep(1000);
}

/* A socket that listens at path, put in place under a temporary name so that nobody finds it half made. */
static int socket_listen(const char *path, int64_t group)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s.%d", path, (int)getpid());

	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	unlink(a.sun_path);
	mode_t before = umask(0117);
	int rc = bind(fd, (const struct sockaddr *)&a, sizeof(a)) ? -errno : 0;

	umask(before);
	if (!rc && group >= 0 && chown(a.sun_path, (uid_t)-1, (gid_t)group))
		rc = -errno;
	if (!rc && (listen(fd, 128) || rename(a.sun_path, path)))
		rc = -errno;
	if (rc) {
		unlink(a.sun_path);
		close(fd);
		return rc;
	}
	return fd;
}

int rpc_server_start(struct event_base *base, const struct rpc_settings *settings,
	struct rpc_server **ret_server)
{
	struct rpc_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	TAILQ_INIT(&s->clients);
	s->base = base;
	s->handler = settings->handler;
	s->ctx = settings->ctx;
	s->read_only = settings->read_only;
	if ((size_t)snprintf(s->path, sizeof(s->path), "%s", settings->path) >= sizeof(s->path)) {
		free(s);
		return -ENAMETOOLONG;
	}
	int fd = socket_listen(s->path, settings->group);

	if (fd < 0) {
		free(s);
		return fd;
	}
	s->listener = evconnlistener_new(
		base, client_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!s->listener) {
		unlink(s->path);
		close(fd);
		free(s);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(s->listener, accept_failed);
	*ret_server = s;
	return 0;
}

void rpc_server_stop(struct rpc_server *s)
{
	struct client *c;

	if (!s)
		return;
	evconnlistener_free(s->listener);
	unlink(s->path);
	while ((c = TAILQ_FIRST(&s->clients))) {
		/* What has been answered should arrive: a last write that does not wait. */
		evbuffer_write(bufferevent_get_output(c->stream), bufferevent_getfd(c->stream));
		client_close(c);
	}
	free(s);
}

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
	return &call->peer;
}

const char *rpc_call_method(const struct rpc_call *call)
{
	return call->request.method;
}

json_t *rpc_call_params(const struct rpc_call *call)
{
	return call->request.params;
}

/* Takes the answer, which is dropped when nobody waits for it. */
static void call_finish(struct rpc_call *call, json_t *answer)
{
	struct client *c = call->client;
	bool wanted = call->request.id != NULL;

	rpc_request_fini(&call->request);
	free(call);
	if (!c) {
		json_decref(answer);
		return;
	}
	c->call = NULL;
	event_active(c->resume, EV_TIMEOUT, 0);
	if (wanted)
		client_answer(c, answer);
	else
		json_decref(answer);
}

void rpc_call_result(struct rpc_call *call, json_t *result)
{
	if (!result) {
		rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return;
	}
	call_finish(call, rpc_answer_result(call->request.id, result));
}

void rpc_call_error(struct rpc_call *call, int code, json_t *data, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	call_finish(call, rpc_answer_error(call->request.id, code, message, data));
}

bool rpc_call_failed(struct rpc_call *call, int status, const void *body, size_t length)
{
	if (!status)
		return false;
	rpc_call_error(call,
		status == -ETIMEDOUT || status == -ECONNRESET ? RPC_DATAPLANE : RPC_REFUSED, NULL,
		"%.*s", (int)length, (const char *)body);
	return true;
}

bool rpc_call_takes(struct rpc_call *call, int status, const void *body, size_t length,
	void *ret_answer, size_t size)
{
	if (rpc_call_failed(call, status, body, length))
		return false;
	if (length < size) {
		rpc_call_error(call, RPC_DATAPLANE, NULL, "the data plane's answer is too short");
		return false;
	}
	memcpy(ret_answer, body, size);
	return true;
}

void rpc_call_no_dataplane(struct rpc_call *call)
{
	rpc_call_error(
		call, RPC_DATAPLANE, NULL, "the data plane is not running; see `weirctl status`");
}
