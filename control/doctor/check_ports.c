/* SPDX-License-Identifier: BSD-3-Clause */

/* Ports: the device, how its packets come, and whether their way is short. */

#include "control/doctor/findings_private.h"

#include <stdio.h>
#include <string.h>

#define LIST_SIZE 256
#define MTU_MAX	  3200 /* what fits into a frame of an AF_XDP socket, see dataplane/port */
#define ARGUMENTS 1024
#define RP_STRICT 1

static void check_interface(const struct facts_port *p, struct findings *to)
{
	const char *device = p->device;
	if (p->up == 0) {
		find(to, FINDING_PROBLEM, "port", p->name, "interface %s is down", device);
		mend(to, "ip link set %s up", device);
	} else if (p->carrier == 0) {
		find(to, FINDING_PROBLEM, "port", p->name, "interface %s has no link", device);
		mend(to, "look at the cable and the switch; ethtool %s", device);
	} else {
		find(to, FINDING_OK, "port", p->name,
			"interface %s is up (driver %s, MTU %d, %d queue%s)", device,
			p->driver[0] != '\0' ? p->driver : "unknown", p->mtu,
			p->queues > 0 ? p->queues : 1, p->queues > 1 ? "s" : "");
	}
	if (p->mtu > MTU_MAX) {
		find(to, FINDING_PROBLEM, "port", p->name,
			"interface %s has an MTU of %d, AF_XDP takes %d at most", device, p->mtu,
			MTU_MAX);
		mend(to, "ip link set %s mtu 1500, on all ports and backends alike", device);
	}
}

static void check_xdp(const struct facts *f, const struct facts_port *p, struct findings *to)
{
	const char *device = p->device;
	bool runs = f->run.dataplane_pid != 0;
	if (p->xdp == FACTS_XDP_GENERIC && runs) {
		find(to, FINDING_WARNING, "af_xdp", p->name,
			"%s (driver %s) runs the XDP program in generic mode: the kernel makes an skb "
			"of each packet first",
			device, p->driver[0] != '\0' ? p->driver : "unknown");
		mend(to,
			"an interface whose driver has native XDP (such as ixgbe, i40e, ice, mlx5, "
			"virtio_net)");
	} else if (runs && p->xdp > FACTS_XDP_NONE) {
		find(to, FINDING_OK, "af_xdp", p->name, "%s (driver %s) runs the XDP program in %s",
			device, p->driver[0] != '\0' ? p->driver : "unknown",
			p->xdp == FACTS_XDP_HARDWARE ? "hardware" : "the driver");
	} else if (runs && p->xdp == FACTS_XDP_NONE) {
		find(to, FINDING_WARNING, "af_xdp", p->name,
			"no XDP program is attached to %s: its packets do not come to Weir",
			device);
		mend(to, "weirctl status tells why the port is not open");
	} else if (p->xdp > FACTS_XDP_NONE && f->run.error == 0) {
		find(to, FINDING_OK, "af_xdp", p->name,
			"the daemon holds the XDP program on %s for the next data plane", device);
	} else if (p->xdp > FACTS_XDP_NONE) {
		find(to, FINDING_PROBLEM, "af_xdp", p->name,
			"an XDP program of somebody else is attached to %s already", device);
		mend(to, "ip link set dev %s xdp off", device);
	}
}

