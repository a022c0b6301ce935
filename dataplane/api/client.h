/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Control's end of the data plane socket: one connection, non-blocking, driven by the caller's event
 * loop. Used by weir-controld, and by weirctl for replay. One thread at a time.
 */

#ifndef WEIR_API_CLIENT_H
#define WEIR_API_CLIENT_H

#include "messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_client;

/*
 * A reply. status is 0 or a negative errno (-ECONNRESET: the connection ended first); on errors body
 * is a NUL-terminated text. body is borrowed until the callback returns.
 */
typedef void (*weir_reply_cb)(void *ctx, int status, const void *body, size_t length);
typedef void (*weir_event_cb)(void *ctx, const struct weir_event *event);

/*
 * Connect to the socket at path and say HELLO; blocks for timeout_ms at most.
 *
 * ret_client  set on success; end with weir_client_close()
 * Returns 0, -ECONNREFUSED or -ENOENT (nobody there), -ETIMEDOUT, -EPROTO (version or telemetry
 * layout differ; err says how) or another -errno. err may be NULL.
 */
int weir_client_connect(const char *path, int timeout_ms, struct weir_client **ret_client,
	char *err, size_t err_size);

/* The same over a connected stream socket, which the client then owns. */
int weir_client_attach(
	int fd, int timeout_ms, struct weir_client **ret_client, char *err, size_t err_size);

void weir_client_close(struct weir_client *c); /* pending callbacks get -ECONNRESET; NULL is fine */

const struct weir_hello_reply *weir_client_hello(const struct weir_client *c);

/* The telemetry region, mapped read-only, size checked; borrowed until weir_client_close(). */
const struct weir_telemetry *weir_client_telemetry(const struct weir_client *c);

int weir_client_fd(const struct weir_client *c);
bool weir_client_wants_write(const struct weir_client *c); /* poll for writing too */

void weir_client_on_event(struct weir_client *c, weir_event_cb cb, void *ctx);

/* Queue a request; never blocks. Returns 0, -EMSGSIZE, -ENOMEM or -EPIPE. */
int weir_client_send(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, weir_reply_cb cb, void *ctx);

/* The same with descriptors, of which duplicates go along; also -EMSGSIZE when they are too many. */
int weir_client_send_fds(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, const int *fds, uint32_t fd_count, weir_reply_cb cb, void *ctx);

/*
 * Read and write what can be done now, and run callbacks. Call it when the fd is ready.
 * Returns 0, or a negative errno when the connection is over (-ECONNRESET, -EPROTO).
 */
int weir_client_process(struct weir_client *c);

/*
 * Send and wait. For programs without a loop. Returns the reply's status; *ret_body (malloc'ed, may be
 * NULL when not wanted) and *ret_length hold the body, with a NUL behind it.
 */
int weir_client_call(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, int timeout_ms, void **ret_body, size_t *ret_length);

/* The same with descriptors. */
int weir_client_call_fds(struct weir_client *c, enum weir_message_type type, const void *body,
	size_t length, const int *fds, uint32_t fd_count, int timeout_ms, void **ret_body,
	size_t *ret_length);

#endif
