/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/server.h"

#include "dataplane/api/notify.h"
#include "dataplane/api/stream.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/port/registry.h"
#include "dataplane/process/log.h"
#include "dataplane/process/process.h"
#include "dataplane/process/requests.h"
#include "dataplane/process/requests_move.h"
#include "dataplane/process/requests_policy.h"
#include "dataplane/process/requests_trace.h"
#include "dataplane/process/steering.h"

#include <rte_cycles.h>
#include <rte_malloc.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS	 16
#define LOOK_NS		 5000000 /* between two looks at the packet cores */
#define TICK_LOOKS	 2 /* from one look after all else to the next, in looks */
#define REVIVE_TICKS	 20
#define MEMORY_TICKS	 100 /* node memory: once a second */
#define CLIENT_QUEUE_MAX (12u << 20) /* the longest reply is a list of 65,536 flows: 9 MiB */

struct client {
	struct weir_stream *stream; /* owned; NULL: free slot */
	bool greeted;
};

struct server {
	struct process *process; /* borrowed */
	int epoll_fd;
	int listen_fd; /* -1: one inherited client */
	int signal_fd;
	int timer_fd;
	char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct client client[MAX_CLIENTS];
	uint64_t event_sequence;
	uint64_t looks;
	uint64_t ticks;
};

/* What an epoll event is about: a client's index, or one of these. */
enum source {
	SOURCE_LISTEN = MAX_CLIENTS,
	SOURCE_SIGNAL,
	SOURCE_TIMER
};

static int watch(struct server *s, int fd, uint32_t source, uint32_t events, int operation)
{
	struct epoll_event e = { .events = events, .data.u32 = source };

	return epoll_ctl(s->epoll_fd, operation, fd, &e) < 0 ? -errno : 0;
}

static void client_end(struct server *s, struct client *c)
{
	weir_stream_destroy(c->stream);
	requests_client_gone(s->process, (uint32_t)(c - s->client));
	*c = (struct client){ 0 };
	if (s->listen_fd < 0)
		s->process->stopping = true;
}

static int client_add(struct server *s, int fd)
{
	for (uint32_t i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = &s->client[i];

		if (c->stream)
			continue;
		int rc = weir_stream_create(fd, CLIENT_QUEUE_MAX, &c->stream);
		if (rc == 0)
			rc = watch(s, fd, i, EPOLLIN, EPOLL_CTL_ADD);
		if (rc < 0 && c->stream)
			client_end(s, c);
		return rc;
	}
	close(fd);
	return -EMFILE;
}

/* Only the user that this runs as (and root) may talk, whatever the socket's mode has become. */
static bool peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
		(peer.uid == 0 || peer.uid == geteuid());
}

static void client_accept(struct server *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (!peer_is_allowed(fd)) {
		log_warning("refused a client of another user");
		close(fd);
		return;
	}
	int rc = client_add(s, fd);
	if (rc < 0)
		log_warning("refused a client: %s", strerror(-rc));
}

/* Queue and try to send; a client that does not read what it gets is cut off. */
static int client_send(struct server *s, struct client *c, const struct weir_message *header,
	const void *body, size_t length, int pass_fd)
{
	int rc = weir_stream_queue(c->stream, header, body, length, &pass_fd, pass_fd >= 0);

	if (rc == 0)
		rc = weir_stream_flush(c->stream);
	if (rc == 0)
		rc = watch(s, weir_stream_fd(c->stream), (uint32_t)(c - s->client),
			EPOLLIN | (weir_stream_wants_write(c->stream) ? EPOLLOUT : 0),
			EPOLL_CTL_MOD);
	if (rc == -ENOBUFS)
		log_warning("cut off a client that does not read its replies");
	if (rc < 0)
		client_end(s, c);
	return rc;
}

