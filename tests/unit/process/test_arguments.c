/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/arguments.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORDS 64

static int parse_words(const char *run_dir, struct arguments *a, char *err, size_t err_size,
	const char *const *words)
{
	char copies[MAX_WORDS][128];
	char *argv[MAX_WORDS + 1] = { copies[0] };
	int argc = 1;

	strcpy(copies[0], "weir-dataplane");
	for (; words[argc - 1] && argc < MAX_WORDS; argc++) {
		snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc - 1]);
		argv[argc] = copies[argc];
	}
	return arguments_parse(argc, argv, run_dir, a, err, err_size);
}

#define PARSE(run_dir, a, err, ...) \
	parse_words(run_dir, a, err, sizeof(err), (const char *const[]){ __VA_ARGS__, NULL })

#define REFUSED(text, ...)                                                     \
	do {                                                                   \
		struct arguments a_;                                           \
		char err_[256] = "";                                           \
		CU_ASSERT_EQUAL(PARSE(NULL, &a_, err_, __VA_ARGS__), -EINVAL); \
		CU_ASSERT_PTR_NOT_NULL(strstr(err_, text));                    \
		if (!strstr(err_, text))                                       \
			printf("# said: %s\n", err_);                          \
	} while (0)

static void defaults(void)
{
	struct arguments a;
	char err[256] = "";

	CU_ASSERT_EQUAL_FATAL(
		parse_words(NULL, &a, err, sizeof(err), (const char *const[]){ NULL }), 0);
	CU_ASSERT_STRING_EQUAL(a.instance, "default");
	CU_ASSERT_STRING_EQUAL(a.instance_dir, "/run/weir/default");
	CU_ASSERT_EQUAL(a.memory_bytes, UINT64_C(512) << 20);
	CU_ASSERT_EQUAL(a.cores.count, 0);
	CU_ASSERT_EQUAL(a.hugepages, HUGEPAGES_AUTO);
	CU_ASSERT_EQUAL(a.idle, WEIR_IDLE_SLEEP);
	CU_ASSERT_FALSE(a.early_drops_only_here);
	CU_ASSERT_EQUAL(a.api_fd, -1);
	CU_ASSERT_FALSE(a.replay);
}

static void everything_given(void)
{
	struct arguments a;
	char err[256] = "";

	CU_ASSERT_EQUAL_FATAL(PARSE("/elsewhere", &a, err, "--instance", "blue", "--cores", "1,4-6",
				      "--memory", "1G", "--hugepages", "required", "--idle", "spin",
				      "--early-drops", "weir", "--seed", "0x10"),
		0);
	CU_ASSERT_STRING_EQUAL(a.instance_dir, "/elsewhere/blue");
	CU_ASSERT_EQUAL(a.cores.count, 4);
	CU_ASSERT_EQUAL(a.cores.cpu[3], 6);
	CU_ASSERT_EQUAL(a.memory_bytes, UINT64_C(1) << 30);
	CU_ASSERT_TRUE(a.memory_given);
	CU_ASSERT_EQUAL(a.hugepages, HUGEPAGES_REQUIRED);
	CU_ASSERT_EQUAL(a.idle, WEIR_IDLE_SPIN);
	CU_ASSERT_TRUE(a.early_drops_only_here);
	CU_ASSERT_EQUAL(a.seed, 16);
	CU_ASSERT_EQUAL_FATAL(PARSE("/elsewhere", &a, err, "--run-dir", "/here"), 0);
	CU_ASSERT_STRING_EQUAL(a.instance_dir, "/here/default");
}

static void replay_arguments(void)
{
	struct arguments a;
	char err[256] = "";

	CU_ASSERT_EQUAL_FATAL(
		PARSE(NULL, &a, err, "--replay", "--api-fd", "3", "--in", "front=a=b.pcap", "--in",
			"back=c.pcap", "--out", "front=d.pcap"),
		0);
	CU_ASSERT_TRUE(a.replay);
	CU_ASSERT_EQUAL(a.api_fd, 3);
	CU_ASSERT_EQUAL(a.in_count, 2);
	CU_ASSERT_STRING_EQUAL(a.in[0].port, "front");
	CU_ASSERT_STRING_EQUAL(a.in[0].file, "a=b.pcap");
	CU_ASSERT_EQUAL(a.out_count, 1);
}

