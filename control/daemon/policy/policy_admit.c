/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/policy_admit.h"

#include "control/daemon/clock.h"
#include "control/daemon/dataplane/dataplane_private.h"
#include "ebpf/engine/admit.h"
#include "ebpf/engine/object.h"

#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000
#define CPU_SECONDS 25
#define ROOM_BYTES  (UINT64_C(6) << 30) /* a trial makes the policy's maps, which have up to 4 GiB */
#define IMAGE_FD    3
#define OBJECT_FD   4
#define OBJECT_PATH "/proc/self/fd/4"

static_assert(POLICY_ANSWER_TEXT == POLICY_SENTENCE_SIZE, "a refusal fits into an answer");

struct policy_job {
	pid_t pid;
	int pidfd;
	int image_fd; /* owned */
	int object_fd; /* owned */
	bool offload; /* ask that, too */
	struct policy_answer *answer; /* owned; shared with the child */
	struct event *ended; /* owned */
	policy_answer_cb cb;
	void *ctx;
};

/* In the child: nothing of the daemon's but what it is to write, and an end that comes for certain. */
static void confine(const struct policy_job *job)
{
	const struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
	const struct rlimit room = { ROOM_BYTES, ROOM_BYTES };
	const struct rlimit none = { 0, 0 };
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	/* Also the sockets and the lock of the instance: they end with the daemon, not with us. */
	int object_fd = fcntl(job->object_fd, F_DUPFD, OBJECT_FD + 1);

	dup2(job->image_fd, IMAGE_FD);
	dup2(object_fd, OBJECT_FD);
	close_range(OBJECT_FD + 1, ~0u, 0);
	setrlimit(RLIMIT_CPU, &cpu);
#if !defined(__SANITIZE_ADDRESS__)
	setrlimit(RLIMIT_AS, &room);
#else
	(void)room;
#endif
	setrlimit(RLIMIT_CORE, &none);
}

