/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/bench/bench.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <unistd.h>

#define HUGEPAGES_FILE "/proc/sys/vm/nr_hugepages"

static long hugepages_before = -1; /* -1: nothing to restore */

void bench_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

double bench_median(double *values, unsigned int count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count ? values[count / 2] : 0;
}

static long number_read(const char *path)
{
	long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static long hugepages_free(void)
{
	char line[128];
	long pages = 0, size_kib = 0;
	FILE *f = fopen("/proc/meminfo", "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "HugePages_Free: %ld", &pages);
		sscanf(line, "Hugepagesize: %ld", &size_kib);
	}
	fclose(f);
	return size_kib == 2048 ? pages : 0;
}

static void hugepages_set(long count)
{
	FILE *f = fopen(HUGEPAGES_FILE, "w");

	if (!f)
		return;
	fprintf(f, "%ld\n", count);
	fclose(f);
}

static void hugepages_restore(void)
{
	if (hugepages_before >= 0)
		hugepages_set(hugepages_before);
}

/* Ask for what is missing, if we may, and say whether there is enough now. */
static bool hugepages_get(long needed)
{
	if (hugepages_free() >= needed)
		return true;
	long before = number_read(HUGEPAGES_FILE);
	if (before < 0 || access(HUGEPAGES_FILE, W_OK))
		return false;
	hugepages_before = before;
	atexit(hugepages_restore);
	hugepages_set(before + needed - hugepages_free());
	return hugepages_free() >= needed;
}

static int last_allowed_cpu(void)
{
	cpu_set_t set;
	int last = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			last = i;
	return last;
}

int bench_two_cpus(int ret_cpu[2])
{
	cpu_set_t set;
	int found = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET(i, &set))
			ret_cpu[found++] = i;
	return found == 2 ? 0 : -ENODEV;
}

bool bench_hurry(void)
{
	const struct sched_param p = { .sched_priority = 1 };

	/* Not by being nice, which counts only among those of one session. */
	return sched_setscheduler(0, SCHED_FIFO, &p) == 0;
}

bool bench_eal_start(struct bench *b, int cpu, unsigned int memory_mib, bool want_hugepages)
{
	char lcores[32], megabytes[32];
	bool hugepages = want_hugepages && hugepages_get(memory_mib / 2);
	const char *argv[16];
	int argc = 0;

	snprintf(lcores, sizeof(lcores), "0@%d", cpu < 0 ? last_allowed_cpu() : cpu);
	snprintf(megabytes, sizeof(megabytes), "%u", memory_mib);
	argv[argc++] = "weir-bench";
	argv[argc++] = "--no-pci";
	argv[argc++] = "--no-telemetry";
	argv[argc++] = "--log-level=lib.eal:error";
	argv[argc++] = "--lcores";
	argv[argc++] = lcores;
	argv[argc++] = "-m";
	argv[argc++] = megabytes;
	if (hugepages) {
		argv[argc++] = "--in-memory";
	} else {
		argv[argc++] = "--no-huge";
		argv[argc++] = "--no-shconf";
		fprintf(stderr,
			"weir-bench: no hugepages (%u MiB wanted): figures with many "
			"flows will be worse for it\n",
			memory_mib);
	}
	if (rte_eal_init(argc, (char **)(uintptr_t)argv) < 0)
		bench_fail("EAL does not start");
	b->tsc_hz = rte_get_tsc_hz();
	b->node = (int)rte_socket_id();
	b->memory_bytes = (uint64_t)memory_mib << 19; /* half; packets and the rest need less */
	return hugepages;
}
