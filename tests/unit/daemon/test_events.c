/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/events/events.h"
#include "control/daemon/revision/who.h"
#include "control/daemon/rpc/rpc_server.h"
#include "tests/unit/tap.h"

#include <event2/event.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct event_ring ring;

static void add(int count)
{
	while (count--)
		event_ring_add(&ring, (double)ring.last, EVENT_HEALTH, "web 10.0.0.1:80", "is up",
			json_pack("{s:I}", "n", (json_int_t)ring.last));
}

static json_int_t number(const json_t *list, size_t i, const char *key)
{
	return json_integer_value(json_object_get(json_array_get(list, i), key));
}

static void expect_since(uint64_t since, size_t limit, size_t count, json_int_t first)
{
	json_t *list = event_ring_since(&ring, since, limit);

	CU_ASSERT_EQUAL(json_array_size(list), count);
	for (size_t i = 0; i < json_array_size(list); i++)
		CU_ASSERT_EQUAL(number(list, i, "sequence"), first + (json_int_t)i);
	json_decref(list);
}

static void test_numbers(void)
{
	expect_since(0, 10, 0, 0);
	add(5);
	expect_since(0, 10, 5, 1);
	expect_since(3, 10, 2, 4);
	expect_since(5, 10, 0, 0);
	expect_since(0, 2, 2, 1);
	expect_since(2, 2, 2, 3);
	/* Of a daemon before this one. */
	expect_since(6, 10, 5, 1);
	CU_ASSERT_EQUAL(ring.counts[EVENT_HEALTH], 5);
	CU_ASSERT_EQUAL(ring.counts[EVENT_CONFIG], 0);
	event_ring_clear(&ring);
}

static void test_shape(void)
{
	event_ring_add(&ring, 12.5, EVENT_NEXT_HOP, "10.0.0.1 front", "is lost", NULL);
	event_ring_add(&ring, 13, EVENT_CONFIG, "\xff", "\xff", json_pack("{s:i}", "a", 1));
	json_t *list = event_ring_since(&ring, 0, 10);
	json_t *expected = json_pack("[{s:i, s:f, s:s, s:s, s:s, s:{}},"
				     " {s:i, s:f, s:s, s:s, s:s, s:{s:i}}]",
		"sequence", 1, "time", 12.5, "kind", "next_hop", "object", "10.0.0.1 front", "text",
		"is lost", "inputs", "sequence", 2, "time", 13.0, "kind", "config", "object", "?",
		"text", "?", "inputs", "a", 1);

	CU_ASSERT_PTR_NOT_NULL(expected);
	CU_ASSERT(json_equal(list, expected));
	json_decref(list);
	json_decref(expected);
	event_ring_clear(&ring);
}

static void test_last_of_one(void)
{
	add(3);
	event_ring_add(&ring, 1, EVENT_POLICY, "web", "first", NULL);
	event_ring_add(&ring, 2, EVENT_POLICY, "dns", "of another", NULL);
	event_ring_add(&ring, 3, EVENT_LIMIT, "web", "another kind", NULL);
	event_ring_add(&ring, 4, EVENT_POLICY, "web", "second", NULL);
	json_t *list = event_ring_last(&ring, EVENT_POLICY, "web", 10);

	CU_ASSERT_EQUAL(json_array_size(list), 2);
	CU_ASSERT_EQUAL(number(list, 0, "sequence"), 7);
	CU_ASSERT_EQUAL(number(list, 1, "sequence"), 4);
	json_decref(list);
	list = event_ring_last(&ring, EVENT_POLICY, "web", 1);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	CU_ASSERT_EQUAL(number(list, 0, "sequence"), 7);
	json_decref(list);
	/* As many as there is room for come behind: they have gone. */
	add(EVENT_RING_SIZE);
	list = event_ring_last(&ring, EVENT_POLICY, "web", 10);
	CU_ASSERT_EQUAL(json_array_size(list), 0);
	json_decref(list);
	event_ring_clear(&ring);
}

