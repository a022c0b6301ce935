/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/health_check.h"
#include "control/health/probe.h"
#include "control/health/slow_start.h"
#include "tests/unit/tap.h"

#include <event2/event.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

/* The state machine. */

static void test_first_counts(void)
{
	struct health_state good = { 0 }, bad = { 0 };

	CU_ASSERT(health_state_take(&good, true, 3, 3));
	CU_ASSERT_EQUAL(good.verdict, HEALTH_GOOD);
	CU_ASSERT(health_state_take(&bad, false, 3, 3));
	CU_ASSERT_EQUAL(bad.verdict, HEALTH_BAD);
}

static void test_rise_and_fall(void)
{
	struct health_state s = { .verdict = HEALTH_GOOD };

	CU_ASSERT_FALSE(health_state_take(&s, false, 2, 3));
	CU_ASSERT_FALSE(health_state_take(&s, false, 2, 3));
	CU_ASSERT_EQUAL(s.verdict, HEALTH_GOOD);
	CU_ASSERT(health_state_take(&s, false, 2, 3));
	CU_ASSERT_EQUAL(s.verdict, HEALTH_BAD);
	CU_ASSERT_FALSE(health_state_take(&s, false, 2, 3));
	CU_ASSERT_FALSE(health_state_take(&s, true, 2, 3));
	CU_ASSERT(health_state_take(&s, true, 2, 3));
	CU_ASSERT_EQUAL(s.verdict, HEALTH_GOOD);
}

static void test_streak_is_broken(void)
{
	struct health_state s = { .verdict = HEALTH_GOOD };

	for (int i = 0; i < 10; i++) {
		CU_ASSERT_FALSE(health_state_take(&s, false, 1, 3));
		CU_ASSERT_FALSE(health_state_take(&s, false, 1, 3));
		CU_ASSERT_FALSE(health_state_take(&s, true, 1, 3));
	}
	CU_ASSERT_EQUAL(s.verdict, HEALTH_GOOD);
}

static void test_one_is_enough(void)
{
	struct health_state s = { .verdict = HEALTH_GOOD };

	CU_ASSERT(health_state_take(&s, false, 1, 1));
	CU_ASSERT(health_state_take(&s, true, 1, 1));
}

static uint64_t next_due(uint64_t due, uint64_t started, uint64_t now, uint32_t random)
{
	return health_next_due(due * MS, started * MS, 500 * MS, now * MS, random);
}

static void test_schedule(void)
{
	CU_ASSERT_EQUAL(next_due(1000, 1000, 1100, 0), 1500 * MS);
	/* It keeps its place when it was late a little. */
	CU_ASSERT_EQUAL(next_due(1000, 1040, 1045, 0), 1500 * MS);
	/* When it was late by more, its place is taken by too many. */
	CU_ASSERT_EQUAL(next_due(1000, 1060, 1070, 0), 1310 * MS);
	CU_ASSERT_EQUAL(next_due(1000, 1060, 1070, UINT32_C(1) << 31), 1560 * MS);
	/* What took longer than an interval is followed at once. */
	CU_ASSERT_EQUAL(next_due(1000, 1000, 1500, 0), 1500 * MS);
	CU_ASSERT_EQUAL(next_due(1000, 1000, 9000, 0), 9000 * MS);
	/* A clock that has not moved yet. */
	CU_ASSERT_EQUAL(next_due(1000, 1000, 900, 0), 1500 * MS);
	/* Jitter only shortens: an interval is a promise. */
	CU_ASSERT_EQUAL(next_due(1000, 1000, 1100, UINT32_C(1) << 31), 1475 * MS);
	uint64_t least = next_due(1000, 1000, 1100, UINT32_MAX);

	CU_ASSERT(least >= 1450 * MS && least < 1451 * MS);
	CU_ASSERT_EQUAL(health_random_part(3600 * 1000 * MS, UINT32_C(1) << 31), 1800 * 1000 * MS);
}

/* A thousand checks, all started by a process that was held up: then they are spread again, and are no more. */
static void test_late_together(void)
{
	uint32_t in_tenth[10] = { 0 };

	for (uint64_t i = 0; i < 1000; i++) {
		uint32_t random = (uint32_t)(i * (UINT32_MAX / 1000));
		uint64_t next = health_next_due(1000 * MS, 3000 * MS, 500 * MS, 3100 * MS, random);

		CU_ASSERT(next >= 3250 * MS && next < 3750 * MS);
		in_tenth[(next / MS - 3250) / 50]++;
	}
	for (uint32_t t = 0; t < 10; t++)
		CU_ASSERT(in_tenth[t] >= 99 && in_tenth[t] <= 101);
}

