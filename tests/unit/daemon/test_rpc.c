/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rpc/rpc_server.h"
#include "tests/unit/tap.h"

#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
	struct event_base *base;
	struct rpc_server *server;
	char folder[64];
	char path[96];
	struct rpc_call *held; /* by the method `hold` */
	int handled;
};

static void handle(void *ctx, struct rpc_call *call)
{
	struct fixture *f = ctx;

	f->handled++;
	if (!strcmp(rpc_call_method(call), "echo"))
		rpc_call_result(call, json_incref(rpc_call_params(call)));
	else if (!strcmp(rpc_call_method(call), "hold"))
		f->held = call;
	else if (!strcmp(rpc_call_method(call), "who"))
		rpc_call_result(call,
			json_pack("[i, i, b, b]", (int)rpc_call_peer(call)->uid,
				(int)rpc_call_peer(call)->pid, (int)rpc_call_peer(call)->known,
				(int)rpc_call_peer(call)->read_only));
	else if (!strcmp(rpc_call_method(call), "large"))
		rpc_call_result(call, json_sprintf("%*s", 4 << 20, "x"));
	else
		rpc_call_error(call, RPC_METHOD_NOT_FOUND, NULL, "there is no method %s",
			rpc_call_method(call));
}

static int serve(struct fixture *f, bool read_only, struct rpc_server **ret_server)
{
	struct rpc_settings settings = {
		.path = f->path, .group = -1, .read_only = read_only, .handler = handle, .ctx = f
	};

	return rpc_server_start(f->base, &settings, ret_server);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	signal(SIGPIPE, SIG_IGN);
	CU_ASSERT_FATAL(tap_folder(f->folder, sizeof(f->folder)));
	snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
	f->base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(serve(f, false, &f->server), 0);
}

static void teardown(struct fixture *f)
{
	rpc_server_stop(f->server);
	event_base_free(f->base);
	CU_ASSERT_EQUAL(access(f->path, F_OK), -1);
	CU_ASSERT_EQUAL(rmdir(f->folder), 0);
}

