/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-origin: the backends of a scenario, all in one process, so that ten of them cost little on a small
 * machine. Each is an address of its own with so many slots and, before them, a queue in order of arrival;
 * a request takes a slot for a time from a lognormal distribution. Time is spent by a timer, not by the
 * CPU: what the machine is busy with does not change what a backend can do, and how late the timers
 * were is told at the end. A request's work is a function of the seed and of its number in the path:
 * two runs give the same requests the same work.
 *
 * As with real servers, a client that has gone away is noticed only after its work is done.
 * Changes come by a schedule: slower by a factor, dead (as a machine that has lost power: not a packet
 * is answered, what was under way is lost), alive. /healthz is answered at once, by those alive.
 */

#include "tests/tools/weir_origin.h"

#include "tests/tools/seeded.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERVAL_NS (SECOND_NS / 10)

struct backend;

enum client_state {
	CLIENT_IDLE, /* no request */
	CLIENT_QUEUED,
	CLIENT_SERVED, /* has a slot */
};

struct client {
	struct backend *backend; /* borrowed */
	LIST_ENTRY(client) entry; /* backend->clients */
	TAILQ_ENTRY(client)
	queue_entry; /* backend->queue while queued, origin.over when freed soon */
	enum client_state state;
	int fd; /* -1: gone */
	uint64_t queued_ns;
	uint64_t due_ns;
	uint64_t work_ns;
	char request[256];
	uint16_t size;
};

TAILQ_HEAD(client_queue, client);

struct backend {
	unsigned int index;
	int listener;
	bool full, dead;
	double slow;
	unsigned int busy, queued, clients_count;
	LIST_HEAD(, client) clients;
	struct client_queue queue;
	uint64_t accepted, served; /* since the last interval */
};

struct origin {
	struct origin_options options;
	uint64_t start_ns;
	unsigned int next_change;
	struct backend backend[ORIGIN_BACKENDS];
	int epoll;
	struct client **heap; /* of those with a slot, soonest first; owned */
	size_t heap_count;
	struct client_queue over;
	uint64_t interval_end_ns;
	uint64_t done, late_sum_ns, late_max_ns;
};

static struct origin o;
static volatile sig_atomic_t stopping;

/* --- slots: a heap of moments ---------------------------------------------------------------- */

static void heap_swap(size_t a, size_t b)
{
	struct client *c = o.heap[a];
	o.heap[a] = o.heap[b];
	o.heap[b] = c;
}

static void heap_sink(size_t i)
{
	for (size_t child; (child = 2 * i + 1) < o.heap_count; i = child) {
		if (child + 1 < o.heap_count && o.heap[child + 1]->due_ns < o.heap[child]->due_ns)
			child++;
		if (o.heap[i]->due_ns <= o.heap[child]->due_ns)
			return;
		heap_swap(i, child);
	}
}

static void heap_rise(size_t i)
{
	for (; i && o.heap[i]->due_ns < o.heap[(i - 1) / 2]->due_ns; i = (i - 1) / 2)
		heap_swap(i, (i - 1) / 2);
}

static void heap_push(struct client *c)
{
	o.heap[o.heap_count] = c;
	heap_rise(o.heap_count++);
}

static void heap_pop(void)
{
	o.heap[0] = o.heap[--o.heap_count];
	heap_sink(0);
}

/* --- clients ---------------------------------------------------------------------------------- */

/* Freed after the events that epoll has already told of. */
static void client_free(struct client *c)
{
	c->backend->clients_count--;
	LIST_REMOVE(c, entry);
	TAILQ_INSERT_TAIL(&o.over, c, queue_entry);
}

static void accepting(struct backend *b, bool on)
{
	struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.ptr = b };
	epoll_ctl(o.epoll, EPOLL_CTL_MOD, b->listener, &event);
	b->full = !on;
}

/* What it has asked for is done all the same. */
static void client_gone(struct client *c)
{
	struct backend *b = c->backend;
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	if (c->state == CLIENT_IDLE)
		client_free(c);
	if (b->full && b->clients_count < o.options.backlog)
		accepting(b, true);
}

static void answer(struct client *c)
{
	char text[128];
	int size = snprintf(text, sizeof(text),
		"HTTP/1.1 200 OK\r\nX-Backend: %u\r\nContent-Length: 3\r\n\r\nok\n",
		c->backend->index);
	if (send(c->fd, text, (size_t)size, MSG_NOSIGNAL) != size)
		client_gone(c);
}

/* free_ns: since when there has been a slot */
static void slots_fill(struct backend *b, uint64_t free_ns)
{
	struct client *c;
	while (!b->dead && b->busy < o.options.slots && (c = TAILQ_FIRST(&b->queue))) {
		TAILQ_REMOVE(&b->queue, c, queue_entry);
		b->queued--;
		b->busy++;
		c->state = CLIENT_SERVED;
		c->due_ns = free_ns > c->queued_ns ? free_ns : c->queued_ns;
		c->due_ns += (uint64_t)((double)c->work_ns * b->slow);
		heap_push(c);
	}
}

