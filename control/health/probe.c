/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/probe.h"

#include "control/health/answer.h"

#include <event2/event.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATUS_LINE_MAX 1024

struct probe {
	int fd;
	struct event *io; /* owned; NULL before the socket exists */
	struct event *deadline; /* owned */
	probe_done_cb cb;
	void *ctx;
	uint64_t timeout_ns;
	int failed; /* errno of what went wrong before the loop took over, or 0 */
	bool connected;
	bool connect_only; /* what follows the request does not matter */
	char *request; /* owned; NULL for tcp without PROXY header */
	size_t request_length;
	size_t request_sent;
	char answer[STATUS_LINE_MAX];
	size_t answer_length;
};

/*
 * Who closes first keeps the connection in TIME_WAIT for a minute: with thousands of checks a second that
 * is more ports and memory than there are. A peer that has closed already is answered in kind; others
 * are cut off.
 */
static void connection_close(int fd)
{
	static const struct linger at_once = { .l_onoff = 1 };
	char rest[STATUS_LINE_MAX];

	if (recv(fd, rest, sizeof(rest), 0) != 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

void probe_cancel(struct probe *p)
{
	if (!p)
		return;
	if (p->io)
		event_free(p->io);
	if (p->deadline)
		event_free(p->deadline);
	if (p->fd >= 0)
		connection_close(p->fd);
	free(p->request);
	free(p);
}

static void finish(struct probe *p, enum probe_result result, const char *reason)
{
	probe_done_cb cb = p->cb;
	void *ctx = p->ctx;

	probe_cancel(p);
	cb(ctx, result, reason);
}

static void finish_errno(struct probe *p, int error)
{
	char reason[128];
	char text[96];

	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL: /* no free port of our own */
		snprintf(reason, sizeof(reason), "cannot check: %s",
			strerror_r(error, text, sizeof(text)));
		finish(p, PROBE_NOT_MADE, reason);
		return;
	default:
		snprintf(reason, sizeof(reason), "%s", strerror_r(error, text, sizeof(text)));
		if (reason[0] >= 'A' && reason[0] <= 'Z')
			reason[0] = (char)(reason[0] + 'a' - 'A');
		finish(p, PROBE_BAD, reason);
	}
}

/* The status line is here, or as much of it as will come. */
static void answer_judge(struct probe *p)
{
	int status = health_answer_status(p->answer);
	char reason[64];

	if (status < 0) {
		finish(p, PROBE_BAD,
			p->answer_length ? "the answer is not HTTP" :
					   "connection closed without an answer");
		return;
	}
	snprintf(reason, sizeof(reason), "HTTP %d", status);
	finish(p, status >= 200 && status < 400 ? PROBE_GOOD : PROBE_BAD, reason);
}

static void wait_for(struct probe *p, short what);

static void answer_read(struct probe *p)
{
	size_t space = sizeof(p->answer) - 1 - p->answer_length;
	ssize_t n = recv(p->fd, p->answer + p->answer_length, space, 0);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			wait_for(p, EV_READ);
		else
			finish_errno(p, errno);
		return;
	}
	p->answer_length += (size_t)n;
	p->answer[p->answer_length] = 0;
	if (!n || (size_t)n == space || memchr(p->answer, '\n', p->answer_length))
		answer_judge(p);
	else
		wait_for(p, EV_READ);
}

static void request_write(struct probe *p)
{
	ssize_t n = send(p->fd, p->request + p->request_sent, p->request_length - p->request_sent,
		MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		finish_errno(p, errno);
		return;
	}
	if (n > 0)
		p->request_sent += (size_t)n;
	if (p->connect_only && p->request_sent == p->request_length) {
		finish(p, PROBE_GOOD, "connected");
		return;
	}
	wait_for(p, p->request_sent < p->request_length ? EV_WRITE : EV_READ);
}

static void io_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	if (!p->connected) {
		int error = 0;
		socklen_t size = sizeof(error);

		if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size))
			error = errno;
		if (error) {
			finish_errno(p, error);
			return;
		}
		p->connected = true;
		if (!p->request) {
			finish(p, PROBE_GOOD, "connected");
			return;
		}
	}
	if (p->request_sent < p->request_length)
		request_write(p);
	else
		answer_read(p);
}

static void wait_for(struct probe *p, short what)
{
	if (event_get_events(p->io) != what) {
		struct event_base *base = event_get_base(p->io);

		event_del(p->io);
		event_assign(p->io, base, p->fd, what, io_ready, p);
	}
	if (event_add(p->io, NULL))
		finish_errno(p, ENOMEM);
}

static void deadline_reached(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;
	char reason[64];

	if (p->failed) {
		finish_errno(p, p->failed);
		return;
	}
	snprintf(reason, sizeof(reason), "timed out after %g ms", (double)p->timeout_ns / 1e6);
	finish(p, PROBE_BAD, reason);
}

static int socket_connect(const struct address *a, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t length = address_to_socket(a, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, length) && errno != EINPROGRESS) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* A PROXY header of version 2 that speaks for nobody but the sender itself: command LOCAL. */
static const unsigned char proxy_local[16] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55,
	0x49, 0x54, 0x0a, 0x20, 0x00, 0x00, 0x00 };

/* What is sent: the PROXY header where backends expect one, then for http the request. */
static int request_make(
	struct probe *p, const struct model_health *h, const struct address *a, uint16_t port)
{
	char host[80];
	size_t size = 0;
	FILE *to = open_memstream(&p->request, &size);

	if (!to)
		return -ENOMEM;
	address_port_print(a, port, host, sizeof(host));
	if (h->proxy_header)
		fwrite(proxy_local, 1, sizeof(proxy_local), to);
	if (h->type == MODEL_HEALTH_HTTP)
		fprintf(to,
			"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir/" WEIR_VERSION
			"\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			h->path ? h->path : "/", host);
	if (fclose(to) != 0)
		return -ENOMEM;
	p->request_length = size;
	p->connect_only = h->type != MODEL_HEALTH_HTTP;
	return 0;
}

int probe_start(struct event_base *base, const struct model_health *health,
	const struct address *address, uint16_t port, probe_done_cb cb, void *ctx,
	struct probe **ret_probe)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fd = -1;
	p->cb = cb;
	p->ctx = ctx;
	p->timeout_ns = health->timeout_ns;
	p->deadline = evtimer_new(base, deadline_reached, p);
	if (!p->deadline)
		goto fail;
	if ((health->type == MODEL_HEALTH_HTTP || health->proxy_header) &&
		request_make(p, health, address, port))
		goto fail;
	int fd = socket_connect(address, port);
	struct timeval wait = { .tv_sec = (time_t)(p->timeout_ns / 1000000000),
		.tv_usec = (suseconds_t)(p->timeout_ns % 1000000000 / 1000) };

	if (fd < 0) {
		/* Told from the loop like everything else, so that no caller is re-entered. */
		p->failed = -fd;
		wait = (struct timeval){ 0 };
	} else {
		p->fd = fd;
		p->io = event_new(base, fd, EV_WRITE, io_ready, p);
		if (!p->io)
			goto fail;
		if (event_add(p->io, NULL))
			goto fail;
	}
	if (evtimer_add(p->deadline, &wait))
		goto fail;
	*ret_probe = p;
	return 0;
fail:
	probe_cancel(p);
	return -ENOMEM;
}
