/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/export/stream.h"

#include <event2/event.h>
#include <librdkafka/rdkafka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_MS      500
#define END_MS	      1000 /* the flush, and threads that end */
#define MESSAGE_BYTES 2048

struct stream {
	rd_kafka_t *kafka; /* owned */
	char topic[MODEL_NAME_MAX + 1];
	int wake_fd; /* librdkafka has answers */
	struct event *wake; /* owned */
	uint64_t queued; /* without a report yet */
	char error[STREAM_ERROR_SIZE];
};

/* A stream that is stopped still counts, on its own thread, so these are nobody's. */
static _Atomic uint64_t sent_count, lost_count;

/* Called by rd_kafka_poll() and rd_kafka_flush(). */
static void delivered(rd_kafka_t *kafka, const rd_kafka_message_t *m, void *ctx)
{
	struct stream *s = ctx;

	s->queued--;
	if (m->err) {
		atomic_fetch_add(&lost_count, 1);
		return;
	}
	atomic_fetch_add(&sent_count, 1);
	s->error[0] = 0;
}

static void broker_failed(rd_kafka_t *kafka, int error, const char *reason, void *ctx)
{
	struct stream *s = ctx;

	snprintf(s->error, sizeof(s->error), "%s", reason);
}

/* What it says is counted or in stream_error(), never on standard error. */
static void say_nothing(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
}

static void answers_take(evutil_socket_t fd, short what, void *ctx)
{
	struct stream *s = ctx;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	rd_kafka_poll(s->kafka, 0);
}

static char *brokers_join(const struct model_stream *m)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	for (size_t i = 0; i < m->broker_count; i++)
		fprintf(to, "%s%s", i ? "," : "", m->brokers[i]);
	return fclose(to) ? NULL : text;
}

static rd_kafka_conf_t *settings(
	const struct model_stream *m, const char *brokers, char *err, size_t err_size)
{
	char queue[16], kbytes[16];
	const char *const pairs[][2] = {
		{ "bootstrap.servers", brokers },
		{ "client.id", "weir" },
		{ "queue.buffering.max.messages", queue },
		{ "queue.buffering.max.kbytes", kbytes },
		{ "queue.buffering.max.ms", "20" },
		/* One at a time keeps the order when a broker goes away and comes back. */
		{ "max.in.flight.requests.per.connection", "1" },
		{ "reconnect.backoff.ms", "100" },
		{ "reconnect.backoff.max.ms", "1000" },
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	snprintf(queue, sizeof(queue), "%u", m->queue);
	snprintf(kbytes, sizeof(kbytes), "%u", m->queue * (MESSAGE_BYTES / 1024));
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], err, err_size)) {
			rd_kafka_conf_destroy(conf);
			return NULL;
		}
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rd_kafka_conf_set_error_cb(conf, broker_failed);
	rd_kafka_conf_set_log_cb(conf, say_nothing);
	return conf;
}

/* Signals are the event loop's; threads that are born here never see one. */
static rd_kafka_t *producer_create(rd_kafka_conf_t *conf, char *err, size_t err_size)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, err, err_size);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!kafka)
		rd_kafka_conf_destroy(conf);
	return kafka;
}

static void stream_free(struct stream *s)
{
	if (s->wake)
		event_free(s->wake);
	if (s->kafka)
		rd_kafka_destroy(s->kafka);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s);
}

static int wake_start(struct stream *s, struct event_base *base)
{
	static const uint64_t one = 1;

	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->wake_fd < 0)
		return -errno;
	s->wake = event_new(base, s->wake_fd, EV_READ | EV_PERSIST, answers_take, s);
	if (!s->wake || event_add(s->wake, NULL))
		return -ENOMEM;
	rd_kafka_queue_t *queue = rd_kafka_queue_get_main(s->kafka);

	rd_kafka_queue_io_event_enable(queue, s->wake_fd, &one, sizeof(one));
	rd_kafka_queue_destroy(queue);
	/* What came before there was anybody to wake. */
	event_active(s->wake, EV_READ, 0);
	return 0;
}

int stream_start(struct event_base *base, const struct model_stream *m, struct stream **ret_stream,
	char *err, size_t err_size)
{
	struct stream *s = calloc(1, sizeof(*s));
	char *brokers = brokers_join(m);
	int rc = -ENOMEM;

	snprintf(err, err_size, "out of memory");
	if (!s || !brokers) {
		free(s);
		free(brokers);
		return rc;
	}
	s->wake_fd = -1;
	memcpy(s->topic, m->topic, sizeof(s->topic));
	rd_kafka_conf_t *conf = settings(m, brokers, err, err_size);

	free(brokers);
	if (conf) {
		rd_kafka_conf_set_opaque(conf, s);
		s->kafka = producer_create(conf, err, err_size);
	}
	rc = s->kafka ? wake_start(s, base) : -EINVAL;
	if (rc) {
		stream_free(s);
		return rc;
	}
	*ret_stream = s;
	return 0;
}

void stream_send(struct stream *s, const char *key, const json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);
	rd_kafka_resp_err_t rc = RD_KAFKA_RESP_ERR__QUEUE_FULL;

	/* Without RD_KAFKA_MSG_F_BLOCK it never waits for room. */
	if (text)
		rc = rd_kafka_producev(s->kafka, RD_KAFKA_V_TOPIC(s->topic),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_KEY((void *)(uintptr_t)key, strlen(key)),
			RD_KAFKA_V_VALUE(text, strlen(text)), RD_KAFKA_V_END);
	if (rc)
		atomic_fetch_add(&lost_count, 1);
	else
		s->queued++;
	free(text);
}

/* Off the event loop: names that do not resolve can hold librdkafka's threads up. */
static void *stream_finish(void *ctx)
{
	struct stream *s = ctx;

	rd_kafka_flush(s->kafka, FLUSH_MS);
	rd_kafka_purge(s->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_flush(s->kafka, FLUSH_MS / 5);
	/* Whatever has had no report is lost too. */
	atomic_fetch_add(&lost_count, s->queued);
	stream_free(s);
	return NULL;
}

void stream_stop(struct stream *s, bool wait)
{
	sigset_t all, before;
	struct timespec until;
	pthread_t thread;

	if (!s)
		return;
	event_free(s->wake);
	s->wake = NULL;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread, NULL, stream_finish, s);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		stream_finish(s);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_MS / 1000;
	if (!wait || pthread_timedjoin_np(thread, NULL, &until))
		pthread_detach(thread);
}

void stream_figures(const struct stream *s, struct metrics_stream *ret)
{
	ret->sent = atomic_load(&sent_count);
	ret->lost = atomic_load(&lost_count);
	ret->queued = s ? s->queued : 0;
}

const char *stream_error(const struct stream *s)
{
	return s->error;
}
