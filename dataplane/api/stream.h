/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Framing of the data plane socket, the same at both ends: whole messages (messages.h) in and out of a
 * non-blocking stream socket, a bounded queue for what the peer does not read yet, and descriptors
 * that may travel with a message. One thread at a time.
 */

#ifndef WEIR_API_STREAM_H
#define WEIR_API_STREAM_H

#include "messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_stream;

#define WEIR_STREAM_MAX_FDS 40 /* with one message */

/* A message that came in; body and fds are the stream's until the next weir_stream_next(). */
struct weir_stream_message {
	struct weir_message header;
	const void *body; /* 16-byte aligned, with a NUL behind its last byte */
	const int *fds; /* [fd_count] */
	uint32_t fd_count;
};

/*
 * fd               connected stream socket; the stream owns it from here on, also on errors
 * max_queue_bytes  bound of what may wait for the peer to read it
 *
 * Returns 0, -ENOMEM, or -errno when fd cannot be made non-blocking.
 */
int weir_stream_create(int fd, size_t max_queue_bytes, struct weir_stream **ret_stream);
void weir_stream_destroy(struct weir_stream *s); /* closes the socket; NULL is fine */

int weir_stream_fd(const struct weir_stream *s);
bool weir_stream_wants_write(const struct weir_stream *s);

/*
 * Queue a message; never blocks. header's magic and length are filled in here.
 *
 * fds  descriptors to send along (duplicates are kept until they are sent), [fd_count]
 * Returns 0, -EMSGSIZE (longer than a message may be, or too many descriptors), -ENOBUFS (the queue is
 * full), -ENOMEM or what duplicating a descriptor gave.
 */
int weir_stream_queue(struct weir_stream *s, const struct weir_message *header, const void *body,
	size_t length, const int *fds, uint32_t fd_count);

/* Write what the socket takes now. Returns 0 or -errno when the connection is over. */
int weir_stream_flush(struct weir_stream *s);

/*
 * Read until a whole message is there.
 *
 * Returns 1 (ret_message is set), 0 (nothing more to read now), -ECONNRESET (the peer has closed),
 * -EPROTO (what came is no message), -ENOMEM or another -errno; after an error only
 * weir_stream_destroy() is left to do.
 */
int weir_stream_next(struct weir_stream *s, struct weir_stream_message *ret_message);

#endif
