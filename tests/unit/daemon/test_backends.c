/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/dataplane/hops.h"
#include "control/daemon/dataplane/told.h"
#include "control/daemon/pool.h"
#include "control/daemon/revision/settings.h"
#include "control/daemon/rundir.h"
#include "dataplane/api/messages.h"
#include "tests/unit/tap.h"

#include <event2/event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Draining. */

struct fixture {
	char folder[64];
	struct rundir run;
	struct event_base *base;
	struct pool *pool;
	int changes;
};

static void changed(void *ctx)
{
	((struct fixture *)ctx)->changes++;
}

static void setup(struct fixture *f)
{
	char err[256];

	memset(f, 0, sizeof(*f));
	CU_ASSERT_FATAL(tap_folder(f->folder, sizeof(f->folder)));
	setenv("WEIR_RUN_DIR", f->folder, 1);
	CU_ASSERT_EQUAL_FATAL(rundir_open("t", &f->run, err, sizeof(err)), 0);
	f->base = event_base_new();
	CU_ASSERT_EQUAL_FATAL(pool_create(f->base, &f->run, changed, f, &f->pool), 0);
}

static void teardown(struct fixture *f)
{
	pool_destroy(f->pool);
	event_base_free(f->base);
	rundir_unlink(&f->run, "drained.json");
	rundir_remove(&f->run);
	rundir_close(&f->run);
	CU_ASSERT_EQUAL(rmdir(f->folder), 0);
}

/* A daemon that comes after one that was killed. */
static void restart(struct fixture *f)
{
	pool_destroy(f->pool);
	CU_ASSERT_EQUAL_FATAL(pool_create(f->base, &f->run, changed, f, &f->pool), 0);
}

static struct model *model(const char *health, const char *backends)
{
	struct model_errors errors = { 0 };
	struct model *m = NULL;
	char *text;

	CU_ASSERT_FATAL(asprintf(&text,
				"version: 1\n"
				"ports: [{name: front, device: eth1}]\n"
				"services:\n"
				"  - name: web\n"
				"    address: 203.0.113.10\n"
				"    port: 80\n"
				"    protocol: tcp\n"
				"    mode: dsr\n"
				"    health: %s\n"
				"    backends: %s\n",
				health, backends) > 0);
	int rc = model_parse(text, strlen(text), &m, &errors);

	if (rc)
		model_errors_print(stdout, "# config", &errors);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	free(text);
	return m;
}

#define TWO   "[{address: 10.0.0.1, port: 80}, {address: 10.0.0.2, port: 80}]"
#define ONE   "[{address: 10.0.0.1, port: 80}]"
#define OTHER "[{address: 10.0.0.2, port: 80}]"
#define NONE  "{type: none}"
#define TCP   "{type: tcp, interval: 60s, timeout: 1s}"

static uint8_t state(const struct fixture *f, const char *backend)
{
	struct address a;

	address_parse(backend, &a);
	return pool_state(f->pool, "web", &a, 80, MODEL_HEALTH_TCP);
}

static int drain(struct fixture *f, const char *backend, bool on)
{
	struct address a;

	address_parse(backend, &a);
	return pool_drain(f->pool, "web", &a, 80, on);
}

static void set(struct fixture *f, const char *health, const char *backends)
{
	struct model *m = model(health, backends);

	CU_ASSERT_EQUAL(pool_set_model(f->pool, m, NULL), 0);
	model_destroy(m);
}

static void test_drain(void)
{
	struct fixture f;

	setup(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", true), 0);
	CU_ASSERT_EQUAL(f.changes, 1);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_DRAINING);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", true), 0);
	CU_ASSERT_EQUAL(f.changes, 1); /* no news */
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", false), 0);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.9", true), -ENOENT);
	teardown(&f);
}

static void test_drain_over_apply(void)
{
	struct fixture f;

	setup(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", true), 0);
	set(&f, NONE, ONE);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_DRAINING);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_DRAINING);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_UP);
	/* Without the backend there is nothing to drain, and it comes back as new. */
	set(&f, NONE, OTHER);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_UP);
	teardown(&f);
}

