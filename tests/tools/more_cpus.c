/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A library to be preloaded: the process sees WEIR_TEST_CPUS CPUs, also where the machine has fewer. Threads
 * that want to run on one beyond those there are run on CPU 0, 1, ... instead, in turn with whoever is there. So
 * what takes several packet cores can be tried on a small machine, with real threads and real packets; how fast
 * it is says nothing.
 */

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH "/sys/devices/system/cpu/cpu"

static unsigned int pretended(void)
{
	const char *text = getenv("WEIR_TEST_CPUS");
	unsigned long count = text ? strtoul(text, NULL, 10) : 0;

	return count < CPU_SETSIZE ? (unsigned int)count : 0;
}

static unsigned int real(void)
{
	long count = sysconf(_SC_NPROCESSORS_CONF);

	return count > 0 ? (unsigned int)count : 1;
}

static void *next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

static void more(size_t size, cpu_set_t *set)
{
	for (unsigned int cpu = real(); cpu < pretended() && cpu < size * 8; cpu++)
		CPU_SET_S(cpu, size, set);
}

/* Returns false when there is nothing beyond the real ones. */
static bool fewer(size_t size, const cpu_set_t *set, cpu_set_t *ret)
{
	const unsigned int count = real();
	bool beyond = false;

	CPU_ZERO(ret);
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && cpu < size * 8; cpu++) {
		if (!CPU_ISSET_S(cpu, size, set))
			continue;
		beyond |= cpu >= count;
		CPU_SET(cpu % count, ret);
	}
	return beyond;
}

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	int (*of)(pid_t, size_t, cpu_set_t *) = next("sched_getaffinity");
	int ret = of(pid, size, set);

	if (ret >= 0)
		more(size, set);
	return ret;
}

int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *set)
{
	int (*of)(pthread_t, size_t, cpu_set_t *) = next("pthread_getaffinity_np");
	int ret = of(thread, size, set);

	if (ret == 0)
		more(size, set);
	return ret;
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	int (*of)(pid_t, size_t, const cpu_set_t *) = next("sched_setaffinity");
	cpu_set_t there;

	return fewer(size, set, &there) ? of(pid, sizeof(there), &there) : of(pid, size, set);
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *set)
{
	int (*of)(pthread_t, size_t, const cpu_set_t *) = next("pthread_setaffinity_np");
	cpu_set_t there;

	return fewer(size, set, &there) ? of(thread, sizeof(there), &there) : of(thread, size, set);
}

/* Files about a CPU that is not there are those about one that is. */
static const char *path_of(const char *path, char *buf, size_t size)
{
	unsigned int cpu;
	int end = 0;

	if (sscanf(path, PATH "%u%n", &cpu, &end) != 1 || cpu < real() || cpu >= pretended())
		return path;
	snprintf(buf, size, PATH "%u%s", cpu % real(), path + end);
	return buf;
}

int access(const char *path, int mode)
{
	int (*of)(const char *, int) = next("access");
	char buf[256];

	return of(path_of(path, buf, sizeof(buf)), mode);
}

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*of)(const char *, const char *) = next("fopen");
	char buf[256];

	return of(path_of(path, buf, sizeof(buf)), mode);
}
