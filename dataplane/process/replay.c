/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/replay.h"

#include "dataplane/core/fastpath.h"
#include "dataplane/port/capture.h"
#include "dataplane/process/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How far time goes on before flows are aged again. */
#define AGE_STEP_NS 10000000u

static const char *file_find(const struct capture_argument *list, size_t count, const char *port)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].port, port) == 0)
			return list[i].file;
	return NULL;
}

const char *replay_file_in(void *process, const char *port)
{
	const struct process *p = process;

	return file_find(p->arguments.in, p->arguments.in_count, port);
}

const char *replay_file_out(void *process, const char *port)
{
	const struct process *p = process;

	return file_find(p->arguments.out, p->arguments.out_count, port);
}

/* Every port that --in or --out names must be one of the configuration's. */
static int names_check(const struct process *p, const char *option,
	const struct capture_argument *list, size_t count, char *err, size_t err_size)
{
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (uint32_t k = 0; k < p->telemetry->port_count; k++)
			known |= p->telemetry->port[k].used &&
				strcmp(p->telemetry->port[k].name, list[i].port) == 0;
		if (!known) {
			snprintf(err, err_size, "--%s %s=%s: the configuration has no port %s",
				option, list[i].port, list[i].file, list[i].port);
			return -EINVAL;
		}
	}
	return 0;
}

/* The earliest packet that waits at any port. Returns 1, 0 (none), or -EINVAL. */
static int next_time(struct process *p, uint64_t *ret_ns, char *err, size_t err_size)
{
	int found = 0;

	for (uint32_t i = 0; i < p->port_count; i++) {
		uint64_t ns;
		int rc = capture_next_time(p->port[i], &ns);

		if (rc < 0) {
			snprintf(err, err_size, "%s", capture_error(p->port[i]));
			return rc;
		}
		if (rc && (!found || ns < *ret_ns))
			*ret_ns = ns;
		found |= rc;
	}
	return found;
}

/* Give the fast path all that has this time, and let it finish with it. */
static int moment_run(struct process *p, uint64_t ns, uint64_t now, char *err, size_t err_size)
{
	for (uint32_t i = 0; i < p->port_count; i++)
		capture_set_time(p->port[i], ns);
	while (fastpath_core_step(p->fastpath, 0, now) > 0)
		continue;
	uint64_t next = 0;
	if (next_time(p, &next, err, err_size) == 1 && next == ns) {
		snprintf(err, err_size,
			"out of packet buffers: more packets of one moment than fit");
		return -ENOBUFS;
	}
	return 0;
}

int replay_run(struct process *p, char *err, size_t err_size)
{
	const struct arguments *a = &p->arguments;
	uint64_t now = 0, aged = 0, ns = 0;

	int rc = names_check(p, "in", a->in, a->in_count, err, err_size);
	if (rc == 0)
		rc = names_check(p, "out", a->out, a->out_count, err, err_size);
	if (rc < 0)
		return rc;
	while ((rc = next_time(p, &ns, err, err_size)) == 1) {
		/* A capture may jump back; the fast path's clock must not. */
		if (ns > now)
			now = ns;
		if (now - aged >= AGE_STEP_NS) {
			fastpath_age(p->fastpath, now);
			aged = now;
		}
		rc = moment_run(p, ns, now, err, err_size);
		if (rc < 0)
			return rc;
	}
	fastpath_settle(p->fastpath);
	for (uint32_t i = 0; rc == 0 && i < p->port_count; i++) {
		rc = capture_flush(p->port[i]);
		if (rc < 0)
			snprintf(err, err_size, "%s", capture_error(p->port[i]));
	}
	return rc;
}