static int image_write(const struct policy_image *image)
{
	for (size_t done = 0; done < image->size;) {
		ssize_t n = write(IMAGE_FD, (const char *)image + done, image->size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/*
 * What is judged is what is kept, whatever becomes of the file meanwhile. Returns false when the file is
 * not one that a policy can be in, of which policy_admit() says why.
 */
static bool object_copy(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t size = 0;
	struct stat info;
	char bytes[65536];
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &info) || !S_ISREG(info.st_mode))
		return false;
	while (size <= POLICY_MAX_OBJECT && (n = read(fd, bytes, sizeof(bytes))) > 0 &&
		write(OBJECT_FD, bytes, (size_t)n) == n)
		size += (size_t)n;
	close(fd);
	return n == 0;
}

static void child_run(struct policy_job *job, const char *path,
	const struct policy_admit_options *options) __attribute__((noreturn));

static void child_run(
	struct policy_job *job, const char *path, const struct policy_admit_options *options)
{
	struct policy_answer *to = job->answer;
	const struct policy_image_line *line;
	const char *file, *text;
	struct policy_admission a;

	confine(job);
	bool copied = object_copy(path);

	if (policy_admit(copied ? OBJECT_PATH : path, options, &a)) {
		snprintf(to->text, sizeof(to->text), "cannot be judged: out of memory");
		_exit(0);
	}
	if (a.outcome == POLICY_REFUSED) {
		policy_admission_sentence(&a, to->text, sizeof(to->text));
		line = policy_admission_line(&a, &file, &text);
		if (line)
			snprintf(to->line, sizeof(to->line), "%s", text);
		_exit(0);
	}
	to->cycles_median = a.trial.cycles_median;
	to->cycles_p99 = a.trial.cycles_p99;
	to->image_size = a.image->size;
	if (a.outcome == POLICY_UNVERIFIED)
		snprintf(to->text, sizeof(to->text), "cannot be verified: %s", a.reason);
	else if (!copied || image_write(a.image))
		snprintf(to->text, sizeof(to->text), "cannot be kept: out of memory");
	else
		to->admitted = true;
	if (to->admitted && job->offload)
		policy_offload_try(
			a.image, &to->kernel_cycles, to->offload_why, sizeof(to->offload_why));
	_exit(0);
}

static void job_free(struct policy_job *job)
{
	if (job->ended)
		event_free(job->ended);
	if (job->pidfd >= 0)
		close(job->pidfd);
	if (job->image_fd >= 0)
		close(job->image_fd);
	if (job->object_fd >= 0)
		close(job->object_fd);
	if (job->answer)
		munmap(job->answer, sizeof(*job->answer));
	free(job);
}

static void job_reap(struct policy_job *job)
{
	if (job->pid <= 0)
		return;
	kill(job->pid, SIGKILL);
	while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
		;
	job->pid = 0;
}

void policy_job_cancel(struct policy_job *job)
{
	if (!job)
		return;
	job_reap(job);
	job_free(job);
}

/* What the child has left is believed only when it is whole. */
static void answer_check(struct policy_job *job, bool late)
{
	struct policy_answer *a = job->answer;
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	a->text[sizeof(a->text) - 1] = 0;
	a->line[sizeof(a->line) - 1] = 0;
	a->offload_why[sizeof(a->offload_why) - 1] = 0;
	if (a->admitted && fcntl(job->image_fd, F_ADD_SEALS, seals) == 0 &&
		fcntl(job->object_fd, F_ADD_SEALS, seals) == 0) {
		a->image_fd = job->image_fd;
		a->object_fd = job->object_fd;
		job->image_fd = -1;
		job->object_fd = -1;
		return;
	}
	a->admitted = false;
	if (late)
		snprintf(a->text, sizeof(a->text),
			"refused: no answer after %d s; is it larger than a policy should be?",
			PATIENCE_MS / 1000);
	else if (!a->text[0])
		snprintf(a->text, sizeof(a->text),
			"refused: judging it took more time or memory than a policy may need");
}

static void job_ended(evutil_socket_t fd, short what, void *ctx)
{
	struct policy_job *job = ctx;

	job_reap(job);
	answer_check(job, (what & EV_TIMEOUT) != 0);
	job->cb(job->ctx, job->answer);
	job_free(job);
}

static int job_fork(
	struct policy_job *job, const char *path, const struct policy_admit_options *options)
{
	fflush(NULL);
	job->pid = fork();
	if (job->pid == 0)
		child_run(job, path, options);
	if (job->pid < 0)
		return -errno;
	job->pidfd = process_watch(job->pid);
	return job->pidfd < 0 ? job->pidfd : 0;
}

int policy_job_start(struct event_base *base, const char *path, char *const *sets, size_t set_count,
	uint32_t budget, bool offload, policy_answer_cb cb, void *ctx, struct policy_job **ret_job)
{
	const struct policy_admit_options options = {
		.sets = (const char *const *)sets, .set_count = set_count, .budget = budget
	};
	struct timeval patience = clock_timeval_ms(PATIENCE_MS);
	struct policy_job *job = calloc(1, sizeof(*job));
	int rc = -ENOMEM;

	if (!job)
		return rc;
	*job = (struct policy_job){ .pidfd = -1,
		.image_fd = -1,
		.object_fd = -1,
		.offload = offload,
		.cb = cb,
		.ctx = ctx };
	job->answer = mmap(NULL, sizeof(*job->answer), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job->answer == MAP_FAILED) {
		job->answer = NULL;
		goto fail;
	}
	job->image_fd = memfd_create("weir policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	job->object_fd = memfd_create("weir policy object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (job->image_fd < 0 || job->object_fd < 0)
		goto fail;
	rc = job_fork(job, path, &options);
	if (rc)
		goto fail;
	job->ended = event_new(base, job->pidfd, EV_READ, job_ended, job);
	rc = -ENOMEM;
	if (!job->ended || event_add(job->ended, &patience))
		goto fail;
	*ret_job = job;
	return 0;
fail:
	policy_job_cancel(job);
	return rc;
}
