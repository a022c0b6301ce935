/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/doctor/facts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool number_parse(const char **at, unsigned long *ret_value)
{
	char *end;
	if (!isdigit((unsigned char)**at))
		return false;
	*ret_value = strtoul(*at, &end, 10);
	*at = end;
	return *ret_value < CPU_SETSIZE;
}

bool cpuset_parse(const char *text, cpu_set_t *ret_set)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	while (*text != '\0' && *text != '\n') {
		unsigned long first, last;
		if (!number_parse(&text, &first))
			return false;
		last = first;
		if (*text == '-') {
			text++;
			if (!number_parse(&text, &last) || last < first)
				return false;
		}
		for (unsigned long cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, &set);
		if (*text == ',')
			text++;
		else if (*text != '\0' && *text != '\n')
			return false;
	}
	*ret_set = set;
	return true;
}

const char *cpuset_print(const cpu_set_t *set, char *buf, size_t size)
{
	size_t used = 0;
	buf[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE && used < size; cpu++) {
		if (!CPU_ISSET(cpu, set))
			continue;
		int last = cpu;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		used += (size_t)snprintf(buf + used, size - used,
			last > cpu + 1	   ? "%s%d-%d" :
				last > cpu ? "%s%d,%d" :
					     "%s%d",
			used > 0 ? "," : "", cpu, last);
		cpu = last;
	}
	return buf;
}

static void port_init(struct facts_port *p)
{
	*p = (struct facts_port){
		.node = FACTS_UNKNOWN,
		.up = FACTS_UNKNOWN,
		.carrier = FACTS_UNKNOWN,
		.mtu = FACTS_UNKNOWN,
		.queues = FACTS_UNKNOWN,
		.xdp = FACTS_XDP_UNKNOWN,
		.lro = FACTS_UNKNOWN,
		.gro = FACTS_UNKNOWN,
		.gro_hw = FACTS_UNKNOWN,
		.vlan_strip = FACTS_UNKNOWN,
		.rp_filter = FACTS_UNKNOWN,
		.arp_ignore = FACTS_UNKNOWN,
		.disable_ipv6 = FACTS_UNKNOWN,
	};
}

int facts_init(struct facts *f)
{
	*f = (struct facts){
		.irqbalance = FACTS_UNKNOWN,
		.grub = FACTS_UNKNOWN,
		.has_hugepages = FACTS_UNKNOWN,
		.memory_available = FACTS_UNKNOWN,
		.af_xdp = FACTS_UNKNOWN,
		.btf = FACTS_UNKNOWN,
		.bpf_jit = FACTS_UNKNOWN,
		.verifier = FACTS_UNKNOWN,
		.memlock_unlimited = FACTS_UNKNOWN,
		.memlock_bytes = FACTS_UNKNOWN,
		.ip_forward = FACTS_UNKNOWN,
		.loopback_up = FACTS_UNKNOWN,
		.tsc_constant = FACTS_UNKNOWN,
		.run = { .instance = "default", .dataplane_hugepages = FACTS_UNKNOWN },
	};
	for (int i = 0; i < FACTS_NODES; i++)
		f->nodes[i] =
			(struct facts_node){ false, FACTS_UNKNOWN, FACTS_UNKNOWN, FACTS_UNKNOWN };
	f->cpus = calloc(CPU_SETSIZE, sizeof(*f->cpus));
	if (f->cpus == NULL)
		return -ENOMEM;
	for (int i = 0; i < CPU_SETSIZE; i++)
		f->cpus[i] = (struct facts_cpu){ .node = FACTS_UNKNOWN, .core = i };
	return 0;
}

void facts_fini(struct facts *f)
{
	for (size_t i = 0; i < f->port_count; i++)
		free(f->ports[i].irqs);
	free(f->ports);
	free(f->cpus);
}

static bool wants_ipv6(const struct model *m)
{
	for (size_t i = 0; i < m->service_count; i++) {
		if (m->services[i].ipv6)
			return true;
		for (size_t j = 0; j < model_backend_total(&m->services[i]); j++)
			if (!address_is_ipv4(&model_backend_at(&m->services[i], j)->address))
				return true;
	}
	return false;
}

int facts_take_model(struct facts *f, const struct model *m, const char *source)
{
	struct facts_port *ports = calloc(m->port_count + 1, sizeof(*ports));
	if (ports == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < m->port_count; i++) {
		port_init(&ports[i]);
		memcpy(ports[i].name, m->ports[i].name, sizeof(ports[i].name));
		snprintf(ports[i].device, sizeof(ports[i].device), "%s", m->ports[i].device);
		ports[i].is_pci = m->ports[i].kind == MODEL_DEVICE_PCI;
	}
	f->ports = ports;
	f->port_count = m->port_count;
	f->wanted.known = true;
	snprintf(f->wanted.source, sizeof(f->wanted.source), "%s", source);
	f->wanted.cores_given = m->dataplane.core_count > 0;
	f->wanted.idle = m->dataplane.idle;
	f->wanted.hugepages = m->dataplane.hugepages;
	f->wanted.memory_bytes = m->dataplane.memory_bytes;
	f->wanted.ipv6 = wants_ipv6(m);
	for (size_t i = 0; i < m->dataplane.core_count; i++)
		if (m->dataplane.cores[i] < CPU_SETSIZE)
			CPU_SET(m->dataplane.cores[i], &f->packet);
	return 0;
}

void facts_take_cores(struct facts *f, const char *list)
{
	cpu_set_t set;
	if (cpuset_parse(list, &set) && CPU_COUNT(&set) > 0)
		f->packet = set;
}
