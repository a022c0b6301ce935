/* SPDX-License-Identifier: BSD-3-Clause */

/* The event stream against librdkafka's mock cluster: real sockets, the real protocol, a real consumer. */

#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/export/stream.h"
#include "tests/unit/tap.h"

#include <event2/event.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 30 /* what takes milliseconds, on a machine that has other things to do */
#define TOPIC	   "weir-events"
#define BROKER	   1

struct fixture {
	rd_kafka_t *owner; /* of the cluster */
	rd_kafka_mock_cluster_t *cluster;
	struct event_base *base;
	struct model_stream settings;
	char *brokers[1];
	struct stream *stream;
	struct metrics_stream before;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Its threads take no signals either, so that one that is taken was taken by the stream's. */
static void cluster_start(struct fixture *f)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	sigset_t all, before;
	char err[256];

	memset(f, 0, sizeof(*f));
	f->base = event_base_new();
	rd_kafka_conf_set(conf, "log_level", "3", err, sizeof(err));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	f->owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, err, sizeof(err));
	CU_ASSERT_PTR_NOT_NULL_FATAL(f->owner);
	f->cluster = rd_kafka_mock_cluster_new(f->owner, 1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f->cluster);
	CU_ASSERT_EQUAL_FATAL(rd_kafka_mock_topic_create(f->cluster, TOPIC, 1, 1), 0);
	f->brokers[0] = strdup(rd_kafka_mock_cluster_bootstraps(f->cluster));
	f->settings = (struct model_stream){
		.brokers = f->brokers, .broker_count = 1, .topic = TOPIC, .queue = 1000
	};
	stream_figures(NULL, &f->before);
}

static void cluster_stop(struct fixture *f)
{
	rd_kafka_mock_cluster_destroy(f->cluster);
	rd_kafka_destroy(f->owner);
	event_base_free(f->base);
	free(f->brokers[0]);
}

static void start(struct fixture *f)
{
	char err[256];

	CU_ASSERT_EQUAL_FATAL(stream_start(f->base, &f->settings, &f->stream, err, sizeof(err)), 0);
}

/* Since the cluster began. */
static struct metrics_stream figures(struct fixture *f)
{
	struct metrics_stream m;

	stream_figures(f->stream, &m);
	m.sent -= f->before.sent;
	m.lost -= f->before.lost;
	return m;
}

static void send_numbers(struct fixture *f, int from, int to)
{
	for (int i = from; i < to; i++) {
		json_t *message = json_pack("{s:i}", "sequence", i);

		stream_send(f->stream, i % 3 ? "web" : "dns", message);
		json_decref(message);
	}
}

/* Turn the loop until so many have been sent. */
static void sent_reaches(struct fixture *f, uint64_t count)
{
	double until = now_s() + DEADLINE_S;

	while (figures(f).sent < count && now_s() < until) {
		struct timeval turn = { .tv_usec = 50000 };

		event_base_loopexit(f->base, &turn);
		event_base_dispatch(f->base);
	}
	CU_ASSERT_EQUAL(figures(f).sent, count);
}

/*
 * Read so many messages with a consumer. One that follows itself has been sent again because its answer
 * was lost, and is not counted.
 */
typedef void (*consume_cb)(const rd_kafka_message_t *m, json_t *value, int number);

static void consume(struct fixture *f, int count, consume_cb check)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	double until = now_s() + DEADLINE_S;
	char err[256];
	int seen = 0;

	rd_kafka_conf_set(conf, "bootstrap.servers", f->brokers[0], err, sizeof(err));
	rd_kafka_conf_set(conf, "log_level", "3", err, sizeof(err));
	rd_kafka_conf_set(conf, "group.id", "test", err, sizeof(err));
	rd_kafka_conf_set(conf, "enable.auto.commit", "false", err, sizeof(err));
	rd_kafka_t *c = rd_kafka_new(RD_KAFKA_CONSUMER, conf, err, sizeof(err));

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	rd_kafka_poll_set_consumer(c);
	rd_kafka_topic_partition_list_add(list, TOPIC, 0)->offset = 0;
	CU_ASSERT_EQUAL_FATAL(rd_kafka_assign(c, list), 0);
	rd_kafka_topic_partition_list_destroy(list);
	while (seen < count && now_s() < until) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(c, 100);

		if (m && !m->err) {
			json_t *value = json_loadb(m->payload, m->len, 0, NULL);
			int number = (int)json_integer_value(json_object_get(value, "sequence"));

			if (number != seen - 1 || !seen) {
				check(m, value, seen);
				seen++;
			}
			json_decref(value);
		}
		if (m)
			rd_kafka_message_destroy(m);
	}
	CU_ASSERT_EQUAL(seen, count);
	rd_kafka_consumer_close(c);
	rd_kafka_destroy(c);
}

static void expect_key(const rd_kafka_message_t *m, const char *key)
{
	CU_ASSERT_EQUAL(m->key_len, strlen(key));
	CU_ASSERT(m->key_len == strlen(key) && !memcmp(m->key, key, m->key_len));
}

static void is_next(const rd_kafka_message_t *m, json_t *value, int number)
{
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(value, "sequence")), number);
	expect_key(m, number % 3 ? "web" : "dns");
}

static void test_order(void)
{
	struct fixture f;

	cluster_start(&f);
	start(&f);
	send_numbers(&f, 0, 200);
	sent_reaches(&f, 200);
	CU_ASSERT_EQUAL(figures(&f).queued, 0);
	CU_ASSERT_EQUAL(figures(&f).lost, 0);
	CU_ASSERT_STRING_EQUAL(stream_error(f.stream), "");
	consume(&f, 200, is_next);
	stream_stop(f.stream, true);
	cluster_stop(&f);
}