/* Slow start. */

static void test_ramp(void)
{
	uint64_t back = 5000 * MS, ramp = 10000 * MS;

	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back), 10);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back - MS), 10);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back + 999 * MS), 10);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back + 1000 * MS), 20);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back + 8999 * MS), 90);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back + 9000 * MS), 100);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, ramp, back + 99999 * MS), 100);
	CU_ASSERT_EQUAL(slow_start_weight(100, back, 0, back), 100);
	CU_ASSERT_EQUAL(slow_start_weight(100, 0, ramp, 1), 100);
	CU_ASSERT_EQUAL(slow_start_weight(0, back, ramp, back), 0);
	CU_ASSERT_EQUAL(slow_start_weight(1, back, ramp, back), 1);
	CU_ASSERT_EQUAL(slow_start_weight(65535, back, 3600 * 1000 * MS, back), 6554);
}

static void test_ramp_is_lifted(void)
{
	CU_ASSERT_EQUAL(slow_start_lifted(100, 0), 0);
	CU_ASSERT_EQUAL(slow_start_lifted(100, 0.05), 0);
	CU_ASSERT_EQUAL(slow_start_lifted(100, 0.39), 30);
	CU_ASSERT_EQUAL(slow_start_lifted(1, 0.1), 1);
	CU_ASSERT_EQUAL(slow_start_lifted(0, 1), 0);
	CU_ASSERT_EQUAL(slow_start_lifted(65535, 1), 65535);
	CU_ASSERT_EQUAL(slow_start_lifted(100, 7), 100);
}

/* It only grows, from a small share to all, whatever the weight, the ramp and the steps of the clock. */
static void test_ramp_grows(void)
{
	srand(1);
	for (int i = 0; i < 2000; i++) {
		uint16_t weight = (uint16_t)(rand() % 65536), before = 0;
		uint64_t back = 1 + (uint64_t)rand(), ramp = MS + (uint64_t)rand() * 1000;

		for (uint64_t now = back; now < back + ramp; now += ramp / 37 + 1) {
			uint16_t w = slow_start_weight(weight, back, ramp, now);

			CU_ASSERT(w >= before && w <= weight && (w || !weight));
			if (now == back)
				CU_ASSERT(w <= weight / 10 + 1);
			/* A daemon that finds it so goes on from there. */
			uint64_t found = slow_start_back(weight, w, ramp, now + ramp);

			CU_ASSERT_EQUAL(slow_start_weight(weight, found, ramp, now + ramp), w);
			before = w;
		}
		CU_ASSERT_EQUAL(slow_start_weight(weight, back, ramp, back + ramp), weight);
	}
}

/* Probes, against real sockets. */

struct server {
	int fd;
	uint16_t port;
	const char *answer; /* NULL: close without one; "": say nothing */
	pthread_t thread;
	char request[512];
};

static struct address loopback;

static int listen_any(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CU_ASSERT_FATAL(fd >= 0 && !bind(fd, (const struct sockaddr *)&a, sizeof(a)) &&
		!listen(fd, 8) && !getsockname(fd, (struct sockaddr *)&a, &size));
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* One connection; the pieces of an answer are cut at '|'. */
static void *serve(void *ctx)
{
	struct server *s = ctx;
	int fd = accept(s->fd, NULL, NULL);

	if (fd < 0)
		return NULL;
	ssize_t n = recv(fd, s->request, sizeof(s->request) - 1, 0);

	s->request[n > 0 ? n : 0] = 0;
	for (const char *at = s->answer; at && *at;) {
		size_t length = strcspn(at, "|");

		if (send(fd, at, length, MSG_NOSIGNAL) < 0)
			break;
		at += length;
		if (*at == '|') {
			at++;
			usleep(20000);
		}
	}
	if (s->answer && !*s->answer)
		recv(fd, s->request, sizeof(s->request) - 1, 0); /* until the prober gives up */
	close(fd);
	return NULL;
}

struct outcome {
	int calls;
	enum probe_result result;
	char reason[128];
};

static void outcome_take(void *ctx, enum probe_result result, const char *reason)
{
	struct outcome *o = ctx;

	o->calls++;
	o->result = result;
	snprintf(o->reason, sizeof(o->reason), "%s", reason);
}

static struct outcome probe_port(enum model_health_type type, uint16_t port, bool proxy_header)
{
	char path[] = "/healthz?a=1";
	struct model_health h = {
		.type = type, .path = path, .timeout_ns = 1000 * MS, .proxy_header = proxy_header
	};
	struct outcome o = { 0 };
	struct event_base *base = event_base_new();
	struct probe *p;

	address_parse("127.0.0.1", &loopback);
	CU_ASSERT_EQUAL_FATAL(probe_start(base, &h, &loopback, port, outcome_take, &o, &p), 0);
	CU_ASSERT_EQUAL(o.calls, 0); /* never from within the call */
	event_base_dispatch(base); /* ends when nothing is left to wait for */
	CU_ASSERT_EQUAL(o.calls, 1);
	event_base_free(base);
	return o;
}

static struct outcome probe_with(
	enum model_health_type type, bool proxy_header, const char *answer, char *ret_request)
{
	struct server s = { .answer = answer };

	s.fd = listen_any(&s.port);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&s.thread, NULL, serve, &s), 0);
	struct outcome o = probe_port(type, s.port, proxy_header);

	pthread_join(s.thread, NULL);
	close(s.fd);
	if (ret_request)
		memcpy(ret_request, s.request, sizeof(s.request));
	return o;
}

