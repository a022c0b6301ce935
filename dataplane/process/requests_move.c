/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/requests_move.h"

#include "dataplane/api/validate.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/process/process.h"
#include "dataplane/process/requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Most moves take less than a millisecond, and who asked likes to hear that it is done. */
#define WAIT_NS UINT64_C(20000000)
#define LOOK_NS 50000

static void ended(void *process, const char *service, const char *text)
{
	process_event(process, WEIR_EVENT_CORES, service, text);
}

int request_core_move(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	const struct timespec nap = { .tv_nsec = LOOK_NS };
	const uint64_t now = process_now_ns();
	struct weir_core_moving *reply;
	int rc = weir_core_move_validate(body, length, r->text, sizeof(r->text));
	bool on = true;

	if (rc < 0)
		return rc;
	if (p->arguments.replay) {
		snprintf(r->text, sizeof(r->text), "a replay has one core");
		return -EOPNOTSUPP;
	}
	reply = calloc(1, sizeof(*reply));
	if (!reply)
		return -ENOMEM;
	rc = fastpath_move(p->fastpath, body, now, &reply->buckets, r->text, sizeof(r->text));
	if (rc < 0) {
		free(reply);
		return rc;
	}
	while (on && process_now_ns() - now < WAIT_NS) {
		nanosleep(&nap, NULL);
		on = fastpath_move_tick(p->fastpath, process_now_ns(), ended, p);
	}
	reply->done = !on;
	r->body = reply;
	r->length = sizeof(*reply);
	return 0;
}

void requests_move_tick(struct process *p)
{
	fastpath_move_tick(p->fastpath, process_now_ns(), ended, p);
}
