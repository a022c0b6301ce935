/* SPDX-License-Identifier: BSD-3-Clause */

/* What the event stream is fed with: every event, and each second the figures of each service. */

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/export/stream.h"
#include "control/report/report.h"

#include <event2/event.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SUMMARY_MS 1000

/* The first word: a service's name, or the port, instance or file that an event is about. */
static void key_of(const char *object, char *key, size_t size)
{
	snprintf(key, size, "%.*s", (int)strcspn(object, " "), object);
}

static void event_send(void *ctx, json_t *event)
{
	struct daemon *d = ctx;
	const char *object = json_string_value(json_object_get(event, "object"));
	json_t *message = json_pack("{s:s, s:s}", "type", "event", "instance", d->options.instance);
	char key[256];

	key_of(object ? object : "", key, sizeof(key));
	json_object_update(message, event);
	stream_send(d->stream, key, message);
	json_decref(message);
}

static void summaries_send(struct daemon *d, const struct snapshot *now)
{
	json_t *list = report_service_list(d->model, now, history_base(&d->history));
	struct timespec time;
	json_t *entry;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &time);
	json_array_foreach(list, i, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));
		json_t *message = json_pack("{s:s, s:s, s:f}", "type", "summary", "instance",
			d->options.instance, "time",
			(double)time.tv_sec + (double)time.tv_nsec / 1e9);

		json_object_update(message, entry);
		stream_send(d->stream, name ? name : "", message);
		json_decref(message);
	}
	json_decref(list);
}

/* Without a data plane there are no figures, and events say why. */
static void summary_due(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	const struct snapshot *now = daemon_snapshot(d, SUMMARY_MS / 2);

	if (now)
		summaries_send(d, now);
}

static bool stream_differs(const struct model_stream *a, const struct model_stream *b)
{
	if (a->broker_count != b->broker_count || a->queue != b->queue ||
		a->summaries != b->summaries || strcmp(a->topic, b->topic) != 0)
		return true;
	for (size_t i = 0; i < a->broker_count; i++)
		if (strcmp(a->brokers[i], b->brokers[i]) != 0)
			return true;
	return false;
}

static void feed_stop(struct daemon *d, bool wait)
{
	events_tap_set(NULL, NULL);
	if (d->summary_timer)
		event_free(d->summary_timer);
	d->summary_timer = NULL;
	stream_stop(d->stream, wait);
	d->stream = NULL;
}

static void feed_start(struct daemon *d)
{
	struct timeval each = clock_timeval_ms(SUMMARY_MS);
	char err[512];

	if (stream_start(d->base, &d->model->stream, &d->stream, err, sizeof(err))) {
		log_error("stream: events are not sent: %s", err);
		d->stream = NULL;
		return;
	}
	events_tap_set(event_send, d);
	if (!d->model->stream.summaries)
		return;
	d->summary_timer = event_new(d->base, -1, EV_PERSIST, summary_due, d);
	if (!d->summary_timer || event_add(d->summary_timer, &each))
		log_error("stream: summaries are not sent: out of memory");
}

void stream_follow(struct daemon *d, const struct model *before)
{
	if (before && !stream_differs(&before->stream, &d->model->stream))
		return;
	feed_stop(d, false);
	if (d->model->stream.broker_count)
		feed_start(d);
}

void stream_end(struct daemon *d)
{
	feed_stop(d, true);
}

json_t *stream_document(struct daemon *d)
{
	const struct model_stream *m = &d->model->stream;
	struct metrics_stream figures;

	if (!m->broker_count)
		return json_null();
	json_t *brokers = json_array();

	for (size_t i = 0; i < m->broker_count; i++)
		json_array_append_new(brokers, json_string(m->brokers[i]));
	stream_figures(d->stream, &figures);
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:s}", "brokers", brokers, "topic", m->topic,
		"sent", (json_int_t)figures.sent, "lost", (json_int_t)figures.lost, "queued",
		(json_int_t)figures.queued, "error",
		d->stream ? stream_error(d->stream) : "could not be started");
}

void stream_warn(struct daemon *d, json_t *list)
{
	const char *error = d->stream ? stream_error(d->stream) : "could not be started";
	char text[STREAM_ERROR_SIZE + 64];

	if (!d->model->stream.broker_count || !*error)
		return;
	snprintf(text, sizeof(text), "the event stream: %s", error);
	json_array_append_new(list, json_string(text));
}
