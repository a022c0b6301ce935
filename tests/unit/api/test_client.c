/* SPDX-License-Identifier: BSD-3-Clause */

/* The client against a scripted peer at the other end of a socket pair. */

#include "dataplane/api/client.h"
#include "dataplane/api/stream.h"
#include "dataplane/core/arena.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGION_SIZE (sizeof(struct weir_telemetry) + (4u << 20))
#define MAX_QUEUE   (32u << 20)

enum peer_fault {
	PEER_GOOD,
	PEER_WRONG_VERSION,
	PEER_WRONG_SIZE,
	PEER_UNSEALED,
	PEER_NO_TELEMETRY,
	PEER_REFUSES,
	PEER_HANGS_UP,
	PEER_GARBAGE,
	PEER_SILENT,
};

/* The far end: answers HELLO by script, then each request with its own body, events in between. */
struct peer {
	int fd;
	enum peer_fault fault;
	struct arena *arena;
	pthread_t thread;
};

static bool peer_wait(struct weir_stream *s, struct weir_stream_message *m)
{
	int rc;

	while ((rc = weir_stream_next(s, m)) == 0)
		usleep(200);
	return rc == 1;
}

static void peer_hello(struct peer *p, struct weir_stream *s, const struct weir_message *asked)
{
	struct weir_hello_reply reply = {
		.version = WEIR_PROTOCOL_VERSION + (p->fault == PEER_WRONG_VERSION),
		.pid = 7,
		.telemetry_size = REGION_SIZE + (p->fault == PEER_WRONG_SIZE ? 4096 : 0),
		.instance = "test",
	};
	struct weir_message h = {
		.type = WEIR_MESSAGE_HELLO,
		.flags = WEIR_MESSAGE_F_REPLY,
		.id = asked->id,
	};
	int fd = arena_fd(p->arena);

	if (p->fault == PEER_REFUSES) {
		h.status = -EPERM;
		(void)weir_stream_queue(s, &h, "not you", 7, NULL, 0);
		return;
	}
	if (p->fault == PEER_NO_TELEMETRY)
		fd = -1;
	if (p->fault == PEER_UNSEALED) {
		fd = memfd_create("unsealed", MFD_CLOEXEC);
		CU_ASSERT_EQUAL(ftruncate(fd, REGION_SIZE), 0);
	}
	(void)weir_stream_queue(s, &h, &reply, sizeof(reply), &fd, fd >= 0);
	if (p->fault == PEER_UNSEALED)
		close(fd);
}

static void peer_answer(struct weir_stream *s, const struct weir_stream_message *m)
{
	struct weir_message h = m->header;

	if (h.type == WEIR_MESSAGE_RUN) { /* answered late: after the next request */
		struct weir_stream_message next;
		struct weir_message keep = h;

		if (peer_wait(s, &next))
			peer_answer(s, &next);
		h = keep;
		h.flags = WEIR_MESSAGE_F_REPLY;
		(void)weir_stream_queue(s, &h, "late", 4, NULL, 0);
		return;
	}
	const struct weir_event event = { .sequence = 1, .kind = WEIR_EVENT_WARNING, .text = "hm" };
	const struct weir_message eh = { .type = WEIR_MESSAGE_EVENT };
	(void)weir_stream_queue(s, &eh, &event, sizeof(event), NULL, 0);
	h.flags = WEIR_MESSAGE_F_REPLY;
	h.status = h.type == WEIR_MESSAGE_BACKENDS ? -EINVAL : 0;
	(void)weir_stream_queue(s, &h, m->body, m->header.length, NULL, 0);
}

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	struct weir_stream *s;
	struct weir_stream_message m;

	if (p->fault == PEER_GARBAGE) {
		CU_ASSERT_EQUAL(write(p->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 28);
		usleep(20000);
		close(p->fd);
		return NULL;
	}
	if (weir_stream_create(p->fd, MAX_QUEUE, &s) < 0)
		return NULL;
	bool hello_done = false;
	while (peer_wait(s, &m) && p->fault != PEER_HANGS_UP) {
		if (p->fault == PEER_SILENT)
			continue;
		if (m.header.type == WEIR_MESSAGE_STOP)
			break;
		if (!hello_done)
			peer_hello(p, s, &m.header);
		else
			peer_answer(s, &m);
		hello_done = true;
		while (weir_stream_wants_write(s) && weir_stream_flush(s) == 0)
			usleep(100);
	}
	weir_stream_destroy(s);
	return NULL;
}

