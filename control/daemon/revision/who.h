/* SPDX-License-Identifier: BSD-3-Clause */

/* Who asked for a change: the kernel's word about the peer of the control socket. */

#ifndef WEIR_DAEMON_WHO_H
#define WEIR_DAEMON_WHO_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_call;

struct who {
	bool known; /* else it was the daemon itself: at its start, by a signal, because time was up */
	uint32_t uid;
	int32_t pid;
	char user[33]; /* of /etc/passwd; "": it has no name there */
};

struct who who_asks(const struct rpc_call *call);

/* "alice (pid 4711)", "uid 1000 (pid 4711)", "weir-controld". */
const char *who_print(const struct who *w, char *buf, size_t size);

/* {uid, user, pid}, user null where there is none; or null. A new reference. */
json_t *who_document(const struct who *w);
/* The way back; false when the document is neither. */
bool who_read(const json_t *document, struct who *ret);

#endif
