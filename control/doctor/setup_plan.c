/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/doctor/findings_private.h"
#include "control/doctor/setup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_SIZE 256
#define HUGE_PATH "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages"

/* A plan under way; `failed` when memory ran out. */
struct making {
	struct setup_plan *plan;
	bool failed;
};

static char *text_make(struct making *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static char *text_make(struct making *m, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		m->failed = true;
	}
	va_end(args);
	return text;
}

/* What and why may be NULL. Everything is taken over. */
static struct setup_step *add(struct making *m, char *what, char *why, char *path, char *text)
{
	static struct setup_step spare;
	struct setup_step *more = realloc(m->plan->steps, (m->plan->count + 1) * sizeof(*more));

	if (!more) {
		m->failed = true;
		free(what);
		free(why);
		free(path);
		free(text);
		return &spare;
	}
	m->plan->steps = more;
	struct setup_step *s = &more[m->plan->count++];
	*s = (struct setup_step){ .what = what, .why = why, .act = { path, text, false } };
	return s;
}

/* Pages that a node should have in all; 0: it has enough. */
static unsigned long long pages_target(
	const struct facts *f, const struct facts_node *n, unsigned long long wanted)
{
	unsigned long long total = n->hugepages > 0 ? (unsigned long long)n->hugepages : 0;
	unsigned long long available = f->run.dataplane_pid ? total :
		n->hugepages_free > 0 ? (unsigned long long)n->hugepages_free :
					0;

	return available >= wanted ? 0 : total + wanted - available;
}

static void plan_hugepages(const struct facts *f, struct making *m)
{
	bool used[FACTS_NODES] = { false };
	char *lines = NULL;
	size_t length;

	if (f->has_hugepages != 1 ||
		(f->wanted.known && f->wanted.hugepages == MODEL_HUGEPAGES_NONE))
		return;
	unsigned long long wanted = memory_pages_wanted(f, used);
	FILE *to = open_memstream(&lines, &length);

	if (!to) {
		m->failed = true;
		return;
	}
	fputs("# Weir's hugepages, early at each boot; made by weirctl setup apply.\n", to);
	for (int node = 0; node < FACTS_NODES; node++) {
		const struct facts_node *n = &f->nodes[node];

		if (!used[node] || n->hugepages_free < 0)
			continue;
		unsigned long long target = pages_target(f, n, wanted);

		fprintf(to, "w " HUGE_PATH " - - - - %llu\n", node,
			target ? target : (unsigned long long)n->hugepages);
		if (target)
			add(m, text_make(m, "%llu hugepages of 2 MiB on node %d", target, node),
				text_make(m,
					"the data plane wants %llu there, %ld are free; without "
					"them many flows cost more",
					wanted, n->hugepages_free),
				text_make(m, HUGE_PATH, node), text_make(m, "%llu\n", target));
	}
	fclose(to);
	add(m, text_make(m, "the same hugepages at each boot"),
		text_make(m, "later, the memory may be in pieces too small for them"),
		text_make(m, "/etc/tmpfiles.d/weir-setup.conf"), lines);
}

/* Now: tell the device whose it is, take it from its driver, have it looked at again. */
static void plan_driver_now(const struct facts_port *p, struct making *m)
{
	const char *a = p->device;
	struct setup_step *s = add(m, text_make(m, "vfio-pci for %s (port %s)", a, p->name),
		text_make(m,
			"%s has it now, and DPDK cannot drive it so; its kernel interface goes away",
			p->driver[0] != '\0' ? p->driver : "no driver"),
		text_make(m, "/sys/bus/pci/devices/%s/driver_override", a),
		text_make(m, "vfio-pci\n"));

	/* Undone in the other order: no override, off vfio-pci, looked at again. */
	s->undo = (struct setup_act){ text_make(m, "/sys/bus/pci/drivers_probe"),
		text_make(m, "%s\n", a), false };
	s = add(m, NULL, NULL, text_make(m, "/sys/bus/pci/devices/%s/driver/unbind", a),
		text_make(m, "%s\n", a));
	s->act.may_fail = true;
	s->undo = (struct setup_act){ text_make(m, "/sys/bus/pci/devices/%s/driver/unbind", a),
		text_make(m, "%s\n", a), true };
	s = add(m, NULL, NULL, text_make(m, "/sys/bus/pci/drivers_probe"), text_make(m, "%s\n", a));
	s->undo = (struct setup_act){ text_make(m, "/sys/bus/pci/devices/%s/driver_override", a),
		text_make(m, "\n"), false };
}

