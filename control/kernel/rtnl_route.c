/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/rtnl_private.h"

#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* A gateway in whichever way it is given, or none. False when it is malformed. */
static bool gateway_read(const struct attributes *a, uint8_t family, struct kernel_hop *ret)
{
	if (a->at[RTA_GATEWAY]) {
		ret->has_via = true;
		return address_read(a->at[RTA_GATEWAY], family, &ret->via);
	}
	if (!a->at[RTA_VIA])
		return true;
	/* A gateway of the other family: an IPv4 route by way of an IPv6 router. */
	const struct rtvia *via = mnl_attr_get_payload(a->at[RTA_VIA]);
	size_t size = mnl_attr_get_payload_len(a->at[RTA_VIA]);

	if (size != sizeof(via->rtvia_family) + 16 || via->rtvia_family != AF_INET6)
		return false;
	ret->has_via = true;
	memcpy(ret->via.bytes, via->rtvia_addr, 16);
	return true;
}

static void hop_append(struct kernel_route *r, const struct kernel_hop *hop)
{
	if (r->hop_count < KERNEL_HOPS_MAX)
		r->hops[r->hop_count++] = *hop;
	else
		r->hops_left_out++;
}

static bool multipath_read(const struct nlattr *attr, uint8_t family, struct kernel_route *ret)
{
	const char *at = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);

	while (left) {
		struct rtnexthop head;
		struct attributes a;

		if (left < sizeof(head))
			return false;
		memcpy(&head, at, sizeof(head));
		if (head.rtnh_len < sizeof(head) || head.rtnh_len > left)
			return false;
		struct kernel_hop hop = {
			.ifindex = (uint32_t)head.rtnh_ifindex,
			.weight = (uint16_t)(head.rtnh_hops + 1),
			.dead = head.rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN),
		};

		if (!attributes_read_bytes(at + sizeof(head), head.rtnh_len - sizeof(head), &a) ||
			!gateway_read(&a, family, &hop))
			return false;
		hop_append(ret, &hop);
		size_t step = RTNH_ALIGN(head.rtnh_len);

		at += step < left ? step : left;
		left -= step < left ? step : left;
	}
	return true;
}

static bool destination_read(
	const struct attributes *a, const struct rtmsg *m, struct kernel_route *ret)
{
	bool ipv4 = m->rtm_family == AF_INET;

	if (m->rtm_dst_len > (ipv4 ? 32 : 128))
		return false;
	ret->prefix_length = (uint8_t)(m->rtm_dst_len + (ipv4 ? 96 : 0));
	if (ipv4)
		ret->destination.bytes[10] = ret->destination.bytes[11] = 0xff;
	return !a->at[RTA_DST] || address_read(a->at[RTA_DST], m->rtm_family, &ret->destination);
}

int rtnl_route_parse(const struct nlmsghdr *nlh, struct kernel_route *ret)
{
	struct attributes a;
	struct kernel_hop hop = { .weight = 1 };

	if (!attributes_read(nlh, sizeof(struct rtmsg), &a))
		return -EINVAL;
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);

	memset(ret, 0, sizeof(*ret));
	if (m->rtm_family != AF_INET && m->rtm_family != AF_INET6)
		return 0;
	ret->type = m->rtm_type;
	if (!destination_read(&a, m, ret))
		return -EINVAL;
	if (a.at[RTA_NH_ID] && !u32_read(a.at[RTA_NH_ID], &ret->nexthop_id))
		return -EINVAL;
	if (a.at[RTA_MULTIPATH])
		return multipath_read(a.at[RTA_MULTIPATH], m->rtm_family, ret) ? 0 : -EINVAL;
	if (!a.at[RTA_OIF])
		return 0;
	hop.dead = m->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN);
	if (!u32_read(a.at[RTA_OIF], &hop.ifindex) || !gateway_read(&a, m->rtm_family, &hop))
		return -EINVAL;
	hop_append(ret, &hop);
	return 0;
}

static bool group_read(const struct nlattr *attr, struct kernel_nexthop *ret)
{
	const char *at = mnl_attr_get_payload(attr);
	size_t size = mnl_attr_get_payload_len(attr);
	struct nexthop_grp member;

	if (size % sizeof(member))
		return false;
	for (; size && ret->member_count < KERNEL_HOPS_MAX; size -= sizeof(member)) {
		memcpy(&member, at, sizeof(member));
		at += sizeof(member);
		ret->members[ret->member_count].id = member.id;
		ret->members[ret->member_count++].weight = (uint16_t)(member.weight + 1);
	}
	return true;
}

int rtnl_nexthop_parse(const struct nlmsghdr *nlh, struct kernel_nexthop *ret)
{
	struct attributes a;

	if (!attributes_read(nlh, sizeof(struct nhmsg), &a))
		return -EINVAL;
	const struct nhmsg *m = mnl_nlmsg_get_payload(nlh);

	memset(ret, 0, sizeof(*ret));
	ret->hop.weight = 1;
	ret->hop.dead = m->nh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN);
	if (a.at[NHA_ID] && !u32_read(a.at[NHA_ID], &ret->id))
		return -EINVAL;
	if (a.at[NHA_GROUP])
		return group_read(a.at[NHA_GROUP], ret) ? 0 : -EINVAL;
	if (a.at[NHA_OIF] && !u32_read(a.at[NHA_OIF], &ret->hop.ifindex))
		return -EINVAL;
	if (!a.at[NHA_GATEWAY])
		return 0;
	ret->hop.has_via = true;
	return address_read(a.at[NHA_GATEWAY], m->nh_family, &ret->hop.via) ? 0 : -EINVAL;
}
