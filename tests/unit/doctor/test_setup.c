/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/doctor/setup.h"
#include "tests/unit/doctor/machine.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NIC   "0000:3b:00.0"
#define PAGES "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages"

static char root[64];

/* With the root as $R. */
static void shell(const char *command)
{
	CU_ASSERT_EQUAL_FATAL(setenv("R", root, 1), 0);
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

/* One line of a file below the root; "" when there is none. */
static const char *held(const char *path)
{
	static char line[512];
	char full[600];

	snprintf(full, sizeof(full), "%s%s", root, path);
	FILE *file = fopen(full, "r");

	line[0] = '\0';
	if (file && fgets(line, sizeof(line), file))
		line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
	return line;
}

static bool exists(const char *path)
{
	char full[600];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", root, path);
	return stat(full, &st) == 0;
}

/* The good server with less: 10 hugepages, no isolated CPU, and a NIC that igb has. */
static void machine_poor(struct facts *f)
{
	machine_init(f);
	f->run.dataplane_pid = 0;
	f->grub = 1;
	f->nodes[1].hugepages = f->nodes[1].hugepages_free = 10;
	CPU_ZERO(&f->isolated);
	f->ports[0].is_pci = true;
	strcpy(f->ports[0].device, NIC);
	strcpy(f->ports[0].driver, "igb");
	shell("rm -rf $R/*; mkdir -p $R/sys/devices/system/node/node1/hugepages/hugepages-2048kB "
	      "$R/sys/bus/pci/devices/" NIC "/driver $R/etc/modules-load.d; "
	      "echo 10 >$R" PAGES "; echo '(null)' >$R/sys/bus/pci/devices/" NIC
	      "/driver_override; touch $R/sys/bus/pci/devices/" NIC
	      "/driver/unbind $R/sys/bus/pci/drivers_probe; echo mine >$R/etc/modules-load.d/"
	      "weir-setup.conf");
}

static const struct setup_step *step(const struct setup_plan *p, const char *path)
{
	for (size_t i = 0; i < p->count; i++)
		if (!strcmp(p->steps[i].act.path, path))
			return &p->steps[i];
	return NULL;
}

static void the_plan_says_what_and_why(void)
{
	struct facts f;
	struct setup_plan p;

	machine_poor(&f);
	CU_ASSERT_EQUAL_FATAL(setup_plan_make(&f, &p), 0);
	const struct setup_step *pages = step(&p, PAGES);
	const struct setup_step *rule = step(&p, "/etc/udev/rules.d/90-weir-setup.rules");
	const struct setup_step *grub = step(&p, "/etc/default/grub.d/weir-setup.cfg");

	CU_ASSERT_PTR_NOT_NULL_FATAL(pages);
	CU_ASSERT_STRING_EQUAL(pages->act.text, "512\n");
	CU_ASSERT_STRING_EQUAL(pages->what, "512 hugepages of 2 MiB on node 1");
	CU_ASSERT_PTR_NOT_NULL(strstr(pages->why, "wants 512 there, 10 are free"));
	CU_ASSERT_PTR_NOT_NULL(step(&p, "/etc/tmpfiles.d/weir-setup.conf"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(rule);
	CU_ASSERT_PTR_NOT_NULL(strstr(rule->act.text, "KERNEL==\"" NIC "\""));
	CU_ASSERT_PTR_NOT_NULL_FATAL(grub);
	CU_ASSERT_PTR_NOT_NULL(strstr(grub->act.text, "isolcpus=managed_irq,domain,5-7"));
	CU_ASSERT_STRING_EQUAL(grub->command, "update-grub");
	CU_ASSERT(p.reboot);
	setup_plan_fini(&p);
	/* A machine that is started otherwise. */
	f.grub = 0;
	CU_ASSERT_EQUAL_FATAL(setup_plan_make(&f, &p), 0);
	CU_ASSERT_PTR_NULL(step(&p, "/etc/default/grub.d/weir-setup.cfg"));
	CU_ASSERT(!p.reboot);
	setup_plan_fini(&p);
	facts_fini(&f);
}

static void a_good_machine_needs_nothing_now(void)
{
	struct facts f;
	struct setup_plan p;

	machine_init(&f);
	f.grub = 1;
	CU_ASSERT_EQUAL_FATAL(setup_plan_make(&f, &p), 0);
	CU_ASSERT_PTR_NULL(step(&p, PAGES));
	CU_ASSERT_PTR_NULL(step(&p, "/etc/default/grub.d/weir-setup.cfg"));
	CU_ASSERT_PTR_NULL(step(&p, "/sys/bus/pci/drivers_probe"));
	CU_ASSERT(!p.reboot);
	setup_plan_fini(&p);
	facts_fini(&f);
}

static void what_is_done_is_taken_back(void)
{
	struct facts f;
	struct setup_plan p, again;
	char err[256] = "";

	machine_poor(&f);
	CU_ASSERT_EQUAL_FATAL(setup_plan_make(&f, &p), 0);
	CU_ASSERT_EQUAL(setup_apply(&p, root, err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(err, "");
	CU_ASSERT_STRING_EQUAL(held(PAGES), "512");
	CU_ASSERT_STRING_EQUAL(held("/sys/bus/pci/devices/" NIC "/driver_override"), "vfio-pci");
	CU_ASSERT_STRING_EQUAL(held("/sys/bus/pci/devices/" NIC "/driver/unbind"), NIC);
	CU_ASSERT_STRING_EQUAL(held("/etc/modules-load.d/weir-setup.conf"), "vfio-pci");
	CU_ASSERT(exists("/etc/default/grub.d/weir-setup.cfg"));
	CU_ASSERT_EQUAL(setup_apply(&p, root, err, sizeof(err)), -EEXIST);
	/* The files are there: what is left of a plan is what the machine was told once. */
	CU_ASSERT_EQUAL_FATAL(setup_plan_make(&f, &again), 0);
	setup_plan_prune(&again, root);
	CU_ASSERT_PTR_NULL(step(&again, PAGES));
	CU_ASSERT_PTR_NULL(step(&again, "/etc/udev/rules.d/90-weir-setup.rules"));
	setup_plan_fini(&again);
	CU_ASSERT_EQUAL(setup_undo(root, err, sizeof(err)), 0);
	CU_ASSERT_STRING_EQUAL(held(PAGES), "10");
	CU_ASSERT_STRING_EQUAL(held("/sys/bus/pci/devices/" NIC "/driver_override"), "");
	CU_ASSERT_STRING_EQUAL(held("/etc/modules-load.d/weir-setup.conf"), "mine");
	CU_ASSERT(!exists("/etc/default/grub.d/weir-setup.cfg"));
	CU_ASSERT(!exists("/etc/udev/rules.d/90-weir-setup.rules"));
	CU_ASSERT(!exists(SETUP_RECORD));
	CU_ASSERT_EQUAL(setup_undo(root, err, sizeof(err)), -ENOENT);
	setup_plan_fini(&p);
	facts_fini(&f);
}

static void a_step_that_fails_takes_back_those_before(void)
{
	struct facts f;
	struct setup_plan p;
	char err[256] = "";

	machine_poor(&f);
	shell("rm $R/sys/bus/pci/devices/" NIC "/driver_override");
	CU_ASSERT_EQUAL_FATAL(setup_plan_make(&f, &p), 0);
	CU_ASSERT_EQUAL(setup_apply(&p, root, err, sizeof(err)), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, NIC "/driver_override"));
	CU_ASSERT_STRING_EQUAL(held(PAGES), "10");
	CU_ASSERT_STRING_EQUAL(held("/etc/modules-load.d/weir-setup.conf"), "mine");
	CU_ASSERT(!exists("/etc/tmpfiles.d/weir-setup.conf"));
	CU_ASSERT(!exists(SETUP_RECORD));
	setup_plan_fini(&p);
	facts_fini(&f);
}

static void what_is_no_record_is_refused(void)
{
	static const char *const bad[] = {
		"", "{", "[]", "{\"version\": 2, \"undo\": []}", "{\"version\": 1}",
		"{\"version\": 1, \"undo\": [7]}",
		"{\"version\": 1, \"undo\": [{\"path\": \"etc/x\", \"text\": null, \"command\": null}]}",
		"{\"version\": 1, \"undo\": [{\"path\": \"/a/../b\", \"text\": null, \"command\": null}]}",
		"{\"version\": 1, \"undo\": [{\"path\": \"/a\", \"text\": 5, \"command\": null}]}"
	};
	char path[600], err[256];

	shell("mkdir -p $R/var/lib/weir");
	snprintf(path, sizeof(path), "%s%s", root, SETUP_RECORD);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FILE *file = fopen(path, "w");

		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		fputs(bad[i], file);
		fclose(file);
		CU_ASSERT_EQUAL(setup_undo(root, err, sizeof(err)), -EINVAL);
		CU_ASSERT(exists(SETUP_RECORD));
	}
	shell("rm -rf $R");
}

static void begin_and_plan(void)
{
	CU_ASSERT_FATAL(tap_folder(root, sizeof(root)));
	the_plan_says_what_and_why();
}

static const struct tap_case cases[] = {
	{ "the plan says what is done and why", begin_and_plan },
	{ "a good machine needs nothing now", a_good_machine_needs_nothing_now },
	{ "what is done is taken back", what_is_done_is_taken_back },
	{ "a step that fails takes back those before it",
		a_step_that_fails_takes_back_those_before },
	{ "what is no record is refused", what_is_no_record_is_refused },
};

TAP_MAIN("setup", cases)
