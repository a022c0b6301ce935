/* SPDX-License-Identifier: BSD-3-Clause */

/* The socket of probes, and their key. */

#include "control/daemon/adaptation/probes_private.h"
#include "control/daemon/clock.h"
#include "control/daemon/policy/policies.h"
#include "control/probe/message.h"

#include <event2/event.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 256 /* datagrams, before others get their turn */

static void datagrams_come(evutil_socket_t fd, short what, void *ctx)
{
	struct probes *p = ctx;
	uint8_t data[PROBE_MESSAGE_MAX + 1]; /* one more: what is too long is seen to be */
	struct timespec real;

	clock_gettime(CLOCK_REALTIME, &real);
	uint64_t real_ns = (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec;

	for (int i = 0; i < AT_ONCE; i++) {
		struct sockaddr_storage source;
		socklen_t size = sizeof(source);
		struct address from;
		ssize_t n = recvfrom(
			fd, data, sizeof(data), MSG_DONTWAIT, (struct sockaddr *)&source, &size);

		if (n < 0)
			return;
		address_from_socket(&source, &from);
		probes_take(p, p->model, data, (size_t)n, &from, clock_now_ns(), real_ns);
	}
}

static int socket_open(const struct model_listen *m)
{
	struct sockaddr_storage at;
	socklen_t size = address_to_socket(&m->address, m->port, &at);
	const int on = 1;
	int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if ((at.ss_family == AF_INET6 &&
		    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
		bind(fd, (const struct sockaddr *)&at, size) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int key_read(const struct model_probes *m, const char *file, struct probe_key *ret_key,
	char *err, size_t err_size)
{
	char path[PATH_MAX];
	const char *why = "";

	model_object_path(file, m->key_file, path);
	int rc = probe_key_read(path, ret_key, &why);

	if (rc)
		snprintf(err, err_size, "probes.key-file: %s: %s", path, why);
	return rc;
}

bool probes_are_at(const struct probes *p, const struct model_listen *m)
{
	return p->listen.port == m->port && !memcmp(&p->listen.address, &m->address, 16);
}

int probes_renew(struct probes *p, const struct model_probes *m, const char *file, char *err,
	size_t err_size)
{
	return key_read(m, file, &p->key, err, err_size);
}

int probes_start(struct event_base *base, const struct model_probes *m, const char *file,
	struct probes **ret_probes, char *err, size_t err_size)
{
	char text[80];
	struct probe_key key;
	int rc = key_read(m, file, &key, err, err_size);

	if (rc)
		return rc;
	struct probes *p = probes_create(&key);

	probe_key_clear(&key);
	rc = p ? socket_open(&m->listen) : -ENOMEM;
	if (rc >= 0) {
		p->fd = rc;
		p->listen = m->listen;
		p->readable = event_new(base, p->fd, EV_READ | EV_PERSIST, datagrams_come, p);
		rc = p->readable && event_add(p->readable, NULL) == 0 ? 0 : -ENOMEM;
	}
	if (rc) {
		snprintf(err, err_size, "probes.listen: cannot listen on %s: %s",
			address_port_print(&m->listen.address, m->listen.port, text, sizeof(text)),
			strerror(-rc));
		probes_stop(p);
		return rc;
	}
	*ret_probes = p;
	return 0;
}
