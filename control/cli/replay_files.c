/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/replay.h"
#include "control/config/model.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool replay_file_parse(const char *text, struct replay_file *ret_file)
{
	const char *equals = strchr(text, '=');
	if (equals == NULL || equals == text || equals[1] == '\0' ||
		(size_t)(equals - text) >= sizeof(ret_file->port))
		return false;
	memcpy(ret_file->port, text, (size_t)(equals - text));
	ret_file->port[equals - text] = '\0';
	ret_file->path = equals + 1;
	return true;
}

static int check_port(struct cli *cli, const struct model *m, const char *option, size_t n,
	struct replay_file *ret_file)
{
	const char *text = cli_value(cli, option, n);
	struct replay_file other;
	if (!replay_file_parse(text, ret_file))
		return cli_fail(cli, CLI_USAGE, "--%s takes PORT=FILE, not \"%s\"", option, text);
	for (size_t i = 0; i < n; i++)
		if (replay_file_parse(cli_value(cli, option, i), &other) &&
			strcmp(other.port, ret_file->port) == 0)
			return cli_fail(cli, CLI_USAGE, "--%s was given twice for port %s", option,
				ret_file->port);
	for (size_t i = 0; i < m->port_count; i++)
		if (strcmp(m->ports[i].name, ret_file->port) == 0)
			return CLI_DONE;
	return cli_fail(cli, CLI_FAILED, "%s has no port \"%s\"; its ports are under \"ports:\"",
		cli_file_label(cli->arguments[0]), ret_file->port);
}

/* The first bytes tell a capture: pcap in both byte orders and both resolutions, or pcapng. */
static bool is_capture(const uint8_t head[4])
{
	static const uint8_t marks[][4] = {
		{ 0xa1, 0xb2, 0xc3, 0xd4 },
		{ 0xd4, 0xc3, 0xb2, 0xa1 },
		{ 0xa1, 0xb2, 0x3c, 0x4d },
		{ 0x4d, 0x3c, 0xb2, 0xa1 },
		{ 0x0a, 0x0d, 0x0d, 0x0a },
	};
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (memcmp(marks[i], head, 4) == 0)
			return true;
	return false;
}

static int check_input(struct cli *cli, const char *path)
{
	uint8_t head[4];
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return cli_fail(cli, CLI_FAILED, "cannot read %s: %s", path, strerror(errno));
	bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
	ssize_t n = regular ? read(fd, head, sizeof(head)) : 0;
	close(fd);
	if (!regular)
		return cli_fail(cli, CLI_FAILED, "cannot read %s: it is not a file", path);
	if (n != sizeof(head) || !is_capture(head))
		return cli_fail(cli, CLI_FAILED,
			"%s is not a capture; write one with tcpdump -w FILE", path);
	return CLI_DONE;
}

static bool same_file(const char *a, const char *b)
{
	struct stat first, second;
	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
		first.st_ino == second.st_ino;
}

static int check_output(struct cli *cli, const char *path)
{
	struct replay_file in;
	for (size_t i = 0; cli_value(cli, "in", i) != NULL; i++)
		if (replay_file_parse(cli_value(cli, "in", i), &in) && same_file(in.path, path))
			return cli_fail(cli, CLI_FAILED, "%s is both read and written", path);
	char folder[4096];
	if (access(path, F_OK) == 0) {
		if (access(path, W_OK) == 0)
			return CLI_DONE;
	} else {
		snprintf(folder, sizeof(folder), "%s", path);
		if (access(dirname(folder), W_OK) == 0)
			return CLI_DONE;
	}
	return cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
}

int replay_check_files(struct cli *cli, const struct model *m)
{
	struct replay_file file;
	int status = CLI_DONE;
	for (size_t i = 0; status == CLI_DONE && cli_value(cli, "in", i) != NULL; i++) {
		status = check_port(cli, m, "in", i, &file);
		if (status == CLI_DONE)
			status = check_input(cli, file.path);
	}
	for (size_t i = 0; status == CLI_DONE && cli_value(cli, "out", i) != NULL; i++) {
		struct replay_file other;
		status = check_port(cli, m, "out", i, &file);
		if (status == CLI_DONE)
			status = check_output(cli, file.path);
		for (size_t j = 0; status == CLI_DONE && j < i; j++)
			if (replay_file_parse(cli_value(cli, "out", j), &other) &&
				strcmp(other.path, file.path) == 0)
				status = cli_fail(cli, CLI_FAILED, "two ports cannot both write %s",
					file.path);
	}
	return status;
}
