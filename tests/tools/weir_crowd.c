/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-crowd: many clients at once, for the scenarios. weir-load knows one client address, and holds its
 * connections to what it can keep open; here each request has its moment and its source before the run
 * begins (crowd_plan.c), whatever the answers do. An answer's latency counts from that moment, so neither
 * a stalled server nor a late generator can hide, and the generator tells how late it was itself.
 *
 * IPv4, one small HTTP request at a time over a connection, of its own or kept from one request of the same
 * source to the next. Nobody tries again, but a request over a kept connection that turns out to be closed:
 * it goes over a new one once, as browsers do.
 */

#include "tests/tools/weir_crowd.h"

#include "dataplane/api/histogram.h"
#include "tests/tools/seeded.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERVAL_NS (SECOND_NS / 10)

enum connection_state {
	CONNECTING,
	WAITING, /* for an answer */
	IDLE,
};

struct connection {
	TAILQ_ENTRY(connection)
	entry; /* crowd.busy of its class, or the source's idle list */
	struct crowd_arrival *arrival; /* borrowed; NULL while idle */
	uint64_t deadline_ns;
	int fd;
	enum connection_state state;
	unsigned int served;
	uint32_t source;
	uint8_t class;
	uint16_t size;
	char answer[512];
};

TAILQ_HEAD(connection_list, connection);

struct tally {
	uint64_t offered, good, outcome[CROWD_OUTCOMES];
	struct weir_histogram latency; /* of those that are ok */
};

struct crowd {
	struct crowd_plan plan;
	int epoll;
	uint64_t start_ns;
	size_t next; /* arrival */
	struct connection_list busy[CROWD_CLASSES]; /* oldest deadline first */
	struct connection_list over;
	struct connection_list *idle[CROWD_CLASSES]; /* by source; owned */
	struct tally now[CROWD_CLASSES], all[CROWD_CLASSES];
	struct weir_histogram late_now, late_all;
	uint64_t late_max_ns;
	uint64_t interval_end_ns;
	uint64_t retried;
};

static void histogram_count(struct weir_histogram *h, uint64_t ns)
{
	h->count++;
	h->sum_ns += ns;
	h->bucket[weir_histogram_index(ns)]++;
}

/* --- outcomes ------------------------------------------------------------------------------ */

static void outcome_set(
	struct crowd *w, struct crowd_arrival *a, enum crowd_outcome outcome, uint64_t now)
{
	uint64_t due = w->start_ns + a->at_ns, latency = now > due ? now - due : 0;
	a->outcome = (uint8_t)outcome;
	a->latency_us = (uint32_t)(latency / 1000);
	struct tally *tallies[] = { &w->now[a->class], &w->all[a->class] };
	for (int i = 0; i < 2; i++) {
		tallies[i]->outcome[outcome]++;
		if (outcome != CROWD_OK)
			continue;
		tallies[i]->good += (double)latency <= w->plan.objective * 1e9;
		histogram_count(&tallies[i]->latency, latency);
	}
}

/* Its memory is freed after the events that epoll has already told of. */
static void connection_close(struct crowd *w, struct connection *c)
{
	TAILQ_REMOVE(
		c->state == IDLE ? &w->idle[c->class][c->source] : &w->busy[c->class], c, entry);
	close(c->fd);
	c->fd = -1;
	TAILQ_INSERT_TAIL(&w->over, c, entry);
}

static void connections_free(struct connection_list *list)
{
	struct connection *c;
	while ((c = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, c, entry);
		if (c->fd >= 0)
			close(c->fd);
		free(c);
	}
}

static void request_open(struct crowd *w, struct crowd_arrival *a, uint64_t now);

static void connection_fail(struct crowd *w, struct connection *c, enum crowd_outcome outcome)
{
	struct crowd_arrival *a = c->arrival;
	bool again = outcome == CROWD_RESET && c->served > 0;
	connection_close(w, c);
	if (again) {
		w->retried++;
		request_open(w, a, now_ns());
	} else {
		outcome_set(w, a, outcome, now_ns());
	}
}

static void failed_by(struct crowd *w, struct connection *c, int error)
{
	if (error == ETIMEDOUT)
		connection_fail(w, c, CROWD_TIMEOUT);
	else if (c->state == CONNECTING)
		connection_fail(w, c, CROWD_REFUSED);
	else
		connection_fail(w, c, CROWD_RESET);
}

/* --- requests ------------------------------------------------------------------------------ */

/* The number is the arrival's: a server can give it the same work in each run. */
static void request_send(struct crowd *w, struct connection *c)
{
	char text[128];
	int size = snprintf(text, sizeof(text), "GET /%zu HTTP/1.1\r\nHost: weir\r\n\r\n",
		(size_t)(c->arrival - w->plan.arrival));
	c->state = WAITING;
	c->size = 0;
	if (send(c->fd, text, (size_t)size, MSG_NOSIGNAL) != size)
		failed_by(w, c, errno);
}

