/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/client.h"

#include "dataplane/api/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENT_MAX_QUEUE_BYTES ((size_t)WEIR_MESSAGE_MAX_LENGTH + (4u << 20))

/* A request without its reply yet. */
struct pending {
	struct pending *next; /* owned */
	uint32_t id;
	weir_reply_cb cb; /* NULL: nobody waits any more */
	void *ctx;
};

struct weir_client {
	struct weir_stream *stream; /* owned */
	struct pending *pending; /* owned; oldest first */
	uint32_t next_id;
	weir_event_cb event_cb;
	void *event_ctx;
	struct weir_hello_reply hello;
	void *telemetry; /* owned mapping */
	size_t telemetry_size;
	int broken; /* 0, or the -errno that ended the connection */
	unsigned int depth; /* of weir_client_process(); callbacks may close the client */
	bool closing;
};

__attribute__((format(printf, 3, 4))) static void explain(
	char *err, size_t size, const char *format, ...)
{
	va_list ap;

	if (!err || !size)
		return;
	va_start(ap, format);
	vsnprintf(err, size, format, ap);
	va_end(ap);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pending_fail_all(struct weir_client *c)
{
	while (c->pending) {
		struct pending *p = c->pending;

		c->pending = p->next;
		if (p->cb)
			p->cb(p->ctx, -ECONNRESET, "the connection to the data plane ended",
				strlen("the connection to the data plane ended"));
		free(p);
	}
}

static void client_free(struct weir_client *c)
{
	if (c->telemetry)
		munmap(c->telemetry, c->telemetry_size);
	weir_stream_destroy(c->stream);
	free(c);
}

void weir_client_close(struct weir_client *c)
{
	if (!c || c->closing)
		return;
	c->closing = true;
	c->broken = -ECONNRESET;
	pending_fail_all(c);
	if (!c->depth)
		client_free(c);
}

const struct weir_hello_reply *weir_client_hello(const struct weir_client *c)
{
	return &c->hello;
}

const struct weir_telemetry *weir_client_telemetry(const struct weir_client *c)
{
	return c->telemetry;
}

int weir_client_fd(const struct weir_client *c)
{
	return weir_stream_fd(c->stream);
}

bool weir_client_wants_write(const struct weir_client *c)
{
	return weir_stream_wants_write(c->stream);
}

void weir_client_on_event(struct weir_client *c, weir_event_cb cb, void *ctx)
{
	c->event_cb = cb;
	c->event_ctx = ctx;
}

/* What a request carries. */
struct cargo {
	const void *body;
	size_t length;
	const int *fds;
	uint32_t fd_count;
};

static int request_send(struct weir_client *c, enum weir_message_type type,
	const struct cargo *cargo, weir_reply_cb cb, void *ctx, uint32_t *ret_id)
{
	if (c->broken)
		return -EPIPE;
	struct pending *p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct pending){ .id = c->next_id, .cb = cb, .ctx = ctx };
	const struct weir_message header = { .type = (uint16_t)type, .id = p->id };
	int rc = weir_stream_queue(
		c->stream, &header, cargo->body, cargo->length, cargo->fds, cargo->fd_count);
	if (rc < 0) {
		free(p);
		return rc == -ENOBUFS ? -ENOMEM : rc;
	}
	c->next_id++;
	struct pending **tail = &c->pending;
	while (*tail)
		tail = &(*tail)->next;
	*tail = p;
	*ret_id = p->id;
	/* Mostly it goes out at once; if it fails, the next weir_client_process() says so. */
	(void)weir_stream_flush(c->stream);
	return 0;
}

int weir_client_send(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, weir_reply_cb cb, void *ctx)
{
	return weir_client_send_fds(c, type, body, length, NULL, 0, cb, ctx);
}

int weir_client_send_fds(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, const int *fds, uint32_t fd_count, weir_reply_cb cb, void *ctx)
{
	const struct cargo cargo = { body, length, fds, fd_count };
	uint32_t id;

	return request_send(c, type, &cargo, cb, ctx, &id);
}