static void test_lost(void)
{
	add(EVENT_RING_SIZE + 100);
	/* Who asks for all is not told of what it never could have had. */
	expect_since(0, EVENT_RING_SIZE, EVENT_RING_SIZE, 101);
	expect_since(100, EVENT_RING_SIZE, EVENT_RING_SIZE, 101);
	json_t *list = event_ring_since(&ring, 93, 3);

	CU_ASSERT_EQUAL(json_array_size(list), 4);
	CU_ASSERT_STRING_EQUAL(
		json_string_value(json_object_get(json_array_get(list, 0), "kind")), "lost");
	CU_ASSERT_EQUAL(number(list, 0, "sequence"), 100);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(
				json_object_get(json_array_get(list, 0), "inputs"), "lost")),
		7);
	CU_ASSERT_EQUAL(number(list, 1, "sequence"), 101);
	CU_ASSERT_EQUAL(number(list, 3, "sequence"), 103);
	json_decref(list);
	event_ring_clear(&ring);
}

/* Every event is either read or counted as lost, whatever the reader's pace. */
static void test_model(void)
{
	uint64_t since = 1, seen = 1, lost = 0;

	srand(1);
	add(1);
	for (int round = 0; round < 300; round++) {
		add(rand() % 900);
		json_t *list = event_ring_since(&ring, since, (size_t)(rand() % 700 + 1));

		for (size_t i = 0; i < json_array_size(list); i++) {
			json_t *e = json_array_get(list, i);
			uint64_t sequence = (uint64_t)number(list, i, "sequence");
			json_int_t gone = json_integer_value(
				json_object_get(json_object_get(e, "inputs"), "lost"));

			CU_ASSERT(sequence > since);
			lost += (uint64_t)gone;
			seen += !gone;
			since = sequence;
			CU_ASSERT_EQUAL(seen + lost, since);
		}
		json_decref(list);
	}
	CU_ASSERT(lost > 0);
	event_ring_clear(&ring);
}

/* Followers, over a real socket. */

struct fixture {
	struct event_base *base;
	struct rpc_server *server;
	char folder[64], path[96];
};

static void handle(void *ctx, struct rpc_call *call)
{
	json_t *params = rpc_call_params(call);

	events_answer(call, (uint64_t)json_integer_value(json_object_get(params, "since")), 100,
		(unsigned int)json_integer_value(json_object_get(params, "wait_ms")));
}

static void setup(struct fixture *f)
{
	struct rpc_settings settings = { .group = -1, .handler = handle, .ctx = f };

	memset(f, 0, sizeof(*f));
	signal(SIGPIPE, SIG_IGN);
	CU_ASSERT_FATAL(tap_folder(f->folder, sizeof(f->folder)));
	snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
	settings.path = f->path;
	f->base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(events_start(f->base), 0);
	CU_ASSERT_EQUAL_FATAL(rpc_server_start(f->base, &settings, &f->server), 0);
}

static void teardown(struct fixture *f)
{
	events_stop();
	rpc_server_stop(f->server);
	event_base_free(f->base);
	rmdir(f->folder);
}

static void turns(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static int ask(struct fixture *f, int since, int wait_ms)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char line[160];

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	CU_ASSERT_FATAL(!connect(fd, (const struct sockaddr *)&a, sizeof(a)));
	int n = snprintf(line, sizeof(line),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"since\":%d,"
		"\"wait_ms\":%d}}\n",
		since, wait_ms);

	CU_ASSERT_EQUAL_FATAL(send(fd, line, (size_t)n, 0), n);
	turns(f);
	return fd;
}

/* The list that has been answered; NULL while there is no answer. */
static json_t *answered(int fd)
{
	static char line[1 << 20];
	ssize_t n = recv(fd, line, sizeof(line), 0);

	if (n <= 0)
		return NULL;
	json_t *document = json_loadb(line, (size_t)n, 0, NULL);
	json_t *list = json_incref(json_object_get(document, "result"));

	json_decref(document);
	close(fd);
	return list;
}

static void expect_answer(int fd, size_t count)
{
	json_t *list = answered(fd);

	CU_ASSERT_PTR_NOT_NULL(list);
	CU_ASSERT_EQUAL(json_array_size(list), count);
	json_decref(list);
}