static void test_drain_over_restart(void)
{
	struct fixture f;

	setup(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.2", true), 0);
	restart(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_DRAINING);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.2", false), 0);
	restart(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_UP);
	teardown(&f);
}

static void test_drain_forgotten(void)
{
	struct fixture f;

	setup(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.2", true), 0);
	set(&f, NONE, ONE);
	restart(&f);
	set(&f, NONE, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_UP);
	teardown(&f);
}

static void test_unchecked(void)
{
	struct fixture f;

	setup(&f);
	set(&f, TCP, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_DOWN);
	/* A drained one that is not healthy is down, not draining. */
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", true), 0);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_DOWN);
	/* One that was up without checks stays so until they say otherwise. */
	set(&f, NONE, TWO);
	set(&f, TCP, TWO);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_DRAINING);
	teardown(&f);
}

static void test_adopted(void)
{
	struct snapshot_backend backends[2] = {
		{ .entry = { .state = WEIR_BACKEND_UP, .port = 80 } },
		{ .entry = { .state = WEIR_BACKEND_DOWN, .port = 80 } }
	};
	struct snapshot_service service = { .backends = backends, .backend_count = 2 };
	struct snapshot s = { .services = &service, .service_count = 1 };
	struct address a;
	struct fixture f;

	snprintf(service.entry.name, sizeof(service.entry.name), "web");
	address_parse("10.0.0.1", &a);
	memcpy(backends[0].entry.address, a.bytes, sizeof(a.bytes));
	address_parse("10.0.0.2", &a);
	memcpy(backends[1].entry.address, a.bytes, sizeof(a.bytes));
	setup(&f);
	struct model *m = model(TCP, TWO);

	CU_ASSERT_EQUAL(pool_set_model(f.pool, m, &s), 0);
	model_destroy(m);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(state(&f, "10.0.0.2"), WEIR_BACKEND_DOWN);
	teardown(&f);
}

static void test_second_daemon(void)
{
	struct rundir second;
	struct fixture f;
	char err[256] = "";

	setup(&f);
	CU_ASSERT_EQUAL(rundir_open("t", &second, err, sizeof(err)), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, "instance t runs already"));
	CU_ASSERT_EQUAL(rundir_open("u", &second, err, sizeof(err)), 0);
	rundir_remove(&second);
	rundir_close(&second);
	teardown(&f);
}

/* Next hops. */

#define AT(ms) (1000 * NS_PER_MS + (ms)*NS_PER_MS)

static void test_hop_backoff(void)
{
	struct hop h = { 0 };
	static const uint64_t asked_at[] = { 0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300 };
	size_t next = 0;

	for (uint64_t ms = 0; ms <= 16300; ms += 10) {
		struct hop_verdict v = hop_decide(&h, HOP_GONE, false, AT(ms));

		CU_ASSERT_FALSE(v.resolved);
		CU_ASSERT_EQUAL(v.ask, ms == asked_at[next]);
		next += v.ask;
	}
	CU_ASSERT_EQUAL(next, sizeof(asked_at) / sizeof(asked_at[0]));
}

static void test_hop_stale(void)
{
	struct hop h = { 0 };

	CU_ASSERT_FALSE(hop_decide(&h, HOP_GOOD, true, AT(0)).ask);
	CU_ASSERT(hop_decide(&h, HOP_STALE, true, AT(10)).ask);
	CU_ASSERT_FALSE(hop_decide(&h, HOP_STALE, true, AT(500)).ask);
	struct hop_verdict v = hop_decide(&h, HOP_STALE, true, AT(1010));

	CU_ASSERT(v.ask);
	CU_ASSERT(v.resolved);
	CU_ASSERT_FALSE(v.keep_mac);
}

static void test_hop_lost(void)
{
	struct hop h = { 0 };

	hop_decide(&h, HOP_GOOD, true, AT(0));
	struct hop_verdict v = hop_decide(&h, HOP_GONE, true, AT(10));

	CU_ASSERT(v.ask);
	CU_ASSERT(v.keep_mac);
	CU_ASSERT(v.resolved);
	CU_ASSERT(hop_decide(&h, HOP_GONE, true, AT(900)).resolved);
	CU_ASSERT_FALSE(hop_decide(&h, HOP_GONE, true, AT(1100)).resolved);
	/* Back again, and lost again: a new second of grace. */
	hop_decide(&h, HOP_GOOD, false, AT(2000));
	CU_ASSERT(hop_decide(&h, HOP_GONE, true, AT(2500)).resolved);
	CU_ASSERT_FALSE(hop_decide(&h, HOP_FAILED, true, AT(2600)).resolved);
}

/* What has been told. */

static void *config_body(size_t *ret_length, struct told *ret_told)
{
	size_t length = sizeof(struct weir_config) + sizeof(struct weir_config_port) +
		sizeof(struct weir_config_service) + sizeof(struct weir_config_backend) +
		sizeof(struct weir_config_neighbour);
	struct weir_config *c = calloc(1, length);

	c->port_count = c->service_count = c->backend_count = c->neighbour_count = 1;
	memset(ret_told, 0, sizeof(*ret_told));
	told_set(ret_told, c, length);
	ret_told->backends[0].state = WEIR_BACKEND_UP;
	ret_told->backends[0].weight = 10;
	ret_told->neighbours[0].resolved = 1;
	*ret_length = length;
	return c;
}

static void test_digest(void)
{
	struct told t;
	size_t length;
	void *body = config_body(&length, &t);
	uint64_t digest = told_digest(body, length);

	CU_ASSERT_NOT_EQUAL(digest, 0);
	t.header->digest = digest;
	CU_ASSERT_EQUAL(told_digest(body, length), digest);
	t.backends[0].state = WEIR_BACKEND_DOWN;
	t.neighbours[0].resolved = 0;
	t.neighbours[0].mac[3] = 7;
	CU_ASSERT_EQUAL(told_digest(body, length), digest);
	t.backends[0].weight = 11;
	CU_ASSERT_NOT_EQUAL(told_digest(body, length), digest);
	t.backends[0].weight = 10;
	t.neighbours[0].address[15] = 1;
	CU_ASSERT_NOT_EQUAL(told_digest(body, length), digest);
	t.neighbours[0].address[15] = 0;
	t.services[0].limit_packets = 5;
	CU_ASSERT_NOT_EQUAL(told_digest(body, length), digest);
	told_clear(&t);
}

