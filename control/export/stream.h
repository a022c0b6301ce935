/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Messages for other systems, to a topic of Apache Kafka. Nothing here waits for a broker: a message
 * is put into a bounded queue or counted as lost, and librdkafka's threads do the rest. Event loop's thread.
 *
 * Every message given to stream_send() is sent, lost or queued: their sum is what was given. Brokers may
 * have one twice, when a connection breaks before its answer; order is kept.
 */

#ifndef WEIR_EXPORT_STREAM_H
#define WEIR_EXPORT_STREAM_H

#include "control/config/model.h"
#include "control/export/metrics_text.h"

#include <jansson.h>

#include <stdbool.h>

#define STREAM_ERROR_SIZE 256

struct event_base;
struct stream;

/* Returns 0, -EINVAL, -ENOMEM or -ENOTSUP, with a sentence in err. No broker needs to be there. */
int stream_start(struct event_base *base, const struct model_stream *m, struct stream **ret_stream,
	char *err, size_t err_size);

/* Borrows message. Never waits. */
void stream_send(struct stream *s, const char *key, const json_t *message);

/*
 * What is queued has half a second on a thread of its own, and is lost then. wait: for that, which is
 * bounded as well; else at once. NULL is fine.
 */
void stream_stop(struct stream *s, bool wait);

/* sent and lost are since the start of the process; s may be NULL. */
void stream_figures(const struct stream *s, struct metrics_stream *ret);

/* What is wrong with the brokers; "" since one has taken something. */
const char *stream_error(const struct stream *s);

#endif