static void request_take(struct client *c, uint64_t now)
{
	uint64_t number = 0;
	if (strncmp(c->request, "GET /healthz ", 13) == 0) {
		answer(c);
		return;
	}
	sscanf(c->request, "GET /%" SCNu64, &number);
	uint64_t random = o.options.seed ^ (number + 1) * UINT64_C(0xd6e8feb86659fd93);
	c->work_ns = (uint64_t)(o.options.mean * 1e9 * seeded_lognormal(&random, o.options.sigma));
	c->state = CLIENT_QUEUED;
	c->queued_ns = now;
	c->backend->queued++;
	TAILQ_INSERT_TAIL(&c->backend->queue, c, queue_entry);
	slots_fill(c->backend, now);
}

/* Its moment has come: answer, and give the slot to the next. */
static void served(struct client *c, uint64_t now)
{
	struct backend *b = c->backend;
	uint64_t late = now - c->due_ns;
	heap_pop();
	o.done++;
	o.late_sum_ns += late;
	if (late > o.late_max_ns)
		o.late_max_ns = late;
	b->busy--;
	b->served++;
	c->state = CLIENT_IDLE;
	if (c->fd >= 0)
		answer(c);
	else
		client_free(c);
	/* From when it should have been: the timers' lateness must not lower what a backend can do. */
	slots_fill(b, c->due_ns);
}

static void client_event(struct client *c, uint64_t now)
{
	if (c->fd < 0)
		return;
	ssize_t got = recv(c->fd, c->request + c->size, sizeof(c->request) - 1 - c->size, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		client_gone(c);
		return;
	}
	c->size = (uint16_t)(c->size + got);
	c->request[c->size] = '\0';
	if (!strstr(c->request, "\r\n\r\n"))
		return;
	c->size = 0;
	if (c->state == CLIENT_IDLE)
		request_take(c, now);
}

static void backend_accept(struct backend *b)
{
	for (int i = 0; i < 64; i++) {
		if (b->clients_count >= o.options.backlog) {
			accepting(b, false);
			return;
		}
		int one = 1, fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		struct client *c = calloc(1, sizeof(*c));
		/* The lowest bit tells a client's events from a listener's. */
		struct epoll_event event = { .events = EPOLLIN | EPOLLET,
			.data.u64 = (uint64_t)(uintptr_t)c | 1 };
		if (!c || epoll_ctl(o.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			err(1, "cannot wait for a client");
		c->backend = b;
		c->fd = fd;
		LIST_INSERT_HEAD(&b->clients, c, entry);
		b->clients_count++;
		b->accepted++;
	}
}

/* --- changes ---------------------------------------------------------------------------------- */

/* No packet gets to the socket: the peer sees silence. */
static void silence(int fd, bool on)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &drop };
	int none = 0;
	if (on ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 :
		 setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) < 0)
		err(1, "socket filter");
}

/* Close it without a FIN or an RST. */
static void vanish(int fd)
{
	int one = 1;
	silence(fd, true);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)) < 0)
		err(1, "TCP_REPAIR");
}

