/* SPDX-License-Identifier: BSD-3-Clause */

/* What files in /proc and /sys tell. */

#include "control/doctor/facts.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAP_IPC_LOCK_BIT 14 /* linux/capability.h */

__attribute__((format(printf, 2, 3))) static FILE *file_open(
	const char *root, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	size_t used = (size_t)snprintf(path, sizeof(path), "%s", root);
	va_start(args, format);
	if (used < sizeof(path))
		vsnprintf(path + used, sizeof(path) - used, format, args);
	va_end(args);
	return fopen(path, "re");
}

/* First line of a file without its end; false when it cannot be read. Closes it. */
static bool line_take(FILE *file, char *buf, size_t size)
{
	buf[0] = '\0';
	if (file == NULL)
		return false;
	bool read = fgets(buf, (int)size, file) != NULL || !ferror(file);
	fclose(file);
	buf[strcspn(buf, "\n")] = '\0';
	return read;
}

static long long number_take(FILE *file)
{
	char line[64], *end;
	if (!line_take(file, line, sizeof(line)))
		return FACTS_UNKNOWN;
	long long value = strtoll(line, &end, 10);
	return end == line ? FACTS_UNKNOWN : value;
}

static void cpuset_take(FILE *file, cpu_set_t *ret_set)
{
	char line[4096];
	if (line_take(file, line, sizeof(line)))
		(void)cpuset_parse(line, ret_set);
}

static bool exists(const char *root, const char *path)
{
	char full[PATH_MAX];
	struct stat st;
	snprintf(full, sizeof(full), "%s%s", root, path);
	return stat(full, &st) == 0;
}

/* The number behind a label at the beginning of a line, "MemAvailable:"; FACTS_UNKNOWN when it is not there. */
static long long labelled_take(FILE *file, const char *label)
{
	char line[512];
	long long value = FACTS_UNKNOWN;
	while (file != NULL && value == FACTS_UNKNOWN && fgets(line, sizeof(line), file) != NULL) {
		const char *at = strstr(line, label);
		if (at != NULL)
			value = strtoll(at + strlen(label), NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return value;
}

static void read_cpus(struct facts *f, const char *root)
{
	cpuset_take(file_open(root, "/sys/devices/system/cpu/online"), &f->online);
	cpuset_take(file_open(root, "/sys/devices/system/cpu/isolated"), &f->isolated);
	f->grub = exists(root, "/etc/default/grub");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t siblings;
		if (!CPU_ISSET(cpu, &f->online))
			continue;
		CPU_ZERO(&siblings);
		cpuset_take(
			file_open(root,
				"/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu),
			&siblings);
		for (int other = cpu; other >= 0; other--)
			if (CPU_ISSET(other, &siblings))
				f->cpus[cpu].core = other;
		line_take(file_open(root, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor",
				  cpu),
			f->cpus[cpu].governor, sizeof(f->cpus[cpu].governor));
	}
}

static void read_nodes(struct facts *f, const char *root)
{
	for (int node = 0; node < FACTS_NODES; node++) {
		struct facts_node *n = &f->nodes[node];
		cpu_set_t cpus;
		CPU_ZERO(&cpus);
		FILE *list = file_open(root, "/sys/devices/system/node/node%d/cpulist", node);
		if (list == NULL)
			continue;
		cpuset_take(list, &cpus);
		n->present = true;
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &cpus))
				f->cpus[cpu].node = node;
		n->hugepages = (long)number_take(file_open(root,
			"/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
			node));
		n->hugepages_free = (long)number_take(file_open(root,
			"/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages",
			node));
		long long kib = labelled_take(
			file_open(root, "/sys/devices/system/node/node%d/meminfo", node),
			"MemFree:");
		n->memory_free = kib == FACTS_UNKNOWN ? kib : kib << 10;
	}
	f->has_hugepages = exists(root, "/sys/kernel/mm/hugepages/hugepages-2048kB");
	long long kib = labelled_take(file_open(root, "/proc/meminfo"), "MemAvailable:");
	f->memory_available = kib == FACTS_UNKNOWN ? kib : kib << 10;
}

/* True when a line of the file begins with the word. */
static int has_line(FILE *file, const char *word)
{
	char line[512];
	bool found = false;
	if (file == NULL)
		return FACTS_UNKNOWN;
	while (!found && fgets(line, sizeof(line), file) != NULL)
		found = strncmp(line, word, strlen(word)) == 0 &&
			isspace((unsigned char)line[strlen(word)]);
	fclose(file);
	return found;
}

/* "flags : fpu vme ... constant_tsc ..." of the first CPU. */
static int tsc_is_constant(FILE *file)
{
	char *line = NULL;
	size_t room = 0;
	int constant = FACTS_UNKNOWN;
	while (file != NULL && constant == FACTS_UNKNOWN && getline(&line, &room, file) > 0)
		if (strncmp(line, "flags", 5) == 0)
			constant = strstr(line, " constant_tsc") != NULL &&
				strstr(line, " nonstop_tsc") != NULL;
	free(line);
	if (file != NULL)
		fclose(file);
	return constant;
}

