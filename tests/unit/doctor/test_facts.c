/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/doctor/facts.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void folders_make(const char *path)
{
	char part[PATH_MAX];
	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			abort();
		*p = '/';
	}
}

static void put(const char *file, const char *text)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s%s", root, file);
	folders_make(path);
	FILE *f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void putf(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void putf(const char *text, const char *format, ...)
{
	char file[256];
	va_list args;
	va_start(args, format);
	vsnprintf(file, sizeof(file), format, args);
	va_end(args);
	put(file, text);
}

/* Two nodes, CPUs 0-3 and 4-7, each with the sibling that is 2 above it. */
static void put_cpus(void)
{
	put("/sys/devices/system/cpu/online", "0-7\n");
	put("/sys/devices/system/cpu/isolated", "6-7\n");
	for (int cpu = 0; cpu < 8; cpu++) {
		char siblings[16];
		int first = cpu & ~2;
		snprintf(siblings, sizeof(siblings), "%d,%d\n", first, first + 2);
		putf(siblings, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
		putf(cpu == 5 ? "powersave\n" : "performance\n",
			"/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu);
	}
	put("/sys/devices/system/node/node0/cpulist", "0-3\n");
	put("/sys/devices/system/node/node1/cpulist", "4-7\n");
	put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "300\n");
	put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "44\n");
	put("/sys/devices/system/node/node1/meminfo",
		"Node 1 MemTotal:       8000 kB\nNode 1 MemFree:        4096 kB\n");
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "300\n");
	put("/proc/meminfo", "MemTotal: 16384 kB\nMemAvailable:   12288 kB\n");
}

static void put_kernel(void)
{
	put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	put("/proc/net/protocols", "protocol  size\nUDP 1152\nXDP 1088\n");
	put("/sys/kernel/btf/vmlinux", "");
	put("/proc/sys/net/core/bpf_jit_enable", "1\n");
	put("/proc/sys/net/ipv4/ip_forward", "0\n");
	put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
	put("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet \n");
	put("/proc/cpuinfo", "processor : 0\nflags : fpu constant_tsc nonstop_tsc\n");
	put("/proc/77/status", "Name: weir-dataplane\nCapEff:\t0000000000001000\n");
	put("/proc/77/limits",
		"Limit                     Soft Limit           Hard Limit           Units\n"
		"Max locked memory         8388608              8388608              bytes\n");
	put("/proc/self/status", "CapEff:\t000001ffffffffff\n");
	put("/proc/self/limits", "Max locked memory         65536     65536   bytes\n");
	put("/proc/88/comm", "irqbalance\n");
}

static void put_devices(void)
{
	put("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n");
	put("/sys/bus/pci/devices/0000:3b:00.0/msi_irqs/41", "msix\n");
	put("/sys/bus/pci/devices/0000:af:00.0/numa_node", "-1\n");
	put("/proc/interrupts",
		"           CPU0       CPU1\n"
		" 40:   1   2  PCI-MSIX-0000:3b:00.0 0-edge   eth1-TxRx-0\n"
		" 41:   1   2  PCI-MSIX-0000:3b:00.0 1-edge   mlx5_comp0@pci:0000:3b:00.0\n"
		" 42:   1   2  PCI-MSIX-0000:3c:00.0 1-edge   eth10-TxRx-0\n"
		" 43:   1   2  PCI-MSIX-0000:3b:00.0 2-edge   eth1-config\n"
		"NMI:   0   0  Non-maskable interrupts\n");
	put("/proc/irq/40/smp_affinity_list", "0-7\n");
	put("/proc/irq/40/effective_affinity_list", "6\n");
	put("/proc/irq/41/smp_affinity_list", "4-5\n");
	put("/proc/irq/41/effective_affinity_list", "\n");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "2\n");
	put("/proc/sys/net/ipv4/conf/eth1/rp_filter", "1\n");
	put("/proc/sys/net/ipv4/conf/all/arp_ignore", "0\n");
	put("/proc/sys/net/ipv4/conf/eth1/arp_ignore", "0\n");
	put("/proc/sys/net/ipv6/conf/eth1/disable_ipv6", "1\n");
}

static const char text[] =
	"version: 1\n"
	"dataplane: {hugepages: required, idle: spin, memory: 1G}\n"
	"ports:\n"
	"  - {name: front, device: eth1}\n"
	"  - {name: side, device: eth2}\n"
	"services:\n"
	"  - {name: web, address: \"2001:db8::1\", port: 80, protocol: tcp, mode: dsr,\n"
	"     backends: [{address: \"2001:db8::2\", port: 80}]}\n";

