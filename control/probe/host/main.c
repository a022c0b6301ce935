/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-probe: on a backend host, tells Weir's control daemons how long the host's services take to answer.
 * Every interval the figures of the programs in the kernel are read, and their differences sent in a
 * datagram. Nothing is received, and nothing is stored: what could not be sent is lost, and a daemon that
 * hears nothing goes on as if there were no probe.
 */

#include "control/probe/host/counters.h"
#include "control/probe/host/options.h"
#include "control/probe/host/report.h"
#include "control/probe/key.h"
#include "dataplane/api/notify.h"

#include <event2/event.h>

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct peer {
	const struct probe_peer *to; /* borrowed */
	int fd; /* -1: none; the next report tries again */
	int err; /* that was said last */
	struct address from;
	uint64_t sequence;
};

struct probe {
	struct probe_options options;
	struct probe_key key;
	struct counters *counters; /* owned */
	struct report_service *services; /* owned; option.service_count */
	struct peer peers[PROBE_DAEMONS_MAX];
	struct event_base *base; /* owned */
	uint64_t boot;
	bool failed;
};

static uint64_t time_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static int peer_connect(struct peer *p, const struct address *from)
{
	struct sockaddr_storage to, own;
	socklen_t length = address_to_socket(&p->to->address, p->to->port, &to);
	socklen_t own_length = sizeof(own);
	int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if ((from &&
		    bind(fd, (const struct sockaddr *)&own, address_to_socket(from, 0, &own)) <
			    0) ||
		connect(fd, (const struct sockaddr *)&to, length) < 0 ||
		getsockname(fd, (struct sockaddr *)&own, &own_length) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	address_from_socket(&own, &p->from);
	p->fd = fd;
	return 0;
}

/* Say when it begins and when it ends, not each time. */
static void peer_note(struct peer *p, int err)
{
	char text[80];

	if (err == p->err)
		return;
	address_port_print(&p->to->address, p->to->port, text, sizeof(text));
	if (err)
		fprintf(stderr, "weir-probe: reports to %s are lost: %s\n", text, strerror(-err));
	else
		fprintf(stderr, "weir-probe: reports to %s go out again\n", text);
	p->err = err;
}

static void peer_send(void *ctx, const void *data, size_t length)
{
	struct peer *p = ctx;
	/* The first one only fetches what an earlier one has met: nobody listens. */
	ssize_t n = send(p->fd, data, length, 0);

	if (n < 0 && errno == ECONNREFUSED)
		n = send(p->fd, data, length, 0);
	peer_note(p, n < 0 ? -errno : 0);
}

static void peer_report(struct probe *probe, struct peer *p)
{
	const struct report_out out = { p, peer_send };
	const struct probe_options *o = &probe->options;
	struct probe_message head = { .boot = probe->boot,
		.sequence = p->sequence + 1,
		.time_ns = time_ns(CLOCK_REALTIME),
		.interval_ms = o->interval_ms };
	int err = p->fd < 0 ? peer_connect(p, o->has_from ? &o->from : NULL) : 0;

	if (err) {
		peer_note(p, err);
		return;
	}
	memcpy(head.sender, p->from.bytes, sizeof(head.sender));
	int sent = report_write(probe->services, o->service_count, &head, &probe->key, &out);

	if (sent > 0)
		p->sequence += (uint64_t)sent;
	else
		peer_note(p, sent);
	/* The host's address, or its way there, may have changed. */
	if (p->err && p->err != -ECONNREFUSED) {
		close(p->fd);
		p->fd = -1;
	}
}

static void report_due(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	for (size_t i = 0; i < p->options.service_count; i++) {
		struct report_service *s = &p->services[i];
		int err = counters_read(p->counters, i, &s->now);

		if (err) {
			fprintf(stderr, "weir-probe: figures cannot be read: %s\n", strerror(-err));
			p->failed = true;
			event_base_loopbreak(p->base);
			return;
		}
	}
	for (size_t i = 0; i < p->options.daemon_count; i++)
		peer_report(p, &p->peers[i]);
	for (size_t i = 0; i < p->options.service_count; i++)
		p->services[i].before = p->services[i].now;
	notify_alive(time_ns(CLOCK_MONOTONIC));
}

static void signal_came(evutil_socket_t number, short what, void *ctx)
{
	event_base_loopbreak(ctx);
}

static int loop(struct probe *p)
{
	const uint32_t ms = p->options.interval_ms;
	const struct timeval interval = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	int err = -ENOMEM;

	p->base = event_base_new();
	if (!p->base)
		return err;
	struct event *timer = event_new(p->base, -1, EV_PERSIST, report_due, p);
	struct event *term = evsignal_new(p->base, SIGTERM, signal_came, p->base);
	struct event *interrupt = evsignal_new(p->base, SIGINT, signal_came, p->base);

	if (timer && term && interrupt && event_add(timer, &interval) == 0 &&
		event_add(term, NULL) == 0 && event_add(interrupt, NULL) == 0) {
		notify_ready(NULL);
		event_base_dispatch(p->base);
		notify_stopping(NULL);
		err = p->failed ? -EIO : 0;
	}
	if (timer)
		event_free(timer);
	if (term)
		event_free(term);
	if (interrupt)
		event_free(interrupt);
	event_base_free(p->base);
	return err;
}

static int run(struct probe *p)
{
	const struct probe_options *o = &p->options;
	const char *why;

	if (probe_key_read(o->key_file, &p->key, &why)) {
		fprintf(stderr, "weir-probe: --key-file %s: %s\n", o->key_file, why);
		return 1;
	}
	p->services = calloc(o->service_count, sizeof(*p->services));
	p->boot = time_ns(CLOCK_REALTIME);
	for (size_t i = 0; p->services && i < o->service_count; i++)
		p->services[i].key = o->services[i];
	for (size_t i = 0; i < o->daemon_count; i++)
		p->peers[i] = (struct peer){ .to = &o->daemons[i], .fd = -1 };
	int err = p->services ?
		counters_start(o->cgroup, o->services, o->service_count, &p->counters) :
		-ENOMEM;

	if (!err)
		err = loop(p);
	for (size_t i = 0; i < o->daemon_count; i++)
		if (p->peers[i].fd >= 0)
			close(p->peers[i].fd);
	counters_stop(p->counters);
	free(p->services);
	probe_key_clear(&p->key);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct probe probe;
	int status = probe_options_parse(argc, argv, &probe.options);

	if (status >= 0)
		return status;
	notify_init();
	return run(&probe);
}