static void read_memlock(struct facts *f, const char *root, const char *process)
{
	char line[512];
	FILE *file = file_open(root, "/proc/%s/status", process);
	unsigned long long caps = 0;
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "CapEff: %llx", &caps);
	if (file != NULL)
		fclose(file);
	bool exempt = caps >> CAP_IPC_LOCK_BIT & 1;
	file = file_open(root, "/proc/%s/limits", process);
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		static const char label[] = "Max locked memory";
		if (strncmp(line, label, strlen(label)) != 0)
			continue;
		const char *value = line + strlen(label) + strspn(line + strlen(label), " ");
		f->memlock_unlimited = exempt || strncmp(value, "unlimited", 9) == 0;
		f->memlock_bytes = f->memlock_unlimited ? FACTS_UNKNOWN : strtoll(value, NULL, 10);
	}
	if (file != NULL)
		fclose(file);
}

static void read_kernel(struct facts *f, const char *root)
{
	char line[256], process[32] = "self";
	line_take(file_open(root, "/proc/sys/kernel/osrelease"), f->release, sizeof(f->release));
	f->af_xdp = has_line(file_open(root, "/proc/net/protocols"), "XDP");
	f->btf = exists(root, "/sys/kernel/btf/vmlinux");
	f->bpf_jit = (int)number_take(file_open(root, "/proc/sys/net/core/bpf_jit_enable"));
	f->ip_forward = (int)number_take(file_open(root, "/proc/sys/net/ipv4/ip_forward"));
	line_take(
		file_open(root, "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		f->clock, sizeof(f->clock));
	if (line_take(file_open(root,
			      "/sys/devices/system/clocksource/clocksource0/"
			      "available_clocksource"),
		    line, sizeof(line)))
		f->clock_has_tsc = strstr(line, "tsc ") != NULL;
	f->tsc_constant = tsc_is_constant(file_open(root, "/proc/cpuinfo"));
	if (f->run.dataplane_pid != 0)
		snprintf(process, sizeof(process), "%d", (int)f->run.dataplane_pid);
	read_memlock(f, root, process);
}

/* Whether a process is the data plane of an instance, by its arguments: NULs stand between them. */
static bool is_of_instance(FILE *file, const char *instance)
{
	char text[4096];
	size_t length = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
	const char *found = "default";
	text[length] = '\0';
	for (const char *at = text; at < text + length; at += strlen(at) + 1) {
		if (strncmp(at, "--instance=", 11) == 0)
			found = at + 11;
		else if (strcmp(at, "--instance") == 0 && at + 11 < text + length)
			found = at + 11;
	}
	bool is = length > 0 && strcmp(found, instance) == 0;
	if (file != NULL)
		fclose(file);
	return is;
}

/* A data plane that goes on without its daemon, which could have told. */
static void find_dataplane(struct facts *f, const char *root)
{
	char path[PATH_MAX], comm[32];
	snprintf(path, sizeof(path), "%s/proc", root);
	DIR *folder = f->run.dataplane_pid == 0 ? opendir(path) : NULL;
	struct dirent *entry;
	while (folder != NULL && f->run.dataplane_pid == 0 && (entry = readdir(folder)) != NULL) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
			line_take(file_open(root, "/proc/%s/comm", entry->d_name), comm,
				sizeof(comm)) &&
			strcmp(comm, "weir-dataplane") == 0 &&
			is_of_instance(file_open(root, "/proc/%s/cmdline", entry->d_name),
				f->run.instance))
			f->run.dataplane_pid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	if (folder != NULL)
		closedir(folder);
	if (f->run.dataplane_pid == 0 || f->run.dataplane_hugepages != FACTS_UNKNOWN)
		return;
	long long kib = labelled_take(
		file_open(root, "/proc/%d/status", (int)f->run.dataplane_pid), "HugetlbPages:");
	f->run.dataplane_hugepages = kib == FACTS_UNKNOWN ? FACTS_UNKNOWN : kib > 0;
}

static int process_runs(const char *root, const char *name)
{
	char path[PATH_MAX], comm[32];
	snprintf(path, sizeof(path), "%s/proc", root);
	DIR *folder = opendir(path);
	bool found = false;
	struct dirent *entry;
	if (folder == NULL)
		return FACTS_UNKNOWN;
	while (!found && (entry = readdir(folder)) != NULL)
		found = isdigit((unsigned char)entry->d_name[0]) &&
			line_take(file_open(root, "/proc/%s/comm", entry->d_name), comm,
				sizeof(comm)) &&
			strcmp(comm, name) == 0;
	closedir(folder);
	return found;
}

static int conf_take(const char *root, const char *family, const char *device, const char *key)
{
	return (int)number_take(
		file_open(root, "/proc/sys/net/%s/conf/%s/%s", family, device, key));
}

/* Of these the kernel takes the larger one of "all" and the interface's own. */
static int conf_larger(const char *root, const char *device, const char *key)
{
	int own = conf_take(root, "ipv4", device, key), all = conf_take(root, "ipv4", "all", key);
	return own > all ? own : all;
}

static void irq_add(struct facts_port *p, unsigned int number, const char *root)
{
	struct facts_irq irq = { .number = number };
	struct facts_irq *more = realloc(p->irqs, (p->irq_count + 1) * sizeof(*more));
	if (more == NULL)
		return;
	p->irqs = more;
	cpuset_take(file_open(root, "/proc/irq/%u/effective_affinity_list", number), &irq.cpus);
	if (CPU_COUNT(&irq.cpus) == 0)
		cpuset_take(file_open(root, "/proc/irq/%u/smp_affinity_list", number), &irq.cpus);
	p->irqs[p->irq_count++] = irq;
}

/* "eth1-TxRx-3", "eth1": of the interface eth1. */
static bool is_named_after(const char *irq, const char *device)
{
	size_t length = strlen(device);
	return strncmp(irq, device, length) == 0 &&
		(irq[length] == '\0' || strchr("-@:", irq[length]) != NULL);
}

/* The interrupts of the port's device; not those that carry no packets. */
static void read_irqs(struct facts_port *p, const char *root)
{
	char *line = NULL, folder[160];
	size_t room = 0;
	FILE *file = file_open(root, "/proc/interrupts");
	while (file != NULL && getline(&line, &room, file) > 0) {
		char *end;
		unsigned long number = strtoul(line, &end, 10);
		line[strcspn(line, "\n")] = '\0';
		const char *name = strrchr(line, ' ');
		if (end == line || *end != ':' || name == NULL)
			continue;
		snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/%s/msi_irqs/%lu", p->bus,
			number);
		bool ours = is_named_after(name + 1, p->device) ||
			(p->bus[0] != '\0' && exists(root, folder));
		bool idle = strstr(name, "-config") != NULL || strstr(name, "async") != NULL;
		if (ours && !idle)
			irq_add(p, (unsigned int)number, root);
	}
	free(line);
	if (file != NULL)
		fclose(file);
}