static void bad_arguments(void)
{
	REFUSED("unknown option", "--what");
	REFUSED("needs a value", "--instance");
	REFUSED("unexpected argument", "stray");
	REFUSED("--instance a/b", "--instance", "a/b");
	REFUSED("--instance ", "--instance", "");
	REFUSED("--instance ..", "--instance", "..");
	REFUSED("--cores x", "--cores", "x");
	REFUSED("--cores", "--cores", "");
	REFUSED("--memory 1T", "--memory", "1T");
	REFUSED("--memory 1M", "--memory", "1M");
	REFUSED("--memory -1", "--memory", "-1");
	REFUSED("--hugepages yes", "--hugepages", "yes");
	REFUSED("--idle doze", "--idle", "doze");
	REFUSED("--early-drops both", "--early-drops", "both");
	REFUSED("--api-fd -1", "--api-fd", "-1");
	REFUSED("--seed", "--seed", "abc");
	REFUSED("--in front", "--replay", "--api-fd", "3", "--in", "front");
	REFUSED("--in =a", "--replay", "--api-fd", "3", "--in", "=a");
	REFUSED("named twice", "--replay", "--api-fd", "3", "--in", "a=1", "--in", "a=2");
	REFUSED("--replay needs", "--replay");
	REFUSED("are for --replay", "--in", "a=b");
	REFUSED("too long for sockets", "--run-dir",
		"/a/very/long/folder/name/that/nobody/should/use/but/somebody/will/do/one/day/and/more/"
		"so");
}

static void memory_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "65536", 65536 },
		{ "1K", 1024 },
		{ "1KiB", 1024 },
		{ "512M", UINT64_C(512) << 20 },
		{ "512MiB", UINT64_C(512) << 20 },
		{ "3G", UINT64_C(3) << 30 },
	};
	static const char *const bad[] = { "", "M", "1k", "1.5G", "1 G", "-1", "1MB",
		"99999999999999999999", "99999999999G" };
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(memory_size_parse(good[i].text, &bytes), 0);
		CU_ASSERT_EQUAL(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(memory_size_parse(bad[i], &bytes), -EINVAL);
}

static void cpu_lists(void)
{
	static const struct {
		const char *text;
		const char *printed;
	} good[] = {
		{ "", "" },
		{ "0", "0" },
		{ "3,1,2", "1-3" },
		{ "1-3,2,7", "1-3,7" },
		{ "0-1,4,6-7\n", "0-1,4,6-7" },
	};
	static const char *const bad[] = { ",", "1,", "1-", "-1", "3-1", "a", "1 2", "1024",
		"1--2" };
	struct cpu_list list;
	char text[256];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(cpu_list_parse(good[i].text, &list), 0);
		cpu_list_print(&list, text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, good[i].printed);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(cpu_list_parse(bad[i], &list), -EINVAL);
	CU_ASSERT_EQUAL(cpu_list_parse("0-64", &list), -E2BIG);
	CU_ASSERT_EQUAL(cpu_list_parse("0-63", &list), 0);
}

static void default_cores(void)
{
	static const struct {
		const char *allowed;
		const char *isolated;
		const char *chosen;
	} good[] = {
		{ "0", "", "0" },
		{ "0-1", "", "1" },
		{ "0-7", "", "1-7" },
		{ "0-7", "2-3", "2-3" },
		{ "4-7", "2-3", "5-7" },
		{ "3", "", "3" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct cpu_list allowed, isolated, chosen;
		char text[256];

		CU_ASSERT_EQUAL(cpu_list_parse(good[i].allowed, &allowed), 0);
		CU_ASSERT_EQUAL(cpu_list_parse(good[i].isolated, &isolated), 0);
		cpu_list_default(&allowed, &isolated, &chosen);
		cpu_list_print(&chosen, text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, good[i].chosen);
	}
}

static const struct tap_case cases[] = {
	{ "without arguments the defaults hold", defaults },
	{ "every argument is taken", everything_given },
	{ "replay's files are taken apart at the first equals sign", replay_arguments },
	{ "bad arguments are refused by name", bad_arguments },
	{ "memory sizes are powers of two", memory_sizes },
	{ "CPU lists are read and printed", cpu_lists },
	{ "default cores are the isolated ones, else all but the first", default_cores },
};

TAP_MAIN("arguments", cases)
