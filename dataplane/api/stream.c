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
	uint32_t fd_count; /* 0: none, or sent already */
	int fds[WEIR_STREAM_MAX_FDS]; /* owned */
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
	uint32_t passed_count;
	int passed[WEIR_STREAM_MAX_FDS]; /* owned */
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
	*ret_stream = s;
	return 0;
fail:
	free(s);
	close(fd);
	return rc;
}

static void fds_close(int *fds, uint32_t *count)
{
	while (*count)
		close(fds[--*count]);
}

static void outgoing_drop(struct weir_stream *s)
{
	struct outgoing *o = s->first;

	s->first = o->next;
	if (!s->first)
		s->last = &s->first;
	s->queued_bytes -= o->length;
	fds_close(o->fds, &o->fd_count);
	free(o);
}

static void incoming_reset(struct weir_stream *s)
{
	free(s->body);
	s->body = NULL;
	fds_close(s->passed, &s->passed_count);
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

static int fds_keep(struct outgoing *o, const int *fds, uint32_t fd_count)
{
	for (o->fd_count = 0; o->fd_count < fd_count; o->fd_count++) {
		int fd = fcntl(fds[o->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int rc = -errno;

			fds_close(o->fds, &o->fd_count);
			return rc;
		}
		o->fds[o->fd_count] = fd;
	}
	return 0;
}

int weir_stream_queue(struct weir_stream *s, const struct weir_message *header, const void *body,
	size_t length, const int *fds, uint32_t fd_count)
{
	if (length > WEIR_MESSAGE_MAX_LENGTH || fd_count > WEIR_STREAM_MAX_FDS)
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
	int rc = fds_keep(o, fds, fd_count);
	if (rc < 0) {
		free(o);
		return rc;
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

/* Room for all descriptors that may come with a message. */
union passing {
	char space[CMSG_SPACE(WEIR_STREAM_MAX_FDS * sizeof(int))];
	struct cmsghdr align;
};

static ssize_t outgoing_send(int socket, struct outgoing *o)
{
	struct iovec iov = { .iov_base = o->bytes + o->sent, .iov_len = o->length - o->sent };
	const size_t bytes = o->fd_count * sizeof(int);
	union passing control = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (o->fd_count) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), o->fds, bytes);
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
		fds_close(o->fds, &o->fd_count);
		o->sent += (size_t)n;
		if (o->sent == o->length)
			outgoing_drop(s);
	}
	return 0;
}

/* What came with some bytes of a message; more than a message may carry is closed at once. */
static void fds_take(struct weir_stream *s, const struct cmsghdr *c)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (s->passed_count < WEIR_STREAM_MAX_FDS)
			s->passed[s->passed_count++] = fd;
		else
			close(fd);
	}
}

/* One recvmsg() into p. Returns bytes, 0 when nothing is there now, or -errno. */
static ssize_t receive_some(struct weir_stream *s, void *p, size_t length)
{
	struct iovec iov = { .iov_base = p, .iov_len = length };
	union passing control;
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
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			fds_take(s, c);
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
	ret_message->fds = s->passed;
	ret_message->fd_count = s->passed_count;
	return 1;
}