static void test_follow(void)
{
	struct fixture f;

	setup(&f);
	int first = ask(&f, 0, 60000);
	int second = ask(&f, 0, 60000);

	CU_ASSERT_PTR_NULL(answered(first));
	event_emit(EVENT_PORT, "front", "is down", NULL);
	event_emit(EVENT_PORT, "front", "is up", NULL);
	turns(&f);
	expect_answer(first, 2);
	expect_answer(second, 2);
	expect_answer(ask(&f, 1, 60000), 1);
	int third = ask(&f, 2, 60000);

	CU_ASSERT_PTR_NULL(answered(third));
	event_emit(EVENT_PORT, "front", "is down", NULL);
	turns(&f);
	expect_answer(third, 1);
	teardown(&f);
}

static void test_nothing_new(void)
{
	struct timeval wait = { .tv_usec = 50000 };
	struct fixture f;

	setup(&f);
	expect_answer(ask(&f, 0, 0), 0);
	int fd = ask(&f, 0, 10);

	event_base_loopexit(f.base, &wait);
	event_base_dispatch(f.base);
	expect_answer(fd, 0);
	teardown(&f);
}

static void test_follower_gone(void)
{
	struct fixture f;

	setup(&f);
	close(ask(&f, 0, 60000));
	turns(&f);
	int fd = ask(&f, 0, 60000);

	event_emit(EVENT_PORT, "front", "is down", NULL);
	turns(&f);
	expect_answer(fd, 1);
	/* And who still waits at the end is let go. */
	fd = ask(&f, 1, 60000);
	teardown(&f);
	close(fd);
}

/* Nobody reads, and telling costs the daemon nothing. */
static void test_never_waits(void)
{
	struct fixture f;

	setup(&f);
	int fd = ask(&f, 0, 60000);

	for (int i = 0; i < 3 * EVENT_RING_SIZE; i++)
		event_emit(EVENT_HEALTH, "web 10.0.0.1:80", "is up", NULL);
	turns(&f);
	expect_answer(fd, 100);
	json_t *list = answered(ask(&f, 100, 0));

	CU_ASSERT_EQUAL(json_integer_value(json_object_get(
				json_object_get(json_array_get(list, 0), "inputs"), "lost")),
		2 * EVENT_RING_SIZE - 100);
	CU_ASSERT_EQUAL(events_count(EVENT_HEALTH), 3 * EVENT_RING_SIZE);
	json_decref(list);
	teardown(&f);
}

static void test_who(void)
{
	struct who root = { .known = true, .uid = 0, .pid = 5, .user = "root" };
	struct who nobody = { .known = true, .uid = 4242, .pid = 6 };
	struct who itself = { .known = false };
	const struct who *all[] = { &root, &nobody, &itself };
	char buf[64];

	CU_ASSERT_STRING_EQUAL(who_print(&root, buf, sizeof(buf)), "root (pid 5)");
	CU_ASSERT_STRING_EQUAL(who_print(&nobody, buf, sizeof(buf)), "uid 4242 (pid 6)");
	CU_ASSERT_STRING_EQUAL(who_print(&itself, buf, sizeof(buf)), "weir-controld");
	for (size_t i = 0; i < 3; i++) {
		json_t *document = who_document(all[i]);
		struct who back;

		CU_ASSERT(who_read(document, &back));
		CU_ASSERT_EQUAL(back.known, all[i]->known);
		CU_ASSERT_EQUAL(back.uid, all[i]->uid);
		CU_ASSERT_STRING_EQUAL(back.user, all[i]->user);
		json_decref(document);
	}
}

static const struct tap_case cases[] = {
	{ "events are numbered, and asked for by the last number", test_numbers },
	{ "an event has the fields that json.md names, whatever the texts are", test_shape },
	{ "who comes too late is told how many it lost", test_lost },
	{ "the last events of one kind and object, newest first", test_last_of_one },
	{ "every event is seen or counted as lost, at any pace", test_model },
	{ "followers are answered when something happens, together", test_follow },
	{ "a follower is answered with nothing after its time", test_nothing_new },
	{ "a follower that has gone is no harm, nor one at the end", test_follower_gone },
	{ "a reader that does not read makes nobody wait", test_never_waits },
	{ "who asked is printed, and read back", test_who },
};

TAP_MAIN("events", cases)
