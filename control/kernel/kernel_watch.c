/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/kernel/kernel_watch.h"

#include "control/kernel/kernel_private.h"

#include <event2/event.h>
#include <libmnl/libmnl.h>

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define GROUPS                                                                                    \
	(RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | \
		RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE | 1u << (RTNLGRP_IPV6_RULE - 1) |          \
		1u << (RTNLGRP_NEXTHOP - 1))
#define RECEIVE_BYTES \
	(4 << 20) /* a storm of events should not overflow while we do something else */
#define DUMP_ATTEMPTS 5

static unsigned int change_of(enum rtnl_kind kind)
{
	switch (kind) {
	case RTNL_LINK:
		return KERNEL_CHANGE_LINKS;
	case RTNL_ADDRESS:
		return KERNEL_CHANGE_ADDRESSES;
	case RTNL_NEIGHBOUR:
		return KERNEL_CHANGE_NEIGHBOURS;
	case RTNL_ROUTE:
	case RTNL_NEXTHOP:
	case RTNL_RULE:
		return KERNEL_CHANGE_ROUTES;
	case RTNL_OTHER:
		break;
	}
	return 0;
}

/* What was learnt of routes no longer holds. Returns false when nobody had asked for any of it. */
static bool routes_forget(struct kernel_watch *w, const struct rtnl_change *c)
{
	if (c->kind == RTNL_ROUTE)
		return route_cache_forget(
			&w->routes, &c->route.destination, c->route.prefix_length);
	if (c->kind != RTNL_NEIGHBOUR)
		route_cache_forget_all(&w->routes);
	return true;
}

static int message_read(const struct nlmsghdr *nlh, void *data)
{
	struct collect *c = data;
	struct rtnl_change change;

	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		c->interrupted = true;
	if (rtnl_parse(nlh, &change))
		return MNL_CB_OK; /* one odd message must not stop the others */
	if (c->answer) {
		if (change.kind == c->answer->kind)
			*c->answer = change;
	} else if (kernel_tables_apply(&c->watch->tables, &change) &&
		routes_forget(c->watch, &change)) {
		c->changes |= change_of(change.kind);
	}
	return MNL_CB_OK;
}

int kernel_request(struct kernel_watch *w, struct nlmsghdr *nlh, struct collect *collect)
{
	unsigned int sequence = ++w->sequence;
	unsigned int port = mnl_socket_get_portid(w->requests);

	nlh->nlmsg_seq = sequence;
	if (mnl_socket_sendto(w->requests, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t size = mnl_socket_recvfrom(w->requests, w->buffer, sizeof(w->buffer));

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return -errno;
		int rc = mnl_cb_run(w->buffer, (size_t)size, sequence, port, message_read, collect);

		if (rc < 0 && (errno == ESRCH || errno == EPROTO) && size > 0) {
			const struct nlmsghdr *first = (const struct nlmsghdr *)(void *)w->buffer;

			/* The rest of an answer that was given up before. */
			if (first->nlmsg_seq != sequence)
				continue;
		}
		if (rc < 0)
			return -errno;
		if (rc == MNL_CB_STOP)
			return 0;
		/* A single answer has no end mark; requests that ask for an ACK get one. */
		if (collect && collect->answer)
			return 0;
	}
}

static int dump(struct kernel_watch *w, uint16_t type, size_t header)
{
	char buffer[256] __attribute__((aligned(8)));

	for (int i = 0; i < DUMP_ATTEMPTS; i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
		struct collect c = { .watch = w };

		nlh->nlmsg_type = type;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		mnl_nlmsg_put_extra_header(nlh, header);
		int rc = kernel_request(w, nlh, &c);

		if (rc && rc != -EINTR)
			return rc;
		/* A dump during which the table changed may have missed entries. */
		if (!rc && !c.interrupted)
			return 0;
	}
	return 0; /* the events since the subscription fill the gaps */
}

static int dump_all(struct kernel_watch *w)
{
	kernel_tables_clear(&w->tables);
	route_cache_forget_all(&w->routes);
	int rc = dump(w, RTM_GETLINK, sizeof(struct ifinfomsg));

	if (!rc)
		rc = dump(w, RTM_GETADDR, sizeof(struct ifaddrmsg));
	if (!rc)
		rc = dump(w, RTM_GETNEIGH, sizeof(struct ndmsg));
	return rc;
}

static void events_read(evutil_socket_t fd, short what, void *ctx)
{
	struct kernel_watch *w = ctx;
	struct collect c = { .watch = w };

	/* Bounded, so that a storm of events cannot keep the loop from everything else. */
	for (int i = 0; i < 64; i++) {
		ssize_t size = mnl_socket_recvfrom(w->events, w->buffer, sizeof(w->buffer));

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
			dump_all(w);
			c.changes = ~0u;
			continue;
		}
		if (size <= 0)
			break;
		mnl_cb_run(w->buffer, (size_t)size, 0, 0, message_read, &c);
	}
	if (c.changes && w->cb)
		w->cb(w->ctx, c.changes);
}