/* The rule is in force before a driver is looked for; it also takes the device from one that the initramfs loaded. */
static void rule_write(FILE *to, const char *a)
{
	fprintf(to,
		"ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"%s\", "
		"ATTR{driver_override}=\"vfio-pci\", "
		"RUN+=\"/bin/sh -c 'modprobe vfio-pci; cd /sys/bus/pci; "
		"[ -e drivers/vfio-pci/%s ] || { echo %s >devices/%s/driver/unbind; "
		"echo %s >drivers_probe; }'\"\n",
		a, a, a, a, a);
}

static void plan_drivers(const struct facts *f, struct making *m)
{
	char *rules = NULL;
	size_t length, count = 0;
	bool loaded = false;
	FILE *to = open_memstream(&rules, &length);

	if (!to) {
		m->failed = true;
		return;
	}
	fputs("# NICs of Weir's, at each boot; made by weirctl setup apply.\n", to);
	for (size_t i = 0; i < f->port_count; i++) {
		const struct facts_port *p = &f->ports[i];
		bool bound = strcmp(p->driver, "vfio-pci") == 0;

		if (!p->is_pci || !p->exists || (!bound && port_driver_is_good(p)))
			continue;
		if (!bound && !loaded) {
			struct setup_step *s =
				add(m, text_make(m, "the driver vfio-pci at each boot"),
					text_make(m, "it hands NICs to the data plane"),
					text_make(m, "/etc/modules-load.d/weir-setup.conf"),
					text_make(m, "vfio-pci\n"));

			s->command = text_make(m, "modprobe vfio-pci");
			loaded = true;
		}
		if (!bound)
			plan_driver_now(p, m);
		rule_write(to, p->device);
		count++;
	}
	fclose(to);
	if (count)
		add(m, text_make(m, "vfio-pci for %s at each boot", count == 1 ? "it" : "them"),
			text_make(
				m, "without the rule the kernel's own drivers have the NICs again"),
			text_make(m, "/etc/udev/rules.d/90-weir-setup.rules"), rules);
	else
		free(rules);
}

/* CPU 0 has work of the kernel's that nobody else does. */
static void plan_isolation(const struct facts *f, struct making *m)
{
	cpu_set_t packet = f->packet, exposed, rest;
	char list[LIST_SIZE];

	/* Others start otherwise: the doctor says what belongs on the kernel's command line. */
	if (f->grub != 1)
		return;
	CPU_CLR(0, &packet);
	cpuset_without(&exposed, &packet, &f->isolated);
	cpuset_without(&rest, &f->online, &packet);
	if (CPU_COUNT(&exposed) == 0 || CPU_COUNT(&rest) == 0)
		return;
	cpuset_print(&packet, list, sizeof(list));
	struct setup_step *s = add(m,
		text_make(m, "CPU %s kept for packets, from the next boot on", list),
		text_make(m, "the scheduler runs other programs there, for milliseconds at a time"),
		text_make(m, "/etc/default/grub.d/weir-setup.cfg"),
		text_make(m,
			"# CPUs of Weir's; made by weirctl setup apply.\n"
			"GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX isolcpus=managed_irq,domain,%s "
			"nohz_full=%s rcu_nocbs=%s\"\n",
			list, list, list));

	s->command = text_make(m, "update-grub");
	m->plan->reboot = true;
}

int setup_plan_make(const struct facts *f, struct setup_plan *ret_plan)
{
	struct setup_plan plan = { 0 };
	struct making m = { .plan = &plan };

	plan_hugepages(f, &m);
	plan_drivers(f, &m);
	plan_isolation(f, &m);
	if (m.failed) {
		setup_plan_fini(&plan);
		return -ENOMEM;
	}
	*ret_plan = plan;
	return 0;
}

static void step_fini(struct setup_step *s)
{
	free(s->what);
	free(s->why);
	free(s->act.path);
	free(s->act.text);
	free(s->undo.path);
	free(s->undo.text);
	free(s->command);
}

void setup_plan_fini(struct setup_plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		step_fini(&p->steps[i]);
	free(p->steps);
	*p = (struct setup_plan){ 0 };
}

static bool holds(const char *root, const struct setup_act *act)
{
	char path[512], held[8192];

	snprintf(path, sizeof(path), "%s%s", root, act->path);
	FILE *file = fopen(path, "re");
	size_t length = file ? fread(held, 1, sizeof(held), file) : 0;

	if (file)
		fclose(file);
	return file && length == strlen(act->text) && !memcmp(held, act->text, length);
}

void setup_plan_prune(struct setup_plan *p, const char *root)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		/* What has an undoing of its own is no file, but an order. */
		if (!p->steps[i].undo.path && holds(root, &p->steps[i].act))
			step_fini(&p->steps[i]);
		else
			p->steps[kept++] = p->steps[i];
	}
	p->count = kept;
}
