/* SPDX-License-Identifier: BSD-3-Clause */

/* Which way to an address: the routing table's entry whole, with all its next hops. */

#include "control/kernel/kernel_private.h"

#include <libmnl/libmnl.h>

#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

bool address_is_v4(const struct address *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(a->bytes, mapped, sizeof(mapped));
}

void kernel_put_address(struct nlmsghdr *nlh, uint16_t type, const struct address *a)
{
	if (address_is_v4(a))
		mnl_attr_put(nlh, type, 4, a->bytes + 12);
	else
		mnl_attr_put(nlh, type, 16, a->bytes);
}

static int nexthop_get(struct kernel_watch *w, uint32_t id, struct kernel_nexthop *ret)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct rtnl_change answer = { .kind = RTNL_NEXTHOP };
	struct collect c = { .watch = w, .answer = &answer };

	nlh->nlmsg_type = RTM_GETNEXTHOP;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nhmsg));
	mnl_attr_put_u32(nlh, NHA_ID, id);
	int rc = kernel_request(w, nlh, &c);

	if (!rc)
		*ret = answer.nexthop;
	return rc;
}

/*
 * The hops of a route that names only a nexthop object, as the kernel does with
 * net.ipv4.nexthop_compat_mode=0.
 */
static int nexthops_fill(struct kernel_watch *w, struct kernel_route *r)
{
	struct kernel_nexthop object;
	struct kernel_nexthop member;
	int rc = nexthop_get(w, r->nexthop_id, &object);

	if (rc)
		return rc;
	if (!object.member_count) {
		r->hops[0] = object.hop;
		r->hop_count = object.hop.ifindex ? 1 : 0;
		return 0;
	}
	for (uint32_t i = 0; i < object.member_count; i++) {
		rc = nexthop_get(w, object.members[i].id, &member);
		if (rc)
			return rc;
		if (!member.hop.ifindex)
			continue;
		member.hop.weight = object.members[i].weight;
		r->hops[r->hop_count++] = member.hop;
	}
	return 0;
}

static int route_ask(struct kernel_watch *w, const struct address *to, struct kernel_route *ret)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct rtnl_change answer = { .kind = RTNL_ROUTE };
	struct collect c = { .watch = w, .answer = &answer };

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	struct rtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->rtm_family = address_is_v4(to) ? AF_INET : AF_INET6;
	m->rtm_dst_len = address_is_v4(to) ? 32 : 128;
	/* The table's entry, not the one next hop that the kernel would take for a packet of its own. */
	m->rtm_flags = RTM_F_FIB_MATCH;
	kernel_put_address(nlh, RTA_DST, to);
	int rc = kernel_request(w, nlh, &c);

	if (!rc && !answer.route.hop_count && answer.route.nexthop_id)
		rc = nexthops_fill(w, &answer.route);
	*ret = answer.route;
	return rc;
}

int kernel_route_get(struct kernel_watch *w, const struct address *to, struct kernel_route *ret)
{
	int rc;

	if (route_cache_find(&w->routes, to, &rc, ret))
		return rc;
	rc = route_ask(w, to, ret);
	/* Without memory to remember it, it is asked for again. */
	route_cache_keep(&w->routes, to, rc, ret);
	return rc;
}

void kernel_routes_sweep(struct kernel_watch *w)
{
	route_cache_sweep(&w->routes);
}