/* Nothing of a machine without power is left: neither slots nor connections. */
static void backend_die(struct backend *b)
{
	struct client *c, *next;
	size_t kept = 0;
	silence(b->listener, true);
	b->dead = true;
	for (int fd; (fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
		vanish(fd);
		close(fd);
	}
	for (size_t i = 0; i < o.heap_count; i++)
		if (o.heap[i]->backend != b)
			o.heap[kept++] = o.heap[i];
	o.heap_count = kept;
	for (size_t i = kept / 2; i-- > 0;)
		heap_sink(i);
	while ((c = TAILQ_FIRST(&b->queue)))
		TAILQ_REMOVE(&b->queue, c, queue_entry);
	b->busy = b->queued = 0;
	for (c = LIST_FIRST(&b->clients); c; c = next) {
		next = LIST_NEXT(c, entry);
		c->state = CLIENT_IDLE;
		if (c->fd < 0) {
			client_free(c);
			continue;
		}
		vanish(c->fd);
		client_gone(c);
	}
}

static void change_make(const struct origin_change *change)
{
	for (unsigned int i = change->first; i <= change->last; i++) {
		struct backend *b = &o.backend[i];
		if (change->what == 's') {
			b->slow = change->slow;
		} else if (change->what == 'd' && !b->dead) {
			backend_die(b);
		} else if (change->what == 'a' && b->dead) {
			b->dead = false;
			silence(b->listener, false);
		}
	}
}

static void changes_make(uint64_t now)
{
	while (o.next_change < o.options.changes &&
		o.start_ns + (uint64_t)(o.options.change[o.next_change].at * 1e9) <= now)
		change_make(&o.options.change[o.next_change++]);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void start_set(uint64_t ns)
{
	o.start_ns = ns;
	o.interval_end_ns = ns + INTERVAL_NS;
}

/* Until then it serves, and nothing changes. */
static void start_wait(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	if (epoll_ctl(o.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
		err(1, "cannot wait for the start on standard input");
	start_set(UINT64_MAX / 2);
}

static void start_read(void)
{
	char text[32] = { 0 };
	ssize_t got = read(STDIN_FILENO, text, sizeof(text) - 1);
	epoll_ctl(o.epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
	if (got > 0)
		start_set(strtoull(text, NULL, 10));
}

static void intervals_end(uint64_t now)
{
	for (; now >= o.interval_end_ns; o.interval_end_ns += INTERVAL_NS) {
		printf("{\"t\": %.1f, \"backends\": [",
			((double)o.interval_end_ns - (double)o.start_ns) / 1e9);
		for (unsigned int i = 0; i < o.options.count; i++) {
			struct backend *b = &o.backend[i];
			printf("%s{\"accepted\": %" PRIu64 ", \"served\": %" PRIu64
			       ", \"busy\": %u, \"queued\": %u}",
				i ? ", " : "", b->accepted, b->served, b->busy, b->queued);
			b->accepted = b->served = 0;
		}
		printf("]}\n");
	}
	fflush(stdout);
}

static uint64_t wake_at(void)
{
	uint64_t at = o.interval_end_ns;
	if (o.heap_count && o.heap[0]->due_ns < at)
		at = o.heap[0]->due_ns;
	if (o.next_change < o.options.changes) {
		uint64_t change = o.start_ns + (uint64_t)(o.options.change[o.next_change].at * 1e9);
		at = change < at ? change : at;
	}
	return at;
}

static void origin_run(void)
{
	struct epoll_event events[64];
	while (!stopping) {
		uint64_t now = now_ns(), at = wake_at(), wait = at > now ? at - now : 0;
		struct timespec timeout = { (time_t)(wait / SECOND_NS), (long)(wait % SECOND_NS) };
		int count = epoll_pwait2(o.epoll, events, 64, &timeout, NULL);
		if (count < 0 && errno != EINTR)
			err(1, "epoll_pwait2");
		now = now_ns();
		while (o.heap_count && o.heap[0]->due_ns <= now)
			served(o.heap[0], now);
		for (int i = 0; i < count; i++) {
			if (!events[i].data.ptr)
				start_read();
			else if (events[i].data.u64 & 1)
				client_event((void *)(uintptr_t)(events[i].data.u64 & ~UINT64_C(1)),
					now);
			else
				backend_accept(events[i].data.ptr);
		}
		changes_make(now);
		for (struct client *c; (c = TAILQ_FIRST(&o.over));) {
			TAILQ_REMOVE(&o.over, c, queue_entry);
			free(c);
		}
		if (now >= o.interval_end_ns)
			intervals_end(now);
	}
}

static void on_signal(int signal)
{
	stopping = 1;
}

static void backend_open(struct backend *b, unsigned int index)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(o.options.port) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = b };
	int one = 1;
	address.sin_addr.s_addr = htonl(ntohl(o.options.first.s_addr) + index);
	*b = (struct backend){ .index = index, .slow = 1 };
	TAILQ_INIT(&b->queue);
	b->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (b->listener < 0 ||
		setsockopt(b->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(b->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(b->listener, 512) < 0 ||
		epoll_ctl(o.epoll, EPOLL_CTL_ADD, b->listener, &event) < 0)
		err(1, "cannot listen on %s:%u", inet_ntoa(address.sin_addr), o.options.port);
}

int main(int argc, char **argv)
{
	origin_options_read(&o.options, argc, argv);
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	o.epoll = epoll_create1(EPOLL_CLOEXEC);
	o.heap = calloc((size_t)o.options.count * o.options.slots, sizeof(struct client *));
	if (o.epoll < 0 || !o.heap)
		err(1, "no event loop");
	TAILQ_INIT(&o.over);
	for (unsigned int i = 0; i < o.options.count; i++)
		backend_open(&o.backend[i], i);
	if (o.options.start_later)
		start_wait();
	else
		start_set(o.options.start_ns ? o.options.start_ns : now_ns());
	origin_run();
	printf("{\"final\": true, \"done\": %" PRIu64
	       ", \"late_mean_ms\": %.3f, \"late_max_ms\": %.3f}\n",
		o.done, o.done ? (double)o.late_sum_ns / (double)o.done / 1e6 : 0,
		(double)o.late_max_ns / 1e6);
	return 0;
}
