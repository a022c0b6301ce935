/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/requests_policy.h"

#include "dataplane/api/stream.h"
#include "dataplane/api/validate.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/process/process.h"
#include "dataplane/process/requests.h"

#include <rte_cycles.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CLOCK_CYCLES 10000u /* that reading a clock may take, else it was interrupted */

/* Nobody may change the image under our eyes, or cut it short. */
static int image_map(int fd, size_t bytes, void **ret_image, struct request_reply *r)
{
	const int needed = F_SEAL_WRITE | F_SEAL_SHRINK;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & needed) != needed) {
		snprintf(r->text, sizeof(r->text), "a policy's image is not sealed");
		return -EINVAL;
	}
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (size_t)st.st_size != bytes) {
		snprintf(r->text, sizeof(r->text), "a policy's image has not the %zu bytes it says",
			bytes);
		return -EINVAL;
	}
	void *image = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED)
		return -errno;
	*ret_image = image;
	return 0;
}

int request_policy_stage(struct process *p, const struct weir_stream_message *m, uint32_t client,
	struct request_reply *r)
{
	const struct weir_policy_stage *stage = m->body;
	int rc = weir_policy_stage_validate(m->body, m->header.length, r->text, sizeof(r->text));
	void *image = NULL;

	if (rc < 0)
		return rc;
	if (m->fd_count != 1 + stage->map_fd_count) {
		snprintf(r->text, sizeof(r->text),
			"%u descriptors came with a policy that has %u arrays", m->fd_count,
			stage->map_fd_count);
		return -EINVAL;
	}
	rc = image_map(m->fds[0], (size_t)stage->image_bytes, &image, r);
	if (rc < 0)
		return rc;
	rc = fastpath_policy_stage(
		p->fastpath, stage, image, m->fds + 1, client, r->text, sizeof(r->text));
	munmap(image, (size_t)stage->image_bytes);
	return rc;
}

int request_policy_map(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	int rc = weir_policy_map_validate(body, length, r->text, sizeof(r->text));

	if (rc < 0)
		return rc;
	return fastpath_policy_map(
		p->fastpath, body, &r->body, &r->length, r->text, sizeof(r->text));
}

static void detached(void *process, const char *object, const char *text)
{
	process_event(process, WEIR_EVENT_POLICY_DETACHED, object, text);
}

/* Both clocks at once, or as good as. */
static void clock_tell(struct process *p)
{
	const uint64_t before = rte_rdtsc();
	const uint64_t now_ns = process_now_ns();
	const uint64_t took = rte_rdtsc() - before;

	if (took < CLOCK_CYCLES)
		fastpath_policy_clock(p->fastpath, now_ns, before + took / 2);
}

void requests_policy_tick(struct process *p)
{
	/* A replay's time is its packets', and what it does must not depend on the machine. */
	if (p->arguments.replay)
		return;
	clock_tell(p);
	fastpath_policy_tick(p->fastpath, process_now_ns() / 1000000, detached, p);
}
