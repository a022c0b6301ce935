/* SPDX-License-Identifier: BSD-3-Clause */

#include "tests/unit/doctor/machine.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>

/* The first finding of a check that is at least a note, or NULL. */
static const struct finding *found(const struct findings *l, const char *check)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].level > FINDING_OK && strcmp(l->items[i].check, check) == 0)
			return &l->items[i];
	return NULL;
}

/*
 * Judge f and give it up: the check says `level`, with `text` in what it says and `mend` in how to mend it,
 * and no other check says anything as bad.
 */
static void expect(struct facts *f, const char *check, enum finding_level level, const char *text,
	const char *mend)
{
	struct findings l = { 0 };
	doctor_check(f, &l);
	const struct finding *item = found(&l, check);
	bool good = item != NULL && item->level == level && strstr(item->text, text) != NULL &&
		(mend == NULL ? item->mend == NULL :
				item->mend != NULL && strstr(item->mend, mend) != NULL);
	CU_ASSERT(good);
	if (!good)
		printf("# %s: %s -> %s\n", check, item != NULL ? item->text : "nothing",
			item != NULL && item->mend != NULL ? item->mend : "nothing");
	for (size_t i = 0; i < l.count; i++)
		if (strcmp(l.items[i].check, check) != 0 && l.items[i].level > FINDING_NOTE) {
			CU_FAIL("another check complains, too");
			printf("# %s: %s\n", l.items[i].check, l.items[i].text);
		}
	findings_fini(&l);
	facts_fini(f);
}

static void a_good_server_has_nothing_to_mend(void)
{
	struct facts f;
	struct findings l = { 0 };
	machine_init(&f);
	doctor_check(&f, &l);
	CU_ASSERT_EQUAL(l.levels[FINDING_OK], l.count);
	CU_ASSERT(l.count > 12);
	for (size_t i = 0; i < l.count; i++) {
		CU_ASSERT_PTR_NULL(l.items[i].mend);
		if (l.items[i].level != FINDING_OK)
			printf("# %s: %s\n", l.items[i].check, l.items[i].text);
	}
	findings_fini(&l);
	facts_fini(&f);
}

static void what_is_unknown_is_not_judged(void)
{
	struct facts f;
	struct findings l = { 0 };
	CU_ASSERT_EQUAL_FATAL(facts_init(&f), 0);
	f.run.error = -ENOENT;
	doctor_check(&f, &l);
	CU_ASSERT_EQUAL(l.levels[FINDING_PROBLEM], 0);
	CU_ASSERT_EQUAL(l.levels[FINDING_WARNING], 0);
	CU_ASSERT_PTR_NOT_NULL(found(&l, "ports"));
	findings_fini(&l);
	facts_fini(&f);
}

static void packets_that_cross_nodes_are_a_warning(void)
{
	struct facts f;
	machine_init(&f);
	f.ports[0].node = 0;
	add_irq(&f.ports[0], 42, "0");
	expect(&f, "numa", FINDING_WARNING, "on node 0, and packet CPUs 5-7", "cores: [1-3]");
}

static void interrupts_on_packet_cpus_are_a_warning(void)
{
	struct facts f;
	machine_init(&f);
	add_irq(&f.ports[0], 42, "0-7");
	add_irq(&f.ports[0], 43, "6");
	expect(&f, "interrupts", FINDING_WARNING, "2 of eth1 may arrive at packet CPU 5-7",
		"for i in 42 43; do echo 4 > /proc/irq/$i/smp_affinity_list");
}

static void interrupts_go_elsewhere_when_the_node_is_full(void)
{
	struct facts f;
	machine_init(&f);
	f.packet = f.isolated = cpus_of("4-7");
	expect(&f, "interrupts", FINDING_WARNING, "packet CPU 4", "echo 0-3 >");
}

static void irqbalance_is_noted_where_it_may_do_harm(void)
{
	struct facts f;
	machine_init(&f);
	f.irqbalance = 1;
	f.isolated = cpus_of("5");
	f.wanted.idle = MODEL_IDLE_SLEEP;
	expect(&f, "interrupts", FINDING_NOTE, "packet CPU 6,7", "IRQBALANCE_BANNED_CPULIST=6,7");
}