static void check_offloads(const struct facts_port *p, struct findings *to)
{
	const char *device = p->device;
	if (p->lro == 1 || p->gro_hw == 1) {
		find(to, FINDING_WARNING, "offload", p->name,
			"%s merges received packets in hardware: what comes is larger than the MTU, and "
			"most drivers refuse XDP then",
			device);
		mend(to, "ethtool -K %s%s%s", device, p->lro == 1 ? " lro off" : "",
			p->gro_hw == 1 ? " rx-gro-hw off" : "");
	}
	if (p->gro == 1 && p->xdp == FACTS_XDP_GENERIC) {
		find(to, FINDING_WARNING, "offload", p->name,
			"%s merges received packets (GRO) before the XDP program in generic mode sees "
			"them",
			device);
		mend(to, "ethtool -K %s gro off", device);
	}
	if (p->vlan_strip == 1 && strcmp(p->driver, "veth") != 0) {
		find(to, FINDING_NOTE, "offload", p->name,
			"%s takes VLAN tags off before the XDP program sees the packet; that is wrong "
			"where the port itself carries tagged packets",
			device);
		mend(to, "ethtool -K %s rxvlan off, if it does", device);
	}
	if (strcmp(p->driver, "veth") == 0)
		find(to, FINDING_NOTE, "offload", p->name,
			"%s is a veth: its peer may leave checksums to hardware that is not there, and "
			"Weir completes them in software",
			device);
}

static void check_sysctls(const struct facts *f, const struct facts_port *p, struct findings *to)
{
	if (p->arp_ignore > 0) {
		find(to, FINDING_WARNING, "arp_ignore", p->name,
			"with arp_ignore=%d the kernel does not answer ARP on %s for service addresses, "
			"which are on lo: clients of the port's own network do not find them",
			p->arp_ignore, p->device);
		mend(to, "sysctl -w net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.%s.arp_ignore=0",
			p->device);
	}
	if (p->rp_filter == RP_STRICT && f->port_count > 1) {
		find(to, FINDING_NOTE, "rp_filter", p->name,
			"rp_filter is strict on %s: it does not touch services' packets, but the kernel "
			"drops answers to health checks that come in by another port than they left by",
			p->device);
		mend(to,
			"sysctl -w net.ipv4.conf.%s.rp_filter=2 net.ipv4.conf.all.rp_filter=2, if "
			"they do",
			p->device);
	}
	if (p->disable_ipv6 == 1 && f->wanted.ipv6) {
		find(to, FINDING_PROBLEM, "ipv6", p->name,
			"a service or backend is IPv6, and the kernel has it switched off on %s",
			p->device);
		mend(to, "sysctl -w net.ipv6.conf.%s.disable_ipv6=0", p->device);
	}
}

bool port_driver_is_good(const struct facts_port *p)
{
	static const char *const good[] = { "vfio-pci", "mlx5_core", "mlx4_core", "uio_pci_generic",
		"igb_uio" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (strcmp(p->driver, good[i]) == 0)
			return true;
	}
	return false;
}

static void check_pci(const struct facts_port *p, struct findings *to)
{
	if (port_driver_is_good(p)) {
		find(to, FINDING_OK, "driver", p->name, "%s is bound to %s", p->device, p->driver);
		return;
	}
	find(to, FINDING_PROBLEM, "driver", p->name,
		"%s is bound to %s: DPDK cannot drive it from user space", p->device,
		p->driver[0] != '\0' ? p->driver : "no driver");
	mend(to, "modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci %s", p->device);
}

static void check_node(const struct facts *f, const struct facts_port *p, struct findings *to)
{
	cpu_set_t of_node, near, proposal;
	char list[LIST_SIZE], wanted[LIST_SIZE];
	if (p->node < 0)
		return;
	cpuset_of_node(f, p->node, &of_node);
	CPU_AND(&near, &of_node, &f->packet);
	if (CPU_COUNT(&near) > 0 || CPU_COUNT(&of_node) == 0) {
		find(to, FINDING_OK, "numa", p->name, "on node %d, as packet CPU %s", p->node,
			cpuset_print(&near, list, sizeof(list)));
		return;
	}
	find(to, FINDING_WARNING, "numa", p->name,
		"the port is on node %d, and packet CPUs %s on another: each packet crosses between "
		"them",
		p->node, cpuset_print(&f->packet, list, sizeof(list)));
	cpuset_propose(f, p->node, CPU_COUNT(&f->packet), &proposal);
	mend(to, "dataplane: {cores: [%s]}", cpuset_print(&proposal, wanted, sizeof(wanted)));
}

