/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Policies from the main thread's side: which programs run where, and what is asked of their maps.
 */

#include "dataplane/core/core.h"

#include <errno.h>
#include <stdio.h>

int fastpath_policy_stage(struct fastpath *fp, const struct weir_policy_stage *stage,
	const void *image, const int *map_fds, uint32_t client, char *err, size_t err_size)
{
	return policy_stock_add(&fp->policy_stock, stage, image, map_fds, client, err, err_size);
}

void fastpath_policy_forget(struct fastpath *fp, uint32_t client)
{
	policy_stock_forget(&fp->policy_stock, client);
}

int fastpath_policy_map(struct fastpath *fp, const struct weir_policy_map *request, void **ret_body,
	size_t *ret_length, char *err, size_t err_size)
{
	(void)fp;
	(void)ret_body;
	(void)ret_length;
	snprintf(err, err_size, "service %s has no policy %u", request->service, request->position);
	return -ENOENT;
}