static void cpus_that_are_not_there_are_a_problem(void)
{
	struct facts f;
	machine_init(&f);
	f.packet = cpus_of("6-9");
	expect(&f, "cpus", FINDING_PROBLEM, "CPUs 8,9 are not there", "from among 0-7");
}

static void one_cpu_for_all_is_a_warning(void)
{
	struct facts f;
	machine_init(&f);
	f.packet = f.isolated = cpus_of("5");
	expect(&f, "cpus", FINDING_WARNING, "receives packets and works on them", "cores: [1-7]");
}

static void no_cpu_for_the_rest_is_a_warning(void)
{
	struct facts f;
	machine_init(&f);
	f.packet = f.isolated = cpus_of("0-7");
	f.ports[0].irq_count = 0;
	expect(&f, "cpus", FINDING_WARNING, "every CPU is a packet CPU", "without CPU 0");
}

static void isolation_matters_more_when_workers_spin(void)
{
	struct facts f;
	machine_init(&f);
	CPU_ZERO(&f.isolated);
	expect(&f, "isolation", FINDING_NOTE, "packet CPU 5-7", "isolcpus=managed_irq,domain,5-7");
	machine_init(&f);
	CPU_ZERO(&f.isolated);
	f.wanted.idle = MODEL_IDLE_SPIN;
	expect(&f, "isolation", FINDING_WARNING, "packet CPU 5-7", "nohz_full=5-7");
	machine_init(&f);
	f.isolated = cpus_of("3,5-7");
	expect(&f, "isolation", FINDING_NOTE, "CPU 3 is isolated", "dataplane: {cores");
}

static void siblings_are_told_apart(void)
{
	struct facts f;
	/* 8 CPUs of 4 physical cores: 1 and 5 are one. */
	machine_init(&f);
	for (int cpu = 4; cpu < 8; cpu++) {
		f.cpus[cpu].core = cpu - 4;
		f.cpus[cpu - 4].node = f.cpus[cpu].node = 0;
	}
	f.ports[0].node = 0;
	f.packet = f.isolated = cpus_of("1,5,3,7");
	f.ports[0].irq_count = 0;
	expect(&f, "siblings", FINDING_WARNING, "1,3,5,7 share physical cores", "cores: [1-3]");
	machine_init(&f);
	f.cpus[4].core = 4;
	f.cpus[5].core = 4;
	expect(&f, "siblings", FINDING_NOTE, "packet CPU 5 shares", "smt/control");
}

static void saving_power_is_a_warning(void)
{
	struct facts f;
	machine_init(&f);
	strcpy(f.cpus[6].governor, "powersave");
	strcpy(f.cpus[1].governor, "powersave");
	expect(&f, "frequency", FINDING_WARNING, "packet CPU 6 slows down", "cpupower -c 6 ");
}

static void hugepages_are_asked_for_where_packets_are(void)
{
	struct facts f;
	machine_init(&f);
	f.run.dataplane_hugepages = 0;
	expect(&f, "hugepages", FINDING_WARNING, "runs without", "vm.nr_hugepages=576");
	machine_init(&f);
	machine_stop(&f);
	f.nodes[0] = (struct facts_node){ true, 0, 0, 0 };
	f.nodes[1] = (struct facts_node){ true, 100, 20, 8ll << 30 };
	expect(&f, "hugepages", FINDING_NOTE, "20 of 2 MiB are free, 512 are wanted",
		"echo 592 > /sys/devices/system/node/node1/");
	machine_init(&f);
	machine_stop(&f);
	f.nodes[1] = (struct facts_node){ true, 0, 0, 100 << 20 };
	expect(&f, "hugepages", FINDING_WARNING, "too little memory", "smaller");
	machine_init(&f);
	machine_stop(&f);
	f.wanted.hugepages = MODEL_HUGEPAGES_REQUIRED;
	f.nodes[1] = (struct facts_node){ true, 0, 0, 100 << 20 };
	expect(&f, "hugepages", FINDING_PROBLEM, "too little memory", "smaller");
	machine_init(&f);
	f.wanted.hugepages = MODEL_HUGEPAGES_NONE;
	expect(&f, "hugepages", FINDING_NOTE, "weir.yaml says hugepages: none", "auto");
	machine_init(&f);
	f.has_hugepages = 0;
	expect(&f, "hugepages", FINDING_WARNING, "none of 2 MiB", "CONFIG_HUGETLBFS");
}

