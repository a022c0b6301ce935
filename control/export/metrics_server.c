/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/export/metrics_server.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_TIMEOUT_S 10
#define REQUEST_BYTES_MAX 16384

struct metrics_server {
	struct evhttp *http; /* owned */
	metrics_render_cb render;
	void *ctx;
};

static void metrics_request(struct evhttp_request *request, void *ctx)
{
	struct metrics_server *s = ctx;
	struct evbuffer *out = evbuffer_new();

	if (!out) {
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
		return;
	}
	s->render(s->ctx, out);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
		"text/plain; version=0.0.4; charset=utf-8");
	evhttp_send_reply(request, HTTP_OK, "OK", out);
	evbuffer_free(out);
}

static void other_request(struct evhttp_request *request, void *ctx)
{
	evhttp_send_error(request, HTTP_NOTFOUND, "metrics are at /metrics");
}

/* By hand, as evhttp does not say why it could not listen. */
static int socket_listen(const struct address *a, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t length = address_to_socket(a, port, &at);
	int on = 1;
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
		bind(fd, (const struct sockaddr *)&at, length) || listen(fd, 64)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int metrics_server_start(struct event_base *base, const struct address *address, uint16_t port,
	metrics_render_cb render, void *ctx, struct metrics_server **ret_server)
{
	int fd = socket_listen(address, port);

	if (fd < 0)
		return fd;
	struct metrics_server *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	s->render = render;
	s->ctx = ctx;
	s->http = evhttp_new(base);
	if (!s->http || evhttp_accept_socket(s->http, fd)) {
		close(fd);
		metrics_server_stop(s);
		return -ENOMEM;
	}
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_timeout(s->http, REQUEST_TIMEOUT_S);
	evhttp_set_max_headers_size(s->http, REQUEST_BYTES_MAX);
	evhttp_set_max_body_size(s->http, REQUEST_BYTES_MAX);
	evhttp_set_cb(s->http, "/metrics", metrics_request, s);
	evhttp_set_gencb(s->http, other_request, s);
	*ret_server = s;
	return 0;
}

void metrics_server_stop(struct metrics_server *s)
{
	if (!s)
		return;
	if (s->http)
		evhttp_free(s->http);
	free(s);
}
