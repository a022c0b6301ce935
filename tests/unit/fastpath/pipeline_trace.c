/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/fastpath_check.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLIENT	"198.51.100.7"
#define SERVICE "203.0.113.10"

struct start {
	struct weir_trace_start head;
	struct weir_trace_instruction program[WEIR_TRACE_MAX_INSTRUCTIONS];
};

static uint32_t session;
static uint64_t records_lost;
static bool has_ended;

static struct start start_of(const char *service, const char *expression)
{
	struct start s = { .head = { .sample = 1 } };

	snprintf(s.head.service, sizeof(s.head.service), "%s", service);
	if (expression) {
		pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
		struct bpf_program program;

		CU_ASSERT_EQUAL_FATAL(
			pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN), 0);
		memcpy(s.program, program.bf_insns, program.bf_len * sizeof(s.program[0]));
		s.head.instruction_count = program.bf_len;
		pcap_freecode(&program);
		pcap_close(p);
	}
	return s;
}

static int try_start(struct bed *b, const struct start *s)
{
	struct weir_trace_started started;
	int rc = fastpath_trace_start(
		b->fp, &s->head, b->now / BED_MS, &started, b->err, sizeof(b->err));

	if (rc == 0)
		session = started.session;
	return rc;
}

static void trace(struct bed *b, const char *service, const char *expression)
{
	struct start s = start_of(service, expression);

	CU_ASSERT_EQUAL_FATAL(try_start(b, &s), 0);
}

/* The next record, kept until the next call; NULL when there is none. */
static const struct weir_trace_record *take(struct bed *b)
{
	static _Alignas(8)
		uint8_t kept[sizeof(struct weir_trace_record) + 2 * WEIR_TRACE_MAX_SNAPLEN];
	const struct weir_trace_read read = { session, 1 };
	struct weir_trace_batch *batch;
	size_t length;
	bool found;

	CU_ASSERT_EQUAL_FATAL(fastpath_trace_read(b->fp, &read, b->now / BED_MS, 0, &batch, &length,
				      b->err, sizeof(b->err)),
		0);
	records_lost = batch->lost;
	has_ended = batch->flags & WEIR_TRACE_F_ENDED;
	found = batch->count == 1;
	CU_ASSERT_EQUAL(length - sizeof(*batch),
		found ? ((struct weir_trace_record *)(batch + 1))->size : 0);
	memcpy(kept, batch + 1, length - sizeof(*batch));
	free(batch);
	return found ? (const void *)kept : NULL;
}

static uint32_t take_all(struct bed *b)
{
	uint32_t count = 0;

	while (take(b))
		count++;
	return count;
}

static void stop(struct bed *b)
{
	const struct weir_trace_read read = { session, 1 };
	struct weir_trace_batch batch;

	CU_ASSERT_EQUAL(fastpath_trace_stop(b->fp, &read, &batch, b->err, sizeof(b->err)), 0);
}

/* What the registry of ports does in the process. */
static void name_ports(struct bed *b)
{
	for (uint32_t i = 0; i < BED_PORTS; i++) {
		b->telemetry->port[i].used = 1;
		snprintf(b->telemetry->port[i].name, WEIR_NAME_SIZE, "port%u", i);
	}
}

static void start_web(struct bed *b, uint32_t cores, uint8_t mode)
{
	bed_start(b, cores, 4);
	name_ports(b);
	bed_add_service(b, "web", mode, 6, SERVICE, 80);
	bed_add_backend(b, 0, "10.0.0.11", mode == WEIR_MODE_NAT ? 8080 : 80);
	bed_apply(b);
}

/* A service without policies has no such stage. */
#define ALL_STAGES (((1u << WEIR_STAGE_COUNT) - 1) & ~(1u << WEIR_STAGE_POLICY))

static bool ends_are(const struct weir_trace_ends *e, const char *from, uint16_t sport,
	const char *to, uint16_t dport)
{
	uint8_t a[16], b[16];

	bed_address(from, a);
	bed_address(to, b);
	return e->known && memcmp(e->source, a, 16) == 0 && memcmp(e->destination, b, 16) == 0 &&
		e->source_port == sport && e->destination_port == dport;
}

