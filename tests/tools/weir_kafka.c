/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A Kafka cluster of one broker for tests, and its reader: librdkafka's mock cluster, with real sockets.
 *
 *	weir-kafka TOPIC
 *
 * Prints "broker HOST:PORT", then each message of the topic as one line: its key, a space, its value.
 * SIGUSR1 takes the broker down, SIGUSR2 brings it back: "down" and "up" are printed when it is so.
 */

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define BROKER 1 /* its number */

static volatile sig_atomic_t asked; /* the signal */

static void ask(int number)
{
	asked = number;
}

static void fail(const char *what)
{
	fprintf(stderr, "weir-kafka: %s\n", what);
	exit(1);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char err[256];

	rd_kafka_conf_set(conf, "log_level", "0", err, sizeof(err));
	if (brokers)
		rd_kafka_conf_set(conf, "bootstrap.servers", brokers, err, sizeof(err));
	if (type == RD_KAFKA_CONSUMER) {
		rd_kafka_conf_set(conf, "group.id", "test", err, sizeof(err));
		rd_kafka_conf_set(conf, "enable.auto.commit", "false", err, sizeof(err));
		rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "500", err, sizeof(err));
	}
	rd_kafka_t *kafka = rd_kafka_new(type, conf, err, sizeof(err));

	if (!kafka)
		fail(err);
	return kafka;
}

static rd_kafka_t *reader(const char *brokers, const char *topic)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_t *kafka = client(RD_KAFKA_CONSUMER, brokers);

	rd_kafka_poll_set_consumer(kafka);
	rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
	if (rd_kafka_assign(kafka, list))
		fail("no partition to read");
	rd_kafka_topic_partition_list_destroy(list);
	return kafka;
}

static void answer(rd_kafka_mock_cluster_t *cluster)
{
	int number = asked;

	asked = 0;
	if (number == SIGUSR1) {
		rd_kafka_mock_broker_set_down(cluster, BROKER);
		puts("down");
	} else {
		rd_kafka_mock_broker_set_up(cluster, BROKER);
		puts("up");
	}
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("usage: weir-kafka TOPIC");
	static char line[1 << 16];

	setvbuf(stdout, line, _IOLBF, sizeof(line));
	signal(SIGUSR1, ask);
	signal(SIGUSR2, ask);
	/* The cluster is a part of a client, which itself has nobody to talk to. */
	rd_kafka_mock_cluster_t *cluster =
		rd_kafka_mock_cluster_new(client(RD_KAFKA_PRODUCER, NULL), 1);

	if (!cluster || rd_kafka_mock_topic_create(cluster, argv[1], 1, 1))
		fail("no cluster");
	const char *brokers = rd_kafka_mock_cluster_bootstraps(cluster);
	rd_kafka_t *kafka = reader(brokers, argv[1]);

	printf("broker %s\n", brokers);
	for (;;) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(kafka, 100);

		if (m && !m->err)
			printf("%.*s %.*s\n", (int)m->key_len, (const char *)m->key, (int)m->len,
				(const char *)m->payload);
		if (m)
			rd_kafka_message_destroy(m);
		if (asked)
			answer(cluster);
	}
}
