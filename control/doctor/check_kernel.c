/* SPDX-License-Identifier: BSD-3-Clause */

/* The kernel and its clock; the instance's folder and daemon. */

#include "control/doctor/findings_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* XDP programs held by a BPF link, which ours is. */
#define RELEASE_MAJOR 5
#define RELEASE_MINOR 9

static bool needs_af_xdp(const struct facts *f)
{
	for (size_t i = 0; i < f->port_count; i++)
		if (!f->ports[i].is_pci)
			return true;
	return f->port_count == 0;
}

static void check_memlock(const struct facts *f, struct findings *to)
{
	const char *whose =
		f->run.dataplane_pid != 0 ? "the data plane" : "who starts it from here";
	if (f->memlock_unlimited == FACTS_UNKNOWN)
		return;
	if (f->memlock_unlimited) {
		find(to, FINDING_OK, "memlock", NULL, "%s may lock as much memory as it needs",
			whose);
		return;
	}
	find(to, f->run.dataplane_pid != 0 ? FINDING_NOTE : FINDING_WARNING, "memlock", NULL,
		"%s may lock %lld KiB of memory only: AF_XDP's packet buffers need more", whose,
		f->memlock_bytes >> 10);
	mend(to,
		"start it as root, or with LimitMEMLOCK=infinity in its unit (ulimit -l unlimited)");
}

static void check_verifier(const struct facts *f, struct findings *to)
{
	if (f->verifier == 0) {
		find(to, FINDING_NOTE, "verifier", NULL,
			"you may not ask the kernel to verify policies: for you they run in the "
			"interpreter only");
		mend(to, "run weirctl as root, or with CAP_BPF and CAP_NET_ADMIN");
	} else if (f->verifier == 1 && f->verifier_faults[0] != '\0') {
		find(to, FINDING_NOTE, "verifier", NULL,
			"this kernel verifies or compiles some BPF programs wrongly (%s); Weir "
			"refuses policies that it cannot run rightly itself",
			f->verifier_faults);
		mend(to, "a newer kernel, when there is one that is mended");
	} else if (f->verifier == 1) {
		find(to, FINDING_OK, "verifier", NULL,
			"the kernel verifies policies, and has none of the faults that are known");
	}
}

void check_kernel(const struct facts *f, struct findings *to)
{
	int major = 0, minor = 0;
	if (sscanf(f->release, "%d.%d", &major, &minor) == 2) {
		bool old =
			major < RELEASE_MAJOR || (major == RELEASE_MAJOR && minor < RELEASE_MINOR);
		find(to, old ? FINDING_PROBLEM : FINDING_OK, "kernel", NULL,
			old ? "%s is too old: ports need at least %d.%d" :
			      "%s is new enough (at least %d.%d)",
			f->release, RELEASE_MAJOR, RELEASE_MINOR);
		if (old)
			mend(to,
				"install a newer kernel and boot it: apt install linux-image-amd64");
	}
	if (needs_af_xdp(f) && f->af_xdp == 0) {
		find(to, FINDING_PROBLEM, "af_xdp", NULL,
			"the kernel has no AF_XDP sockets, by which packets of kernel interfaces come");
		mend(to, "boot a kernel with CONFIG_XDP_SOCKETS=y, as Debian's are");
	} else if (f->af_xdp == 1) {
		find(to, FINDING_OK, "af_xdp", NULL, "the kernel has AF_XDP sockets");
	}
	if (f->bpf_jit == 0) {
		find(to, FINDING_WARNING, "bpf_jit", NULL,
			"the kernel interprets BPF programs: each packet of a port pays for it");
		mend(to, "sysctl -w net.core.bpf_jit_enable=1");
	} else if (f->bpf_jit > 0) {
		find(to, FINDING_OK, "bpf_jit", NULL, "BPF programs are compiled");
	}
	check_verifier(f, to);
	if (f->btf != FACTS_UNKNOWN) {
		find(to, f->btf ? FINDING_OK : FINDING_NOTE, "btf", NULL,
			f->btf ? "the kernel has type information (BTF)" :
				 "the kernel has no type information (BTF): BPF programs that need "
				 "it, and bpftool's tracing, do not work");
		if (!f->btf)
			mend(to, "boot a kernel with CONFIG_DEBUG_INFO_BTF=y");
	}
	check_memlock(f, to);
	if (f->loopback_up == 0) {
		find(to, FINDING_PROBLEM, "loopback", NULL,
			"interface lo is down, so that the kernel does not answer for service addresses");
		mend(to, "ip link set lo up");
	}
	if (f->ip_forward == 1)
		find(to, FINDING_NOTE, "ip_forward", NULL,
			"net.ipv4.ip_forward is 1: the kernel forwards what is no service's; Weir "
			"does not need it");
	else if (f->ip_forward == 0)
		find(to, FINDING_OK, "ip_forward", NULL,
			"net.ipv4.ip_forward is 0: Weir forwards its packets itself");
}

