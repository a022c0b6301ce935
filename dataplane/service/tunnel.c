/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The outer source addresses of a service whose packets go to its backends inside others. Main thread.
 */

#include "dataplane/net/encap.h"
#include "dataplane/service/service.h"

#include <errno.h>
#include <string.h>

int service_tunnel_create(struct service *s, const struct weir_config_service *config,
	const struct weir_config_source *sources, struct service_tunnel **ret_tunnel)
{
	const bool ipv6 = !weir_address_is_v4(config->address);
	struct service_tunnel *t = account_alloc(&s->account, ACCOUNT_POOLS,
		sizeof(*t) + config->source_count * sizeof(t->source[0]));

	if (!t)
		return -ENOMEM;
	t->references = 1;
	t->gue = config->mode == WEIR_MODE_GUE;
	t->overhead = encap_bytes(ipv6, t->gue);
	t->source_count = config->source_count;
	for (uint32_t i = 0; i < config->source_count; i++)
		memcpy(t->source[i], sources[i].address, sizeof(t->source[i]));
	*ret_tunnel = t;
	return 0;
}

void service_tunnel_release(struct service *s, struct service_tunnel *t)
{
	if (t && --t->references == 0)
		account_free(&s->account, ACCOUNT_POOLS, t);
}
