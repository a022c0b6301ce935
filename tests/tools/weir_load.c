/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * weir-load: an HTTP load generator for the demo and the tests. It counts what each backend answered
 * (by the header X-Backend) and how long that took.
 *
 * Closed loop: N connections, each with one request at a time. Open loop (--rate): requests start at
 * constant intervals whatever the answers do, and an answer's latency counts from the moment when its
 * request should have started, so a stalled server cannot hide by slowing the generator down.
 */

#include "tests/tools/weir_load.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

enum connection_state {
	CONNECTION_CONNECTING,
	CONNECTION_HEADERS,
	CONNECTION_BODY,
	CONNECTION_IDLE,
};

struct load;

struct connection {
	LIST_ENTRY(connection) idle_entry; /* on load->idle while idle */
	struct load *load; /* borrowed: it lives longer */
	struct bufferevent *bev; /* owned */
	struct event *think; /* owned; NULL unless options.think */
	enum connection_state state;
	unsigned int served;
	uint64_t started_ns; /* of the request under way: when it should have started */
	uint64_t body_left;
	uint64_t bytes;
	bool ok; /* status 200 */
	bool close; /* the server will close after this answer */
	char backend[64];
};

struct load {
	struct load_options options;
	struct event_base *base;
	struct tally *tally;
	uint64_t start_ns;
	uint64_t started; /* requests */
	unsigned int open; /* connections */
	bool stopping;
	char *request; /* owned */
	size_t request_size;
	LIST_HEAD(, connection) idle;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static double elapsed(const struct load *l)
{
	return (double)(now_ns() - l->start_ns) / 1e9;
}

static struct timeval to_timeval(double seconds)
{
	return (struct timeval){ (time_t)seconds,
		(suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) };
}

static bool all_started(const struct load *l)
{
	return l->options.requests && l->started >= l->options.requests;
}

static void stop_when_done(struct load *l)
{
	if (l->open == 0 && (l->stopping || all_started(l)))
		event_base_loopbreak(l->base);
}

static void connection_next(struct connection *c);
static void connection_open(struct load *l, uint64_t started_ns);

static void connection_close(struct connection *c)
{
	struct load *l = c->load;
	if (c->state == CONNECTION_IDLE)
		LIST_REMOVE(c, idle_entry);
	bufferevent_free(c->bev);
	if (c->think)
		event_free(c->think);
	free(c);
	l->open--;
}

static void replacement_open(evutil_socket_t fd, short what, void *ctx)
{
	struct load *l = ctx;
	if (l->options.rate <= 0 && !l->stopping && !all_started(l))
		connection_open(l, now_ns());
}

/* The connection is over; a closed loop opens the next one in its place. */
static void connection_replace(struct connection *c)
{
	struct load *l = c->load;
	connection_close(c);
	replacement_open(-1, 0, l);
	stop_when_done(l);
}

/* As above, but a while later: refused connections must not become a busy loop. */
static void connection_fail(struct connection *c, enum load_failure why, int error)
{
	static const struct timeval pause = { .tv_usec = 10000 };
	struct load *l = c->load;
	tally_failure(l->tally, why, c->backend, elapsed(l), error);
	connection_close(c);
	event_base_once(l->base, -1, EV_TIMEOUT, replacement_open, l, &pause);
	stop_when_done(l);
}

static void request_send(struct connection *c, uint64_t started_ns)
{
	c->state = CONNECTION_HEADERS;
	c->started_ns = started_ns;
	c->bytes = 0;
	c->ok = false;
	c->close = false;
	bufferevent_write(c->bev, c->load->request, c->load->request_size);
}

static void answer_complete(struct connection *c)
{
	struct load *l = c->load;
	if (c->ok)
		tally_ok(l->tally, c->backend[0] ? c->backend : "unknown", now_ns() - c->started_ns,
			c->bytes);
	else
		tally_failure(l->tally, LOAD_FAILURE_STATUS, c->backend, elapsed(l), 0);
	c->served++;
	bool used_up = l->options.keepalive && c->served >= l->options.keepalive;
	if (c->close || used_up || l->stopping || all_started(l)) {
		connection_replace(c);
		return;
	}
	c->state = CONNECTION_IDLE;
	LIST_INSERT_HEAD(&l->idle, c, idle_entry);
	if (l->options.rate > 0)
		return;
	if (c->think) {
		struct timeval pause = to_timeval(l->options.think);
		event_add(c->think, &pause);
		return;
	}
	connection_next(c);
}

static void connection_next(struct connection *c)
{
	LIST_REMOVE(c, idle_entry);
	c->load->started++;
	request_send(c, now_ns());
}

static void think_over(evutil_socket_t fd, short what, void *ctx)
{
	struct connection *c = ctx;
	if (c->load->stopping || all_started(c->load))
		connection_replace(c);
	else
		connection_next(c);
}

/* Returns false when the headers are not all there yet, or the connection has ended. */
static bool read_headers(struct connection *c, struct evbuffer *in)
{
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos < 0)
		return false;
	size_t size = (size_t)end.pos + 4;
	char text[4096];
	if (size >= sizeof(text)) {
		connection_fail(c, LOAD_FAILURE_ANSWER, 0);
		return false;
	}
	evbuffer_remove(in, text, size);
	text[size] = '\0';
	int status = 0;
	bool has_length = false;
	if (sscanf(text, "HTTP/1.%*d %d", &status) != 1)
		status = 0;
	c->ok = status == 200;
	c->backend[0] = '\0';
	for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		if (strncasecmp(line, "content-length:", 15) == 0) {
			c->body_left = strtoull(line + 15, NULL, 10);
			has_length = true;
		} else if (strncasecmp(line, "x-backend:", 10) == 0) {
			sscanf(line + 10, " %63s", c->backend);
		} else if (strcasecmp(line, "connection: close") == 0) {
			c->close = true;
		}
	}
	if (!status || !has_length) {
		connection_fail(c, LOAD_FAILURE_ANSWER, 0);
		return false;
	}
	c->state = CONNECTION_BODY;
	return true;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct connection *c = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	if (c->state == CONNECTION_HEADERS && !read_headers(c, in))
		return;
	if (c->state != CONNECTION_BODY)
		return;
	size_t have = evbuffer_get_length(in);
	size_t take = have < c->body_left ? have : (size_t)c->body_left;
	evbuffer_drain(in, take);
	c->body_left -= take;
	c->bytes += take;
	if (c->body_left == 0)
		answer_complete(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct connection *c = ctx;
	int error = EVUTIL_SOCKET_ERROR();
	if (what & BEV_EVENT_CONNECTED) {
		int one = 1;
		setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		request_send(c, c->started_ns);
		return;
	}
	/* An idle connection may be closed by the server, and may be silent, without a failure. */
	if (c->state == CONNECTION_IDLE) {
		if (what & BEV_EVENT_TIMEOUT)
			bufferevent_enable(bev, EV_READ);
		else
			connection_replace(c);
		return;
	}
	if (what & BEV_EVENT_TIMEOUT)
		connection_fail(c, LOAD_FAILURE_TIMEOUT, 0);
	else if (c->state == CONNECTION_CONNECTING)
		connection_fail(c, LOAD_FAILURE_CONNECT, error);
	else
		connection_fail(c, LOAD_FAILURE_CLOSED, what & BEV_EVENT_EOF ? 0 : error);
}

