/* SPDX-License-Identifier: BSD-3-Clause */

/* In a build without librdkafka, where the configuration has no `stream:` either. */

#include "control/export/stream.h"

#include <errno.h>
#include <stdio.h>

int stream_start(struct event_base *base, const struct model_stream *m, struct stream **ret_stream,
	char *err, size_t err_size)
{
	snprintf(err, err_size, "this weir was built without librdkafka");
	return -ENOTSUP;
}

void stream_send(struct stream *s, const char *key, const json_t *message)
{
}

void stream_stop(struct stream *s, bool wait)
{
}

void stream_figures(const struct stream *s, struct metrics_stream *ret)
{
	*ret = (struct metrics_stream){ 0 };
}

const char *stream_error(const struct stream *s)
{
	return "";
}