/* Map what came with HELLO's reply; everything that the mapping relies on is checked first. */
static int telemetry_map(struct weir_client *c, int fd, char *err, size_t err_size)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		explain(err, err_size, "the data plane sent no telemetry descriptor");
		return -EPROTO;
	}
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
		explain(err, err_size, "the data plane's telemetry region is not sealed");
		return -EPROTO;
	}
	if (st.st_size < (off_t)sizeof(struct weir_telemetry) ||
		(uint64_t)st.st_size != c->hello.telemetry_size) {
		explain(err, err_size,
			"telemetry region of %lld bytes, but the data plane says %llu and the layout "
			"needs %zu",
			(long long)st.st_size, (unsigned long long)c->hello.telemetry_size,
			sizeof(struct weir_telemetry));
		return -EPROTO;
	}
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		int rc = -errno;
		explain(err, err_size, "cannot map the telemetry region: %s", strerror(errno));
		return rc;
	}
	/* It is large, and a child that is to live in bounded memory has no use for it. */
	madvise(map, (size_t)st.st_size, MADV_DONTFORK);
	c->telemetry = map;
	c->telemetry_size = (size_t)st.st_size;
	const struct weir_telemetry *t = map;
	if (t->magic != WEIR_TELEMETRY_MAGIC || t->version != WEIR_TELEMETRY_VERSION ||
		t->size != c->hello.telemetry_size) {
		explain(err, err_size, "telemetry layout %u, expected %u: restart the data plane",
			t->version, WEIR_TELEMETRY_VERSION);
		return -EPROTO;
	}
	return 0;
}

static int hello_take(
	struct weir_client *c, const struct weir_stream_message *m, char *err, size_t err_size)
{
	if (m->header.type != WEIR_MESSAGE_HELLO || !(m->header.flags & WEIR_MESSAGE_F_REPLY)) {
		explain(err, err_size, "the data plane answered HELLO with message type %u",
			m->header.type);
		return -EPROTO;
	}
	if (m->header.status != 0) {
		explain(err, err_size, "the data plane refused: %s", (const char *)m->body);
		return -EPROTO;
	}
	if (m->header.length < sizeof(c->hello)) {
		explain(err, err_size, "the data plane's HELLO has %u bytes, expected %zu",
			m->header.length, sizeof(c->hello));
		return -EPROTO;
	}
	memcpy(&c->hello, m->body, sizeof(c->hello));
	c->hello.instance[WEIR_NAME_SIZE - 1] = 0;
	c->hello.cores[sizeof(c->hello.cores) - 1] = 0;
	if (c->hello.version != WEIR_PROTOCOL_VERSION) {
		explain(err, err_size, "protocol version %u, expected %u: restart the data plane",
			c->hello.version, WEIR_PROTOCOL_VERSION);
		return -EPROTO;
	}
	return telemetry_map(c, m->fd_count ? m->fds[0] : -1, err, err_size);
}

/* Wait until the socket can be read (or written, when something is queued). */
static int client_wait(struct weir_client *c, uint64_t deadline_ms)
{
	uint64_t now = now_ms();

	if (now >= deadline_ms)
		return -ETIMEDOUT;
	struct pollfd p = {
		.fd = weir_stream_fd(c->stream),
		.events = (short)(POLLIN | (weir_stream_wants_write(c->stream) ? POLLOUT : 0)),
	};
	if (poll(&p, 1, (int)(deadline_ms - now)) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int hello_exchange(struct weir_client *c, uint64_t deadline_ms, char *err, size_t err_size)
{
	const struct weir_hello hello = {
		.version_min = WEIR_PROTOCOL_VERSION,
		.version_max = WEIR_PROTOCOL_VERSION,
	};
	const struct weir_message header = { .type = WEIR_MESSAGE_HELLO, .id = c->next_id++ };
	int rc = weir_stream_queue(c->stream, &header, &hello, sizeof(hello), NULL, 0);

	while (rc >= 0) {
		struct weir_stream_message m;

		rc = weir_stream_flush(c->stream);
		if (rc < 0)
			break;
		rc = weir_stream_next(c->stream, &m);
		if (rc == 1)
			return hello_take(c, &m, err, err_size);
		if (rc == 0)
			rc = client_wait(c, deadline_ms);
	}
	if (rc == -ETIMEDOUT)
		explain(err, err_size, "the data plane did not answer in time");
	else
		explain(err, err_size, "no HELLO from the data plane: %s", strerror(-rc));
	return rc;
}

int weir_client_attach(
	int fd, int timeout_ms, struct weir_client **ret_client, char *err, size_t err_size)
{
	struct weir_client *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		explain(err, err_size, "out of memory");
		return -ENOMEM;
	}
	int rc = weir_stream_create(fd, CLIENT_MAX_QUEUE_BYTES, &c->stream);
	if (rc < 0) {
		explain(err, err_size, "cannot use the socket: %s", strerror(-rc));
		free(c);
		return rc;
	}
	c->next_id = 1;
	uint64_t wait_ms = timeout_ms > 0 ? (uint64_t)timeout_ms : 0;
	rc = hello_exchange(c, now_ms() + wait_ms, err, err_size);
	if (rc < 0) {
		client_free(c);
		return rc;
	}
	*ret_client = c;
	return 0;
}

int weir_client_connect(const char *path, int timeout_ms, struct weir_client **ret_client,
	char *err, size_t err_size)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	uint64_t deadline_ms = now_ms() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);

	if (strlen(path) >= sizeof(to.sun_path)) {
		explain(err, err_size, "%s: path is too long for a socket", path);
		return -ENAMETOOLONG;
	}
	memcpy(to.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: the listener's backlog is full; it has no readiness to wait for. */
	while (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		int rc = -errno;

		if (rc == -EAGAIN && now_ms() < deadline_ms) {
			poll(NULL, 0, 5);
			continue;
		}
		if (rc == -EAGAIN)
			rc = -ETIMEDOUT;
		explain(err, err_size, "%s: %s", path, strerror(-rc));
		close(fd);
		return rc;
	}
	uint64_t now = now_ms();
	return weir_client_attach(
		fd, now < deadline_ms ? (int)(deadline_ms - now) : 1, ret_client, err, err_size);
}