static void a_new_flow(uint32_t cores, const char *client, const char *service, const char *backend,
	const char *source)
{
	struct bed b;
	struct bed_packet p = bed_client(client, 40000, service, 80), out;
	const struct weir_trace_record *r;
	uint8_t address[16];

	bed_start(&b, cores, 4);
	name_ports(&b);
	bed_add_service(&b, "web", WEIR_MODE_NAT, 6, service, 80)->limit_packets = 1000000;
	bed_add_backend(&b, 0, backend, 8080);
	bed_apply(&b);
	trace(&b, "web", NULL);
	CU_ASSERT_TRUE_FATAL(bed_exchange(&b, 0, &p, &out));
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->stages, ALL_STAGES);
	CU_ASSERT_EQUAL(r->verdict, WEIR_TRACE_TRANSMITTED);
	CU_ASSERT_EQUAL(r->stage, WEIR_STAGE_TRANSMIT);
	CU_ASSERT_EQUAL(r->received_ns, b.now);
	CU_ASSERT_STRING_EQUAL(r->service, "web");
	CU_ASSERT_STRING_EQUAL(r->port_in, "port0");
	CU_ASSERT_STRING_EQUAL(r->port_out, "port1");
	CU_ASSERT_EQUAL(r->parse, WEIR_TRACE_PARSE_OK);
	CU_ASSERT_EQUAL(r->protocol, 6);
	CU_ASSERT_EQUAL(r->tcp_flags, BED_SYN);
	CU_ASSERT_EQUAL(r->ttl, 64);
	CU_ASSERT_EQUAL(r->limits, WEIR_TRACE_LIMIT_PACKETS);
	CU_ASSERT_EQUAL(r->flow, WEIR_TRACE_FLOW_NONE);
	CU_ASSERT_EQUAL(r->flow_state, WEIR_FLOW_NEW);
	CU_ASSERT_EQUAL(r->placement, WEIR_TRACE_PLACEMENT_NEW);
	bed_address(backend, address);
	CU_ASSERT_EQUAL(memcmp(r->backend_address, address, 16), 0);
	CU_ASSERT_EQUAL(r->backend_port, 8080);
	CU_ASSERT_TRUE(ends_are(&r->received, client, 40000, service, 80));
	CU_ASSERT_TRUE(ends_are(&r->left, source, out.sport, backend, 8080));
	CU_ASSERT_EQUAL(memcmp(r->mac_out, out.dmac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(r->mac_out + 6, out.smac, 6), 0);
	CU_ASSERT_EQUAL(r->received_bytes + r->left_bytes, 0);
	CU_ASSERT_PTR_NULL(take(&b));
	/* The answer, which the client's filter does not know before it is translated. */
	struct bed_packet answer = bed_reply(&out, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &answer, &out));
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_TRUE(r->flags & WEIR_TRACE_F_FROM_BACKEND);
	CU_ASSERT_EQUAL(r->flow, WEIR_TRACE_FLOW_KNOWN);
	CU_ASSERT_EQUAL(r->placement, WEIR_TRACE_PLACEMENT_REPLY);
	CU_ASSERT_EQUAL(memcmp(r->backend_address, address, 16), 0);
	CU_ASSERT_TRUE(ends_are(&r->left, service, 80, client, 40000));
	stop(&b);
	bed_stop(&b);
}

static void one_core(void)
{
	a_new_flow(1, CLIENT, SERVICE, "10.0.0.11", "10.9.0.1");
}

static void three_cores(void)
{
	a_new_flow(3, CLIENT, SERVICE, "10.0.0.11", "10.9.0.1");
}

static void ipv6(void)
{
	a_new_flow(2, "2001:db8::7", "2001:db8:10::10", "fd00::11", "fd09::1");
}