/* 20 are sent, the broker is killed, 3000 come into a queue of 1000, and it is back. */
static void test_broker_down(void)
{
	struct fixture f;

	cluster_start(&f);
	start(&f);
	send_numbers(&f, 0, 20);
	sent_reaches(&f, 20);
	CU_ASSERT_EQUAL_FATAL(rd_kafka_mock_broker_set_down(f.cluster, BROKER), 0);
	double began = now_s();

	send_numbers(&f, 20, 3020);
	/* Milliseconds; who waited for room would wait for ever, as nobody makes any. */
	CU_ASSERT(now_s() - began < 5);
	CU_ASSERT_EQUAL(figures(&f).queued, 1000);
	CU_ASSERT_EQUAL(figures(&f).lost, 2000);
	CU_ASSERT_EQUAL(figures(&f).sent, 20);
	CU_ASSERT_EQUAL_FATAL(rd_kafka_mock_broker_set_up(f.cluster, BROKER), 0);
	sent_reaches(&f, 1020);
	CU_ASSERT_EQUAL(figures(&f).queued, 0);
	CU_ASSERT_EQUAL(figures(&f).lost, 2000);
	consume(&f, 1020, is_next);
	stream_stop(f.stream, true);
	cluster_stop(&f);
}

/* The end is not waited for longer than is said, and what was queued is counted as lost. */
static void test_end(void)
{
	struct fixture f;

	cluster_start(&f);
	CU_ASSERT_EQUAL_FATAL(rd_kafka_mock_broker_set_down(f.cluster, BROKER), 0);
	start(&f);
	send_numbers(&f, 0, 500);
	CU_ASSERT_EQUAL(figures(&f).queued, 500);
	double began = now_s();

	stream_stop(f.stream, true);
	f.stream = NULL;
	CU_ASSERT(now_s() - began < 10);
	while (figures(&f).lost < 500 && now_s() - began < DEADLINE_S)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	CU_ASSERT_EQUAL(figures(&f).lost, 500);
	CU_ASSERT_EQUAL(figures(&f).sent, 0);
	cluster_stop(&f);
}

static void is_event(const rd_kafka_message_t *m, json_t *value, int number)
{
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(value, "type")), "event");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(value, "instance")), "edge");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(value, "kind")), "health");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(value, "text")), "is down");
	CU_ASSERT_STRING_EQUAL(
		json_string_value(json_object_get(value, "object")), "web 10.0.0.1:80");
	CU_ASSERT_EQUAL(
		json_integer_value(json_object_get(json_object_get(value, "inputs"), "failures")),
		3);
	expect_key(m, "web");
}

/* As the daemon feeds it: by its configuration, until that has no stream any more. */
static void test_feed(void)
{
	struct model without = { 0 }, with = { 0 };
	struct fixture f;

	cluster_start(&f);
	with.stream = f.settings;
	struct daemon d = { .base = f.base, .model = &with, .options.instance = "edge" };

	stream_follow(&d, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(d.stream);
	f.stream = d.stream;
	stream_follow(&d, &with);
	CU_ASSERT_PTR_EQUAL(d.stream, f.stream);
	event_emit(EVENT_HEALTH, "web 10.0.0.1:80", "is down", json_pack("{s:i}", "failures", 3));
	sent_reaches(&f, 1);
	json_t *document = stream_document(&d);

	CU_ASSERT_EQUAL(json_integer_value(json_object_get(document, "queued")), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(document, "topic")), TOPIC);
	json_decref(document);
	consume(&f, 1, is_event);
	d.model = &without;
	stream_follow(&d, &with);
	CU_ASSERT_PTR_NULL(d.stream);
	event_emit(EVENT_HEALTH, "web 10.0.0.1:80", "is up", NULL);
	f.stream = NULL;
	CU_ASSERT_EQUAL(figures(&f).sent + figures(&f).lost, 1);
	CU_ASSERT(json_is_null(stream_document(&d)));
	stream_end(&d);
	events_stop();
	cluster_stop(&f);
}

/* Signals that are for the daemon must not end up in a thread of the library. */
static volatile sig_atomic_t signals;
static pthread_t signalled;

static void count_signal(int number)
{
	signals++;
	signalled = pthread_self();
}

static void test_signals(void)
{
	sigset_t usr1, before;
	struct fixture f;

	cluster_start(&f);
	signal(SIGUSR1, count_signal);
	start(&f);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	/* With this thread closed to it as well, it has to stay pending. */
	pthread_sigmask(SIG_BLOCK, &usr1, &before);
	kill(getpid(), SIGUSR1);
	send_numbers(&f, 0, 10);
	sent_reaches(&f, 10);
	CU_ASSERT_EQUAL(signals, 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	CU_ASSERT_EQUAL(signals, 1);
	CU_ASSERT(pthread_equal(signalled, pthread_self()));
	signal(SIGUSR1, SIG_DFL);
	stream_stop(f.stream, true);
	cluster_stop(&f);
}

static const struct tap_case cases[] = {
	{ "messages arrive in order, with their keys", test_order },
	{ "a broker that is down costs what the queue does not hold", test_broker_down },
	{ "the end is bounded, and counts what was not sent", test_end },
	{ "the daemon's events are sent while its configuration says so", test_feed },
	{ "no thread of the library takes a signal", test_signals },
};

TAP_MAIN("stream", cases)