static int source_connect(struct crowd *w, const struct crowd_arrival *a)
{
	int one = 1;
	struct sockaddr_in from = { .sin_family = AF_INET };
	from.sin_addr.s_addr = htonl(w->plan.class[a->class].first + a->source);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
		(connect(fd, (struct sockaddr *)&w->plan.target, sizeof(w->plan.target)) < 0 &&
			errno != EINPROGRESS)) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static uint64_t arrival_deadline(const struct crowd *w, const struct crowd_arrival *a)
{
	return w->start_ns + a->at_ns + (uint64_t)(w->plan.class[a->class].timeout * 1e9);
}

/* Nearly always the last; a request that is tried again is not. */
static void busy_insert(struct crowd *w, struct connection *c)
{
	struct connection_list *busy = &w->busy[c->class];
	struct connection *before = TAILQ_LAST(busy, connection_list);
	while (before && before->deadline_ns > c->deadline_ns)
		before = TAILQ_PREV(before, connection_list, entry);
	if (before)
		TAILQ_INSERT_AFTER(busy, before, c, entry);
	else
		TAILQ_INSERT_HEAD(busy, c, entry);
}

static void request_open(struct crowd *w, struct crowd_arrival *a, uint64_t now)
{
	int fd = source_connect(w, a);
	if (fd < 0) {
		bool network = fd == -ECONNREFUSED || fd == -EHOSTUNREACH || fd == -ENETUNREACH;
		outcome_set(w, a, network ? CROWD_REFUSED : CROWD_LOCAL, now);
		return;
	}
	struct connection *c = calloc(1, sizeof(*c));
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	if (!c || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(1, "cannot wait for a connection");
	c->fd = fd;
	c->class = a->class;
	c->source = a->source;
	c->arrival = a;
	c->deadline_ns = arrival_deadline(w, a);
	busy_insert(w, c);
}

static void request_begin(struct crowd *w, struct crowd_arrival *a)
{
	uint64_t now = now_ns(), late = now - (w->start_ns + a->at_ns);
	histogram_count(&w->late_now, late);
	histogram_count(&w->late_all, late);
	if (late > w->late_max_ns)
		w->late_max_ns = late;
	w->now[a->class].offered++;
	w->all[a->class].offered++;
	struct connection *c = a->keep ? TAILQ_FIRST(&w->idle[a->class][a->source]) : NULL;
	if (!c) {
		request_open(w, a, now);
		return;
	}
	TAILQ_REMOVE(&w->idle[c->class][c->source], c, entry);
	c->arrival = a;
	c->deadline_ns = arrival_deadline(w, a);
	busy_insert(w, c);
	request_send(w, c);
}

static void answer_complete(struct crowd *w, struct connection *c)
{
	struct crowd_arrival *a = c->arrival;
	const char *backend = strstr(c->answer, "X-Backend: ");
	if (backend)
		a->backend = (uint8_t)strtoul(backend + strlen("X-Backend: "), NULL, 10);
	bool ok = strncmp(c->answer, "HTTP/1.1 200 ", 13) == 0;
	outcome_set(w, a, ok ? CROWD_OK : CROWD_BAD, now_ns());
	c->served++;
	if (!ok || !a->keep || c->served >= w->plan.keep_requests) {
		connection_close(w, c);
		return;
	}
	TAILQ_REMOVE(&w->busy[c->class], c, entry);
	c->state = IDLE;
	c->arrival = NULL;
	TAILQ_INSERT_HEAD(&w->idle[c->class][c->source], c, entry);
}

/* The bodies of the answers that we ask for are one line after the empty one. */
static bool answer_is_whole(const struct connection *c)
{
	const char *body = strstr(c->answer, "\r\n\r\n");
	return body && strchr(body + 4, '\n');
}

static void connection_read(struct crowd *w, struct connection *c)
{
	for (;;) {
		ssize_t got = recv(c->fd, c->answer + c->size, sizeof(c->answer) - 1 - c->size, 0);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0 && c->state == IDLE) {
			connection_close(w, c);
			return;
		}
		if (got <= 0) {
			failed_by(w, c, got ? errno : ECONNRESET);
			return;
		}
		c->size = (uint16_t)(c->size + got);
		c->answer[c->size] = '\0';
		if (c->state == WAITING && answer_is_whole(c)) {
			answer_complete(w, c);
			return;
		}
	}
}

static void connection_event(struct crowd *w, struct connection *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (c->state == CONNECTING) {
		int error = 0;
		socklen_t size = sizeof(error);
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error)
			failed_by(w, c, error);
		else if (events & EPOLLOUT)
			request_send(w, c);
	} else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		connection_read(w, c);
	}
}

/* --- what is printed ----------------------------------------------------------------------- */

static void milliseconds_print(const char *name, const struct weir_histogram *h, double share)
{
	double value = weir_histogram_quantile(h, share);
	if (isnan(value))
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %.3f", name, value * 1e3);
}