static void packet_cpus_of_two_nodes_share_the_pages(void)
{
	struct facts f;
	struct findings l = { 0 };
	machine_init(&f);
	machine_stop(&f);
	f.packet = cpus_of("3,4");
	f.nodes[0].hugepages_free = 255;
	doctor_check(&f, &l);
	const struct finding *item = found(&l, "hugepages");
	CU_ASSERT_PTR_NOT_NULL_FATAL(item);
	CU_ASSERT_STRING_EQUAL(item->object, "node 0");
	CU_ASSERT_PTR_NOT_NULL(strstr(item->text, "255 of 2 MiB are free, 256 are wanted"));
	findings_fini(&l);
	facts_fini(&f);
}

static void too_little_memory_is_a_problem_where_it_was_asked_for(void)
{
	struct facts f;
	machine_init(&f);
	machine_stop(&f);
	f.wanted.memory_bytes = 64ull << 30;
	f.nodes[1].hugepages_free = 40000;
	f.nodes[0].hugepages_free = 0;
	f.memory_available = 0;
	/* 40000 pages are more than 64 GiB: enough. */
	struct findings l = { 0 };
	doctor_check(&f, &l);
	CU_ASSERT_PTR_NULL(found(&l, "memory"));
	findings_fini(&l);
	f.memory_available = 1ll << 30;
	f.wanted.memory_bytes = 128ull << 30;
	f.nodes[1] = (struct facts_node){ true, 65536, 65536, 0 };
	f.nodes[1].hugepages_free = 60000;
	f.wanted.hugepages = MODEL_HUGEPAGES_NONE;
	expect(&f, "memory", FINDING_PROBLEM, "want 131072 MiB, 121024 MiB", "memory: 60512M");
}

static void ports_that_cannot_work_are_problems(void)
{
	struct facts f;
	machine_init(&f);
	f.ports[0].exists = false;
	expect(&f, "port", FINDING_PROBLEM, "no interface eth1", "ip link");
	machine_init(&f);
	f.ports[0].up = 0;
	expect(&f, "port", FINDING_PROBLEM, "eth1 is down", "ip link set eth1 up");
	machine_init(&f);
	f.ports[0].carrier = 0;
	expect(&f, "port", FINDING_PROBLEM, "no link", "ethtool eth1");
	machine_init(&f);
	f.ports[0].mtu = 9000;
	expect(&f, "port", FINDING_PROBLEM, "MTU of 9000", "mtu 1500");
	machine_init(&f);
	f.ports[0].disable_ipv6 = 1;
	f.wanted.ipv6 = true;
	expect(&f, "ipv6", FINDING_PROBLEM, "switched off on eth1", "disable_ipv6=0");
}

static void the_way_of_packets_is_judged(void)
{
	struct facts f;
	machine_init(&f);
	f.ports[0].xdp = FACTS_XDP_GENERIC;
	f.ports[0].gro = 0;
	expect(&f, "af_xdp", FINDING_WARNING, "generic mode", "native XDP");
	machine_init(&f);
	f.ports[0].xdp = FACTS_XDP_NONE;
	expect(&f, "af_xdp", FINDING_WARNING, "no XDP program", "weirctl status");
	machine_init(&f);
	machine_stop(&f);
	f.ports[0].xdp = FACTS_XDP_NATIVE;
	expect(&f, "af_xdp", FINDING_PROBLEM, "somebody else", "xdp off");
	/* Not somebody else's: the daemon holds it while there is no data plane. */
	struct findings l = { 0 };
	machine_init(&f);
	f.run.dataplane_pid = 0;
	doctor_check(&f, &l);
	CU_ASSERT_PTR_NULL(found(&l, "af_xdp"));
	findings_fini(&l);
	facts_fini(&f);
	machine_init(&f);
	f.ports[0].lro = 1;
	expect(&f, "offload", FINDING_WARNING, "merges", "ethtool -K eth1 lro off");
	machine_init(&f);
	f.ports[0].vlan_strip = 1;
	expect(&f, "offload", FINDING_NOTE, "VLAN", "rxvlan off");
	machine_init(&f);
	strcpy(f.ports[0].driver, "veth");
	expect(&f, "offload", FINDING_NOTE, "checksums", NULL);
	machine_init(&f);
	f.ports[0].arp_ignore = 1;
	expect(&f, "arp_ignore", FINDING_WARNING, "arp_ignore=1", "arp_ignore=0");
}