static void machine_read(struct facts *f)
{
	struct model *m = NULL;
	struct model_errors errors = { 0 };
	int err = model_parse(text, strlen(text), &m, &errors);
	if (err == -EINVAL)
		model_errors_print(stdout, "# text", &errors);
	CU_ASSERT_EQUAL_FATAL(err, 0);
	CU_ASSERT_EQUAL_FATAL(facts_init(f), 0);
	CU_ASSERT_EQUAL_FATAL(facts_take_model(f, m, "weir.yaml"), 0);
	model_destroy(m);
	/* What facts_read_interfaces() would have found. */
	strcpy(f->ports[0].bus, "0000:3b:00.0");
	strcpy(f->ports[1].device, "0000:af:00.0");
	f->ports[1].is_pci = true;
	facts_read_files(f, root);
}

static void cpus_nodes_and_memory_are_read(void)
{
	struct facts f;
	char list[64];
	machine_read(&f);
	CU_ASSERT_STRING_EQUAL(cpuset_print(&f.online, list, sizeof(list)), "0-7");
	CU_ASSERT_STRING_EQUAL(cpuset_print(&f.packet, list, sizeof(list)), "6,7");
	CU_ASSERT_EQUAL(f.cpus[7].core, 5);
	CU_ASSERT_EQUAL(f.cpus[2].core, 0);
	CU_ASSERT_EQUAL(f.cpus[3].node, 0);
	CU_ASSERT_EQUAL(f.cpus[4].node, 1);
	CU_ASSERT_STRING_EQUAL(f.cpus[5].governor, "powersave");
	CU_ASSERT(f.nodes[0].present && f.nodes[1].present && !f.nodes[2].present);
	CU_ASSERT_EQUAL(f.nodes[0].hugepages, FACTS_UNKNOWN);
	CU_ASSERT_EQUAL(f.nodes[1].hugepages, 300);
	CU_ASSERT_EQUAL(f.nodes[1].hugepages_free, 44);
	CU_ASSERT_EQUAL(f.nodes[1].memory_free, 4 << 20);
	CU_ASSERT_EQUAL(f.memory_available, 12 << 20);
	CU_ASSERT_EQUAL(f.has_hugepages, 1);
	CU_ASSERT_EQUAL(f.irqbalance, 1);
	facts_fini(&f);
}

static void the_kernel_and_its_clock_are_read(void)
{
	struct facts f;
	machine_read(&f);
	CU_ASSERT_STRING_EQUAL(f.release, "6.1.0-18-amd64");
	CU_ASSERT_EQUAL(f.af_xdp, 1);
	CU_ASSERT_EQUAL(f.btf, 1);
	CU_ASSERT_EQUAL(f.bpf_jit, 1);
	CU_ASSERT_EQUAL(f.ip_forward, 0);
	CU_ASSERT_STRING_EQUAL(f.clock, "hpet");
	CU_ASSERT(f.clock_has_tsc);
	CU_ASSERT_EQUAL(f.tsc_constant, 1);
	/* The one who asks may exceed its limit; the data plane may not. */
	CU_ASSERT_EQUAL(f.memlock_unlimited, 1);
	f.run.dataplane_pid = 77;
	facts_read_files(&f, root);
	CU_ASSERT_EQUAL(f.memlock_unlimited, 0);
	CU_ASSERT_EQUAL(f.memlock_bytes, 8 << 20);
	facts_fini(&f);
}

static void a_data_plane_without_its_daemon_is_found(void)
{
	struct facts f;
	char path[128], arguments[] = "/usr/sbin/weir-dataplane\0--cores\0001\0--instance\0blue";
	snprintf(path, sizeof(path), "%s/proc/99/cmdline", root);
	put("/proc/99/comm", "weir-dataplane\n");
	put("/proc/99/status", "CapEff: 0\nHugetlbPages:     4096 kB\n");
	put("/proc/99/cmdline", "");
	FILE *file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(arguments, sizeof(arguments), 1, file), 1);
	fclose(file);
	machine_read(&f);
	CU_ASSERT_EQUAL(f.run.dataplane_pid, 0);
	strcpy(f.run.instance, "blue");
	facts_read_files(&f, root);
	CU_ASSERT_EQUAL(f.run.dataplane_pid, 99);
	CU_ASSERT_EQUAL(f.run.dataplane_hugepages, 1);
	facts_fini(&f);
	put("/proc/99/comm", "other\n");
}

