/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-udp: both ends of a UDP service for the tests. The server sends every datagram back with its
 * own name filled in; the client checks each byte of what comes back, from which address it comes, and
 * that a flow (a socket) is always answered by the same server.
 */

#include <jansson.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE    32
#define SIZE_MAX_UDP 9000
#define FLOW_MAX     1024

/* What stands at the start of each datagram; the rest is a pattern made from flow and number. */
struct head {
	uint32_t flow;
	uint32_t number;
	char server[NAME_SIZE]; /* empty on the way there */
};

struct flow {
	int fd;
	char server[NAME_SIZE]; /* who answered first */
	bool *answered; /* by number; owned */
};

struct counts {
	uint64_t sent, received, corrupt, duplicate, moved, refused;
};

struct client {
	struct counts n;
	struct flow flow[FLOW_MAX];
	uint32_t flows;
	uint32_t per_flow;
	size_t size;
	json_t *servers; /* name -> datagrams; owned */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void pattern_fill(uint8_t *data, size_t size, uint32_t flow, uint32_t number)
{
	uint32_t x = flow * 2654435761u ^ number * 40503u ^ 0x5bd1e995u;
	for (size_t i = sizeof(struct head); i < size; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
	}
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_DGRAM };
	struct addrinfo *found;
	if (getaddrinfo(host, port, &hints, &found))
		errx(2, "%s %s: not an address and a port", host, port);
	return found;
}

/* Answers until it is killed. */
static int serve(const char *name, const char *host, const char *port)
{
	struct addrinfo *a = resolve(host, port);
	int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, a->ai_addr, a->ai_addrlen) < 0)
		err(1, "%s %s", host, port);
	freeaddrinfo(a);
	/* What comes while this process waits for a CPU is not lost; the plain option stops at rmem_max. */
	int size = 4 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (;;) {
		uint8_t data[SIZE_MAX_UDP];
		struct sockaddr_storage from;
		socklen_t from_size = sizeof(from);
		ssize_t got =
			recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &from_size);
		if (got < (ssize_t)sizeof(struct head))
			continue;
		struct head head;
		memcpy(&head, data, sizeof(head));
		memset(head.server, 0, sizeof(head.server));
		snprintf(head.server, sizeof(head.server), "%s", name);
		memcpy(data, &head, sizeof(head));
		sendto(fd, data, (size_t)got, 0, (struct sockaddr *)&from, from_size);
	}
}

static void answer_check(struct client *c, uint32_t index, const uint8_t *data, size_t got)
{
	struct flow *f = &c->flow[index];
	uint8_t expected[SIZE_MAX_UDP];
	struct head head;
	if (got != c->size) {
		c->n.corrupt++;
		return;
	}
	memcpy(&head, data, sizeof(head));
	pattern_fill(expected, c->size, head.flow, head.number);
	if (head.flow != index || head.number >= c->per_flow ||
		memchr(head.server, 0, NAME_SIZE) == NULL || !head.server[0] ||
		memcmp(expected + sizeof(head), data + sizeof(head), got - sizeof(head)) != 0) {
		c->n.corrupt++;
		return;
	}
	if (f->answered[head.number]) {
		c->n.duplicate++;
		return;
	}
	f->answered[head.number] = true;
	c->n.received++;
	if (!f->server[0])
		memcpy(f->server, head.server, NAME_SIZE);
	else if (strcmp(f->server, head.server) != 0)
		c->n.moved++;
	json_int_t so_far = json_integer_value(json_object_get(c->servers, head.server));
	json_object_set_new(c->servers, head.server, json_integer(so_far + 1));
}

static void answers_read(struct client *c, int timeout_ms)
{
	struct pollfd fds[FLOW_MAX];
	for (uint32_t i = 0; i < c->flows; i++)
		fds[i] = (struct pollfd){ .fd = c->flow[i].fd, .events = POLLIN };
	if (poll(fds, c->flows, timeout_ms) <= 0)
		return;
	for (uint32_t i = 0; i < c->flows; i++) {
		uint8_t data[SIZE_MAX_UDP];
		ssize_t got;
		if (!fds[i].revents)
			continue;
		while ((got = recv(fds[i].fd, data, sizeof(data), MSG_DONTWAIT)) >= 0)
			answer_check(c, i, data, (size_t)got);
		if (errno == ECONNREFUSED)
			c->n.refused++;
	}
}