static int socket_open(const struct load_options *o)
{
	int fd = socket(o->target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(1, "socket");
	if (o->source.ss_family) {
		int one = 1;
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, (const struct sockaddr *)&o->source, o->source_size) < 0)
			err(1, "bind");
	}
	return fd;
}

static void connection_open(struct load *l, uint64_t started_ns)
{
	struct connection *c = calloc(1, sizeof(*c));
	if (!c)
		errx(1, "out of memory");
	c->load = l;
	c->started_ns = started_ns;
	c->bev = bufferevent_socket_new(
		l->base, socket_open(&l->options), BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!c->bev)
		errx(1, "out of memory");
	if (l->options.think > 0)
		c->think = evtimer_new(l->base, think_over, c);
	l->open++;
	l->started++;
	bufferevent_setcb(c->bev, on_read, NULL, on_event, c);
	struct timeval timeout = to_timeval(l->options.timeout);
	bufferevent_set_timeouts(c->bev, &timeout, &timeout);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	/* An error at once comes to on_event() like any other. */
	bufferevent_socket_connect(
		c->bev, (struct sockaddr *)&l->options.target, (int)l->options.target_size);
}

/* Open loop: start what is due by now. */
static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct load *l = ctx;
	uint64_t now = now_ns();
	for (;;) {
		uint64_t due = l->start_ns + (uint64_t)((double)l->started * 1e9 / l->options.rate);
		if (due > now || l->stopping || all_started(l))
			return;
		struct connection *c = LIST_FIRST(&l->idle);
		if (c) {
			LIST_REMOVE(c, idle_entry);
			l->started++;
			request_send(c, due);
		} else if (l->open < l->options.connections) {
			connection_open(l, due);
		} else {
			l->started++;
			tally_failure(l->tally, LOAD_FAILURE_BUSY, NULL, elapsed(l), 0);
		}
	}
}

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
	struct load *l = ctx;
	l->stopping = true;
	while (!LIST_EMPTY(&l->idle))
		connection_close(LIST_FIRST(&l->idle));
	stop_when_done(l);
}

static void on_report(evutil_socket_t fd, short what, void *ctx)
{
	struct load *l = ctx;
	tally_print(l->tally, elapsed(l), false);
}

static void usage(FILE *to)
{
	fputs("usage: weir-load [options] http://ADDRESS:PORT/PATH\n"
	      "  -c, --connections N  at once (8)\n"
	      "  -r, --rate R         open loop: start R requests a second\n"
	      "  -n, --requests N     stop after N requests\n"
	      "  -t, --time S         stop after S seconds (10)\n"
	      "  -k, --keepalive N    requests per connection, 0: all (1)\n"
	      "  -T, --timeout S      to connect, and to wait for bytes (2)\n"
	      "  -w, --think S        closed loop: pause between requests of a connection\n"
	      "  -s, --source ADDRESS to connect from\n"
	      "  -i, --interval S     print a line of JSON that often\n"
	      "Prints one line of JSON at the end; exit status 1 when a request has failed.\n",
		to);
}