static void drops(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80), out;
	const struct weir_trace_record *r;

	start_web(&b, 1, WEIR_MODE_NAT);
	trace(&b, "web", NULL);
	p.broken = true;
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->verdict, WEIR_TRACE_DROPPED);
	CU_ASSERT_EQUAL(r->reason, WEIR_DROP_MALFORMED);
	CU_ASSERT_EQUAL(r->stage, WEIR_STAGE_SERVICE);
	CU_ASSERT_EQUAL(r->parse, WEIR_TRACE_PARSE_MALFORMED);
	p.broken = false;
	p.tcp_flags = BED_ACK;
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out));
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->reason, WEIR_DROP_NO_FLOW);
	CU_ASSERT_EQUAL(r->stage, WEIR_STAGE_BALANCE);
	CU_ASSERT_EQUAL(r->flow, WEIR_TRACE_FLOW_NONE);
	CU_ASSERT_EQUAL(r->placement, WEIR_TRACE_PLACEMENT_NONE);
	CU_ASSERT_FALSE(r->left.known);
	p.tcp_flags = BED_SYN;
	b.port[1].port.mtu = 20;
	bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(bed_discard(&b, 0), 1); /* its sender is told, and that is not traced */
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->reason, WEIR_DROP_TOO_BIG);
	CU_ASSERT_EQUAL(r->stage, WEIR_STAGE_NEIGHBOUR);
	CU_ASSERT_EQUAL(r->placement, WEIR_TRACE_PLACEMENT_NEW);
	CU_ASSERT_TRUE(r->left.known);
	CU_ASSERT_EQUAL(r->port_out[0], 0);
	stop(&b);
	b.port[1].port.mtu = 1500;
	bed_stop(&b);
}

static void moved(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80), out;
	const struct weir_trace_record *r;
	uint32_t first, other;

	bed_start(&b, 1, 1);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	bed_add_backend(&b, 0, "10.0.0.12", 80);
	bed_apply(&b);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	first = out.dmac[5];
	trace(&b, "web", NULL);
	p.tcp_flags = BED_ACK;
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->placement, WEIR_TRACE_PLACEMENT_KNOWN);
	CU_ASSERT_EQUAL(r->flow, WEIR_TRACE_FLOW_KNOWN);
	bed_backend_state(&b, 0, first, WEIR_BACKEND_DOWN, 100);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	other = out.dmac[5];
	CU_ASSERT_NOT_EQUAL(other, first);
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->placement, WEIR_TRACE_PLACEMENT_MOVED);
	CU_ASSERT_EQUAL(r->flow, WEIR_TRACE_FLOW_HOMELESS);
	bed_stop(&b); /* with a trace that is on */
}

static void filtered(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80), out, answer;
	struct bed_packet q = bed_client("198.51.100.8", 40000, SERVICE, 80);

	start_web(&b, 3, WEIR_MODE_NAT);
	trace(&b, "web", "host " CLIENT);
	for (uint32_t i = 0; i < 6000; i++) { /* more than there are slots */
		q.sport = (uint16_t)(1024 + i % 500);
		bed_send(&b, 0, &q);
		bed_run(&b);
		(void)bed_discard(&b, 1);
		if (i % 1000 == 0)
			fastpath_trace_tick(b.fp, b.now / BED_MS);
	}
	CU_ASSERT_EQUAL(take_all(&b), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out));
	answer = bed_reply(&out, BED_SYN | BED_ACK, 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 1, &answer, &out));
	CU_ASSERT_EQUAL(take_all(&b), 2);
	stop(&b);
	bed_stop(&b);
}

static void counted(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct start s = start_of("web", NULL);

	start_web(&b, 2, WEIR_MODE_DSR);
	s.head.count = 3;
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	for (uint32_t i = 0; i < 10; i++)
		bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(take_all(&b), 3);
	CU_ASSERT_TRUE(has_ended);
	CU_ASSERT_EQUAL(records_lost, 0);
	stop(&b);
	bed_stop(&b);
}

