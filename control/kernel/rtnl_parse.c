/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/rtnl_private.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static int attribute_keep(const struct nlattr *attr, void *data)
{
	struct attributes *a = data;

	if ((const char *)attr + attr->nla_len > a->end)
		return MNL_CB_ERROR;
	if (mnl_attr_get_type(attr) < ATTRIBUTES)
		a->at[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

bool attributes_read(const struct nlmsghdr *nlh, size_t header, struct attributes *ret)
{
	memset(ret, 0, sizeof(*ret));
	/* The kernel pads; libmnl takes that for granted, and would read on to the next multiple. */
	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + MNL_ALIGN(header) || nlh->nlmsg_len % MNL_ALIGNTO)
		return false;
	ret->end = (const char *)nlh + nlh->nlmsg_len;
	return mnl_attr_parse(nlh, (unsigned int)header, attribute_keep, ret) >= MNL_CB_STOP;
}

bool attributes_read_bytes(const void *bytes, size_t length, struct attributes *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->end = (const char *)bytes + length;
	return mnl_attr_parse_payload(bytes, length, attribute_keep, ret) >= MNL_CB_STOP;
}

bool address_read(const struct nlattr *attr, uint8_t family, struct address *ret)
{
	size_t size = family == AF_INET ? 4 : 16;

	if (mnl_attr_get_payload_len(attr) != size)
		return false;
	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET)
		ret->bytes[10] = ret->bytes[11] = 0xff;
	memcpy(ret->bytes + 16 - size, mnl_attr_get_payload(attr), size);
	return true;
}

bool u32_read(const struct nlattr *attr, uint32_t *ret)
{
	if (mnl_attr_get_payload_len(attr) != sizeof(uint32_t))
		return false;
	*ret = mnl_attr_get_u32(attr);
	return true;
}

static int link_parse(const struct nlmsghdr *nlh, struct kernel_link *ret)
{
	struct attributes a;

	if (!attributes_read(nlh, sizeof(struct ifinfomsg), &a))
		return -EINVAL;
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);

	memset(ret, 0, sizeof(*ret));
	ret->ifindex = (uint32_t)m->ifi_index;
	ret->up = m->ifi_flags & IFF_UP;
	ret->running = m->ifi_flags & IFF_RUNNING;
	ret->loopback = m->ifi_flags & IFF_LOOPBACK;
	if (a.at[IFLA_IFNAME]) {
		size_t size = mnl_attr_get_payload_len(a.at[IFLA_IFNAME]);
		const char *name = mnl_attr_get_payload(a.at[IFLA_IFNAME]);

		if (!size || size > sizeof(ret->name) || !memchr(name, 0, size))
			return -EINVAL;
		memcpy(ret->name, name, size);
	}
	if (a.at[IFLA_MTU] && !u32_read(a.at[IFLA_MTU], &ret->mtu))
		return -EINVAL;
	if (a.at[IFLA_ADDRESS] && mnl_attr_get_payload_len(a.at[IFLA_ADDRESS]) == 6) {
		ret->has_mac = true;
		memcpy(ret->mac, mnl_attr_get_payload(a.at[IFLA_ADDRESS]), 6);
	}
	return 0;
}

static int address_parse_message(
	const struct nlmsghdr *nlh, struct kernel_address *ret, bool *ret_known_family)
{
	struct attributes a;

	if (!attributes_read(nlh, sizeof(struct ifaddrmsg), &a))
		return -EINVAL;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);

	*ret_known_family = m->ifa_family == AF_INET || m->ifa_family == AF_INET6;
	if (!*ret_known_family)
		return 0;
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = m->ifa_index;
	ret->prefix_length = (uint8_t)(m->ifa_prefixlen + (m->ifa_family == AF_INET ? 96 : 0));
	if (ret->prefix_length > 128)
		return -EINVAL;
	/* On a point-to-point link IFA_ADDRESS is the peer, and IFA_LOCAL is ours. */
	const struct nlattr *own = a.at[IFA_LOCAL] ? a.at[IFA_LOCAL] : a.at[IFA_ADDRESS];

	return own && address_read(own, m->ifa_family, &ret->address) ? 0 : -EINVAL;
}

static int neighbour_parse(
	const struct nlmsghdr *nlh, struct kernel_neighbour *ret, bool *ret_known_family)
{
	struct attributes a;

	if (!attributes_read(nlh, sizeof(struct ndmsg), &a))
		return -EINVAL;
	const struct ndmsg *m = mnl_nlmsg_get_payload(nlh);

	*ret_known_family = (m->ndm_family == AF_INET || m->ndm_family == AF_INET6) &&
		!(m->ndm_flags & NTF_PROXY) && a.at[NDA_DST];
	if (!*ret_known_family)
		return 0;
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = (uint32_t)m->ndm_ifindex;
	ret->state = m->ndm_state;
	if (a.at[NDA_LLADDR] && mnl_attr_get_payload_len(a.at[NDA_LLADDR]) == 6) {
		ret->has_mac = true;
		memcpy(ret->mac, mnl_attr_get_payload(a.at[NDA_LLADDR]), 6);
	}
	return address_read(a.at[NDA_DST], m->ndm_family, &ret->address) ? 0 : -EINVAL;
}

int rtnl_parse(const struct nlmsghdr *nlh, struct rtnl_change *ret_change)
{
	struct rtnl_change c = { .kind = RTNL_OTHER };
	bool known = true;
	int rc = 0;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		c.kind = RTNL_LINK;
		c.removed = nlh->nlmsg_type == RTM_DELLINK;
		rc = link_parse(nlh, &c.link);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		c.kind = RTNL_ADDRESS;
		c.removed = nlh->nlmsg_type == RTM_DELADDR;
		rc = address_parse_message(nlh, &c.address, &known);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		c.kind = RTNL_NEIGHBOUR;
		c.removed = nlh->nlmsg_type == RTM_DELNEIGH;
		rc = neighbour_parse(nlh, &c.neighbour, &known);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		c.kind = RTNL_ROUTE;
		c.removed = nlh->nlmsg_type == RTM_DELROUTE;
		rc = rtnl_route_parse(nlh, &c.route);
		known = c.route.type != RTN_UNSPEC;
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		c.kind = RTNL_NEXTHOP;
		c.removed = nlh->nlmsg_type == RTM_DELNEXTHOP;
		rc = rtnl_nexthop_parse(nlh, &c.nexthop);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		c.kind = RTNL_RULE;
		c.removed = nlh->nlmsg_type == RTM_DELRULE;
		break;
	default:
		break;
	}
	if (rc)
		return rc;
	if (!known)
		c.kind = RTNL_OTHER;
	*ret_change = c;
	return 0;
}
