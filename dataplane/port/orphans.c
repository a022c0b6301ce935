/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/orphans.h"

#include "dataplane/api/telemetry.h"
#include "ebpf/kernel/links.h"

#include <bpf/bpf.h>

#include <net/if.h>
#include <stdlib.h>

struct orphan {
	uint32_t ifindex;
	struct port_link link; /* owned */
};

struct port_orphans {
	uint32_t count;
	struct orphan orphan[WEIR_MAX_PORTS];
};

struct port_orphans *port_orphans_collect(const char *instance_dir)
{
	const uint64_t owner = port_link_owner(instance_dir);
	struct if_nameindex *all = if_nameindex();
	struct port_orphans *o = calloc(1, sizeof(*o));

	for (const struct if_nameindex *i = all; o && i && i->if_index; i++) {
		struct orphan *next = &o->orphan[o->count];

		if (o->count == WEIR_MAX_PORTS)
			break;
		next->ifindex = i->if_index;
		if (port_link_find_with_maps(i->if_index, owner, &next->link) == 0)
			o->count++;
	}
	if (all)
		if_freenameindex(all);
	if (o && o->count == 0) {
		free(o);
		o = NULL;
	}
	return o;
}

struct port_link *port_orphans_find(struct port_orphans *o, uint32_t ifindex)
{
	for (uint32_t i = 0; o && i < o->count; i++)
		if (o->orphan[i].ifindex == ifindex && o->orphan[i].link.fd >= 0)
			return &o->orphan[i].link;
	return NULL;
}

void port_orphans_end(struct port_orphans *o, bool detach)
{
	for (uint32_t i = 0; o && i < o->count; i++) {
		if (detach && o->orphan[i].link.fd >= 0)
			(void)bpf_link_detach(o->orphan[i].link.fd);
		port_link_release(&o->orphan[i].link);
	}
	free(o);
}