static void pci_ports_need_a_driver_of_dpdk(void)
{
	struct facts f;
	machine_init(&f);
	f.ports[0].is_pci = true;
	strcpy(f.ports[0].device, "0000:3b:00.0");
	expect(&f, "driver", FINDING_PROBLEM, "bound to ixgbe", "--bind=vfio-pci 0000:3b:00.0");
	struct findings l = { 0 };
	machine_init(&f);
	f.ports[0].is_pci = true;
	strcpy(f.ports[0].driver, "vfio-pci");
	f.af_xdp = 0;
	doctor_check(&f, &l);
	CU_ASSERT_PTR_NULL(found(&l, "driver"));
	CU_ASSERT_PTR_NULL(found(&l, "af_xdp"));
	findings_fini(&l);
	facts_fini(&f);
}

static void strict_rp_filter_is_noted_with_several_ports(void)
{
	struct facts f;
	machine_init(&f);
	f.ports = realloc(f.ports, 2 * sizeof(*f.ports));
	f.ports[1] = f.ports[0];
	f.ports[1].irqs = NULL;
	f.ports[1].irq_count = 0;
	f.port_count = 2;
	strcpy(f.ports[1].name, "back");
	f.ports[1].rp_filter = 1;
	expect(&f, "rp_filter", FINDING_NOTE, "strict", "rp_filter=2");
}

static void the_kernel_is_judged(void)
{
	struct facts f;
	machine_init(&f);
	strcpy(f.release, "5.4.0");
	expect(&f, "kernel", FINDING_PROBLEM, "too old", "newer kernel");
	machine_init(&f);
	f.af_xdp = 0;
	expect(&f, "af_xdp", FINDING_PROBLEM, "no AF_XDP", "CONFIG_XDP_SOCKETS");
	machine_init(&f);
	f.bpf_jit = 0;
	expect(&f, "bpf_jit", FINDING_WARNING, "interprets", "bpf_jit_enable=1");
	machine_init(&f);
	f.verifier = 0;
	expect(&f, "verifier", FINDING_NOTE, "may not", "CAP_BPF");
	machine_init(&f);
	strcpy(f.verifier_faults, "atomic exchange");
	expect(&f, "verifier", FINDING_NOTE, "atomic exchange", "newer kernel");
	machine_init(&f);
	f.btf = 0;
	expect(&f, "btf", FINDING_NOTE, "BTF", "CONFIG_DEBUG_INFO_BTF");
	machine_init(&f);
	machine_stop(&f);
	f.memlock_unlimited = 0;
	f.memlock_bytes = 8 << 20;
	expect(&f, "memlock", FINDING_WARNING, "8192 KiB", "LimitMEMLOCK");
	machine_init(&f);
	f.loopback_up = 0;
	expect(&f, "loopback", FINDING_PROBLEM, "lo is down", "ip link set lo up");
	machine_init(&f);
	f.ip_forward = 1;
	expect(&f, "ip_forward", FINDING_NOTE, "does not need it", NULL);
	machine_init(&f);
	strcpy(f.clock, "hpet");
	expect(&f, "clock", FINDING_WARNING, "hpet", "echo tsc >");
	machine_init(&f);
	strcpy(f.clock, "acpi_pm");
	f.clock_has_tsc = false;
	expect(&f, "clock", FINDING_WARNING, "acpi_pm", "dmesg");
	machine_init(&f);
	f.tsc_constant = 0;
	expect(&f, "tsc", FINDING_WARNING, "changes its pace", NULL);
}