static int reply_deliver(struct weir_client *c, const struct weir_stream_message *m)
{
	struct pending **at = &c->pending;

	while (*at && (*at)->id != m->header.id)
		at = &(*at)->next;
	struct pending *p = *at;
	if (!p)
		return -EPROTO;
	*at = p->next;
	if (p->cb)
		p->cb(p->ctx, m->header.status, m->body, m->header.length);
	free(p);
	return 0;
}

static int message_deliver(struct weir_client *c, const struct weir_stream_message *m)
{
	if (m->header.flags & WEIR_MESSAGE_F_REPLY)
		return reply_deliver(c, m);
	if (m->header.type != WEIR_MESSAGE_EVENT || m->header.length < sizeof(struct weir_event))
		return -EPROTO;
	if (c->event_cb) {
		struct weir_event event;

		memcpy(&event, m->body, sizeof(event));
		event.object[sizeof(event.object) - 1] = 0;
		event.text[sizeof(event.text) - 1] = 0;
		c->event_cb(c->event_ctx, &event);
	}
	return 0;
}

int weir_client_process(struct weir_client *c)
{
	if (c->broken)
		return c->broken;
	c->depth++;
	int rc = weir_stream_flush(c->stream);
	/* What was answered before a connection broke still counts: read before giving up. */
	int write_rc = rc;
	struct weir_stream_message m;
	while ((rc = weir_stream_next(c->stream, &m)) == 1) {
		rc = message_deliver(c, &m);
		if (rc < 0 || c->broken)
			break;
	}
	if (rc >= 0 && !c->broken)
		rc = write_rc < 0 ? write_rc : weir_stream_flush(c->stream);
	if (rc < 0 && !c->broken)
		c->broken = rc == -EPIPE ? -ECONNRESET : rc;
	rc = c->broken;
	if (rc < 0)
		pending_fail_all(c);
	if (--c->depth == 0 && c->closing)
		client_free(c);
	return rc;
}

/* Where weir_client_call() waits for its reply. */
struct call {
	bool done;
	int status;
	unsigned char *body; /* malloc'ed, NUL behind */
	size_t length;
};

static void call_done(void *ctx, int status, const void *body, size_t length)
{
	struct call *call = ctx;

	call->done = true;
	call->status = status;
	call->body = malloc(length + 1);
	if (!call->body) {
		call->status = -ENOMEM;
		return;
	}
	if (length)
		memcpy(call->body, body, length);
	call->body[length] = 0;
	call->length = length;
}

int weir_client_call(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, int timeout_ms, void **ret_body, size_t *ret_length)
{
	return weir_client_call_fds(
		c, type, body, length, NULL, 0, timeout_ms, ret_body, ret_length);
}

int weir_client_call_fds(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, const int *fds, uint32_t fd_count, int timeout_ms, void **ret_body,
	size_t *ret_length)
{
	const struct cargo cargo = { body, length, fds, fd_count };
	struct call call = { 0 };
	uint64_t deadline_ms = now_ms() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
	uint32_t id;
	int rc = request_send(c, type, &cargo, call_done, &call, &id);

	if (rc < 0)
		return rc;
	while (!call.done) {
		rc = weir_client_process(c);
		if (call.done)
			break;
		if (rc == 0)
			rc = client_wait(c, deadline_ms);
		if (rc < 0) {
			/* The reply may come later, when `call` is long gone. */
			for (struct pending *p = c->pending; p; p = p->next)
				if (p->id == id)
					p->cb = NULL;
			return rc;
		}
	}
	if (ret_length)
		*ret_length = call.length;
	if (ret_body)
		*ret_body = call.body;
	else
		free(call.body);
	return call.status;
}