static void full(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct start s = start_of("web", NULL);
	uint32_t taken;

	start_web(&b, 2, WEIR_MODE_DSR);
	s.head.snaplen = WEIR_TRACE_MAX_SNAPLEN; /* a few hundred slots */
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		bed_send(&b, 0, &p);
		bed_run(&b);
	}
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 1000); /* packets do not care */
	taken = take_all(&b);
	CU_ASSERT_TRUE(taken > 100 && taken < 1000);
	CU_ASSERT_EQUAL(taken + records_lost, 1000);
	for (uint32_t i = 0; i < 100; i++)
		bed_send(&b, 0, &p);
	bed_run(&b);
	CU_ASSERT_EQUAL(take_all(&b), 100); /* the slots are free again */
	stop(&b);
	bed_stop(&b);
}

static void sampled(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct start s = start_of("web", NULL);
	uint32_t taken = 0;

	start_web(&b, 1, WEIR_MODE_DSR);
	s.head.sample = 10;
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	for (uint32_t i = 0; i < 10000; i++) {
		bed_send(&b, 0, &p);
		if (i % 16 == 15) {
			bed_run(&b);
			(void)bed_discard(&b, 1);
		}
		if (i % 1000 == 999)
			taken += take_all(&b);
	}
	bed_run(&b);
	taken += take_all(&b);
	CU_ASSERT_EQUAL(records_lost, 0);
	CU_ASSERT_TRUE(taken > 850 && taken < 1150); /* 1000, and five standard deviations */
	stop(&b);
	bed_stop(&b);
}

static void frames(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct start s = start_of("web", NULL);
	const struct weir_trace_record *r;
	const uint8_t *frame;

	start_web(&b, 1, WEIR_MODE_NAT);
	p.payload = 500;
	p.tag = 0x11223344;
	s.head.snaplen = 300;
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	bed_send(&b, 0, &p);
	bed_run(&b);
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->received_length, 14 + 20 + 20 + 500);
	CU_ASSERT_EQUAL(r->received_bytes, 300);
	CU_ASSERT_EQUAL(r->left_bytes, 300);
	frame = (const uint8_t *)(r + 1);
	CU_ASSERT_EQUAL(memcmp(frame + 26, p.src + 12, 4), 0);
	CU_ASSERT_EQUAL(memcmp(frame + 54, &p.tag, 4), 0);
	frame += r->received_bytes;
	CU_ASSERT_EQUAL(memcmp(frame + 26, r->left.source + 12, 4), 0);
	CU_ASSERT_EQUAL(frame[22], 63);
	stop(&b);
	bed_stop(&b);
}

static void one_at_a_time(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80);
	struct start s = start_of("web", NULL);
	struct weir_trace_batch *batch;
	size_t length;
	uint32_t first;

	start_web(&b, 1, WEIR_MODE_DSR);
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	first = session;
	CU_ASSERT_EQUAL(try_start(&b, &s), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "web"));
	b.port[1].out[0].room = 0; /* the packet stays, marked */
	bed_send(&b, 0, &p);
	fastpath_core_step(b.fp, 0, b.now);
	b.now += 6 * BED_SECOND;
	fastpath_trace_tick(b.fp, b.now / BED_MS);
	CU_ASSERT_EQUAL(fastpath_trace_read(b.fp, &(struct weir_trace_read){ first, 1 }, 0, 0,
				&batch, &length, b.err, sizeof(b.err)),
		-ENOENT);
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	CU_ASSERT_NOT_EQUAL(session, first);
	b.port[1].out[0].room = UINT32_MAX;
	fastpath_core_step(b.fp, 0, b.now);
	CU_ASSERT_EQUAL(bed_discard(&b, 1), 1);
	CU_ASSERT_PTR_NULL(take(&b)); /* it was marked for another */
	stop(&b);
	bed_stop(&b);
}

static void refusals(void)
{
	struct bed b;
	struct start s = start_of("nobody", NULL);

	start_web(&b, 1, WEIR_MODE_DSR);
	CU_ASSERT_EQUAL(try_start(&b, &s), -ENOENT);
	s = start_of("web", NULL);
	snprintf(s.head.port, sizeof(s.head.port), "nowhere");
	CU_ASSERT_EQUAL(try_start(&b, &s), -ENOENT);
	s = start_of("web", NULL);
	s.head.instruction_count = 1; /* all zeros: no return */
	CU_ASSERT_EQUAL(try_start(&b, &s), -EINVAL);
	bed_stop(&b);
}

