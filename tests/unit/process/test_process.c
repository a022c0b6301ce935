/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The real weir-dataplane, without root, hugepages or interfaces, spoken to over its socket. Its path is
 * the first argument.
 */

#include "dataplane/api/client.h"
#include "tests/unit/engine/image_build.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *program;
static char top[64];
static char socket_path[100];
static char log_path[128];

static void sleep_ms(unsigned int ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static pid_t data_plane_start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, STDERR_FILENO);
		execl(program, program, "--run-dir", top, "--instance", "unit", "--hugepages",
			"none", "--memory", "64M", NULL);
		_exit(127);
	}
	return pid;
}

static struct weir_client *client_connect(void)
{
	struct weir_client *c = NULL;
	char err[256] = "";
	int rc = -1;

	for (int i = 0; i < 500 && rc < 0; i++) {
		rc = weir_client_connect(socket_path, 2000, &c, err, sizeof(err));
		if (rc < 0)
			sleep_ms(10);
	}
	if (rc < 0)
		printf("# %s\n", err);
	return c;
}

/* Returns the exit status, or -1 when it does not end. */
static int data_plane_wait(pid_t pid)
{
	int status;

	for (int i = 0; i < 500; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		sleep_ms(10);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static bool log_has(const char *text)
{
	char log[4096] = "";
	FILE *f = fopen(log_path, "re");

	if (!f)
		return false;
	size_t n = fread(log, 1, sizeof(log) - 1, f);
	log[n] = 0;
	fclose(f);
	return strstr(log, text) != NULL;
}

static int call(struct weir_client *c, enum weir_message_type type, const void *body, size_t length)
{
	void *text = NULL;
	int rc = weir_client_call(c, type, body, length, 2000, &text, NULL);

	CU_ASSERT(rc == 0 || (text && *(char *)text));
	free(text);
	return rc;
}

static void greeting(void)
{
	pid_t pid = data_plane_start();
	struct weir_client *c = client_connect();
	struct stat st;

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	const struct weir_hello_reply *h = weir_client_hello(c);
	CU_ASSERT_STRING_EQUAL(h->instance, "unit");
	CU_ASSERT_EQUAL(h->pid, (uint32_t)pid);
	CU_ASSERT_EQUAL(h->memory_bytes, 64u << 20);
	CU_ASSERT_EQUAL(h->hugepages, 0);
	CU_ASSERT(h->cores[0] != 0);
	const struct weir_telemetry *t = weir_client_telemetry(c);
	CU_ASSERT_EQUAL(t->pid, (uint32_t)pid);
	uint64_t beat = __atomic_load_n(&t->heartbeat_ns, __ATOMIC_RELAXED);
	for (int i = 0; i < 100 && __atomic_load_n(&t->heartbeat_ns, __ATOMIC_RELAXED) == beat; i++)
		sleep_ms(10);
	CU_ASSERT(__atomic_load_n(&t->heartbeat_ns, __ATOMIC_RELAXED) > beat);
	CU_ASSERT_EQUAL(stat(socket_path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_STOP, NULL, 0), 0);
	CU_ASSERT_EQUAL(data_plane_wait(pid), 0);
	CU_ASSERT_NOT_EQUAL(stat(socket_path, &st), 0);
	weir_client_close(c);
}

static void bad_requests(void)
{
	pid_t pid = data_plane_start();
	struct weir_client *c = client_connect();
	const struct weir_config empty = { .digest = 77 };
	const struct weir_config wrong = { .digest = 78, .port_count = 1 };
	struct {
		struct weir_config header;
		struct weir_config_port port;
	} missing = { .header = { .digest = 79, .port_count = 1 },
		.port = { .name = "front", .device = "weir-none0", .kind = WEIR_PORT_KERNEL } };

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	const struct weir_telemetry *t = weir_client_telemetry(c);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, &empty, sizeof(empty)), 0);
	CU_ASSERT_EQUAL(t->config_digest, 77);
	uint64_t generation = t->generation;
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, &wrong, sizeof(wrong)), -EINVAL);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, &missing, sizeof(missing)), -ENODEV);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, NULL, 0), -EINVAL);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_BACKENDS, "x", 1), -EINVAL);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_NEIGHBOURS, "x", 1), -EINVAL);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_FLOW_LIST, "x", 1), -EINVAL);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_FLOW_FIND, NULL, 0), -EINVAL);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_RUN, NULL, 0), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_EVENT, NULL, 0), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(call(c, (enum weir_message_type)999, NULL, 0), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(t->generation, generation);
	CU_ASSERT_EQUAL(t->config_digest, 77);
	weir_client_close(c);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(data_plane_wait(pid), 0);
}