static int client_connect(const struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	CU_ASSERT_FATAL(fd >= 0 && !connect(fd, (const struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void turns(struct fixture *f, int count)
{
	while (count--)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

/* Send all, with the server taking its turns between. */
static bool client_send(struct fixture *f, int fd, const char *text, size_t length)
{
	for (int idle = 0; length && idle < 1000;) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		idle = n > 0 ? 0 : idle + 1;
		text += n > 0 ? n : 0;
		length -= n > 0 ? (size_t)n : 0;
		turns(f, 2);
	}
	return length == 0;
}

/* The next line, parsed; NULL when the connection ended, or nothing came. */
static json_t *client_read(struct fixture *f, int fd)
{
	size_t size = 0, capacity = 8 << 20;
	char *line = malloc(capacity);
	json_t *document = NULL;

	for (int idle = 0; idle < 200 && size < capacity;) {
		ssize_t n = recv(fd, line + size, 1, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n < 0) {
			idle++;
			turns(f, 2);
			continue;
		}
		if (line[size] == '\n') {
			document = json_loadb(line, size, 0, NULL);
			break;
		}
		size++;
	}
	free(line);
	return document;
}

static bool client_ended(struct fixture *f, int fd)
{
	char c;

	for (int i = 0; i < 200; i++) {
		turns(f, 2);
		ssize_t n = recv(fd, &c, 1, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
	}
	return false;
}

static json_int_t error_code(json_t *answer)
{
	return json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

#define SEND(f, fd, text) CU_ASSERT(client_send(f, fd, text, strlen(text)))

static void expect_error(struct fixture *f, int fd, const char *line, int code)
{
	SEND(f, fd, line);
	json_t *answer = client_read(f, fd);

	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	if (error_code(answer) != code)
		printf("# %s -> %d\n", line, (int)error_code(answer));
	CU_ASSERT_EQUAL(error_code(answer), code);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
	CU_ASSERT_PTR_NOT_NULL(json_object_get(answer, "id"));
	json_decref(answer);
}

#define ECHO(id) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"echo\",\"params\":{\"a\":[1,2]}}\n"

static void expect_echo(struct fixture *f, int fd, json_int_t id)
{
	json_t *answer = client_read(f, fd);

	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(answer, "id")), id);
	CU_ASSERT_EQUAL(
		json_array_size(json_object_get(json_object_get(answer, "result"), "a")), 2);
	json_decref(answer);
}

static void test_answer(void)
{
	struct fixture f;
	struct stat st;

	setup(&f);
	CU_ASSERT_EQUAL(stat(f.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
	int fd = client_connect(&f);

	SEND(&f, fd, ECHO("7"));
	expect_echo(&f, fd, 7);
	close(fd);
	teardown(&f);
}

static void test_pieces(void)
{
	struct fixture f;
	static const char text[] = ECHO("1") "\n\r\n" ECHO("2");

	setup(&f);
	int fd = client_connect(&f);

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		CU_ASSERT(client_send(&f, fd, text + i, 1));
	expect_echo(&f, fd, 1);
	expect_echo(&f, fd, 2);
	SEND(&f, fd, ECHO("3") ECHO("4") ECHO("5"));
	expect_echo(&f, fd, 3);
	expect_echo(&f, fd, 4);
	expect_echo(&f, fd, 5);
	close(fd);
	teardown(&f);
}

static void test_garbage(void)
{
	struct fixture f;

	setup(&f);
	int fd = client_connect(&f);

	expect_error(&f, fd, "garbage\n", RPC_PARSE_ERROR);
	expect_error(&f, fd, "{\"jsonrpc\":\"2.0\",\n", RPC_PARSE_ERROR);
	expect_error(&f, fd, "\x80\xff\x01\n", RPC_PARSE_ERROR);
	expect_error(&f, fd, "[]\n", RPC_INVALID_REQUEST);
	expect_error(&f, fd,
		"["
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]\n",
		RPC_INVALID_REQUEST);
	expect_error(&f, fd, "{}\n", RPC_INVALID_REQUEST);
	expect_error(&f, fd, "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}\n",
		RPC_INVALID_REQUEST);
	expect_error(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}\n", RPC_INVALID_REQUEST);
	expect_error(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"echo\"}\n",
		RPC_INVALID_REQUEST);
	expect_error(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[1]}\n",
		RPC_INVALID_PARAMS);
	expect_error(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":1}\n",
		RPC_INVALID_REQUEST);
	expect_error(
		&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no\"}\n", RPC_METHOD_NOT_FOUND);
	CU_ASSERT_EQUAL(f.handled, 1);
	/* And it goes on. */
	SEND(&f, fd, ECHO("9"));
	expect_echo(&f, fd, 9);
	close(fd);
	teardown(&f);
}

static void test_deep(void)
{
	struct fixture f;
	char *deep = malloc(1 << 20);

	memset(deep, '[', (1 << 20) - 2);
	memcpy(deep + (1 << 20) - 2, "\n", 2);
	setup(&f);
	int fd = client_connect(&f);

	expect_error(&f, fd, deep, RPC_PARSE_ERROR);
	close(fd);
	teardown(&f);
	free(deep);
}

static void test_too_long(void)
{
	struct fixture f;
	size_t size = RPC_LINE_MAX + (1 << 20);
	char *line = malloc(size);

	memset(line, ' ', size);
	setup(&f);
	int fd = client_connect(&f);

	client_send(&f, fd, line, size); /* the server need not take it all */
	json_t *answer = client_read(&f, fd);

	CU_ASSERT_PTR_NOT_NULL(answer);
	CU_ASSERT_EQUAL(error_code(answer), RPC_INVALID_REQUEST);
	json_decref(answer);
	CU_ASSERT(client_ended(&f, fd));
	close(fd);
	teardown(&f);
	free(line);
}

static void test_half_closed(void)
{
	struct fixture f;

	setup(&f);
	int fd = client_connect(&f);

	SEND(&f, fd, ECHO("1") ECHO("2") "{\"jsonrpc\":");
	shutdown(fd, SHUT_WR);
	expect_echo(&f, fd, 1);
	expect_echo(&f, fd, 2);
	CU_ASSERT(client_ended(&f, fd));
	close(fd);
	teardown(&f);
}

static void test_held(void)
{
	struct fixture f;

	setup(&f);
	int fd = client_connect(&f);
	int other = client_connect(&f);

	SEND(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n" ECHO("2"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(f.held);
	CU_ASSERT_EQUAL(f.handled, 1); /* answers come in the order of the requests */
	SEND(&f, other, ECHO("5"));
	expect_echo(&f, other, 5); /* and others do not wait */
	rpc_call_error(f.held, RPC_REFUSED, json_pack("{s:[s]}", "errors", "x"), "no: %d", 5);
	json_t *answer = client_read(&f, fd);

	CU_ASSERT_EQUAL(error_code(answer), RPC_REFUSED);
	CU_ASSERT_STRING_EQUAL(
		json_string_value(json_object_get(json_object_get(answer, "error"), "message")),
		"no: 5");
	json_decref(answer);
	expect_echo(&f, fd, 2);
	close(fd);
	close(other);
	teardown(&f);
}

static void test_gone(void)
{
	struct fixture f;

	setup(&f);
	int fd = client_connect(&f);

	SEND(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f.held);
	close(fd);
	turns(&f, 10);
	rpc_call_result(f.held, json_true());
	turns(&f, 10);
	fd = client_connect(&f);
	SEND(&f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n");
	struct rpc_call *held = f.held;

	close(fd);
	teardown(&f);
	rpc_call_result(held, json_true()); /* after the server */
}

static void test_notification(void)
{
	struct fixture f;

	setup(&f);
	int fd = client_connect(&f);

	SEND(&f, fd, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n" ECHO("2"));
	expect_echo(&f, fd, 2);
	CU_ASSERT_EQUAL(f.handled, 2);
	close(fd);
	teardown(&f);
}

static void test_slow_reader(void)
{
	static const char large[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"large\"}\n";
	struct fixture f;

	setup(&f);
	int fd = client_connect(&f);
	int sent = 0;

	/* 4 MiB an answer, and nobody reads. */
	while (sent < 100 && client_send(&f, fd, large, sizeof(large) - 1)) {
		sent++;
		turns(&f, 10);
	}
	CU_ASSERT(sent < 100);
	CU_ASSERT(f.handled >= (int)(RPC_QUEUE_MAX / (4 << 20)) - 1);
	close(fd);
	int other = client_connect(&f);

	SEND(&f, other, ECHO("5"));
	expect_echo(&f, other, 5);
	close(other);
	teardown(&f);
}

static void test_many(void)
{
	struct fixture f;
	int fds[RPC_CLIENTS_MAX];

	setup(&f);
	for (int i = 0; i < RPC_CLIENTS_MAX; i++) {
		fds[i] = client_connect(&f);
		turns(&f, 2);
	}
	int more = client_connect(&f);

	CU_ASSERT(client_ended(&f, more));
	close(more);
	for (int i = 0; i < RPC_CLIENTS_MAX; i++) {
		SEND(&f, fds[i], ECHO("1"));
		expect_echo(&f, fds[i], 1);
	}
	for (int i = 0; i < RPC_CLIENTS_MAX; i++)
		close(fds[i]);
	turns(&f, 10);
	more = client_connect(&f);
	SEND(&f, more, ECHO("2"));
	expect_echo(&f, more, 2);
	close(more);
	teardown(&f);
}

static void test_stale(void)
{
	struct fixture f;
	struct rpc_server *second;

	/* What a killed daemon left is replaced; the new socket works. */
	setup(&f);
	CU_ASSERT_EQUAL_FATAL(serve(&f, false, &second), 0);
	rpc_server_stop(f.server);
	f.server = second;
	CU_ASSERT_EQUAL(access(f.path, F_OK), -1); /* it was the first one's to remove */
	rpc_server_stop(second);
	int left = open(f.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(left);
	CU_ASSERT_EQUAL_FATAL(serve(&f, false, &f.server), 0);
	int fd = client_connect(&f);

	SEND(&f, fd, ECHO("3"));
	expect_echo(&f, fd, 3);
	close(fd);
	teardown(&f);
}

#define WHO "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"who\"}\n"

static void expect_peer(struct fixture *f, bool read_only)
{
	int fd = client_connect(f);
	int uid, pid, known, by_read_only;

	SEND(f, fd, WHO);
	json_t *answer = client_read(f, fd);

	CU_ASSERT_EQUAL_FATAL(json_unpack(json_object_get(answer, "result"), "[i, i, b, b]", &uid,
				      &pid, &known, &by_read_only),
		0);
	CU_ASSERT_EQUAL(uid, (int)getuid());
	CU_ASSERT_EQUAL(pid, (int)getpid());
	CU_ASSERT(known);
	CU_ASSERT_EQUAL(by_read_only, read_only);
	json_decref(answer);
	close(fd);
}

static void test_peer(void)
{
	struct fixture f;

	setup(&f);
	expect_peer(&f, false);
	rpc_server_stop(f.server);
	CU_ASSERT_EQUAL_FATAL(serve(&f, true, &f.server), 0);
	expect_peer(&f, true);
	teardown(&f);
}

static const struct tap_case cases[] = {
	{ "a request is answered, and the socket has mode 0660", test_answer },
	{ "lines are found in pieces and in bunches", test_pieces },
	{ "garbage is answered with the right code, and forgotten", test_garbage },
	{ "deep nesting is refused", test_deep },
	{ "a line without end is cut off", test_too_long },
	{ "who has said all still gets the answers", test_half_closed },
	{ "an answer may come later, and holds up only its own connection", test_held },
	{ "an answer for a connection that has gone is dropped", test_gone },
	{ "a request without an id is done and not answered", test_notification },
	{ "a reader that takes nothing is cut off at a bounded queue", test_slow_reader },
	{ "connections are bounded, and come free again", test_many },
	{ "what a killed daemon left is replaced", test_stale },
	{ "a call knows who asks, and by which socket", test_peer },
};

TAP_MAIN("control socket", cases)