static void gone(void)
{
	struct bed b;

	start_web(&b, 1, WEIR_MODE_DSR);
	bed_add_service(&b, "dns", WEIR_MODE_DSR, 17, SERVICE, 53);
	bed_add_backend(&b, 1, "10.0.0.12", 53);
	bed_apply(&b);
	trace(&b, "dns", NULL);
	CU_ASSERT_PTR_NULL(take(&b));
	CU_ASSERT_FALSE(has_ended);
	b.service_count = 1;
	bed_apply(&b);
	CU_ASSERT_PTR_NULL(take(&b));
	CU_ASSERT_TRUE(has_ended);
	stop(&b);
	bed_stop(&b);
}

static void by_port(void)
{
	struct bed b;
	struct bed_packet p = bed_client(CLIENT, 40000, SERVICE, 80), out;
	struct start s = start_of("", NULL);
	const struct weir_trace_record *r;

	start_web(&b, 1, WEIR_MODE_DSR);
	snprintf(s.head.port, sizeof(s.head.port), "port1");
	CU_ASSERT_EQUAL(try_start(&b, &s), 0);
	CU_ASSERT_TRUE(bed_exchange(&b, 0, &p, &out)); /* leaves by it */
	CU_ASSERT_EQUAL(take_all(&b), 1);
	p.dport = 81;
	CU_ASSERT_FALSE(bed_exchange(&b, 0, &p, &out)); /* does not */
	CU_ASSERT_EQUAL(take_all(&b), 0);
	CU_ASSERT_FALSE(bed_exchange(&b, 1, &p, &out)); /* comes by it, and is nobody's */
	r = take(&b);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->service[0], 0);
	CU_ASSERT_EQUAL(r->verdict, WEIR_TRACE_DROPPED);
	CU_ASSERT_EQUAL(r->reason, WEIR_DROP_NO_SERVICE);
	CU_ASSERT_EQUAL(r->stage, WEIR_STAGE_SERVICE);
	stop(&b);
	bed_stop(&b);
}

static void *core_thread(void *arg)
{
	struct bed *b = arg;
	static uint32_t next;

	fastpath_core_run(b->fp, __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED));
	return NULL;
}

/* Cores that run while traces come and go; that nothing is touched afterwards is for the sanitizers. */
static void beside_running_cores(void)
{
	struct bed b;
	pthread_t thread[2];

	bed_start_with(&b, 2, 4, UINT64_C(64) << 20, true);
	bed_add_service(&b, "web", WEIR_MODE_DSR, 6, SERVICE, 80);
	bed_add_backend(&b, 0, "10.0.0.11", 80);
	for (uint32_t i = 0; i < 200; i++) {
		struct bed_packet p = bed_client(CLIENT, (uint16_t)(1024 + i), SERVICE, 80);

		bed_send(&b, 0, &p);
	}
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, core_thread, &b), 0);
	bed_apply(&b);
	for (uint32_t i = 0; i < 50; i++) {
		trace(&b, "web", i % 2 ? "tcp" : NULL);
		(void)take_all(&b);
		stop(&b);
	}
	fastpath_stop(b.fp);
	for (uint32_t i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	bed_stop(&b);
}

static const struct tap_case cases[] = {
	{ "a new flow's packets are followed through all stages", one_core },
	{ "they are followed from core to core", three_cores },
	{ "IPv6 addresses are told as well", ipv6 },
	{ "a dropped packet says where and why", drops },
	{ "a flow that had to move says so", moved },
	{ "a filter finds translated replies too, and no one else", filtered },
	{ "no more packets are followed than were asked for", counted },
	{ "when slots run dry records are lost, and no packet", full },
	{ "one packet in ten is about that", sampled },
	{ "frames are kept as they came and as they left", frames },
	{ "there is one trace, and it ends when nobody reads it", one_at_a_time },
	{ "a trace of what is not there is refused", refusals },
	{ "a trace of a service that is removed ends", gone },
	{ "a port's packets are those that come and leave by it", by_port },
	{ "traces come and go beside running cores", beside_running_cores },
};

TAP_MAIN("trace", cases)
