/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/steering_probe.h"

#include "dataplane/api/address.h"
#include "dataplane/net/reset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct steering_probe {
	int fd[2]; /* raw, for sending only: IPv4, IPv6; -1: the kernel has none */
};

static int raw_open(int family)
{
	return socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
}

int steering_probe_open(struct steering_probe **ret_probe)
{
	struct steering_probe *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fd[0] = raw_open(AF_INET);
	if (p->fd[0] < 0) {
		int rc = -errno;

		free(p);
		return rc;
	}
	p->fd[1] = raw_open(AF_INET6);
	*ret_probe = p;
	return 0;
}

void steering_probe_close(struct steering_probe *p)
{
	if (!p)
		return;
	close(p->fd[0]);
	if (p->fd[1] >= 0)
		close(p->fd[1]);
	free(p);
}

static const struct weir_config_backend *backend_choose(
	const struct weir_config_view *view, const struct weir_config_service *s, uint32_t n)
{
	for (uint32_t i = 0; i < s->backend_count; i++) {
		const struct weir_config_backend *b =
			&view->backends[s->first_backend + (n + i) % s->backend_count];

		if (b->state == WEIR_BACKEND_UP && b->port != 0)
			return b;
	}
	return NULL;
}

static const struct weir_config_source *source_choose(const struct weir_config_view *view,
	const struct weir_config_service *s, uint32_t n, uint16_t *ret_port)
{
	const struct weir_config_source *source;

	if (s->source_count == 0)
		return NULL;
	source = &view->sources[s->first_source + n % s->source_count];
	for (uint32_t b = 0; b < WEIR_PORT_BLOCKS; b++)
		if (source->blocks[b / 8] >> (b % 8) & 1) {
			*ret_port = (uint16_t)(b << 8 | (n & 0xff));
			return source;
		}
	return NULL;
}

bool steering_probe_send(const struct steering_probe *p, const struct weir_config_view *view,
	const struct weir_config_service *service, uint32_t n)
{
	const struct weir_config_backend *to = backend_choose(view, service, n);
	uint16_t ports[2];
	const struct weir_config_source *from = source_choose(view, service, n, &ports[1]);
	struct sockaddr_in at4 = { .sin_family = AF_INET };
	struct sockaddr_in6 at6 = { .sin6_family = AF_INET6 };
	uint8_t packet[RESET_PROBE_BYTES];
	uint8_t addrs[32];
	uint32_t words;
	size_t bytes;

	if (service->protocol != IPPROTO_TCP || !to || !from)
		return false;
	ports[0] = htons(to->port);
	ports[1] = htons(ports[1]);
	memcpy(&words, ports, sizeof(words));
	if (weir_address_is_v4(to->address)) {
		memcpy(addrs, to->address + 12, 4);
		memcpy(addrs + 4, from->address + 12, 4);
		memcpy(&at4.sin_addr, addrs, 4);
		bytes = reset_probe_write(packet, addrs, words, false);
		return sendto(p->fd[0], packet, bytes, 0, (struct sockaddr *)&at4, sizeof(at4)) ==
			(ssize_t)bytes;
	}
	memcpy(addrs, to->address, 16);
	memcpy(addrs + 16, from->address, 16);
	memcpy(&at6.sin6_addr, addrs, 16);
	bytes = reset_probe_write(packet, addrs, words, true);
	return sendto(p->fd[1], packet, bytes, 0, (struct sockaddr *)&at6, sizeof(at6)) ==
		(ssize_t)bytes;
}
