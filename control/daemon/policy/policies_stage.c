/* SPDX-License-Identifier: BSD-3-Clause */

/* Handing images to the data plane. */

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policies_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_TIMEOUT_MS 10000

/* The images of one model under way; the last answer ends it. */
struct staging {
	struct daemon *d;
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

static void stage_one(struct staging *g, struct policy_kept *k)
{
	struct weir_policy_stage stage = {
		.id = k->id, .image_bytes = k->image_size, .flags = WEIR_POLICY_F_VERIFIED
	};
	int fds[1 + WEIR_POLICY_MAX_MAPS] = { k->image_fd };

	if (policies_kernel_arrays(g->d, k) == 0)
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

void policies_stage(struct daemon *d, const struct model *m, policies_staged_cb done, void *ctx)
{
	struct staging *g = calloc(1, sizeof(*g));
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	const struct model_policy *p;
	size_t position;

	if (!g) {
		done(ctx, -ENOMEM, "out of memory");
		return;
	}
	*g = (struct staging){ .d = d, .done = done, .ctx = ctx, .open = 1 };
	while ((p = model_policy_next(m, &c, &s, &position))) {
		struct policy_kept *k = p->id ? policies_find(d, p->id) : NULL;

		if (!k || k->staged)
			continue;
		k->staged = true; /* under way: once is enough for all services */
		stage_one(g, k);
	}
	staging_drop(g);
}