static int peer_start(struct peer *p, enum peer_fault fault)
{
	int pair[2];

	p->fault = fault;
	CU_ASSERT_EQUAL_FATAL(arena_create(REGION_SIZE, &p->arena), 0);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->fd = pair[1];
	CU_ASSERT_EQUAL_FATAL(pthread_create(&p->thread, NULL, peer_run, p), 0);
	return pair[0];
}

static void peer_end(struct peer *p)
{
	pthread_join(p->thread, NULL);
	arena_destroy(p->arena);
}

static void hello_brings_telemetry(void)
{
	struct peer p;
	struct weir_client *c = NULL;
	char err[256] = "";

	CU_ASSERT_EQUAL_FATAL(
		weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, err, sizeof(err)), 0);
	CU_ASSERT_EQUAL(weir_client_hello(c)->pid, 7);
	CU_ASSERT_STRING_EQUAL(weir_client_hello(c)->instance, "test");
	arena_telemetry(p.arena)->generation = 99;
	CU_ASSERT_EQUAL(weir_client_telemetry(c)->generation, 99);
	weir_client_close(c);
	peer_end(&p);
}

static void bad_peers_are_refused_with_a_reason(void)
{
	const struct {
		enum peer_fault fault;
		int rc;
		const char *text;
	} bad[] = {
		{ PEER_WRONG_VERSION, -EPROTO, "protocol version 7" },
		{ PEER_WRONG_SIZE, -EPROTO, "bytes" },
		{ PEER_UNSEALED, -EPROTO, "not sealed" },
		{ PEER_NO_TELEMETRY, -EPROTO, "descriptor" },
		{ PEER_REFUSES, -EPROTO, "not you" },
		{ PEER_HANGS_UP, -ECONNRESET, "HELLO" },
		{ PEER_GARBAGE, -EPROTO, "HELLO" },
		{ PEER_SILENT, -ETIMEDOUT, "in time" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct peer p;
		struct weir_client *c = NULL;
		char err[256] = "";

		CU_ASSERT_EQUAL(
			weir_client_attach(peer_start(&p, bad[i].fault), 300, &c, err, sizeof(err)),
			bad[i].rc);
		CU_ASSERT_PTR_NULL(c);
		CU_ASSERT_PTR_NOT_NULL(strstr(err, bad[i].text));
		peer_end(&p);
	}
}

static void nobody_at_the_path(void)
{
	struct weir_client *c = NULL;
	char err[256] = "";
	char longer[300];

	CU_ASSERT_EQUAL(
		weir_client_connect("/nonexistent/weir.sock", 100, &c, err, sizeof(err)), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "/nonexistent/weir.sock"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	CU_ASSERT_EQUAL(weir_client_connect(longer, 100, &c, NULL, 0), -ENAMETOOLONG);
}

static void count_event(void *ctx, const struct weir_event *event)
{
	CU_ASSERT_STRING_EQUAL(event->text, "hm");
	++*(unsigned int *)ctx;
}

static void calls_return_the_reply(void)
{
	struct peer p;
	struct weir_client *c;
	unsigned int events = 0;
	void *body = NULL;
	size_t length = 0;

	CU_ASSERT_EQUAL_FATAL(weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, NULL, 0), 0);
	weir_client_on_event(c, count_event, &events);
	CU_ASSERT_EQUAL(
		weir_client_call(c, WEIR_MESSAGE_CONFIG, "abc", 3, 2000, &body, &length), 0);
	CU_ASSERT_EQUAL(length, 3);
	CU_ASSERT_STRING_EQUAL(body, "abc");
	free(body);
	CU_ASSERT_EQUAL(weir_client_call(c, WEIR_MESSAGE_BACKENDS, "why", 3, 2000, &body, &length),
		-EINVAL);
	CU_ASSERT_STRING_EQUAL(body, "why");
	free(body);
	CU_ASSERT_EQUAL(events, 2);
	weir_client_close(c);
	peer_end(&p);
}

static void large_messages_pass_whole(void)
{
	struct peer p;
	struct weir_client *c;
	const size_t size = 9u << 20;
	unsigned char *sent = malloc(size);
	void *body = NULL;
	size_t length = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
	for (size_t i = 0; i < size; i++)
		sent[i] = (unsigned char)(i * 7 + (i >> 11));
	CU_ASSERT_EQUAL_FATAL(weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, NULL, 0), 0);
	CU_ASSERT_EQUAL(
		weir_client_call(c, WEIR_MESSAGE_CONFIG, sent, size, 5000, &body, &length), 0);
	CU_ASSERT_EQUAL(length, size);
	CU_ASSERT(length == size && memcmp(body, sent, size) == 0);
	CU_ASSERT_EQUAL(weir_client_send(c, WEIR_MESSAGE_CONFIG, sent,
				(size_t)WEIR_MESSAGE_MAX_LENGTH + 1, NULL, NULL),
		-EMSGSIZE);
	free(body);
	free(sent);
	weir_client_close(c);
	peer_end(&p);
}