static void tally_show(const struct crowd *w, const struct tally *tallies, double at,
	const struct weir_histogram *late, bool final)
{
	printf("{\"t\": %.1f, \"final\": %s", at, final ? "true" : "false");
	milliseconds_print("late_p99_ms", late, 0.99);
	for (unsigned int i = 0; i < w->plan.classes; i++) {
		const struct tally *t = &tallies[i];
		printf(", \"%s\": {\"offered\": %" PRIu64 ", \"good\": %" PRIu64,
			w->plan.class[i].name, t->offered, t->good);
		for (int o = CROWD_OK; o < CROWD_OUTCOMES; o++)
			printf(", \"%s\": %" PRIu64, crowd_outcome_name((enum crowd_outcome)o),
				t->outcome[o]);
		milliseconds_print("p50_ms", &t->latency, 0.5);
		milliseconds_print("p99_ms", &t->latency, 0.99);
		printf("}");
	}
	if (final)
		printf(", \"late_max_ms\": %.3f, \"retried\": %" PRIu64,
			(double)w->late_max_ns / 1e6, w->retried);
	printf("}\n");
}

static void intervals_end(struct crowd *w, uint64_t now)
{
	for (; now >= w->interval_end_ns; w->interval_end_ns += INTERVAL_NS) {
		double at = (double)(w->interval_end_ns - w->start_ns) / 1e9;
		tally_show(w, w->now, at, &w->late_now, false);
		memset(w->now, 0, sizeof(w->now));
		memset(&w->late_now, 0, sizeof(w->late_now));
	}
	fflush(stdout);
}

/* --- the loop ------------------------------------------------------------------------------ */

static void late_expire(struct crowd *w, uint64_t now)
{
	struct connection *c;
	for (unsigned int i = 0; i < w->plan.classes; i++)
		while ((c = TAILQ_FIRST(&w->busy[i])) && c->deadline_ns <= now)
			connection_fail(w, c, CROWD_TIMEOUT);
}

static uint64_t wake_at(const struct crowd *w)
{
	uint64_t at = w->interval_end_ns;
	for (unsigned int i = 0; i < w->plan.classes; i++) {
		const struct connection *c = TAILQ_FIRST(&w->busy[i]);
		if (c && c->deadline_ns < at)
			at = c->deadline_ns;
	}
	if (w->next < w->plan.arrivals && w->start_ns + w->plan.arrival[w->next].at_ns < at)
		at = w->start_ns + w->plan.arrival[w->next].at_ns;
	return at;
}

static bool anybody_waits(const struct crowd *w)
{
	for (unsigned int i = 0; i < w->plan.classes; i++)
		if (!TAILQ_EMPTY(&w->busy[i]))
			return true;
	return false;
}

static void crowd_run(struct crowd *w)
{
	struct epoll_event events[64];
	while (w->next < w->plan.arrivals || anybody_waits(w)) {
		uint64_t now = now_ns(), at = wake_at(w), wait = at > now ? at - now : 0;
		struct timespec timeout = { (time_t)(wait / SECOND_NS), (long)(wait % SECOND_NS) };
		int count = epoll_pwait2(w->epoll, events, 64, &timeout, NULL);
		if (count < 0 && errno != EINTR)
			err(1, "epoll_pwait2");
		for (int i = 0; i < count; i++)
			connection_event(w, events[i].data.ptr, events[i].events);
		connections_free(&w->over);
		now = now_ns();
		late_expire(w, now);
		while (w->next < w->plan.arrivals &&
			w->start_ns + w->plan.arrival[w->next].at_ns <= now)
			request_begin(w, &w->plan.arrival[w->next++]);
		if (now >= w->interval_end_ns)
			intervals_end(w, now);
	}
	intervals_end(w, now_ns());
}

static void crowd_open(struct crowd *w)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		err(1, "epoll");
	TAILQ_INIT(&w->over);
	for (unsigned int i = 0; i < w->plan.classes; i++) {
		TAILQ_INIT(&w->busy[i]);
		w->idle[i] = calloc(w->plan.class[i].sources, sizeof(*w->idle[i]));
		if (!w->idle[i])
			errx(1, "out of memory");
		for (uint32_t s = 0; s < w->plan.class[i].sources; s++)
			TAILQ_INIT(&w->idle[i][s]);
	}
	w->start_ns = w->plan.start_ns ? w->plan.start_ns : now_ns();
	w->interval_end_ns = w->start_ns + INTERVAL_NS;
}

static void crowd_close(struct crowd *w)
{
	for (unsigned int i = 0; i < w->plan.classes; i++) {
		for (uint32_t s = 0; s < w->plan.class[i].sources; s++)
			connections_free(&w->idle[i][s]);
		free(w->idle[i]);
	}
	connections_free(&w->over);
	close(w->epoll);
	crowd_plan_free(&w->plan);
}

int main(int argc, char **argv)
{
	static struct crowd w;
	crowd_plan_make(&w.plan, argc, argv);
	crowd_open(&w);
	crowd_run(&w);
	tally_show(&w, w.all, (double)(now_ns() - w.start_ns) / 1e9, &w.late_all, true);
	crowd_plan_write(&w.plan);
	crowd_close(&w);
	return 0;
}
