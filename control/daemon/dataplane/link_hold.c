/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/link_hold.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct held_link *held_find(struct link_hold *h, uint32_t ifindex)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->items[i].ifindex == ifindex)
			return &h->items[i];
	return NULL;
}

static void hold(struct link_hold *h, uint64_t owner, uint32_t ifindex)
{
	struct held_link *at = held_find(h, ifindex);
	uint32_t program = port_link_program(ifindex);
	struct port_link link;

	if (at && at->link.program == program)
		return;
	/* Another program on the same link, or another link: get it before the old one is let go. */
	if (program == 0 || port_link_find(ifindex, owner, &link) != 0)
		link = PORT_LINK_NONE;
	if (at) {
		port_link_release(&at->link);
		at->link = link;
		return;
	}
	struct held_link *items = realloc(h->items, (h->count + 1) * sizeof(*items));

	if (!items) {
		port_link_release(&link);
		return;
	}
	h->items = items;
	h->items[h->count++] = (struct held_link){ .ifindex = ifindex, .link = link };
}

static bool listed(const uint32_t *ifindex, size_t count, uint32_t wanted)
{
	for (size_t i = 0; i < count; i++)
		if (ifindex[i] == wanted)
			return true;
	return false;
}

void link_hold_follow(struct link_hold *h, uint64_t owner, const uint32_t *ifindex, size_t count)
{
	for (size_t i = 0; i < h->count;) {
		if (listed(ifindex, count, h->items[i].ifindex)) {
			i++;
			continue;
		}
		port_link_release(&h->items[i].link);
		h->items[i] = h->items[--h->count];
	}
	for (size_t i = 0; i < count; i++)
		if (ifindex[i])
			hold(h, owner, ifindex[i]);
}

void link_hold_fini(struct link_hold *h)
{
	for (size_t i = 0; i < h->count; i++)
		port_link_release(&h->items[i].link);
	free(h->items);
	memset(h, 0, sizeof(*h));
}