struct seen {
	unsigned int count;
	int status;
	char text[64];
};

static void see(void *ctx, int status, const void *body, size_t length)
{
	struct seen *s = ctx;

	s->count++;
	s->status = status;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)length, (const char *)body);
}

static void replies_out_of_order_find_their_request(void)
{
	struct peer p;
	struct weir_client *c;
	struct seen run = { 0 };
	void *body = NULL;

	CU_ASSERT_EQUAL_FATAL(weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, NULL, 0), 0);
	CU_ASSERT_EQUAL(weir_client_send(c, WEIR_MESSAGE_RUN, NULL, 0, see, &run), 0);
	CU_ASSERT_EQUAL(weir_client_call(c, WEIR_MESSAGE_CONFIG, "x", 1, 2000, &body, NULL), 0);
	CU_ASSERT_STRING_EQUAL(body, "x");
	free(body);
	for (int i = 0; i < 2000 && !run.count; i++) {
		CU_ASSERT_EQUAL_FATAL(weir_client_process(c), 0);
		usleep(500);
	}
	CU_ASSERT_EQUAL(run.count, 1);
	CU_ASSERT_STRING_EQUAL(run.text, "late");
	weir_client_close(c);
	peer_end(&p);
}

static void end_of_the_connection_reaches_who_waits(void)
{
	struct peer p;
	struct weir_client *c;
	struct seen stop = { 0 };
	struct seen closed = { 0 };
	int rc = 0;

	CU_ASSERT_EQUAL_FATAL(weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, NULL, 0), 0);
	CU_ASSERT_EQUAL(weir_client_send(c, WEIR_MESSAGE_STOP, NULL, 0, see, &stop), 0);
	for (int i = 0; i < 4000 && rc == 0; i++) {
		rc = weir_client_process(c);
		usleep(500);
	}
	CU_ASSERT_EQUAL(rc, -ECONNRESET);
	CU_ASSERT_EQUAL(stop.count, 1);
	CU_ASSERT_EQUAL(stop.status, -ECONNRESET);
	CU_ASSERT_EQUAL(weir_client_send(c, WEIR_MESSAGE_RUN, NULL, 0, see, &closed), -EPIPE);
	weir_client_close(c);
	peer_end(&p);

	CU_ASSERT_EQUAL_FATAL(weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, NULL, 0), 0);
	CU_ASSERT_EQUAL(weir_client_send(c, WEIR_MESSAGE_RUN, NULL, 0, see, &closed), 0);
	weir_client_close(c);
	CU_ASSERT_EQUAL(closed.count, 1);
	CU_ASSERT_EQUAL(closed.status, -ECONNRESET);
	peer_end(&p);
}

static void close_it(void *ctx, int status, const void *body, size_t length)
{
	(void)status;
	(void)body;
	(void)length;
	weir_client_close(*(struct weir_client **)ctx);
	*(struct weir_client **)ctx = NULL;
}

static void callback_may_close_the_client(void)
{
	struct peer p;
	struct weir_client *c;
	struct weir_client *alive;

	CU_ASSERT_EQUAL_FATAL(weir_client_attach(peer_start(&p, PEER_GOOD), 2000, &c, NULL, 0), 0);
	alive = c;
	CU_ASSERT_EQUAL(weir_client_send(c, WEIR_MESSAGE_CONFIG, NULL, 0, close_it, &alive), 0);
	for (int i = 0; i < 4000 && alive; i++) {
		(void)weir_client_process(c);
		if (alive)
			usleep(500);
	}
	CU_ASSERT_PTR_NULL(alive);
	peer_end(&p);
}

