/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/policy/policy_stock.h"

#include "ebpf/engine/check.h"
#include "ebpf/engine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static_assert(WEIR_POLICY_MAX_MAPS == POLICY_MAX_MAPS, "the engine's maps fit into a message");
static_assert(WEIR_POLICY_MAX_KEY == POLICY_MAX_KEY, "and so do keys");
static_assert(WEIR_POLICY_MAX_VALUE == POLICY_MAX_VALUE, "values");
static_assert(WEIR_POLICY_MAX_IMAGE == POLICY_MAX_IMAGE, "and images");

static void stocked_free(struct policy_stocked *s)
{
	for (uint32_t i = 0; i < WEIR_POLICY_MAX_MAPS; i++)
		if (s->map_fds[i] >= 0)
			close(s->map_fds[i]);
	free(s->image);
	free(s);
}

static int insns_check(const struct policy_image *image, char *err, size_t err_size)
{
	struct policy_refusal refusal;
	int rc = policy_insns_check(image_insns(image), image->insn_count, image_maps(image),
		image->map_count, NULL, &refusal);

	if (rc == -EINVAL)
		snprintf(err, err_size, "policy %s: instruction %u: %s", image->name, refusal.insn,
			refusal.reason);
	return rc;
}

static int fds_keep(struct policy_stocked *s, const struct weir_policy_stage *stage, const int *fds,
	char *err, size_t err_size)
{
	const struct policy_image *image = s->image;

	for (uint32_t i = 0; i < stage->map_fd_count; i++) {
		uint8_t map = stage->map[i];

		if (map >= image->map_count || image_maps(image)[map].type != BPF_MAP_TYPE_ARRAY) {
			snprintf(err, err_size, "policy %s: map %u is no array to share",
				image->name, map);
			return -EINVAL;
		}
		s->map_fds[map] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (s->map_fds[map] < 0)
			return -errno;
	}
	return 0;
}

static int stocked_fill(struct policy_stocked *s, const struct weir_policy_stage *stage,
	const void *image, const int *fds, char *err, size_t err_size)
{
	s->image_bytes = (size_t)stage->image_bytes;
	s->image = malloc(s->image_bytes);
	if (!s->image)
		return -ENOMEM;
	memcpy(s->image, image, s->image_bytes);
	int rc = policy_image_check(s->image, s->image_bytes, err, err_size);
	if (rc == 0)
		rc = insns_check(s->image, err, err_size);
	return rc ? rc : fds_keep(s, stage, fds, err, err_size);
}

int policy_stock_add(struct policy_stock *stock, const struct weir_policy_stage *stage,
	const void *image, const int *fds, uint32_t stager, char *err, size_t err_size)
{
	struct policy_stocked *s = policy_stock_find(stock, stage->id);

	if (s) {
		s->stager = stager;
		return 0;
	}
	if (stock->count >= WEIR_POLICY_MAX_STAGED) {
		snprintf(err, err_size, "%u policies are staged already", stock->count);
		return -ENOSPC;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->id = stage->id;
	s->stager = stager;
	s->verified = stage->flags & WEIR_POLICY_F_VERIFIED;
	memset(s->map_fds, 0xff, sizeof(s->map_fds));
	int rc = stocked_fill(s, stage, image, fds, err, err_size);
	if (rc < 0) {
		stocked_free(s);
		return rc;
	}
	s->next = stock->first;
	stock->first = s;
	stock->count++;
	return 0;
}

struct policy_stocked *policy_stock_find(const struct policy_stock *stock, uint64_t id)
{
	struct policy_stocked *s = stock->first;

	while (s && s->id != id)
		s = s->next;
	return s;
}

/* Out with all that nobody holds. */
static void stock_sweep(struct policy_stock *stock)
{
	struct policy_stocked **at = &stock->first;

	while (*at) {
		struct policy_stocked *s = *at;

		if (s->references || s->stager != POLICY_STOCK_NOBODY) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		stock->count--;
		stocked_free(s);
	}
}

void policy_stock_hold(struct policy_stocked *s)
{
	s->references++;
}

void policy_stock_release(struct policy_stock *stock, struct policy_stocked *s)
{
	if (--s->references == 0)
		stock_sweep(stock);
}

void policy_stock_forget(struct policy_stock *stock, uint32_t stager)
{
	for (struct policy_stocked *s = stock->first; s; s = s->next)
		if (stager == POLICY_STOCK_NOBODY || s->stager == stager)
			s->stager = POLICY_STOCK_NOBODY;
	stock_sweep(stock);
}