static void datagram_send(struct client *c, uint32_t index, uint32_t number)
{
	uint8_t data[SIZE_MAX_UDP];
	struct head head = { .flow = index, .number = number };
	memcpy(data, &head, sizeof(head));
	pattern_fill(data, c->size, index, number);
	c->n.sent++;
	if (send(c->flow[index].fd, data, c->size, 0) < 0 && errno == ECONNREFUSED)
		c->n.refused++;
}

/* Connected sockets: an answer from another address than the target's never arrives. */
static void flows_open(struct client *c, const char *host, const char *port)
{
	struct addrinfo *a = resolve(host, port);
	for (uint32_t i = 0; i < c->flows; i++) {
		struct flow *f = &c->flow[i];
		int size = 1 << 20;
		f->fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (f->fd < 0 || connect(f->fd, a->ai_addr, a->ai_addrlen) < 0)
			err(1, "%s %s", host, port);
		setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		f->answered = calloc(c->per_flow, sizeof(*f->answered));
		if (!f->answered)
			errx(1, "out of memory");
	}
	freeaddrinfo(a);
}

static void report(const struct client *c)
{
	json_t *doc = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "sent",
		(json_int_t)c->n.sent, "received", (json_int_t)c->n.received, "lost",
		(json_int_t)(c->n.sent - c->n.received), "corrupt", (json_int_t)c->n.corrupt,
		"duplicate", (json_int_t)c->n.duplicate, "moved", (json_int_t)c->n.moved, "refused",
		(json_int_t)c->n.refused, "servers", c->servers);
	if (!doc)
		errx(1, "out of memory");
	json_dumpf(doc, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(doc);
}

static int client_run(struct client *c, double rate, double wait)
{
	uint64_t start = now_ns();
	for (uint64_t k = 0; k < (uint64_t)c->flows * c->per_flow; k++) {
		uint64_t due = start + (uint64_t)((double)k * 1e9 / rate);
		for (uint64_t now; (now = now_ns()) < due;)
			answers_read(c, (int)((due - now) / 1000000));
		datagram_send(c, (uint32_t)(k % c->flows), (uint32_t)(k / c->flows));
		answers_read(c, 0);
	}
	uint64_t end = now_ns() + (uint64_t)(wait * 1e9);
	while (c->n.received < c->n.sent && now_ns() < end)
		answers_read(c, 10);
	report(c);
	bool fine = c->n.received == c->n.sent && !c->n.corrupt && !c->n.duplicate && !c->n.moved;
	for (uint32_t i = 0; i < c->flows; i++) {
		close(c->flow[i].fd);
		free(c->flow[i].answered);
	}
	json_decref(c->servers);
	return fine ? 0 : 1;
}

static int usage(void)
{
	fputs("usage: weir-udp serve NAME ADDRESS PORT\n"
	      "       weir-udp send [-f FLOWS (16)] [-n DATAGRAMS PER FLOW (10)] [-r PER SECOND (2000)]\n"
	      "                     [-s BYTES (200)] [-w SECONDS TO WAIT AT THE END (1)] ADDRESS PORT\n"
	      "send prints one line of JSON; exit status 1 when anything is lost, changed, doubled,\n"
	      "or a flow has changed its server.\n",
		stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static struct client c = { .flows = 16, .per_flow = 10, .size = 200 };
	double rate = 2000, wait = 1;
	int option;
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], argv[4]);
	if (argc < 2 || strcmp(argv[1], "send") != 0)
		return usage();
	argc--;
	argv++;
	while ((option = getopt(argc, argv, "f:n:r:s:w:")) != -1) {
		switch (option) {
		case 'f':
			c.flows = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			c.per_flow = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rate = strtod(optarg, NULL);
			break;
		case 's':
			c.size = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			wait = strtod(optarg, NULL);
			break;
		default:
			return usage();
		}
	}
	if (optind != argc - 2 || c.flows < 1 || c.flows > FLOW_MAX || c.per_flow < 1 ||
		c.size < sizeof(struct head) || c.size > SIZE_MAX_UDP || rate <= 0)
		return usage();
	c.servers = json_object();
	flows_open(&c, argv[optind], argv[optind + 1]);
	return client_run(&c, rate, wait);
}