static void read_port(struct facts_port *p, const char *root)
{
	char path[PATH_MAX], target[PATH_MAX];
	if (p->is_pci) {
		snprintf(p->bus, sizeof(p->bus), "%.63s", p->device);
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", p->bus);
		p->exists = exists(root, path);
		snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver", root, p->bus);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		const char *slash = strrchr(target, '/');
		snprintf(p->driver, sizeof(p->driver), "%.31s", slash != NULL ? slash + 1 : "");
	} else {
		p->rp_filter = conf_larger(root, p->device, "rp_filter");
		p->arp_ignore = conf_larger(root, p->device, "arp_ignore");
		p->disable_ipv6 = conf_take(root, "ipv6", p->device, "disable_ipv6");
		read_irqs(p, root);
	}
	/* A bus address with a slash in it would be another path. */
	if (p->bus[0] != '\0' && strchr(p->bus, '/') == NULL)
		p->node = (int)number_take(
			file_open(root, "/sys/bus/pci/devices/%s/numa_node", p->bus));
}

/* As the data plane chooses: isolated CPUs, else all but the lowest, else the only one. */
static void choose_packet_cpus(struct facts *f)
{
	cpu_set_t set;
	int lowest = 0;
	CPU_AND(&set, &f->allowed, &f->isolated);
	if (CPU_COUNT(&set) == 0) {
		set = f->allowed;
		while (lowest + 1 < CPU_SETSIZE && !CPU_ISSET(lowest, &set))
			lowest++;
		if (CPU_COUNT(&set) > 1)
			CPU_CLR(lowest, &set);
	}
	f->packet = set;
}

void facts_read_files(struct facts *f, const char *root)
{
	read_cpus(f, root);
	read_nodes(f, root);
	find_dataplane(f, root);
	read_kernel(f, root);
	f->irqbalance = process_runs(root, "irqbalance");
	for (size_t i = 0; i < f->port_count; i++)
		read_port(&f->ports[i], root);
	f->allowed = f->online;
	if (root[0] == '\0')
		(void)sched_getaffinity(0, sizeof(f->allowed), &f->allowed);
	if (CPU_COUNT(&f->packet) == 0)
		choose_packet_cpus(f);
}

void facts_read_run(struct facts *f)
{
	struct stat st;
	if (stat(f->run.path, &st) == 0 && S_ISDIR(st.st_mode)) {
		f->run.folder_exists = true;
		f->run.folder_mode = st.st_mode & 07777;
		f->run.folder_uid = st.st_uid;
	}
	if (stat(f->run.socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
		f->run.socket_exists = true;
		f->run.socket_mode = st.st_mode & 07777;
	}
	if (stat(f->run.read_only_socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
		f->run.read_only_exists = true;
		f->run.read_only_mode = st.st_mode & 07777;
	}
}