static void ports_are_read(void)
{
	struct facts f;
	char list[64];
	machine_read(&f);
	const struct facts_port *p = &f.ports[0];
	CU_ASSERT_EQUAL_FATAL(f.port_count, 2);
	CU_ASSERT_EQUAL(p->node, 1);
	CU_ASSERT_EQUAL(p->rp_filter, 2);
	CU_ASSERT_EQUAL(p->arp_ignore, 0);
	CU_ASSERT_EQUAL(p->disable_ipv6, 1);
	CU_ASSERT_EQUAL_FATAL(p->irq_count, 2);
	CU_ASSERT_EQUAL(p->irqs[0].number, 40);
	CU_ASSERT_STRING_EQUAL(cpuset_print(&p->irqs[0].cpus, list, sizeof(list)), "6");
	CU_ASSERT_EQUAL(p->irqs[1].number, 41);
	CU_ASSERT_STRING_EQUAL(cpuset_print(&p->irqs[1].cpus, list, sizeof(list)), "4,5");
	CU_ASSERT(f.ports[1].is_pci && f.ports[1].exists);
	CU_ASSERT_STRING_EQUAL(f.ports[1].driver, "");
	CU_ASSERT_EQUAL(f.ports[1].node, FACTS_UNKNOWN);
	facts_fini(&f);
}

static void the_configuration_is_taken(void)
{
	struct facts f;
	machine_read(&f);
	CU_ASSERT_EQUAL(f.wanted.hugepages, MODEL_HUGEPAGES_REQUIRED);
	CU_ASSERT_EQUAL(f.wanted.idle, MODEL_IDLE_SPIN);
	CU_ASSERT_EQUAL(f.wanted.memory_bytes, 1u << 30);
	CU_ASSERT(f.wanted.ipv6 && !f.wanted.cores_given);
	facts_fini(&f);
}

static void an_empty_machine_is_all_unknown(void)
{
	struct facts f;
	CU_ASSERT_EQUAL_FATAL(facts_init(&f), 0);
	facts_read_files(&f, "/nowhere");
	CU_ASSERT_EQUAL(CPU_COUNT(&f.online), 0);
	CU_ASSERT_EQUAL(f.bpf_jit, FACTS_UNKNOWN);
	CU_ASSERT_EQUAL(f.af_xdp, FACTS_UNKNOWN);
	CU_ASSERT_EQUAL(f.memory_available, FACTS_UNKNOWN);
	CU_ASSERT_EQUAL(f.irqbalance, FACTS_UNKNOWN);
	facts_fini(&f);
}

static void packet_cpus_are_chosen_as_the_data_plane_does(void)
{
	struct facts f;
	char list[64];
	put("/sys/devices/system/cpu/isolated", "\n");
	machine_read(&f);
	CU_ASSERT_STRING_EQUAL(cpuset_print(&f.packet, list, sizeof(list)), "1-7");
	facts_fini(&f);
	put("/sys/devices/system/cpu/online", "3\n");
	machine_read(&f);
	CU_ASSERT_STRING_EQUAL(cpuset_print(&f.packet, list, sizeof(list)), "3");
	facts_fini(&f);
	put_cpus();
}

static void lists_of_cpus_are_read_and_printed(void)
{
	static const struct {
		const char *text;
		const char *printed; /* NULL: refused */
	} lists[] = { { "", "" }, { "0", "0" }, { "0-3\n", "0-3" }, { "1,2,3,7", "1-3,7" },
		{ "5,6", "5,6" }, { "3-1", NULL }, { "x", NULL }, { "1-", NULL }, { "1 2", NULL },
		{ "1024", NULL }, { "1023", "1023" } };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		cpu_set_t set;
		char list[64];
		bool good = cpuset_parse(lists[i].text, &set);
		CU_ASSERT_EQUAL(good, lists[i].printed != NULL);
		if (good && lists[i].printed != NULL)
			CU_ASSERT_STRING_EQUAL(
				cpuset_print(&set, list, sizeof(list)), lists[i].printed);
	}
	cpu_set_t all = { 0 };
	char small[8];
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu += 3)
		CPU_SET(cpu, &all);
	CU_ASSERT(strlen(cpuset_print(&all, small, sizeof(small))) < sizeof(small));
}

static const struct tap_case cases[] = {
	{ "CPUs, nodes and memory are read", cpus_nodes_and_memory_are_read },
	{ "the kernel and its clock are read", the_kernel_and_its_clock_are_read },
	{ "a data plane without its daemon is found", a_data_plane_without_its_daemon_is_found },
	{ "ports are read", ports_are_read },
	{ "the configuration is taken", the_configuration_is_taken },
	{ "an empty machine is all unknown", an_empty_machine_is_all_unknown },
	{ "packet CPUs are chosen as the data plane does",
		packet_cpus_are_chosen_as_the_data_plane_does },
	{ "lists of CPUs are read and printed", lists_of_cpus_are_read_and_printed },
};

int main(void)
{
	char command[128];
	if (!tap_folder(root, sizeof(root)))
		return 1;
	put_cpus();
	put_kernel();
	put_devices();
	int status = tap_run("doctor facts", cases, sizeof(cases) / sizeof(cases[0]));
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command) != 0 ? 1 : status;
}