static int client_message(struct server *s, struct client *c, const struct weir_stream_message *m)
{
	struct request_reply reply;
	struct weir_message header = {
		.type = m->header.type,
		.flags = WEIR_MESSAGE_F_REPLY,
		.id = m->header.id,
	};

	if (!c->greeted && m->header.type != WEIR_MESSAGE_HELLO)
		reply = (struct request_reply){
			.status = -EPROTO, .text = "say HELLO first", .pass_fd = -1
		};
	else
		request_handle(s->process, m, (uint32_t)(c - s->client), &reply);
	c->greeted |= reply.is_hello;
	header.status = reply.status;
	int rc = reply.status ? client_send(s, c, &header, reply.text, strlen(reply.text), -1) :
				client_send(s, c, &header, reply.body, reply.length, reply.pass_fd);
	free(reply.body);
	return rc;
}

static void client_ready(struct server *s, uint32_t index)
{
	struct client *c = &s->client[index];
	struct weir_stream_message m;

	if (!c->stream)
		return;
	int rc = weir_stream_flush(c->stream);
	if (rc == 0)
		rc = watch(s, weir_stream_fd(c->stream), index,
			EPOLLIN | (weir_stream_wants_write(c->stream) ? EPOLLOUT : 0),
			EPOLL_CTL_MOD);
	/* One message at a time, so that no client keeps the others waiting for long. */
	if (rc == 0)
		rc = weir_stream_next(c->stream, &m);
	if (rc == 1) {
		(void)client_message(s, c, &m);
		return;
	}
	if (rc == -EPROTO)
		log_warning("closed a client that sent garbage");
	if (rc < 0)
		client_end(s, c);
}

void server_event(struct server *s, enum weir_event_kind kind, const char *object, const char *text)
{
	const struct weir_message header = { .type = WEIR_MESSAGE_EVENT };
	struct weir_event e = { .sequence = ++s->event_sequence, .kind = (uint32_t)kind };
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	e.time_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	snprintf(e.object, sizeof(e.object), "%s", object);
	snprintf(e.text, sizeof(e.text), "%s", text);
	for (uint32_t i = 0; i < MAX_CLIENTS; i++)
		if (s->client[i].stream && s->client[i].greeted)
			(void)client_send(s, &s->client[i], &header, &e, sizeof(e), -1);
}

static void memory_show(struct weir_telemetry *t)
{
	for (unsigned int node = 0; node < t->node_count; node++) {
		struct rte_malloc_socket_stats stats;

		if (rte_malloc_get_socket_stats((int)node, &stats) < 0)
			continue;
		__atomic_store_n(
			&t->node[node].total_bytes, stats.heap_totalsz_bytes, __ATOMIC_RELAXED);
		__atomic_store_n(
			&t->node[node].free_bytes, stats.heap_freesz_bytes, __ATOMIC_RELAXED);
	}
}

/* The service manager hears of us while this loop turns and every packet core does. */
static void supervisor_tell(const struct process *p, uint64_t now)
{
	const struct weir_telemetry *t = p->telemetry;
	uint32_t services = 0;
	char text[384];

	if (!notify_is_wanted() || !fastpath_is_alive(p->fastpath))
		return;
	notify_alive(now);
	if (!t->generation)
		return;
	for (uint32_t i = 0; i < t->service_count; i++)
		services += t->service[i].used;
	snprintf(text, sizeof(text), "generation %llu, %u service%s on CPUs %s",
		(unsigned long long)t->generation, services, services == 1 ? "" : "s",
		p->cores_text);
	notify_status(text);
}

static void core_told(void *process, const char *object, const char *text)
{
	process_event(process, WEIR_EVENT_WARNING, object, text);
}

/* In a replay a core's only round may be long. */
static void cores_look(struct process *p, uint64_t now)
{
	if (p->arguments.replay)
		return;
	fastpath_pulse_tick(p->fastpath, now, core_told, p);
	if (fastpath_takeover_tick(p->fastpath, now, core_told, p))
		steering_set(p);
}