static struct outcome probe_answer(const char *answer, char *ret_request)
{
	return probe_with(MODEL_HEALTH_HTTP, false, answer, ret_request);
}

static void test_refused(void)
{
	uint16_t port;
	int fd = listen_any(&port);

	close(fd);
	struct outcome o = probe_port(MODEL_HEALTH_TCP, port, false);

	CU_ASSERT_EQUAL(o.result, PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(o.reason, "connection refused");
}

static void test_tcp(void)
{
	uint16_t port;
	int fd = listen_any(&port);
	struct outcome o = probe_port(MODEL_HEALTH_TCP, port, false);

	CU_ASSERT_EQUAL(o.result, PROBE_GOOD);
	close(fd);
}

static void test_http(void)
{
	char request[512];
	struct outcome o = probe_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", request);

	CU_ASSERT_EQUAL(o.result, PROBE_GOOD);
	CU_ASSERT_STRING_EQUAL(o.reason, "HTTP 200");
	CU_ASSERT_EQUAL(strncmp(request, "GET /healthz?a=1 HTTP/1.1\r\nHost: 127.0.0.1:", 43), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(request, "\r\n\r\n"));
}

/* The sender speaks for itself: version 2, LOCAL, no addresses. */
static void test_proxy_header(void)
{
	static const char local[17] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";
	char request[512];
	struct outcome o = probe_with(MODEL_HEALTH_HTTP, true, "HTTP/1.1 200 OK\r\n\r\n", request);

	CU_ASSERT_EQUAL(o.result, PROBE_GOOD);
	CU_ASSERT_EQUAL(memcmp(request, local, 16), 0);
	CU_ASSERT_EQUAL(strncmp(request + 16, "GET /healthz?a=1 HTTP/1.1\r\nHost: ", 33), 0);
	memset(request, 0, sizeof(request));
	o = probe_with(MODEL_HEALTH_TCP, true, "", request);
	CU_ASSERT_EQUAL(o.result, PROBE_GOOD);
	CU_ASSERT_STRING_EQUAL(o.reason, "connected");
}

static void test_http_statuses(void)
{
	static const struct {
		const char *line;
		enum probe_result result;
		const char *reason;
	} table[] = {
		{ "HTTP/1.0 204 No Content\r\n\r\n", PROBE_GOOD, "HTTP 204" },
		{ "HTTP/1.1 301\r\n\r\n", PROBE_GOOD, "HTTP 301" },
		{ "HTTP/1.1 399 x\n", PROBE_GOOD, "HTTP 399" },
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", PROBE_BAD, "HTTP 400" },
		{ "HTTP/1.1 503 Service Unavailable\r\n\r\n", PROBE_BAD, "HTTP 503" },
		{ "HTTP/1.1 101 Switching\r\n\r\n", PROBE_BAD, "HTTP 101" },
		{ "HTTP/1.1 20\r\n", PROBE_BAD, "the answer is not HTTP" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", PROBE_BAD, "the answer is not HTTP" },
		{ "HTTP/1.1 2|00 O|K\r\n", PROBE_GOOD, "HTTP 200" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct outcome o = probe_answer(table[i].line, NULL);

		CU_ASSERT_EQUAL(o.result, table[i].result);
		CU_ASSERT_STRING_EQUAL(o.reason, table[i].reason);
	}
}

static void test_http_closed(void)
{
	struct outcome o = probe_answer(NULL, NULL);

	CU_ASSERT_EQUAL(o.result, PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(o.reason, "connection closed without an answer");
}

static void test_http_silent(void)
{
	struct outcome o = probe_answer("", NULL);

	CU_ASSERT_EQUAL(o.result, PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(o.reason, "timed out after 1000 ms");
}

static void test_http_flood(void)
{
	char flood[4096];

	memset(flood, 'x', sizeof(flood) - 1);
	flood[sizeof(flood) - 1] = 0;
	struct outcome o = probe_answer(flood, NULL);

	CU_ASSERT_EQUAL(o.result, PROBE_BAD);
	CU_ASSERT_STRING_EQUAL(o.reason, "the answer is not HTTP");
}

static void test_cancel(void)
{
	struct model_health h = { .type = MODEL_HEALTH_TCP, .timeout_ns = 300 * MS };
	struct event_base *base = event_base_new();
	struct outcome o = { 0 };
	struct probe *p;
	uint16_t port;
	int fd = listen_any(&port);

	address_parse("127.0.0.1", &loopback);
	CU_ASSERT_EQUAL_FATAL(probe_start(base, &h, &loopback, port, outcome_take, &o, &p), 0);
	probe_cancel(p);
	event_base_dispatch(base);
	CU_ASSERT_EQUAL(o.calls, 0);
	event_base_free(base);
	close(fd);
}

/* A check from its first to its last verdict. */

struct follow {
	struct event_base *base;
	struct health_checks *checks;
	enum health_verdict verdicts[8];
	int count;
	int stop_at;
	int close_fd; /* the server ends when the first verdict is there */
};

static void follow_take(void *ctx, enum health_verdict verdict, const char *reason)
{
	struct follow *f = ctx;

	if (f->count < 8)
		f->verdicts[f->count] = verdict;
	if (++f->count >= f->stop_at)
		event_base_loopbreak(f->base);
	if (f->close_fd >= 0)
		close(f->close_fd);
	f->close_fd = -1;
}

static void follow_begin(struct follow *f)
{
	address_parse("127.0.0.1", &loopback);
	f->base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(health_checks_start(f->base, &f->checks), 0);
}

static void follow_run(struct follow *f)
{
	struct timeval deadline = { .tv_sec = 5 };

	event_base_loopexit(f->base, &deadline);
	event_base_dispatch(f->base);
}

static void follow_end(struct follow *f)
{
	health_checks_stop(f->checks);
	event_base_free(f->base);
}

static void test_check_follows(void)
{
	struct model_health h = { .type = MODEL_HEALTH_TCP,
		.interval_ns = 20 * MS,
		.timeout_ns = 10 * MS,
		.rise = 2,
		.fall = 3 };
	struct follow f = { .stop_at = 2 };
	struct health_check *c;
	uint16_t port;

	f.close_fd = listen_any(&port);
	follow_begin(&f);
	CU_ASSERT_EQUAL_FATAL(health_check_create(f.checks, &h, &loopback, port, HEALTH_UNKNOWN,
				      20 * MS, follow_take, &f, &c),
		0);
	follow_run(&f);
	CU_ASSERT_EQUAL(f.count, 2);
	CU_ASSERT_EQUAL(f.verdicts[0], HEALTH_GOOD);
	CU_ASSERT_EQUAL(f.verdicts[1], HEALTH_BAD);
	CU_ASSERT_EQUAL(health_check_verdict(c), HEALTH_BAD);
	CU_ASSERT_STRING_EQUAL(health_check_reason(c), "connection refused");
	CU_ASSERT(health_check_passed(c) >= 1);
	health_check_destroy(c);
	follow_end(&f);
}

/* The place in the new interval is a time to come: else all checks of a configuration would start at once, and late. */
static void test_check_comes_sooner(void)
{
	struct model_health h = { .type = MODEL_HEALTH_TCP,
		.interval_ns = 3600 * 1000 * MS,
		.timeout_ns = 10 * MS,
		.rise = 1,
		.fall = 1 };
	struct follow f = { .stop_at = 1, .close_fd = -1 };
	uint64_t late = health_check_figures().late;
	struct health_check *c;
	uint16_t port;
	int fd = listen_any(&port);

	follow_begin(&f);
	CU_ASSERT_EQUAL_FATAL(health_check_create(f.checks, &h, &loopback, port, HEALTH_UNKNOWN,
				      h.interval_ns, follow_take, &f, &c),
		0);
	/* So that the thread has it, and waits. */
	usleep(50000);
	h.interval_ns = 1000 * MS;
	CU_ASSERT_EQUAL(health_check_configure(c, &h), 0);
	follow_run(&f);
	CU_ASSERT_EQUAL(f.count, 1);
	CU_ASSERT_EQUAL(health_check_figures().late, late);
	health_check_destroy(c);
	follow_end(&f);
	close(fd);
}

/* Whoever holds the loop up: a big configuration, a long list, a scrape. */
static void test_loop_stands(void)
{
	struct model_health h = { .type = MODEL_HEALTH_TCP,
		.interval_ns = 1000 * MS,
		.timeout_ns = 100 * MS,
		.rise = 1,
		.fall = 1 };
	struct follow f = { .stop_at = 8, .close_fd = -1 };
	uint64_t late = health_check_figures().late;
	uint64_t started = health_check_figures().started;
	struct health_check *c[8];
	uint16_t port;

	/* Nobody is there any more. */
	close(listen_any(&port));
	follow_begin(&f);
	for (int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL_FATAL(
			health_check_create(f.checks, &h, &loopback, port, HEALTH_UNKNOWN,
				h.interval_ns, follow_take, &f, &c[i]),
			0);
	usleep(1500000);
	CU_ASSERT_EQUAL(f.count, 0);
	CU_ASSERT(health_check_figures().started >= started + 8);
	CU_ASSERT_EQUAL(health_check_figures().late, late);
	/* What has come meanwhile is told when it goes on, but for what is not wanted any more. */
	f.stop_at = 7;
	health_check_destroy(c[7]);
	follow_run(&f);
	CU_ASSERT_EQUAL(f.count, 7);
	for (int i = 0; i < 7; i++) {
		CU_ASSERT_EQUAL(health_check_verdict(c[i]), HEALTH_BAD);
		CU_ASSERT_STRING_EQUAL(health_check_reason(c[i]), "connection refused");
		health_check_destroy(c[i]);
	}
	follow_end(&f);
}

/* Made, changed and ended in swarms while checks run: nothing is told of what has ended. */
static void test_checks_churn(void)
{
	struct model_health h = {
		.type = MODEL_HEALTH_HTTP, .interval_ns = MS, .timeout_ns = MS, .rise = 1, .fall = 1
	};
	struct follow f = { .stop_at = 1000000, .close_fd = -1 };
	struct health_check *c[64] = { NULL };
	char path[32];
	uint16_t port;
	int fd = listen_any(&port);

	follow_begin(&f);
	h.path = path;
	for (unsigned int i = 0; i < 4000; i++) {
		struct health_check **place = &c[i * 7 % 64];

		snprintf(path, sizeof(path), "/%u", i % 5);
		if (*place && i % 3) {
			CU_ASSERT_EQUAL(health_check_configure(*place, &h), 0);
		} else {
			health_check_destroy(*place);
			CU_ASSERT_EQUAL_FATAL(health_check_create(f.checks, &h, &loopback, port,
						      HEALTH_UNKNOWN, MS, follow_take, &f, place),
				0);
		}
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < 64; i++)
		health_check_destroy(c[i]);
	int count = f.count;

	event_base_loop(f.base, EVLOOP_NONBLOCK);
	CU_ASSERT_EQUAL(f.count, count);
	follow_end(&f);
	close(fd);
}

static const struct tap_case cases[] = {
	{ "the first check decides at once", test_first_counts },
	{ "afterwards rise and fall count checks in a row", test_rise_and_fall },
	{ "a check that agrees breaks the streak", test_streak_is_broken },
	{ "rise and fall of one follow every check", test_one_is_enough },
	{ "checks start an interval apart or a little less", test_schedule },
	{ "checks that were late together part again", test_late_together },
	{ "a backend that comes back gets its weight in ten steps", test_ramp },
	{ "a slow start that is lifted has so many tenths at least", test_ramp_is_lifted },
	{ "a slow start only grows, and goes on where it was found", test_ramp_grows },
	{ "a closed port is refused", test_refused },
	{ "tcp is good when it connects", test_tcp },
	{ "http asks for the path, with a Host, and takes 200", test_http },
	{ "a PROXY header comes first where backends expect one", test_proxy_header },
	{ "http judges the status line, also in pieces", test_http_statuses },
	{ "http is bad when the connection closes without an answer", test_http_closed },
	{ "http is bad when nothing is said in time", test_http_silent },
	{ "http does not read without bound", test_http_flood },
	{ "a cancelled probe tells nobody", test_cancel },
	{ "a check finds a server that dies", test_check_follows },
	{ "a shorter interval holds at once, and makes no check late", test_check_comes_sooner },
	{ "a loop that stands makes no check late", test_loop_stands },
	{ "checks come and go in swarms", test_checks_churn },
};

TAP_MAIN("health", cases)
