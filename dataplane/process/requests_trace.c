/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/requests_trace.h"

#include "dataplane/api/validate.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/process/process.h"
#include "dataplane/process/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ms(void)
{
	return process_now_ns() / 1000000;
}

static uint64_t realtime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int request_trace_start(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	int rc = weir_trace_start_validate(body, length, r->text, sizeof(r->text));

	if (rc < 0)
		return rc;
	struct weir_trace_started *started = calloc(1, sizeof(*started));
	if (!started)
		return -ENOMEM;
	rc = fastpath_trace_start(p->fastpath, body, now_ms(), started, r->text, sizeof(r->text));
	if (rc < 0) {
		free(started);
		return rc;
	}
	r->body = started;
	r->length = sizeof(*started);
	return 0;
}

int request_trace_read(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	struct weir_trace_batch *batch;
	int rc = weir_trace_read_validate(body, length, r->text, sizeof(r->text));

	if (rc == 0)
		rc = fastpath_trace_read(p->fastpath, body, now_ms(), realtime_ns(), &batch,
			&r->length, r->text, sizeof(r->text));
	if (rc == 0)
		r->body = batch;
	return rc;
}

int request_trace_stop(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	int rc = weir_trace_read_validate(body, length, r->text, sizeof(r->text));

	if (rc < 0)
		return rc;
	struct weir_trace_batch *batch = calloc(1, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	rc = fastpath_trace_stop(p->fastpath, body, batch, r->text, sizeof(r->text));
	if (rc < 0) {
		free(batch);
		return rc;
	}
	r->body = batch;
	r->length = sizeof(*batch);
	return 0;
}

void requests_trace_tick(struct process *p)
{
	fastpath_trace_tick(p->fastpath, now_ms());
}
