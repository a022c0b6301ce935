/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A stand-in for weir-dataplane --replay, to test weirctl without DPDK: it answers on descriptor 3 and
 * shows the figures that its environment names.
 *
 * FAKE_RECEIVED, FAKE_TRANSMITTED, FAKE_TO_KERNEL, FAKE_DROPPED  counters of its one port
 * FAKE_REFUSES=1  refuse the configuration
 * FAKE_ARGUMENTS=FILE  write its arguments there, one a line
 */

#include "dataplane/api/stream.h"
#include "dataplane/api/validate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct region {
	struct weir_telemetry t;
	struct weir_core_cell core;
};

static uint64_t figure(const char *name)
{
	const char *text = getenv(name);
	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static void fill(struct region *r, const struct weir_config_view *v)
{
	r->t.magic = WEIR_TELEMETRY_MAGIC;
	r->t.version = WEIR_TELEMETRY_VERSION;
	r->t.size = sizeof(*r);
	r->t.core_count = 1;
	r->t.core[0].cell_offset = offsetof(struct region, core);
	if (v == NULL)
		return;
	r->t.port_count = 1;
	r->t.port[0].used = 1;
	memcpy(r->t.port[0].name, v->ports[0].name, sizeof(r->t.port[0].name));
	r->core.port[0].packets_received = figure("FAKE_RECEIVED");
	r->core.port[0].packets_transmitted = figure("FAKE_TRANSMITTED");
	r->core.port[0].packets_to_kernel = figure("FAKE_TO_KERNEL");
	r->core.port[0].dropped[WEIR_DROP_NO_SERVICE] = figure("FAKE_DROPPED");
}

static struct region *create_region(int *ret_fd)
{
	int fd = memfd_create("fake telemetry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, sizeof(struct region)) != 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
		exit(70);
	struct region *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r == MAP_FAILED)
		exit(71);
	fill(r, NULL);
	*ret_fd = fd;
	return r;
}

/* Answer one request; false when it was the last. */
static bool answer(
	struct weir_stream *s, const struct weir_stream_message *m, struct region *r, int region_fd)
{
	static const char refusal[] = "this one is not to its taste";
	struct weir_hello_reply hello = { .version = WEIR_PROTOCOL_VERSION,
		.telemetry_size = sizeof(*r) };
	struct weir_message reply = {
		.type = m->header.type, .flags = WEIR_MESSAGE_F_REPLY, .id = m->header.id
	};
	struct weir_config_view view;
	char err[256];
	if (m->header.type == WEIR_MESSAGE_HELLO)
		return weir_stream_queue(s, &reply, &hello, sizeof(hello), &region_fd, 1) == 0;
	if (m->header.type == WEIR_MESSAGE_CONFIG) {
		if (weir_config_validate(m->body, m->header.length, err, sizeof(err)) != 0)
			exit(72);
		weir_config_view(m->body, &view);
		if (view.ports[0].kind != WEIR_PORT_CAPTURE)
			exit(73);
		fill(r, &view);
		if (getenv("FAKE_REFUSES") != NULL) {
			reply.status = -EINVAL;
			weir_stream_queue(s, &reply, refusal, strlen(refusal), NULL, 0);
			return true;
		}
	}
	weir_stream_queue(s, &reply, NULL, 0, NULL, 0);
	return m->header.type != WEIR_MESSAGE_STOP;
}

int main(int argc, char **argv)
{
	struct weir_stream *s;
	struct weir_stream_message m;
	int region_fd;
	const char *path = getenv("FAKE_ARGUMENTS");
	FILE *arguments = path != NULL ? fopen(path, "w") : NULL;
	for (int i = 1; arguments != NULL && i < argc; i++)
		fprintf(arguments, "%s\n", argv[i]);
	if (arguments != NULL)
		fclose(arguments);
	struct region *r = create_region(&region_fd);
	if (weir_stream_create(3, 1u << 20, &s) != 0)
		return 74;
	bool more = true;
	while (more) {
		struct pollfd p = { .fd = weir_stream_fd(s), .events = POLLIN };
		poll(&p, 1, 10000);
		int got = weir_stream_next(s, &m);
		if (got < 0)
			return 1;
		if (got == 1)
			more = answer(s, &m, r, region_fd);
		weir_stream_flush(s);
	}
	weir_stream_destroy(s);
	return 0;
}