static void test_forget(void)
{
	struct told t;
	size_t length;

	config_body(&length, &t);
	told_forget_states(&t);
	CU_ASSERT(
		t.backends[0].state != WEIR_BACKEND_UP && t.backends[0].state != WEIR_BACKEND_DOWN);
	CU_ASSERT(t.neighbours[0].resolved > 1);
	told_clear(&t);
}

static void test_settings(void)
{
	uint16_t some[] = { 1, 2, 3, 5 }, other[] = { 1, 2, 3, 6 };
	struct model_dataplane a = { .cores = some, .core_count = 4, .memory_bytes = 1 << 29 };
	struct model_dataplane b = a;
	struct weir_hello_reply hello = { .memory_bytes = 1 << 29, .cores = "1-3,5" };
	char text[128];

	cores_print(&a, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "1-3,5");
	CU_ASSERT_FALSE(settings_differ(&a, &b, text, sizeof(text)));
	CU_ASSERT_FALSE(settings_differ_from_running(&a, &hello, text, sizeof(text)));
	b.cores = other;
	b.idle = MODEL_IDLE_SPIN;
	CU_ASSERT(settings_differ(&a, &b, text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(text, "cores, idle");
	CU_ASSERT(settings_differ_from_running(&b, &hello, text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(text, "cores, idle");
}

#define SLOW "{type: tcp, interval: 60s, timeout: 1s, slow-start: 10s}"

static uint16_t weight_at(const struct fixture *f, uint64_t now_ns)
{
	struct address a;

	address_parse("10.0.0.1", &a);
	return pool_weight(f->pool, "web", &a, 80, 100, now_ns);
}

static void test_slow_start_after_drain(void)
{
	struct fixture f;

	setup(&f);
	/* Believed to be up, as it was without checks. */
	set(&f, NONE, TWO);
	set(&f, SLOW, TWO);
	uint64_t before = clock_now_ns();

	CU_ASSERT_EQUAL(weight_at(&f, before), 100);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", true), 0);
	CU_ASSERT_EQUAL(drain(&f, "10.0.0.1", false), 0);
	uint64_t after = clock_now_ns();

	CU_ASSERT_EQUAL(state(&f, "10.0.0.1"), WEIR_BACKEND_UP);
	CU_ASSERT_EQUAL(weight_at(&f, before), 10);
	CU_ASSERT(weight_at(&f, before + 5000 * NS_PER_MS) <= 60);
	CU_ASSERT(weight_at(&f, after + 5000 * NS_PER_MS) >= 60);
	CU_ASSERT_EQUAL(weight_at(&f, after + 10000 * NS_PER_MS), 100);
	/* Without a slow start, by another configuration, it is over. */
	set(&f, TCP, TWO);
	CU_ASSERT_EQUAL(weight_at(&f, before), 100);
	teardown(&f);
}

/* A lone change goes out at once; of many that come together those of a while are looked for in one go. */
static void test_push_wait(void)
{
	const uint64_t ms = NS_PER_MS;

	CU_ASSERT_EQUAL(push_wait_ns(0, 0, 100 * ms), 0);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, 0, 100 * ms), 0);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, 3 * ms, 100 * ms), 12 * ms);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, 3 * ms, 105 * ms), 7 * ms);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, 3 * ms, 112 * ms), 0);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, 3 * ms, 1000 * ms), 0);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, 13 * ms, 100 * ms), 50 * ms);
	CU_ASSERT_EQUAL(push_wait_ns(100 * ms, UINT64_C(1) << 62, 100 * ms), 50 * ms);
}

static const struct tap_case cases[] = {
	{ "draining and enabling change the state in force", test_drain },
	{ "a drained backend stays so over applies, while it exists", test_drain_over_apply },
	{ "a drained backend stays so over a restart", test_drain_over_restart },
	{ "a drained backend that was removed is forgotten over a restart", test_drain_forgotten },
	{ "without a verdict a backend is down, drained or not", test_unchecked },
	{ "what an adopted data plane has up is believed", test_adopted },
	{ "a second daemon of an instance is refused", test_second_daemon },
	{ "an unresolved next hop is asked for with growing pauses", test_hop_backoff },
	{ "a stale next hop is confirmed once a second", test_hop_stale },
	{ "a vanished neighbour keeps its address for a second, a failed one not", test_hop_lost },
	{ "the digest leaves out states and link addresses, nothing else", test_digest },
	{ "of an adopted data plane all states will be told", test_forget },
	{ "settings that need a restart are named", test_settings },
	{ "changes go out at once, and many that are dear to look for together", test_push_wait },
	{ "a backend whose drain ends starts slowly", test_slow_start_after_drain },
};

TAP_MAIN("backends", cases)
