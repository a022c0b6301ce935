/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/rpc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REPLY_MAX  (256u << 20)
#define REQUEST_ID 1

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		int64_t left = deadline_ms - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = fd, .events = events };
		int n = poll(&p, 1, (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int open_socket(const char *path, int64_t deadline_ms, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		/* EAGAIN: the queue of the listener is full, and poll() cannot tell when it is not. */
		int err = errno == EAGAIN && now_ms() >= deadline_ms ? ETIMEDOUT : errno;
		if (err != EAGAIN && err != EINTR) {
			close(fd);
			return -err;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	*ret_fd = fd;
	return 0;
}

static int write_all(int fd, const char *text, size_t length, int64_t deadline_ms)
{
	while (length > 0) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			length -= (size_t)n;
			continue;
		}
		int err = wait_for(fd, POLLOUT, deadline_ms);
		if (err != 0)
			return err;
	}
	return 0;
}

/* Read up to the first newline; *ret_line is malloc'ed. */
static int read_line(int fd, int64_t deadline_ms, char **ret_line, size_t *ret_length)
{
	char *line = NULL;
	size_t length = 0, room = 0;
	int err = 0;
	for (;;) {
		if (length == room) {
			room = room != 0 ? 2 * room : 65536;
			char *more = room <= REPLY_MAX ? realloc(line, room) : NULL;
			err = -ENOMEM;
			if (more == NULL)
				break;
			line = more;
		}
		ssize_t n = recv(fd, line + length, room - length, 0);
		if (n > 0) {
			char *end = memchr(line + length, '\n', (size_t)n);
			length += (size_t)n;
			if (end != NULL) {
				*ret_line = line;
				*ret_length = (size_t)(end - line);
				return 0;
			}
			continue;
		}
		err = n == 0 ? -ECONNRESET : errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (err == 0)
			err = wait_for(fd, POLLIN, deadline_ms);
		if (err != 0)
			break;
	}
	free(line);
	return err;
}

static int parse_reply(const char *line, size_t length, json_t **ret_reply)
{
	json_t *reply = json_loadb(line, length, JSON_DECODE_ANY, NULL);
	json_t *error = json_object_get(reply, "error");
	bool good = error != NULL ? json_is_integer(json_object_get(error, "code")) &&
			json_is_string(json_object_get(error, "message")) :
				    json_object_get(reply, "result") != NULL &&
			json_integer_value(json_object_get(reply, "id")) == REQUEST_ID;
	if (!good) {
		json_decref(reply);
		return -EPROTO;
	}
	*ret_reply = reply;
	return 0;
}

int rpc_request(const char *socket_path, const char *method, json_t *params, int timeout_ms,
	json_t **ret_reply)
{
	int64_t deadline = now_ms() + timeout_ms;
	int fd = -1;
	char *line = NULL;
	size_t length = 0;
	json_t *request =
		json_pack("{s:s, s:i, s:s}", "jsonrpc", "2.0", "id", REQUEST_ID, "method", method);
	if (params != NULL && json_object_set_new(request, "params", params) != 0) {
		json_decref(request);
		return -ENOMEM;
	}
	char *text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (text == NULL)
		return -ENOMEM;
	int err = open_socket(socket_path, deadline, &fd);
	if (err == 0)
		err = write_all(fd, text, strlen(text), deadline);
	if (err == 0)
		err = write_all(fd, "\n", 1, deadline);
	if (err == 0)
		err = read_line(fd, deadline, &line, &length);
	if (err == 0)
		err = parse_reply(line, length, ret_reply);
	if (fd >= 0)
		close(fd);
	free(line);
	free(text);
	return err;
}

static int cannot_reach(struct cli *cli, const char *path, int err, int timeout_ms)
{
	if (err == -ETIMEDOUT)
		return cli_fail(cli, CLI_UNREACHABLE,
			"weir-controld on %s did not answer within %d s; see its log", path,
			timeout_ms / 1000);
	if (err == -EPROTO)
		return cli_fail(cli, CLI_UNREACHABLE,
			"who answers on %s is not weir-controld; check --socket", path);
	if (err == -ECONNRESET || err == -EPIPE)
		return cli_fail(cli, CLI_UNREACHABLE,
			"weir-controld on %s closed the connection; see its log", path);
	if (err == -EACCES || err == -EPERM)
		return cli_fail(cli, CLI_UNREACHABLE,
			"may not open %s; run weirctl as root, or as a member of a group that "
			"weir-controld was given with --group or --read-only-group",
			path);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return cli_fail(cli, CLI_UNREACHABLE,
			"no weir-controld on %s; start it: weir-controld --config FILE "
			"--spawn-dataplane%s%s",
			path, strcmp(cli->instance, "default") != 0 ? " --instance " : "",
			strcmp(cli->instance, "default") != 0 ? cli->instance : "");
	return cli_fail(
		cli, CLI_UNREACHABLE, "cannot reach weir-controld on %s: %s", path, strerror(-err));
}

/* Complaints about a configuration are lines of their own, made to be read by editors. */
static int refused(struct cli *cli, const char *method, const json_t *error)
{
	const json_t *complaints = json_object_get(json_object_get(error, "data"), "errors");
	size_t i;
	json_t *line;
	if (json_array_size(complaints) > 0) {
		json_array_foreach(complaints, i, line)
		{
			fprintf(cli->err, "%s\n", json_string_value(line));
		}
		return CLI_FAILED;
	}
	if (json_integer_value(json_object_get(error, "code")) == -32601)
		return cli_fail(cli, CLI_FAILED,
			"the running weir-controld does not know \"%s\"; is it older than weirctl?",
			method);
	cli_fail(cli, CLI_FAILED, "%s", json_string_value(json_object_get(error, "message")));
	/* The line of a policy's author that the refusal is about. */
	const char *source =
		json_string_value(json_object_get(json_object_get(error, "data"), "source"));
	if (source != NULL && source[0] != '\0')
		fprintf(cli->err, "         | %s\n", source);
	return CLI_FAILED;
}

int rpc_ask(const struct cli *cli, const char *method, json_t *params, int timeout_ms, char *path,
	size_t size, json_t **ret_reply)
{
	int err = cli_socket_path(cli, path, size);
	if (err == 0)
		err = rpc_request(path, method, json_incref(params), timeout_ms, ret_reply);
	/* Who may not change things may still look. */
	char *end = err == -EACCES && cli->socket == NULL ? strrchr(path, '.') : NULL;
	if (end != NULL && (size_t)(end - path) + sizeof("-ro.sock") <= size) {
		strcpy(end, "-ro.sock");
		err = rpc_request(path, method, json_incref(params), timeout_ms, ret_reply);
	}
	json_decref(params);
	return err;
}

int rpc_call(
	struct cli *cli, const char *method, json_t *params, int timeout_ms, json_t **ret_result)
{
	char path[RPC_PATH_SIZE];
	json_t *reply = NULL;
	int err = rpc_ask(cli, method, params, timeout_ms, path, sizeof(path), &reply);
	if (err != 0)
		return cannot_reach(cli, path, err, timeout_ms);
	int status = CLI_DONE;
	const json_t *error = json_object_get(reply, "error");
	if (error != NULL)
		status = refused(cli, method, error);
	else
		*ret_result = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return status;
}
