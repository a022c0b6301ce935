/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/eal.h"

#include "dataplane/process/log.h"

#include <bpf/libbpf.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <xdp/libxdp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32
#define NO_DEVICE     "ffff:ff:1f.7" /* an address that no PCI device has */
#define NO_FOLDER     "/dev/null" /* where nobody, not even root, can make one */

static char last_error[256]; /* what EAL said last of an error, to be part of ours */
static bool started;

static const char *const of_no_interest[] = {
	"hugepages reported", /* we never asked for pages of 1 GiB */
	"Error creating '" NO_FOLDER, /* as it is meant, see eal_start() */
	"No DPDK runtime directory created",
};

/* EAL writes its log here, a line at a time. */
static ssize_t eal_log_write(void *cookie, const char *text, size_t length)
{
	const bool is_error = rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR;

	for (size_t i = 0; i < sizeof(of_no_interest) / sizeof(of_no_interest[0]); i++)
		if (memmem(text, length, of_no_interest[i], strlen(of_no_interest[i])))
			return (ssize_t)length;
	if (is_error)
		snprintf(last_error, sizeof(last_error), "%.*s",
			(int)(length && text[length - 1] == '\n' ? length - 1 : length), text);
	log_line(is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%.*s", (int)length, text);
	return (ssize_t)length;
}

static void eal_log_take_over(void)
{
	const cookie_io_functions_t io = { .write = eal_log_write };
	FILE *f = fopencookie(NULL, "w", io);

	if (!f)
		return;
	setvbuf(f, NULL, _IOLBF, 0);
	rte_openlog_stream(f);
	rte_log_set_global_level(RTE_LOG_WARNING);
}

__attribute__((format(printf, 2, 0))) static int bpf_print(
	enum libbpf_print_level level, const char *format, va_list ap)
{
	char text[1024];

	if (level > LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), format, ap);
	log_warning("%s", text);
	return 0;
}

/* What libxdp says goes wrong is also returned, and said by who asked for it. */
__attribute__((format(printf, 2, 0))) static int xdp_print(
	enum libxdp_print_level level, const char *format, va_list ap)
{
	return 0;
}

static void cpus_print(const struct cpu_list *list, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (uint32_t i = 0; i < list->count && at < size; i++) {
		int n = snprintf(buf + at, size - at, "%s%u", i ? "," : "", list->cpu[i]);
		at += n > 0 ? (size_t)n : 0;
	}
}

/* "0@(0,3),1@1,2@2": lcore 0 is the main thread's, lcore i + 1 packet core i's. */
static void lcores_print(const struct eal_params *p, char *buf, size_t size)
{
	char main_cpus[512];

	cpus_print(&p->main_cpus, main_cpus, sizeof(main_cpus));
	size_t at = (size_t)snprintf(buf, size, "0@(%s)", main_cpus);
	for (uint32_t i = 0; i < p->cores.count && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, ",%u@%u", i + 1, p->cores.cpu[i]);
}

int eal_start(const struct eal_params *p, char *err, size_t err_size)
{
	char lcores[2048], memory[32], prefix[128];
	static char *kept[ARGUMENTS_MAX]; /* EAL may refer to them for as long as it runs */
	char *argv[ARGUMENTS_MAX]; /* what it may reorder */
	int argc = 0;

	lcores_print(p, lcores, sizeof(lcores));
	snprintf(memory, sizeof(memory), "%llu", (unsigned long long)(p->memory_bytes >> 20));
	snprintf(prefix, sizeof(prefix), "%s", p->prefix);
	const char *const common[] = {
		"weir-dataplane",
		"--no-telemetry",
		"--iova-mode=va",
		"--file-prefix",
		prefix,
		"--main-lcore",
		"0",
		"--lcores",
		lcores,
	};
	const char *const with_hugepages[] = { "--in-memory" };
	const char *const without_pci[] = { "--no-pci" };
	/* A list of allowed devices with none in it: devices are added when a port wants them. */
	const char *const with_pci[] = { "--allow", NO_DEVICE };
	const char *const without_hugepages[] = { "--no-huge", "--no-shconf", "-m", memory };

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		argv[argc++] = strdup(common[i]);
	const bool pci = p->pci && access("/sys/bus/pci/devices", R_OK) == 0;
	for (size_t i = 0; i < (pci ? 2 : 1); i++)
		argv[argc++] = strdup(pci ? with_pci[i] : without_pci[i]);
	if (p->hugepages) {
		argv[argc++] = strdup(with_hugepages[0]);
	} else {
		for (size_t i = 0; i < 4; i++)
			argv[argc++] = strdup(without_hugepages[i]);
	}
	argv[argc] = NULL;
	memcpy(kept, argv, sizeof(kept[0]) * (size_t)argc);
	eal_log_take_over();
	libbpf_set_print(bpf_print);
	libxdp_set_print(xdp_print);
	/* Without the dispatcher: our program stands alone on its interface, as a link of ours. */
	(void)setenv("LIBXDP_SKIP_DISPATCHER", "1", 1);
	/*
	 * With everything in memory nothing would lie in EAL's folder, and it does without. So there is none
	 * to be left when we are killed meanwhile.
	 */
	(void)setenv("RUNTIME_DIRECTORY", NO_FOLDER, 1);
	if (rte_eal_init(argc, argv) < 0) {
		snprintf(err, err_size, "DPDK does not start: %s",
			last_error[0] ? last_error : rte_strerror(rte_errno));
		return -EIO;
	}
	started = true;
	return 0;
}

void eal_stop(void)
{
	if (started)
		(void)rte_eal_cleanup();
	started = false;
}