static struct mnl_socket *socket_open(int flags, unsigned int groups)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (s && mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		int saved = errno;

		mnl_socket_close(s);
		errno = saved;
		return NULL;
	}
	return s;
}

int kernel_watch_start(
	struct event_base *base, kernel_change_cb cb, void *ctx, struct kernel_watch **ret_watch)
{
	struct kernel_watch *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	if (!w)
		return -ENOMEM;
	w->cb = cb;
	w->ctx = ctx;
	w->sequence = (uint32_t)time(NULL);
	w->events = socket_open(SOCK_NONBLOCK, GROUPS);
	w->requests = w->events ? socket_open(0, 0) : NULL;
	if (!w->events || !w->requests) {
		rc = -errno;
		goto fail;
	}
	int fd = mnl_socket_get_fd(w->events);
	int size = RECEIVE_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	/* Subscribed first, read second: what changes in between is waiting in the socket. */
	rc = dump_all(w);
	if (rc)
		goto fail;
	rc = -ENOMEM;
	w->readable = event_new(base, fd, EV_READ | EV_PERSIST, events_read, w);
	if (!w->readable || event_add(w->readable, NULL))
		goto fail;
	*ret_watch = w;
	return 0;
fail:
	kernel_watch_stop(w);
	return rc;
}

void kernel_watch_stop(struct kernel_watch *w)
{
	if (!w)
		return;
	if (w->readable)
		event_free(w->readable);
	if (w->requests)
		mnl_socket_close(w->requests);
	if (w->events)
		mnl_socket_close(w->events);
	kernel_tables_clear(&w->tables);
	route_cache_fini(&w->routes);
	free(w);
}

const struct kernel_link *kernel_link_by_name(const struct kernel_watch *w, const char *name)
{
	for (size_t i = 0; i < w->tables.link_count; i++)
		if (!strcmp(w->tables.links[i].name, name))
			return &w->tables.links[i];
	return NULL;
}

const struct kernel_link *kernel_link_by_index(const struct kernel_watch *w, uint32_t ifindex)
{
	return kernel_tables_link(&w->tables, ifindex);
}

const struct kernel_neighbour *kernel_neighbour_find(
	const struct kernel_watch *w, uint32_t ifindex, const struct address *a)
{
	return kernel_tables_neighbour(&w->tables, ifindex, a);
}

bool kernel_address_exists(const struct kernel_watch *w, const struct address *a, uint32_t ifindex)
{
	return kernel_tables_has_address(&w->tables, a, ifindex);
}

bool kernel_neighbour_is_valid(const struct kernel_neighbour *n)
{
	return n && n->has_mac &&
		(n->state & (NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE));
}

int kernel_neighbour_ask(struct kernel_watch *w, uint32_t ifindex, const struct address *a)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct collect c = { .watch = w };

	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
	struct ndmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ndm_family = address_is_v4(a) ? AF_INET : AF_INET6;
	m->ndm_ifindex = (int)ifindex;
	m->ndm_flags = NTF_USE;
	m->ndm_state = NUD_NONE;
	kernel_put_address(nlh, NDA_DST, a);
	return kernel_request(w, nlh, &c);
}

static int address_change(struct kernel_watch *w, uint16_t type, uint16_t flags, uint32_t ifindex,
	const struct address *a)
{
	char buffer[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct collect c = { .watch = w };
	bool ipv4 = address_is_v4(a);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ifa_family = ipv4 ? AF_INET : AF_INET6;
	m->ifa_prefixlen = ipv4 ? 32 : 128;
	m->ifa_index = ifindex;
	m->ifa_scope = ipv4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	m->ifa_flags = ipv4 ? 0 : IFA_F_NODAD;
	kernel_put_address(nlh, IFA_LOCAL, a);
	kernel_put_address(nlh, IFA_ADDRESS, a);
	if (!ipv4 && type == RTM_NEWADDR) {
		struct ifa_cacheinfo lifetime = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };

		mnl_attr_put(nlh, IFA_CACHEINFO, sizeof(lifetime), &lifetime);
	}
	int rc = kernel_request(w, nlh, &c);

	if (!rc) {
		struct rtnl_change change = { .kind = RTNL_ADDRESS,
			.removed = type == RTM_DELADDR,
			.address = { .ifindex = ifindex, .address = *a, .prefix_length = 128 } };

		kernel_tables_apply(&w->tables, &change);
	}
	return rc;
}

int kernel_address_add(struct kernel_watch *w, uint32_t ifindex, const struct address *a)
{
	return address_change(w, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, a);
}

int kernel_address_remove(struct kernel_watch *w, uint32_t ifindex, const struct address *a)
{
	return address_change(w, RTM_DELADDR, 0, ifindex, a);
}
