/* SPDX-License-Identifier: BSD-3-Clause */

/* Packet CPUs: are they there, are they alone, and do they run at full pace? */

#include "control/doctor/findings_private.h"

#include <stdio.h>
#include <string.h>

#define LIST_SIZE 256

static void check_present(const struct facts *f, struct findings *to)
{
	cpu_set_t missing, usable;
	char list[LIST_SIZE], all[LIST_SIZE];
	CPU_OR(&usable, &f->allowed, &f->isolated);
	CPU_AND(&usable, &usable, &f->online);
	cpuset_without(&missing, &f->packet, &usable);
	if (CPU_COUNT(&missing) > 0) {
		find(to, FINDING_PROBLEM, "cpus", NULL,
			"packet CPUs %s are not there, or not for this process",
			cpuset_print(&missing, list, sizeof(list)));
		mend(to, "dataplane: {cores: [...]} from among %s",
			cpuset_print(&usable, all, sizeof(all)));
		return;
	}
	find(to, FINDING_OK, "cpus", NULL, "packets have CPU %s of %s%s",
		cpuset_print(&f->packet, list, sizeof(list)),
		cpuset_print(&f->online, all, sizeof(all)),
		f->run.dataplane_pid == 0 && !f->wanted.cores_given ? ", chosen by default" : "");
}

static void check_shared(const struct facts *f, struct findings *to)
{
	cpu_set_t rest, proposal;
	char list[LIST_SIZE];
	cpuset_without(&rest, &f->online, &f->packet);
	if (CPU_COUNT(&f->packet) == 1) {
		find(to, FINDING_WARNING, "cpus", NULL,
			"one CPU both receives packets and works on them: services share it, so one "
			"can slow down another");
		if (CPU_COUNT(&f->online) > 2) {
			cpuset_propose(f, FACTS_UNKNOWN, CPU_COUNT(&f->online) - 1, &proposal);
			mend(to, "dataplane: {cores: [%s]}",
				cpuset_print(&proposal, list, sizeof(list)));
		} else {
			mend(to, "a machine with at least 3 CPUs");
		}
	}
	if (CPU_COUNT(&rest) == 0) {
		find(to, CPU_COUNT(&f->online) > 1 ? FINDING_WARNING : FINDING_NOTE, "cpus", NULL,
			"every CPU is a packet CPU: the control daemon and all else takes time from "
			"packets");
		if (CPU_COUNT(&f->online) > 1)
			mend(to, "dataplane: {cores: [...]} without CPU 0");
	}
}

static void check_isolated(const struct facts *f, struct findings *to)
{
	cpu_set_t exposed, unused;
	char list[LIST_SIZE], wanted[LIST_SIZE];
	cpuset_without(&exposed, &f->packet, &f->isolated);
	cpuset_without(&unused, &f->isolated, &f->packet);
	if (CPU_COUNT(&exposed) > 0 && CPU_COUNT(&f->online) > 1) {
		bool spins = f->wanted.known && f->wanted.idle == MODEL_IDLE_SPIN;
		find(to, spins ? FINDING_WARNING : FINDING_NOTE, "isolation", NULL,
			"the scheduler may run other programs on packet CPU %s, for milliseconds at a "
			"time",
			cpuset_print(&exposed, list, sizeof(list)));
		mend(to,
			"kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then "
			"update-grub and a reboot): isolcpus=managed_irq,domain,%s nohz_full=%s "
			"rcu_nocbs=%s",
			cpuset_print(&f->packet, wanted, sizeof(wanted)), wanted, wanted);
	} else if (CPU_COUNT(&exposed) == 0) {
		find(to, FINDING_OK, "isolation", NULL, "packet CPUs are kept from other programs");
	}
	if (CPU_COUNT(&unused) > 0) {
		find(to, FINDING_NOTE, "isolation", NULL,
			"CPU %s is isolated, but no packet CPU: nobody uses it",
			cpuset_print(&unused, list, sizeof(list)));
		mend(to, "take it into dataplane: {cores: ...}, or off the kernel's isolcpus");
	}
}

/* Packet CPUs whose physical core has another CPU that is online: of `others`. */
static void sharing(const struct facts *f, const cpu_set_t *others, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	for (int a = 0; a < CPU_SETSIZE; a++)
		for (int b = 0; CPU_ISSET(a, &f->packet) && b < CPU_SETSIZE; b++)
			if (a != b && CPU_ISSET(b, others) && f->cpus[a].core == f->cpus[b].core)
				CPU_SET(a, ret);
}

static void check_siblings(const struct facts *f, struct findings *to)
{
	cpu_set_t rest, pairs, mixed, proposal;
	char list[LIST_SIZE], wanted[LIST_SIZE];
	cpuset_without(&rest, &f->online, &f->packet);
	sharing(f, &f->packet, &pairs);
	sharing(f, &rest, &mixed);
	if (CPU_COUNT(&pairs) > 0) {
		find(to, FINDING_WARNING, "siblings", NULL,
			"packet CPUs %s share physical cores with each other: each has about half of "
			"one",
			cpuset_print(&pairs, list, sizeof(list)));
		cpuset_propose(f, FACTS_UNKNOWN, CPU_COUNT(&f->packet), &proposal);
		mend(to, "dataplane: {cores: [%s]}, one of each physical core",
			cpuset_print(&proposal, wanted, sizeof(wanted)));
	}
	if (CPU_COUNT(&mixed) > 0) {
		find(to, FINDING_NOTE, "siblings", NULL,
			"packet CPU %s shares a physical core with a CPU that runs other programs",
			cpuset_print(&mixed, list, sizeof(list)));
		mend(to,
			"isolate the siblings as well, or switch them off: echo off > "
			"/sys/devices/system/cpu/smt/control");
	}
	if (CPU_COUNT(&pairs) == 0 && CPU_COUNT(&mixed) == 0)
		find(to, FINDING_OK, "siblings", NULL,
			"packet CPUs have physical cores of their own");
}

static void check_governor(const struct facts *f, struct findings *to)
{
	cpu_set_t slow;
	char list[LIST_SIZE];
	const char *example = "";
	bool any = false;
	CPU_ZERO(&slow);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		const char *governor = f->cpus[cpu].governor;
		if (!CPU_ISSET(cpu, &f->packet) || governor[0] == '\0')
			continue;
		any = true;
		if (strcmp(governor, "performance") == 0)
			continue;
		CPU_SET(cpu, &slow);
		example = governor;
	}
	if (CPU_COUNT(&slow) > 0) {
		cpuset_print(&slow, list, sizeof(list));
		find(to, FINDING_WARNING, "frequency", NULL,
			"packet CPU %s slows down when it has little to do (governor %s): the first "
			"packets after a pause wait for it",
			list, example);
		mend(to, "cpupower -c %s frequency-set -g performance", list);
	} else if (any) {
		find(to, FINDING_OK, "frequency", NULL, "packet CPUs run at full pace");
	}
}

void check_cpus(const struct facts *f, struct findings *to)
{
	if (CPU_COUNT(&f->online) == 0)
		return;
	check_present(f, to);
	check_shared(f, to);
	check_isolated(f, to);
	check_siblings(f, to);
	check_governor(f, to);
}