static void the_daemon_and_its_folder_are_judged(void)
{
	struct facts f;
	machine_init(&f);
	strcpy(f.run.dataplane_state, "starting");
	expect(&f, "daemon", FINDING_PROBLEM, "data plane is starting", "weirctl status");
	machine_init(&f);
	f.run.warnings = 2;
	expect(&f, "daemon", FINDING_NOTE, "2 warnings", "weirctl status");
	machine_init(&f);
	machine_stop(&f);
	strcpy(f.run.instance, "blue");
	expect(&f, "daemon", FINDING_NOTE, "no weir-controld listens", "--instance blue");
	machine_init(&f);
	machine_stop(&f);
	f.run.error = -ECONNREFUSED;
	expect(&f, "daemon", FINDING_NOTE, "any more", "weir-controld --config");
	machine_init(&f);
	machine_stop(&f);
	f.run.error = -EACCES;
	expect(&f, "daemon", FINDING_WARNING, "may not ask", "group");
	machine_init(&f);
	machine_stop(&f);
	f.run.error = -ETIMEDOUT;
	expect(&f, "daemon", FINDING_PROBLEM, "does not answer", "restart it");
	machine_init(&f);
	f.run.folder_mode = 01777;
	expect(&f, "run directory", FINDING_WARNING, "mode 1777", "chmod 755 /run/weir/default");
	machine_init(&f);
	f.run.folder_uid = 1000;
	expect(&f, "run directory", FINDING_NOTE, "user 1000", NULL);
	machine_init(&f);
	f.run.socket_mode = 0666;
	expect(&f, "control socket", FINDING_WARNING, "mode 0666", "chmod 660");
	machine_init(&f);
	f.run.read_only_exists = true;
	f.run.read_only_mode = 0666;
	expect(&f, "read-only socket", FINDING_WARNING, "clients' addresses", "chmod 660");
}

static const struct tap_case cases[] = {
	{ "a good server has nothing to mend", a_good_server_has_nothing_to_mend },
	{ "what is unknown is not judged", what_is_unknown_is_not_judged },
	{ "packets that cross nodes are a warning", packets_that_cross_nodes_are_a_warning },
	{ "interrupts on packet CPUs are a warning", interrupts_on_packet_cpus_are_a_warning },
	{ "interrupts go elsewhere when the node is full",
		interrupts_go_elsewhere_when_the_node_is_full },
	{ "irqbalance is noted where it may do harm", irqbalance_is_noted_where_it_may_do_harm },
	{ "CPUs that are not there are a problem", cpus_that_are_not_there_are_a_problem },
	{ "one CPU for all is a warning", one_cpu_for_all_is_a_warning },
	{ "no CPU for the rest is a warning", no_cpu_for_the_rest_is_a_warning },
	{ "isolation matters more when workers spin", isolation_matters_more_when_workers_spin },
	{ "siblings are told apart", siblings_are_told_apart },
	{ "saving power is a warning", saving_power_is_a_warning },
	{ "hugepages are asked for where packets are", hugepages_are_asked_for_where_packets_are },
	{ "packet CPUs of two nodes share the pages", packet_cpus_of_two_nodes_share_the_pages },
	{ "too little memory is a problem where it was asked for",
		too_little_memory_is_a_problem_where_it_was_asked_for },
	{ "ports that cannot work are problems", ports_that_cannot_work_are_problems },
	{ "the way of packets is judged", the_way_of_packets_is_judged },
	{ "PCI ports need a driver of DPDK", pci_ports_need_a_driver_of_dpdk },
	{ "strict rp_filter is noted with several ports",
		strict_rp_filter_is_noted_with_several_ports },
	{ "the kernel is judged", the_kernel_is_judged },
	{ "the daemon and its folder are judged", the_daemon_and_its_folder_are_judged },
};

TAP_MAIN("doctor checks", cases)
