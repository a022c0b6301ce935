/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Images of policies that control has handed over, by id: those that configurations may name. Each is
 * held by whoever staged it and by the programs made of it, and forgotten with the last of them. Main
 * thread.
 */

#ifndef WEIR_CORE_POLICY_STOCK_H
#define WEIR_CORE_POLICY_STOCK_H

#include "dataplane/api/messages.h"
#include "dataplane/core/fastpath.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who staged an image, so that it can be forgotten when that client has gone. */
#define POLICY_STOCK_NOBODY FASTPATH_ANY_CLIENT

struct policy_stocked {
	struct policy_stocked *next; /* owned by the stock */
	uint32_t references; /* programs made of it */
	uint32_t stager; /* client, or POLICY_STOCK_NOBODY: only programs hold it */
	uint64_t id;
	bool verified;
	void *image; /* owned; checked */
	size_t image_bytes;
	int map_fds[WEIR_POLICY_MAX_MAPS]; /* owned; by the image's index, -1: not shared */
};

struct policy_stock {
	struct policy_stocked *first; /* owned */
	uint32_t count;
};

/*
 * Take an image in, after checking it and its instructions.
 *
 * stage   validated with weir_policy_stage_validate()
 * image   stage->image_bytes, 8-byte aligned; copied
 * fds     [stage->map_fd_count]; duplicated
 *
 * Returns 0 (also when the id was known already), -EINVAL (refused), -ENOSPC (too many are staged) or
 * another -errno with the reason in err.
 */
int policy_stock_add(struct policy_stock *stock, const struct weir_policy_stage *stage,
	const void *image, const int *fds, uint32_t stager, char *err, size_t err_size);

struct policy_stocked *policy_stock_find(const struct policy_stock *stock, uint64_t id);
void policy_stock_hold(struct policy_stocked *s);
void policy_stock_release(struct policy_stock *stock, struct policy_stocked *s);

/* Forget what is staged and not used: by a client, or by POLICY_STOCK_NOBODY for any. */
void policy_stock_forget(struct policy_stock *stock, uint32_t stager);

#endif
