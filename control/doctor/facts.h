/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What is known of a machine, as far as it matters to Weir: plain data that the checks judge. It is read
 * from a running machine here and nowhere else (facts_files.c, facts_interfaces.c); tests make it up.
 * Whatever could not be read has a value that says so.
 */

#ifndef WEIR_DOCTOR_FACTS_H
#define WEIR_DOCTOR_FACTS_H

#include "control/config/model.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FACTS_NODES   8
#define FACTS_UNKNOWN (-1) /* of every signed number here */

struct facts_cpu {
	int node;
	int core; /* the lowest CPU of the same physical core: CPUs that share one have the same */
	char governor[24]; /* "": no frequency scaling, or not ours to see */
};

struct facts_node {
	bool present;
	long hugepages; /* of 2 MiB */
	long hugepages_free;
	long long memory_free; /* bytes */
};

/* An interrupt of a port's device, and where it may arrive. */
struct facts_irq {
	unsigned int number;
	cpu_set_t cpus;
};

enum facts_xdp {
	FACTS_XDP_UNKNOWN = FACTS_UNKNOWN,
	FACTS_XDP_NONE,
	FACTS_XDP_NATIVE,
	FACTS_XDP_GENERIC,
	FACTS_XDP_HARDWARE,
};

struct facts_port {
	char name[MODEL_NAME_MAX + 1];
	char device[64];
	bool is_pci;
	bool exists;
	char driver[32]; /* "": unknown */
	char bus[64]; /* address of the device on its bus; "" where it has none */
	int node;
	/* Of kernel interfaces. */
	int up; /* 0, 1 */
	int carrier; /* 0, 1 */
	int mtu;
	int queues;
	enum facts_xdp xdp; /* of the program that is attached */
	int lro; /* offloads: 0, 1 */
	int gro;
	int gro_hw;
	int vlan_strip;
	int rp_filter; /* sysctls, the stronger of that of the interface and that of all */
	int arp_ignore;
	int disable_ipv6;
	struct facts_irq *irqs; /* owned */
	size_t irq_count;
};

/* What the operator wants, or what runs. */
struct facts_wanted {
	bool known; /* there is a configuration */
	char source[128]; /* the file's name, or "the running configuration" */
	bool cores_given;
	enum model_idle idle;
	enum model_hugepages hugepages;
	uint64_t memory_bytes;
	bool ipv6; /* a service or a backend has an IPv6 address */
};

struct facts_run {
	char instance[MODEL_NAME_MAX + 1];
	char path[256]; /* the instance's folder */
	bool folder_exists;
	mode_t folder_mode;
	uid_t folder_uid;
	char socket[256];
	bool socket_exists;
	mode_t socket_mode;
	char read_only_socket[300]; /* "": none is known */
	bool read_only_exists;
	mode_t read_only_mode;
	bool read_only; /* the daemon answered there, and not on the other */
	int error; /* of asking the daemon: 0, or a negative errno */
	pid_t daemon_pid;
	char dataplane_state[32]; /* "running"; "" when the daemon did not tell */
	pid_t dataplane_pid; /* 0: none runs */
	int dataplane_hugepages; /* 0, 1: uses them */
	size_t warnings; /* that `status` has */
};

struct facts {
	struct facts_wanted wanted;
	struct facts_run run;

	/* CPUs */
	cpu_set_t online;
	cpu_set_t isolated;
	cpu_set_t allowed; /* to the process that asks */
	cpu_set_t packet; /* those that Weir uses, or would use */
	struct facts_cpu *cpus; /* CPU_SETSIZE of them; owned */
	int irqbalance; /* 0, 1: runs */
	int grub; /* 0, 1: the machine is started by it, with settings in /etc/default */

	/* memory */
	struct facts_node nodes[FACTS_NODES];
	int has_hugepages; /* 0, 1: the kernel knows pages of 2 MiB */
	long long memory_available; /* bytes */

	/* kernel */
	char release[64];
	int af_xdp; /* 0, 1 */
	int btf; /* 0, 1 */
	int bpf_jit; /* 0, 1, 2 */
	int verifier; /* 0, 1: the kernel may be asked to verify policies */
	char verifier_faults[192]; /* known ones that this kernel has; "": none, or unknown */
	int memlock_unlimited; /* 0, 1: of the data plane, or of who asks */
	long long memlock_bytes;
	int ip_forward; /* 0, 1 */
	int loopback_up; /* 0, 1 */
	char clock[32];
	bool clock_has_tsc; /* among those that could be chosen */
	int tsc_constant; /* 0, 1; unknown where the CPU has none */

	struct facts_port *ports; /* owned */
	size_t port_count;
};

/* Everything unknown. Returns 0 or -ENOMEM. */
int facts_init(struct facts *f);
void facts_fini(struct facts *f);

/* Take what a configuration wants; source says where it comes from. Returns 0 or -ENOMEM. */
int facts_take_model(struct facts *f, const struct model *m, const char *source);
/* Packet CPUs by name ("1,2-3"), as a running data plane tells them. */
void facts_take_cores(struct facts *f, const char *list);

/*
 * Ask the kernel about the interfaces of f->ports, and about lo. Before facts_read_files(), which needs
 * to know where on the bus they are.
 */
void facts_read_interfaces(struct facts *f);
/* Read the files below root ("" for this machine), and choose the packet CPUs if nobody has. */
void facts_read_files(struct facts *f, const char *root);
/* Try out known faults of the kernel's verifier. */
void facts_read_verifier(struct facts *f);
/* The instance's folder and socket. */
void facts_read_run(struct facts *f);

/* "1,2-3" to a set; false when it is no such list. "" is an empty set. */
bool cpuset_parse(const char *text, cpu_set_t *ret_set);
/* "1-3,5"; returns buf. Cut where it does not fit. */
const char *cpuset_print(const cpu_set_t *set, char *buf, size_t size);

#endif