/* Descriptors arrive with their own message, open, and the same files. */
static void descriptors_travel_with_their_message(void)
{
	static unsigned char body[300000]; /* more than the socket takes at once */
	const struct weir_message h = { .type = WEIR_MESSAGE_POLICY_STAGE };
	struct weir_stream *s[2];
	int pair[2];
	int fds[WEIR_STREAM_MAX_FDS + 1];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(weir_stream_create(pair[i], 1u << 20, &s[i]), 0);
	for (int i = 0; i <= WEIR_STREAM_MAX_FDS; i++) {
		fds[i] = memfd_create("passed", MFD_CLOEXEC);
		CU_ASSERT_EQUAL(ftruncate(fds[i], 100 + i), 0);
	}
	CU_ASSERT_EQUAL(
		weir_stream_queue(s[0], &h, NULL, 0, fds, WEIR_STREAM_MAX_FDS + 1), -EMSGSIZE);
	const uint32_t counts[] = { 3, 0, WEIR_STREAM_MAX_FDS };
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(weir_stream_queue(s[0], &h, body, sizeof(body), fds, counts[i]), 0);
	for (int i = 0; i < 3; i++) {
		struct weir_stream_message m = { .fd_count = 99 };
		int rc = 0;

		for (int tries = 0; rc == 0 && tries < 1000; tries++) {
			CU_ASSERT_EQUAL(weir_stream_flush(s[0]), 0);
			rc = weir_stream_next(s[1], &m);
		}
		CU_ASSERT_EQUAL(rc, 1);
		CU_ASSERT_EQUAL_FATAL(m.fd_count, counts[i]);
		for (uint32_t k = 0; k < m.fd_count; k++) {
			struct stat st = { 0 };

			CU_ASSERT_EQUAL(fstat(m.fds[k], &st), 0);
			CU_ASSERT_EQUAL(st.st_size, 100 + k);
		}
	}
	for (int i = 0; i < 2; i++)
		weir_stream_destroy(s[i]);
	for (int i = 0; i <= WEIR_STREAM_MAX_FDS; i++)
		close(fds[i]);
}

static void full_queue_is_bounded(void)
{
	int pair[2];
	struct weir_stream *s;
	static unsigned char body[60000];
	const struct weir_message h = { .type = WEIR_MESSAGE_EVENT };
	int rc = 0;

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CU_ASSERT_EQUAL_FATAL(weir_stream_create(pair[0], 1u << 20, &s), 0);
	unsigned int queued = 0;
	for (; queued < 1000 && rc == 0; queued++) {
		rc = weir_stream_queue(s, &h, body, sizeof(body), NULL, 0);
		CU_ASSERT_EQUAL(weir_stream_flush(s), 0);
	}
	CU_ASSERT_EQUAL(rc, -ENOBUFS);
	CU_ASSERT(queued < 50);
	CU_ASSERT_TRUE(weir_stream_wants_write(s));
	close(pair[1]);
	CU_ASSERT_EQUAL(weir_stream_flush(s), -EPIPE);
	weir_stream_destroy(s);
}

static const struct tap_case cases[] = {
	{ "HELLO brings telemetry, mapped read-only", hello_brings_telemetry },
	{ "bad peers are refused with a reason", bad_peers_are_refused_with_a_reason },
	{ "nobody at the path is said so", nobody_at_the_path },
	{ "a call returns the reply or the refusal, events aside", calls_return_the_reply },
	{ "large messages pass whole", large_messages_pass_whole },
	{ "replies out of order find their request", replies_out_of_order_find_their_request },
	{ "the end of a connection reaches everybody who waits",
		end_of_the_connection_reaches_who_waits },
	{ "a callback may close the client", callback_may_close_the_client },
	{ "descriptors travel with their message", descriptors_travel_with_their_message },
	{ "a peer that does not read fills a bounded queue", full_queue_is_bounded },
};

TAP_MAIN("client", cases)