static void resolve(const char *host, const char *port, struct sockaddr_storage *ret_address,
	socklen_t *ret_size)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	if (getaddrinfo(host, port, &hints, &found))
		errx(2, "%s is not an address", host);
	memcpy(ret_address, found->ai_addr, found->ai_addrlen);
	*ret_size = found->ai_addrlen;
	freeaddrinfo(found);
}

static void parse_url(struct load_options *o, const char *url)
{
	char host[64];
	unsigned int port = 80;
	int end = 0;
	if (sscanf(url, "http://[%63[0-9a-fA-F:.]]%n", host, &end) != 1 || !end)
		if (sscanf(url, "http://%63[0-9.]%n", host, &end) != 1 || !end) {
			usage(stderr);
			exit(2);
		}
	sscanf(url + end, ":%u", &port);
	const char *path = strchr(url + end, '/');
	char service[12];
	snprintf(service, sizeof(service), "%u", port);
	resolve(host, service, &o->target, &o->target_size);
	if (asprintf(&o->host, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port) < 0 ||
		!(o->path = strdup(path ? path : "/")))
		errx(1, "out of memory");
}

static void parse_options(struct load_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "rate", required_argument, NULL, 'r' },
		{ "requests", required_argument, NULL, 'n' },
		{ "time", required_argument, NULL, 't' },
		{ "keepalive", required_argument, NULL, 'k' },
		{ "timeout", required_argument, NULL, 'T' },
		{ "think", required_argument, NULL, 'w' },
		{ "source", required_argument, NULL, 's' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	*o = (struct load_options){ .connections = 8, .seconds = 10, .keepalive = 1, .timeout = 2 };
	int option;
	while ((option = getopt_long(argc, argv, "c:r:n:t:k:T:w:s:i:h", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			o->connections = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->rate = strtod(optarg, NULL);
			break;
		case 'n':
			o->requests = strtoull(optarg, NULL, 10);
			break;
		case 't':
			o->seconds = strtod(optarg, NULL);
			break;
		case 'k':
			o->keepalive = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'T':
			o->timeout = strtod(optarg, NULL);
			break;
		case 'w':
			o->think = strtod(optarg, NULL);
			break;
		case 's':
			resolve(optarg, "0", &o->source, &o->source_size);
			break;
		case 'i':
			o->report = strtod(optarg, NULL);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc - 1 || !o->connections || o->seconds <= 0 || o->timeout <= 0 ||
		o->rate < 0) {
		usage(stderr);
		exit(2);
	}
	parse_url(o, argv[optind]);
}

static struct event *every(struct load *l, double seconds, event_callback_fn callback)
{
	struct timeval interval = to_timeval(seconds);
	struct event *e = event_new(l->base, -1, EV_PERSIST, callback, l);
	if (!e || event_add(e, &interval))
		errx(1, "out of memory");
	return e;
}

static void request_build(struct load *l)
{
	int size = asprintf(&l->request,
		"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-load\r\n%s\r\n", l->options.path,
		l->options.host, l->options.keepalive == 1 ? "Connection: close\r\n" : "");
	if (size < 0)
		errx(1, "out of memory");
	l->request_size = (size_t)size;
}

int main(int argc, char **argv)
{
	struct load l = { .idle = LIST_HEAD_INITIALIZER(l.idle) };
	parse_options(&l.options, argc, argv);
	signal(SIGPIPE, SIG_IGN);

	struct event_config *config = event_config_new();
	if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) ||
		!(l.base = event_base_new_with_config(config)))
		errx(1, "no event loop");
	event_config_free(config);
	l.tally = tally_create();
	request_build(&l);
	l.start_ns = now_ns();

	struct event *end = every(&l, l.options.seconds, on_stop);
	struct event *report = l.options.report > 0 ? every(&l, l.options.report, on_report) : NULL;
	struct event *tick = l.options.rate > 0 ? every(&l, 0.0005, on_tick) : NULL;
	struct event *sigint = evsignal_new(l.base, SIGINT, on_stop, &l);
	struct event *sigterm = evsignal_new(l.base, SIGTERM, on_stop, &l);
	evsignal_add(sigint, NULL);
	evsignal_add(sigterm, NULL);
	for (unsigned int i = 0; !tick && i < l.options.connections && !all_started(&l); i++)
		connection_open(&l, now_ns());

	event_base_dispatch(l.base);

	tally_print(l.tally, elapsed(&l), true);
	bool failed = tally_failed(l.tally) || tally_done(l.tally) == 0;
	struct event *events[] = { end, report, tick, sigint, sigterm };
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	tally_destroy(l.tally);
	event_base_free(l.base);
	free(l.request);
	free(l.options.host);
	free(l.options.path);
	return failed ? 1 : 0;
}
