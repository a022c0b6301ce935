/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One message on its way out. */
struct outgoing {
	struct outgoing *next; /* owned */
	size_t length; /* header and body */
	size_t sent;
	int fd; /* owned; -1: none, or sent already */
	unsigned char bytes[];
};

struct weir_stream {
	int fd;
	size_t max_queue_bytes;
	size_t queued_bytes;
	struct outgoing *first; /* owned */
	struct outgoing **last;

	struct weir_message header; /* of the message that is coming in */
	size_t have; /* bytes of it so far, header included */
	unsigned char *body; /* owned */
	int passed_fd; /* owned; -1: none */
	bool delivered; /* the caller has seen this message */
};

int weir_stream_create(int fd, size_t max_queue_bytes, struct weir_stream **ret_stream)
{
	struct weir_stream *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	if (!s)
		goto fail;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		rc = -errno;
		goto fail;
	}
	s->fd = fd;
	s->max_queue_bytes = max_queue_bytes;
	s->last = &s->first;
	s->passed_fd = -1;
	*ret_stream = s;
	return 0;
fail:
	free(s);
	close(fd);
	return rc;
}

static void outgoing_drop(struct weir_stream *s)
{
	struct outgoing *o = s->first;

	s->first = o->next;
	if (!s->first)
		s->last = &s->first;
	s->queued_bytes -= o->length;
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

static void incoming_reset(struct weir_stream *s)
{
	free(s->body);
	s->body = NULL;
	if (s->passed_fd >= 0)
		close(s->passed_fd);
	s->passed_fd = -1;
	s->have = 0;
	s->delivered = false;
}

void weir_stream_destroy(struct weir_stream *s)
{
	if (!s)
		return;
	while (s->first)
		outgoing_drop(s);
	incoming_reset(s);
	close(s->fd);
	free(s);
}

int weir_stream_fd(const struct weir_stream *s)
{
	return s->fd;
}

bool weir_stream_wants_write(const struct weir_stream *s)
{
	return s->first != NULL;
}

int weir_stream_queue(struct weir_stream *s, const struct weir_message *header, const void *body,
	size_t length, int pass_fd)
{
	if (length > WEIR_MESSAGE_MAX_LENGTH)
		return -EMSGSIZE;
	size_t total = sizeof(*header) + length;
	if (total > s->max_queue_bytes - s->queued_bytes)
		return -ENOBUFS;
	struct outgoing *o = malloc(sizeof(*o) + total);
	if (!o)
		return -ENOMEM;
	o->next = NULL;
	o->length = total;
	o->sent = 0;
	o->fd = -1;
	if (pass_fd >= 0) {
		o->fd = fcntl(pass_fd, F_DUPFD_CLOEXEC, 0);
		if (o->fd < 0) {
			int rc = -errno;
			free(o);
			return rc;
		}
	}
	struct weir_message h = *header;
	h.magic = WEIR_MESSAGE_MAGIC;
	h.length = (uint32_t)length;
	h.reserved = 0;
	memcpy(o->bytes, &h, sizeof(h));
	if (length)
		memcpy(o->bytes + sizeof(h), body, length);
	*s->last = o;
	s->last = &o->next;
	s->queued_bytes += total;
	return 0;
}

static ssize_t outgoing_send(int socket, struct outgoing *o)
{
	struct iovec iov = { .iov_base = o->bytes + o->sent, .iov_len = o->length - o->sent };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (o->fd >= 0) {
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &o->fd, sizeof(int));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int weir_stream_flush(struct weir_stream *s)
{
	while (s->first) {
		struct outgoing *o = s->first;
		ssize_t n = outgoing_send(s->fd, o);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN ? 0 : -errno;
		}
		if (o->fd >= 0) {
			close(o->fd);
			o->fd = -1;
		}
		o->sent += (size_t)n;
		if (o->sent == o->length)
			outgoing_drop(s);
	}
	return 0;
}

/* One recvmsg() into p. Returns bytes, 0 when nothing is there now, or -errno. */
static ssize_t receive_some(struct weir_stream *s, void *p, size_t length)
{
	struct iovec iov = { .iov_base = p, .iov_len = length };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n;

	do
		n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
			c->cmsg_len != CMSG_LEN(sizeof(int)))
			continue;
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		if (s->passed_fd >= 0)
			close(s->passed_fd);
		s->passed_fd = fd;
	}
	return n ? n : -ECONNRESET;
}

static int header_check(struct weir_stream *s)
{
	if (s->header.magic != WEIR_MESSAGE_MAGIC || s->header.length > WEIR_MESSAGE_MAX_LENGTH)
		return -EPROTO;
	s->body = malloc((size_t)s->header.length + 1);
	if (!s->body)
		return -ENOMEM;
	s->body[s->header.length] = 0;
	return 0;
}

int weir_stream_next(struct weir_stream *s, struct weir_stream_message *ret_message)
{
	if (s->delivered)
		incoming_reset(s);
	for (;;) {
		const size_t head = sizeof(s->header);
		ssize_t n;

		if (s->have < head)
			n = receive_some(s, (unsigned char *)&s->header + s->have, head - s->have);
		else if (s->have < head + s->header.length)
			n = receive_some(
				s, s->body + (s->have - head), head + s->header.length - s->have);
		else
			break;
		if (n <= 0)
			return (int)n;
		s->have += (size_t)n;
		if (s->have == head) {
			int rc = header_check(s);
			if (rc < 0)
				return rc;
		}
	}
	s->delivered = true;
	ret_message->header = s->header;
	ret_message->body = s->body;
	ret_message->fd = s->passed_fd;
	return 1;
}
