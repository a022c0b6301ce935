/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * libbpf reads the object in a process of its own, because it was not made for files that somebody
 * has damaged on purpose. It is told to write a loader program instead of loading (its "gen_loader" mode),
 * so that it relocates everything and asks the kernel nothing; just when the program is finished, the
 * handler of our section takes a copy and ends it.
 */

#include "ebpf/engine/object.h"

#include "ebpf/engine/object_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPU_SECONDS 5
#define ROOM_BYTES  (1u << 30)

/* What the child writes, and the parent reads when the child has ended. */
struct answer {
	int32_t status; /* 0, or -errno with the reason in err */
	uint32_t image_size;
	char err[512];
	alignas(8) uint8_t image[POLICY_MAX_IMAGE];
};

/*
 * Address space that the process has already. The limit counts it, and EAL reserves gigabytes of it that it
 * may never use.
 */
static rlim_t room_in_use(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (f && fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* In the child: no longer than it should take, no more memory than it should need, nothing on disk. */
static void confine(void)
{
	const struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS };
	const rlim_t bytes = room_in_use() + ROOM_BYTES;
	const struct rlimit room = { bytes, bytes };
	const struct rlimit none = { 0, 0 };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CPU, &cpu);
#if !defined(__SANITIZE_ADDRESS__)
	setrlimit(RLIMIT_AS, &room);
#else
	(void)room;
#endif
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_FSIZE, &none);
	for (int fd = 0; fd <= 2 && null_fd >= 0; fd++)
		dup2(null_fd, fd);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGFPE, SIG_DFL);
}

static void child_run(const void *bytes, size_t size, struct answer *answer)
{
	size_t image_size = 0;

	confine();
	answer->status = object_to_image(bytes, size, answer->image, sizeof(answer->image),
		&image_size, answer->err, sizeof(answer->err));
	answer->image_size = (uint32_t)image_size;
	_exit(0);
}

static int child_wait(pid_t pid, char *err, size_t err_size)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	snprintf(err, err_size, "the object file is damaged: libbpf did not survive reading it");
	return -EINVAL;
}

static int answer_take(
	const struct answer *answer, struct policy_image **ret_image, char *err, size_t err_size)
{
	if (answer->status < 0) {
		snprintf(err, err_size, "%.*s", (int)sizeof(answer->err) - 1, answer->err);
		return answer->status;
	}
	if (answer->image_size > sizeof(answer->image)) {
		snprintf(err, err_size, "the object file is damaged");
		return -EINVAL;
	}
	struct policy_image *image = malloc(answer->image_size + 1);
	if (!image) {
		snprintf(err, err_size, "out of memory");
		return -ENOMEM;
	}
	memcpy(image, answer->image, answer->image_size);
	int rc = policy_image_check(image, answer->image_size, err, err_size);
	if (rc < 0) {
		free(image);
		return rc;
	}
	*ret_image = image;
	return 0;
}

int policy_object_parse(
	const void *bytes, size_t size, struct policy_image **ret_image, char *err, size_t err_size)
{
	int rc = policy_elf_check(bytes, size, err, err_size);

	if (rc < 0)
		return rc;
	struct answer *answer = mmap(
		NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answer == MAP_FAILED) {
		snprintf(err, err_size, "out of memory");
		return -ENOMEM;
	}
	/* Unless the child says otherwise. */
	answer->status = -EINVAL;
	snprintf(answer->err, sizeof(answer->err), "the object file is damaged");
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		child_run(bytes, size, answer);
	if (pid < 0) {
		rc = -errno;
		snprintf(err, err_size, "cannot start a process: %s", strerror(-rc));
	} else {
		rc = child_wait(pid, err, err_size);
	}
	if (rc == 0)
		rc = answer_take(answer, ret_image, err, err_size);
	munmap(answer, sizeof(*answer));
	return rc;
}

static int file_read(int fd, void **ret_bytes, size_t *ret_size, char *err, size_t err_size)
{
	struct stat info;
	size_t got = 0;

	if (fstat(fd, &info) < 0)
		return -errno;
	if (!S_ISREG(info.st_mode)) {
		snprintf(err, err_size, "it is not a file");
		return -EINVAL;
	}
	if (info.st_size > POLICY_MAX_OBJECT) {
		snprintf(err, err_size,
			"%lld bytes are no policy: an object file has at most 4 MiB",
			(long long)info.st_size);
		return -EFBIG;
	}
	uint8_t *bytes = malloc((size_t)info.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (got < (size_t)info.st_size) {
		ssize_t n = read(fd, bytes + got, (size_t)info.st_size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	*ret_bytes = bytes;
	*ret_size = got;
	return 0;
}

int policy_object_read(
	const char *path, struct policy_image **ret_image, char *err, size_t err_size)
{
	void *bytes = NULL;
	size_t size = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		int rc = -errno;

		snprintf(err, err_size, "%s", strerror(-rc));
		return rc;
	}
	snprintf(err, err_size, "cannot be read");
	int rc = file_read(fd, &bytes, &size, err, err_size);

	close(fd);
	if (rc < 0)
		return rc;
	rc = policy_object_parse(bytes, size, ret_image, err, err_size);
	free(bytes);
	return rc;
}