void check_irqs(const struct facts *f, const struct facts_port *p, struct findings *to)
{
	cpu_set_t on_packet, elsewhere, landing;
	char list[LIST_SIZE], target[LIST_SIZE], numbers[ARGUMENTS] = "";
	size_t used = 0, count = 0;
	CPU_ZERO(&landing);
	for (size_t i = 0; i < p->irq_count; i++) {
		CPU_AND(&on_packet, &p->irqs[i].cpus, &f->packet);
		if (CPU_COUNT(&on_packet) == 0)
			continue;
		CPU_OR(&landing, &landing, &on_packet);
		count++;
		if (used < sizeof(numbers))
			used += (size_t)snprintf(numbers + used, sizeof(numbers) - used, "%s%u",
				used > 0 ? " " : "", p->irqs[i].number);
	}
	if (p->irq_count > 0 && count == 0)
		find(to, FINDING_OK, "interrupts", p->name,
			"the %zu of %s arrive at other CPUs than packets have", p->irq_count,
			p->device);
	if (count == 0)
		return;
	cpuset_of_node(f, p->node, &elsewhere);
	cpuset_without(&elsewhere, &elsewhere, &f->packet);
	if (CPU_COUNT(&elsewhere) == 0) {
		cpuset_of_node(f, FACTS_UNKNOWN, &elsewhere);
		cpuset_without(&elsewhere, &elsewhere, &f->packet);
	}
	bool avoidable = CPU_COUNT(&elsewhere) > 0;
	find(to, avoidable ? FINDING_WARNING : FINDING_NOTE, "interrupts", p->name,
		"%zu of %s may arrive at packet CPU %s: kernel and data plane take turns there",
		count, p->device, cpuset_print(&landing, list, sizeof(list)));
	if (avoidable)
		mend(to, "for i in %s; do echo %s > /proc/irq/$i/smp_affinity_list; done", numbers,
			cpuset_print(&elsewhere, target, sizeof(target)));
}

static void check_irqbalance(const struct facts *f, struct findings *to)
{
	cpu_set_t exposed;
	char list[LIST_SIZE];
	cpuset_without(&exposed, &f->packet, &f->isolated);
	if (f->irqbalance != 1 || CPU_COUNT(&exposed) == 0)
		return;
	cpuset_print(&exposed, list, sizeof(list));
	find(to, FINDING_NOTE, "interrupts", NULL,
		"irqbalance runs, and may move interrupts to packet CPU %s", list);
	mend(to,
		"echo IRQBALANCE_BANNED_CPULIST=%s >> /etc/default/irqbalance; systemctl restart "
		"irqbalance",
		list);
}

static void check_port(const struct facts *f, const struct facts_port *p, struct findings *to)
{
	if (!p->exists) {
		find(to, FINDING_PROBLEM, "port", p->name,
			p->is_pci ? "there is no PCI device %s" : "there is no interface %s",
			p->device);
		mend(to,
			p->is_pci ? "lspci -D shows those that there are" :
				    "ip link shows those that there are");
		return;
	}
	if (p->is_pci) {
		check_pci(p, to);
	} else {
		check_interface(p, to);
		check_xdp(f, p, to);
		check_offloads(p, to);
		check_sysctls(f, p, to);
		check_irqs(f, p, to);
	}
	check_node(f, p, to);
}

void check_ports(const struct facts *f, struct findings *to)
{
	for (size_t i = 0; i < f->port_count; i++)
		check_port(f, &f->ports[i], to);
	check_irqbalance(f, to);
	if (f->port_count == 0) {
		find(to, FINDING_NOTE, "ports", NULL,
			"no configuration is known, so no port was looked at");
		mend(to, "weirctl doctor FILE");
	}
}
