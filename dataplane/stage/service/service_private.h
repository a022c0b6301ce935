/* SPDX-License-Identifier: BSD-3-Clause */

/* Between service_burst.c and fragment_burst.c. */

#ifndef WEIR_STAGE_SERVICE_PRIVATE_H
#define WEIR_STAGE_SERVICE_PRIVATE_H

#include "dataplane/stage/stage.h"
#include "dataplane/table/service_table.h"

enum service_fragment {
	SERVICE_FRAGMENT_PLACED, /* its ports are known: they tell whose it is */
	SERVICE_FRAGMENT_OVERLAPS, /* the same, but it is not to be forwarded */
	SERVICE_FRAGMENT_FOREIGN, /* nobody has its address */
	SERVICE_FRAGMENT_GONE, /* held, or dropped */
};

/* A PARSE_FRAGMENT: note the first one, find a later one's ports or hold it. */
enum service_fragment service_fragment_take(
	struct stage_core *c, const struct service_table *table, struct rte_mbuf *m);

/* Packets without ports that count: a fragment or a broken one belongs to whoever has the address. */
uint16_t service_find_by_address(
	const struct service_table *t, const uint8_t *l3, const struct packet *p);

#endif