/* A file with an image, and what must be true of it. */
static int image_file(const struct policy_image *image, size_t bytes, int seals)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)bytes), 0);
	CU_ASSERT_EQUAL(pwrite(fd, image, image->size, 0), (ssize_t)image->size);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int stage(struct weir_client *c, const struct policy_image *image, uint64_t id, int fd,
	uint32_t fd_count)
{
	const struct weir_policy_stage message = { .id = id, .image_bytes = image->size };
	const int fds[] = { fd, fd };
	void *text = NULL;
	int rc = weir_client_call_fds(c, WEIR_MESSAGE_POLICY_STAGE, &message, sizeof(message), fds,
		fd_count, 2000, &text, NULL);

	CU_ASSERT(rc == 0 || (text && *(char *)text));
	free(text);
	return rc;
}

static int use(struct weir_client *c, uint64_t id)
{
	const struct {
		struct weir_config header;
		struct weir_config_policy policy;
	} config = { .header = { .policy_count = 1, .outside_policy_count = 1 },
		.policy = { .id = id, .name = "guard.o" } };

	return call(c, WEIR_MESSAGE_CONFIG, &config, sizeof(config));
}

static void policies_come_sealed_and_whole(void)
{
	const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK;
	const struct bpf_insn pass[] = { MOV_K(0, WEIR_PASS), EXIT };
	const struct bpf_insn endless[] = { MOV_K(0, WEIR_PASS), INSN(BPF_JMP | BPF_JA, 0, 0, 9, 0),
		EXIT };
	const struct map_shape list = { BPF_MAP_TYPE_HASH, 4, 8, 16, false };
	struct policy_image *image = image_build(pass, 2, &list, 1);
	struct policy_image *broken = image_build(endless, 3, NULL, 0);
	struct weir_policy_map dump = { .map = "m0", .op = WEIR_POLICY_MAP_DUMP, .count = 9 };
	const struct {
		const struct policy_image *image;
		size_t bytes;
		int seals;
		uint32_t fds;
		int rc;
	} tries[] = {
		{ image, image->size, sealed, 0, -EINVAL },
		{ image, image->size, sealed, 2, -EINVAL },
		{ image, image->size, F_SEAL_SHRINK, 1, -EINVAL },
		{ image, image->size, F_SEAL_WRITE, 1, -EINVAL },
		{ image, image->size + 8, sealed, 1, -EINVAL },
		{ broken, broken->size, sealed, 1, -EINVAL },
		{ image, image->size, sealed, 1, 0 },
		{ image, image->size, sealed, 1, 0 },
	};
	pid_t pid = data_plane_start();
	struct weir_client *c = client_connect();

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		int fd = image_file(tries[i].image, tries[i].bytes, tries[i].seals);

		CU_ASSERT_EQUAL(stage(c, tries[i].image, 7, fd, tries[i].fds), tries[i].rc);
		close(fd);
	}
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_POLICY_MAP, &dump, sizeof(dump)), -ENOENT);
	CU_ASSERT_EQUAL(use(c, 9), -ENOENT);
	CU_ASSERT_EQUAL(use(c, 7), 0);
	CU_ASSERT_EQUAL(weir_client_telemetry(c)->outside_policy_count, 1);
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_POLICY_MAP, &dump, sizeof(dump)), 0);
	CU_ASSERT_EQUAL(use(c, 7), 0);
	weir_client_close(c);
	free(image);
	free(broken);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(data_plane_wait(pid), 0);
}