void check_clock(const struct facts *f, struct findings *to)
{
	static const char *const slow[] = { "hpet", "acpi_pm", "jiffies", "refined-jiffies",
		"pit" };
	bool is_slow = false;
	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++)
		is_slow |= strcmp(f->clock, slow[i]) == 0;
	if (is_slow) {
		find(to, FINDING_WARNING, "clock", NULL,
			"the kernel's clock is %s: each look at it takes long, and is no sign of a "
			"steady time stamp counter",
			f->clock);
		mend(to,
			f->clock_has_tsc ?
				"echo tsc > /sys/devices/system/clocksource/clocksource0/"
				"current_clocksource" :
				"see why the kernel does not trust the counter: dmesg | grep -i tsc");
	} else if (f->clock[0] != '\0') {
		find(to, FINDING_OK, "clock", NULL, "the kernel's clock is %s", f->clock);
	}
	if (f->tsc_constant == 0)
		find(to, FINDING_WARNING, "tsc", NULL,
			"this CPU's time stamp counter changes its pace or stops: times and limits "
			"are wrong by as much");
}

static void check_answer(const struct facts *f, struct findings *to)
{
	const struct facts_run *r = &f->run;
	bool is_default = strcmp(r->instance, "default") == 0;
	if (r->error == 0) {
		bool runs = strcmp(r->dataplane_state, "running") == 0;
		find(to, runs ? FINDING_OK : FINDING_PROBLEM, "daemon", NULL,
			"weir-controld (pid %d) answers%s; the data plane is %s",
			(int)r->daemon_pid, r->read_only ? " on its read-only socket" : "",
			r->dataplane_state[0] != '\0' ? r->dataplane_state : "in an unknown state");
		if (!runs)
			mend(to,
				"weirctl status tells why; so does the daemon's log: journalctl -u "
				"'weir*@%s'",
				r->instance);
		if (r->warnings > 0) {
			find(to, FINDING_NOTE, "daemon", NULL, "the daemon has %zu warning%s",
				r->warnings, r->warnings == 1 ? "" : "s");
			mend(to, "weirctl status");
		}
		return;
	}
	if (r->error == -EACCES || r->error == -EPERM) {
		find(to, FINDING_WARNING, "daemon", NULL,
			"you may not ask the daemon on %s, so this is told of the machine only",
			r->socket);
		mend(to, "run weirctl as root, or as a member of the socket's group");
	} else if (r->error == -ENOENT || r->error == -ECONNREFUSED) {
		find(to, FINDING_NOTE, "daemon", NULL, "no weir-controld %s on %s",
			r->error == -ENOENT ? "listens" : "is there any more", r->socket);
		mend(to, "weir-controld --config FILE --spawn-dataplane%s%s",
			is_default ? "" : " --instance ", is_default ? "" : r->instance);
	} else {
		find(to, FINDING_PROBLEM, "daemon", NULL, "weir-controld on %s does not answer: %s",
			r->socket, strerror(-r->error));
		mend(to, "see its log, then restart it: the data plane goes on meanwhile");
	}
}

static void check_folder(const struct facts_run *r, struct findings *to)
{
	if (!r->folder_exists)
		return;
	if ((r->folder_mode & 0022) != 0) {
		find(to, FINDING_WARNING, "run directory", NULL,
			"others than its owner may change %s (mode %04o), and so put sockets of "
			"theirs in place of Weir's",
			r->path, (unsigned int)r->folder_mode);
		mend(to, "chmod 755 %s", r->path);
	} else if (r->folder_uid != 0) {
		find(to, FINDING_NOTE, "run directory", NULL, "%s belongs to user %u, not to root",
			r->path, (unsigned int)r->folder_uid);
	} else {
		find(to, FINDING_OK, "run directory", NULL, "%s is its owner's alone to change",
			r->path);
	}
}

static void check_sockets(const struct facts_run *r, struct findings *to)
{
	if (r->socket_exists && (r->socket_mode & 0002) != 0) {
		find(to, FINDING_WARNING, "control socket", NULL,
			"everybody on this host may change Weir: %s has mode %04o", r->socket,
			(unsigned int)r->socket_mode);
		mend(to, "chmod 660 %s", r->socket);
	} else if (r->socket_exists) {
		find(to, FINDING_OK, "control socket", NULL,
			"only its owner and group may use %s (mode %04o)", r->socket,
			(unsigned int)r->socket_mode);
	}
	if (r->read_only_exists && (r->read_only_mode & 0002) != 0) {
		find(to, FINDING_WARNING, "read-only socket", NULL,
			"everybody on this host may see clients' addresses and the configuration: %s "
			"has mode %04o",
			r->read_only_socket, (unsigned int)r->read_only_mode);
		mend(to, "chmod 660 %s", r->read_only_socket);
	} else if (r->read_only_exists) {
		find(to, FINDING_OK, "read-only socket", NULL,
			"only its owner and group may use %s (mode %04o)", r->read_only_socket,
			(unsigned int)r->read_only_mode);
	}
}

void check_run(const struct facts *f, struct findings *to)
{
	if (f->run.instance[0] == '\0')
		return;
	check_answer(f, to);
	check_folder(&f->run, to);
	check_sockets(&f->run, to);
}
