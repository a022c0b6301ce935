/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Handing images to the data plane, in turns of the loop: arrays that the kernel shares are made for each, which with
 * a thousand services takes longer than anybody is to wait.
 */

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policies_kernel.h"

#include <event2/event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_TIMEOUT_MS 10000

/* The images of one model under way; the last answer ends it. */
struct staging {
	struct daemon *d;
	const struct model *m; /* borrowed */
	struct model_policy_cursor at; /* the next one to look at */
	struct event *turn; /* owned */
	policies_staged_cb done;
	void *ctx;
	size_t open; /* without an answer, and one for the sender itself */
	int status;
	char text[512];
};

struct sent {
	struct staging *staging;
	uint64_t id;
};

static void staging_drop(struct staging *g)
{
	if (--g->open)
		return;
	g->d->policies.staging = NULL;
	if (g->turn)
		event_free(g->turn);
	g->done(g->ctx, g->status, g->text);
	free(g);
}

static void stage_failed(struct staging *g, const char *policy, int status, const char *text)
{
	if (g->status)
		return;
	g->status = status;
	snprintf(g->text, sizeof(g->text), "policy %s: %s", policy, text);
}

static void stage_reply(void *ctx, int status, const void *body, size_t length)
{
	struct sent *sent = ctx;
	struct policy_kept *k = policies_find(sent->staging->d, sent->id);

	if (status == -ETIMEDOUT)
		stage_failed(sent->staging, k ? k->image->name : "?", status,
			"the data plane does not answer");
	else if (status)
		stage_failed(sent->staging, k ? k->image->name : "?", status, body);
	if (k)
		k->staged = status == 0;
	staging_drop(sent->staging);
	free(sent);
}

static void stage_one(struct staging *g, struct policy_kept *k, struct port_judges *ports)
{
	struct weir_policy_stage stage = {
		.id = k->id, .image_bytes = k->bytes->image_size, .flags = WEIR_POLICY_F_VERIFIED
	};
	int fds[1 + WEIR_POLICY_MAX_MAPS] = { k->bytes->image_fd };

	if (policies_kernel_arrays(g->d, k, ports) == 0)
		for (uint32_t i = 0; i < k->image->map_count; i++) {
			if (policy_offload_copies(k->image, i))
				continue;
			stage.map[stage.map_fd_count] = (uint8_t)i;
			fds[1 + stage.map_fd_count++] = k->array[i];
		}
	struct sent *sent = malloc(sizeof(*sent));
	int rc = -ENOMEM;

	if (sent) {
		*sent = (struct sent){ .staging = g, .id = k->id };
		g->open++;
		rc = dataplane_request_fds(g->d->dataplane, WEIR_MESSAGE_POLICY_STAGE, &stage,
			sizeof(stage), fds, 1 + stage.map_fd_count, STAGE_TIMEOUT_MS, stage_reply,
			sent);
	}
	if (!rc)
		return;
	if (sent)
		g->open--;
	free(sent);
	k->staged = false;
	stage_failed(g, k->image->name, rc, strerror(-rc));
}

/* For as long as the loop may stand still. Returns false when all have been sent, or one has failed. */
static bool stage_some(struct staging *g)
{
	const uint64_t until = clock_now_ns() + LOOP_TURN_NS;
	struct port_judges ports = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	size_t position;

	while (!g->status && clock_now_ns() < until &&
		(p = model_policy_next(g->m, &g->at, &s, &position))) {
		struct policy_kept *k = p->id ? policies_find(g->d, p->id) : NULL;

		if (!k || k->staged)
			continue;
		k->staged = true; /* under way: once is enough for all services */
		stage_one(g, k, &ports);
	}
	port_judges_close(&ports);
	return !g->status && g->at.service <= g->m->service_count;
}

static void stage_turn(evutil_socket_t fd, short what, void *ctx)
{
	static const struct timeval at_once = { 0 };
	struct staging *g = ctx;

	if (stage_some(g))
		evtimer_add(g->turn, &at_once);
	else
		staging_drop(g);
}

void policies_stage(struct daemon *d, const struct model *m, policies_staged_cb done, void *ctx)
{
	struct staging *g = calloc(1, sizeof(*g));

	if (!g) {
		done(ctx, -ENOMEM, "out of memory");
		return;
	}
	*g = (struct staging){ .d = d, .m = m, .done = done, .ctx = ctx, .open = 1 };
	d->policies.staging = g;
	g->turn = evtimer_new(d->base, stage_turn, g);
	if (g->turn) {
		stage_turn(-1, 0, g);
		return;
	}
	stage_failed(g, "?", -ENOMEM, "out of memory");
	staging_drop(g);
}

void policies_stage_fail(struct daemon *d, int status, const char *text)
{
	if (d->policies.staging)
		stage_failed(d->policies.staging, "?", status, text);
}

void policies_stage_end(struct daemon *d)
{
	policies_stage_fail(d, -ECANCELED, "weir-controld is stopping");
	if (d->policies.staging)
		staging_drop(d->policies.staging);
}