static void tick(struct server *s)
{
	struct process *p = s->process;
	uint64_t now = process_now_ns();

	cores_look(p, now);
	if (s->looks++ % TICK_LOOKS != 0)
		return;
	__atomic_store_n(&p->telemetry->heartbeat_ns, now, __ATOMIC_RELAXED);
	fastpath_clock_tick(p->fastpath, rte_rdtsc(), now);
	port_registry_poll(p->ports, now);
	requests_trace_tick(p);
	fastpath_direct_tick(p->fastpath, now);
	requests_policy_tick(p);
	requests_move_tick(p);
	steering_tick(p, now);
	supervisor_tell(p, now);
	if (s->ticks % REVIVE_TICKS == 0)
		requests_revive_ports(p);
	if (s->ticks++ % MEMORY_TICKS == 0)
		memory_show(p->telemetry);
}

static void timer_ready(struct server *s)
{
	uint64_t expirations;

	if (read(s->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		tick(s);
}

static void signal_ready(struct server *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
		s->process->stopping = true;
}

int server_run(struct server *s)
{
	tick(s);
	while (!s->process->stopping) {
		struct epoll_event events[MAX_CLIENTS + 3];
		int n = epoll_wait(s->epoll_fd, events, MAX_CLIENTS + 3, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			switch (events[i].data.u32) {
			case SOURCE_LISTEN:
				client_accept(s);
				break;
			case SOURCE_SIGNAL:
				signal_ready(s);
				break;
			case SOURCE_TIMER:
				timer_ready(s);
				break;
			default:
				client_ready(s, events[i].data.u32);
			}
		}
	}
	return 0;
}

static int signals_open(struct server *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno :
				  watch(s, s->signal_fd, SOURCE_SIGNAL, EPOLLIN, EPOLL_CTL_ADD);
}

static int timer_open(struct server *s)
{
	const struct itimerspec every = { .it_interval.tv_nsec = LOOK_NS,
		.it_value.tv_nsec = LOOK_NS };

	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer_fd < 0 || timerfd_settime(s->timer_fd, 0, &every, NULL) < 0)
		return -errno;
	return watch(s, s->timer_fd, SOURCE_TIMER, EPOLLIN, EPOLL_CTL_ADD);
}

int server_listen(struct server *s, char *err, size_t err_size)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int rc = 0;

	if (s->listen_fd < 0)
		return 0;
	memcpy(at.sun_path, s->socket_path, sizeof(at.sun_path));
	mode_t mask = umask(0177);
	if (bind(s->listen_fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
		listen(s->listen_fd, MAX_CLIENTS) < 0)
		rc = -errno;
	umask(mask);
	if (rc == 0)
		rc = watch(s, s->listen_fd, SOURCE_LISTEN, EPOLLIN, EPOLL_CTL_ADD);
	if (rc < 0)
		snprintf(err, err_size, "cannot listen at %s: %s", s->socket_path, strerror(-rc));
	return rc;
}

int server_create(struct process *p, const char *socket_path, int api_fd,
	struct server **ret_server, char *err, size_t err_size)
{
	struct server *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	if (!s)
		goto fail;
	s->process = p;
	s->listen_fd = s->signal_fd = s->timer_fd = -1;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rc = s->epoll_fd < 0 ? -errno : signals_open(s);
	if (rc == 0)
		rc = timer_open(s);
	if (rc == 0 && socket_path) {
		snprintf(s->socket_path, sizeof(s->socket_path), "%s", socket_path);
		s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		rc = s->listen_fd < 0 ? -errno : 0;
	} else if (rc == 0) {
		rc = client_add(s, api_fd);
	}
	if (rc == 0) {
		*ret_server = s;
		return 0;
	}
	server_destroy(s);
fail:
	snprintf(err, err_size, "cannot serve clients: %s", strerror(-rc));
	return rc;
}

void server_destroy(struct server *s)
{
	if (!s)
		return;
	const int fds[] = { s->listen_fd, s->signal_fd, s->timer_fd, s->epoll_fd };
	for (uint32_t i = 0; i < MAX_CLIENTS; i++)
		weir_stream_destroy(s->client[i].stream);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(s);
}