static int raw_connect(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	CU_ASSERT_EQUAL(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void garbage_closes_one_client(void)
{
	pid_t pid = data_plane_start();
	struct weir_client *c = client_connect();
	char reply[64];
	struct weir_message early = {
		.magic = WEIR_MESSAGE_MAGIC, .type = WEIR_MESSAGE_STOP, .id = 5
	};

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	int fd = raw_connect();
	CU_ASSERT_EQUAL(write(fd, "GET / HTTP/1.1\r\nHost: weir\r\n\r\n", 30), 30);
	CU_ASSERT(read(fd, reply, sizeof(reply)) <= 0);
	close(fd);
	/* A good message before HELLO is answered, and not obeyed. */
	fd = raw_connect();
	CU_ASSERT_EQUAL(write(fd, &early, sizeof(early)), sizeof(early));
	CU_ASSERT(read(fd, &early, sizeof(early)) == sizeof(early));
	CU_ASSERT_EQUAL(early.status, -EPROTO);
	CU_ASSERT_EQUAL(early.id, 5);
	close(fd);
	/* Half a message, then nothing. */
	fd = raw_connect();
	CU_ASSERT_EQUAL(write(fd, &early, 10), 10);
	close(fd);
	const struct weir_config empty = { .digest = 1 };
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, &empty, sizeof(empty)), 0);
	weir_client_close(c);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(data_plane_wait(pid), 0);
}

static void second_data_plane_is_refused(void)
{
	pid_t first = data_plane_start();
	struct weir_client *c = client_connect();
	char number[32];

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	pid_t second = data_plane_start();
	CU_ASSERT_EQUAL(data_plane_wait(second), 1);
	CU_ASSERT_TRUE(log_has("another data plane of this instance runs already"));
	snprintf(number, sizeof(number), "pid %d", (int)first);
	CU_ASSERT_TRUE(log_has(number));
	const struct weir_config empty = { .digest = 1 };
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, &empty, sizeof(empty)), 0);
	weir_client_close(c);
	kill(first, SIGKILL);
	CU_ASSERT_EQUAL(data_plane_wait(first), 128 + SIGKILL);
	/* Its socket and lock file are still there, and stop nobody. */
	CU_ASSERT_EQUAL(access(socket_path, F_OK), 0);
	pid_t third = data_plane_start();
	c = client_connect();
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(weir_client_hello(c)->pid, (uint32_t)third);
	weir_client_close(c);
	kill(third, SIGTERM);
	CU_ASSERT_EQUAL(data_plane_wait(third), 0);
}

static void nothing_is_left_behind(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/unit", top);
	pid_t pid = data_plane_start();
	struct weir_client *c = client_connect();
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	kill(pid, SIGINT);
	CU_ASSERT_EQUAL(data_plane_wait(pid), 0);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	weir_client_close(c);
}

/* Asks on and on, and never reads. */
static void client_that_does_not_read_is_cut_off(void)
{
	pid_t pid = data_plane_start();
	struct weir_client *c = client_connect();
	const struct ask {
		struct weir_message header;
		struct weir_hello hello;
	} ask = { .header = { .magic = WEIR_MESSAGE_MAGIC,
			  .type = WEIR_MESSAGE_HELLO,
			  .length = sizeof(ask.hello) } };
	static struct ask many[4096];
	bool cut = false;

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = ask;
	int fd = raw_connect();
	const struct timeval patience = { .tv_sec = 20 };
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	for (int i = 0; i < 2000 && !cut; i++)
		cut = send(fd, many, sizeof(many), MSG_NOSIGNAL) < 0;
	CU_ASSERT_TRUE(cut);
	CU_ASSERT_TRUE(log_has("does not read"));
	close(fd);
	const struct weir_config empty = { .digest = 1 };
	CU_ASSERT_EQUAL(call(c, WEIR_MESSAGE_CONFIG, &empty, sizeof(empty)), 0);
	weir_client_close(c);
	kill(pid, SIGTERM);
	CU_ASSERT_EQUAL(data_plane_wait(pid), 0);
}

static const struct tap_case cases[] = {
	{ "HELLO tells what runs, and its heart beats", greeting },
	{ "bad requests are answered, and change nothing", bad_requests },
	{ "policies come sealed and whole", policies_come_sealed_and_whole },
	{ "garbage closes the client that sent it, and no other", garbage_closes_one_client },
	{ "a second data plane is refused, a dead one's traces are not in the way",
		second_data_plane_is_refused },
	{ "a clean end leaves nothing behind", nothing_is_left_behind },
	{ "a client that does not read is cut off", client_that_does_not_read_is_cut_off },
};

int main(int argc, char **argv)
{
	if (argc != 2 || !tap_folder(top, sizeof(top)))
		return 99;
	program = argv[1];
	snprintf(socket_path, sizeof(socket_path), "%s/unit/dataplane.sock", top);
	snprintf(log_path, sizeof(log_path), "%s/log", top);
	int rc = tap_run("process", cases, sizeof(cases) / sizeof(cases[0]));
	(void)unlink(log_path);
	(void)rmdir(top);
	return rc;
}
