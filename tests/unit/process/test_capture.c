/* SPDX-License-Identifier: BSD-3-Clause */

/* Capture ports through the registry, on files written byte by byte. */

#include "dataplane/port/capture.h"
#include "dataplane/port/registry.h"
#include "tests/unit/tap.h"

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MICRO 0xa1b2c3d4u
#define NANO  0xa1b23c4du

static char top[64];
static char in_file[sizeof(top) + 16];
static char out_file[sizeof(top) + 16];
static struct weir_telemetry *telemetry;

static const char *file_in(void *ctx, const char *port)
{
	return strcmp(port, "front") == 0 ? in_file : NULL;
}

static const char *file_out(void *ctx, const char *port)
{
	return strcmp(port, "front") == 0 ? out_file : NULL;
}

static struct port_registry *registry_make(void)
{
	const struct port_registry_params params = {
		.telemetry = telemetry,
		.instance_dir = top,
		.memory_bytes = 64u << 20,
		.capture_in = file_in,
		.capture_out = file_out,
	};
	struct port_registry *r;

	memset(telemetry->port, 0, sizeof(telemetry->port));
	CU_ASSERT_EQUAL_FATAL(port_registry_create(&params, &r), 0);
	return r;
}

struct ports_message {
	struct weir_config header;
	struct weir_config_port port[2];
};

static struct ports_message ports_of(const char *first, const char *second)
{
	struct ports_message m = { .header.port_count = second ? 2 : 1 };

	m.port[0].kind = m.port[1].kind = WEIR_PORT_CAPTURE;
	snprintf(m.port[0].name, sizeof(m.port[0].name), "%s", first);
	if (second)
		snprintf(m.port[1].name, sizeof(m.port[1].name), "%s", second);
	return m;
}

static int prepare(struct port_registry *r, const struct ports_message *m, struct port **ports,
	char *err, size_t err_size)
{
	struct weir_config_view v;

	weir_config_view(m, &v);
	return port_registry_prepare(r, &v, ports, err, err_size);
}

static void put32(FILE *f, uint32_t v)
{
	fwrite(&v, sizeof(v), 1, f);
}

static FILE *pcap_begin(uint32_t magic, uint32_t link_type)
{
	FILE *f = fopen(in_file, "we");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	put32(f, magic);
	put32(f, 0x00040002);
	put32(f, 0);
	put32(f, 0);
	put32(f, 262144);
	put32(f, link_type);
	return f;
}

static void pcap_packet(FILE *f, uint32_t seconds, uint32_t fraction, uint32_t length, uint8_t fill)
{
	put32(f, seconds);
	put32(f, fraction);
	put32(f, length);
	put32(f, length);
	for (uint32_t i = 0; i < length; i++)
		fputc((uint8_t)(fill + i / 256), f);
}

/* Open "front"; NULL when that is refused. */
static struct port *front_open(struct port_registry *r, char *err, size_t err_size)
{
	const struct ports_message m = ports_of("front", NULL);
	struct port *ports[WEIR_MAX_PORTS] = { 0 };

	if (prepare(r, &m, ports, err, err_size) < 0)
		return NULL;
	port_registry_commit(r);
	return ports[0];
}

static uint16_t receive(struct port *p, struct rte_mbuf **pkts, uint16_t n)
{
	return p->rx_queue[0].rx(p->rx_queue[0].handle, pkts, n);
}

static void packets_come_at_their_time(void)
{
	struct port_registry *r = registry_make();
	struct rte_mbuf *pkts[64];
	char err[256] = "";
	uint64_t ns = 0;

	FILE *f = pcap_begin(MICRO, 1);
	pcap_packet(f, 5, 1, 60, 1);
	pcap_packet(f, 5, 1, 61, 2);
	pcap_packet(f, 5, 2, 62, 3);
	fclose(f);
	struct port *p = front_open(r, err, sizeof(err));
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(receive(p, pkts, 64), 0);
	CU_ASSERT_EQUAL(capture_next_time(p, &ns), 1);
	CU_ASSERT_EQUAL(ns, 5000001000);
	capture_set_time(p, ns);
	CU_ASSERT_EQUAL_FATAL(receive(p, pkts, 64), 2);
	CU_ASSERT_EQUAL(pkts[0]->pkt_len, 60);
	CU_ASSERT_EQUAL(pkts[1]->pkt_len, 61);
	CU_ASSERT_EQUAL(*rte_pktmbuf_mtod(pkts[1], uint8_t *), 2);
	CU_ASSERT_EQUAL(receive(p, pkts + 2, 62), 0);
	CU_ASSERT_EQUAL(capture_next_time(p, &ns), 1);
	capture_set_time(p, ns);
	CU_ASSERT_EQUAL_FATAL(receive(p, pkts + 2, 62), 1);
	CU_ASSERT_EQUAL(capture_next_time(p, &ns), 0);
	rte_pktmbuf_free_bulk(pkts, 3);
	port_registry_destroy(r);
}

/* What is sent has the input's time, to the nanosecond where the input counts so, and its own bytes. */
static void sent_packets_are_written(uint32_t magic, uint32_t fraction)
{
	struct port_registry *r = registry_make();
	struct rte_mbuf *pkts[4];
	char err[256] = "";
	uint64_t ns = 0;
	uint32_t head[4];

	FILE *f = pcap_begin(magic, 1);
	pcap_packet(f, 1700000000, fraction, 9000, 7);
	pcap_packet(f, 1700000000, fraction, 60, 9);
	fclose(f);
	struct port *p = front_open(r, err, sizeof(err));
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(capture_next_time(p, &ns), 1);
	capture_set_time(p, ns);
	CU_ASSERT_EQUAL_FATAL(receive(p, pkts, 4), 2);
	CU_ASSERT_EQUAL(pkts[0]->pkt_len, 9000);
	CU_ASSERT(pkts[0]->nb_segs > 1);
	CU_ASSERT_EQUAL(p->tx_queue[0].tx(p->tx_queue[0].handle, pkts, 2), 2);
	CU_ASSERT_EQUAL(capture_flush(p), 0);
	port_registry_destroy(r);

	static uint8_t before[20000], after[20000];
	f = fopen(in_file, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	size_t n = fread(before, 1, sizeof(before), f);
	fclose(f);
	f = fopen(out_file, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	size_t m = fread(after, 1, sizeof(after), f);
	fclose(f);
	CU_ASSERT_EQUAL(n, m);
	memcpy(head, after, 4);
	CU_ASSERT_EQUAL(head[0], magic);
	CU_ASSERT_EQUAL(memcmp(before + 24, after + 24, n - 24), 0);
}

static void micro_files(void)
{
	sent_packets_are_written(MICRO, 123456);
}

static void nano_files(void)
{
	sent_packets_are_written(NANO, 123456789);
}

static void refused(const char *text)
{
	struct port_registry *r = registry_make();
	char err[512] = "";

	CU_ASSERT_PTR_NULL(front_open(r, err, sizeof(err)));
	CU_ASSERT_PTR_NOT_NULL(strstr(err, in_file));
	CU_ASSERT_PTR_NOT_NULL(strstr(err, text));
	if (!strstr(err, text))
		printf("# said: %s\n", err);
	CU_ASSERT_EQUAL(telemetry->port[0].used, 0);
	port_registry_destroy(r);
}

static void bad_files_are_refused(void)
{
	(void)unlink(in_file);
	refused("No such file");
	FILE *f = fopen(in_file, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("this is not a capture, it only looks long enough", f);
	fclose(f);
	refused("unknown file format");
	f = pcap_begin(MICRO, 101);
	fclose(f);
	refused("expected Ethernet");
	f = pcap_begin(MICRO, 1);
	put32(f, 1);
	put32(f, 2);
	fclose(f);
	refused("packet 1: truncated");
}

static void truncated_file_names_the_packet(void)
{
	struct port_registry *r = registry_make();
	struct rte_mbuf *pkts[64];
	char err[256] = "";
	uint64_t ns = 0;

	FILE *f = pcap_begin(MICRO, 1);
	pcap_packet(f, 1, 0, 60, 1);
	pcap_packet(f, 1, 0, 60, 1);
	pcap_packet(f, 2, 0, 60, 1);
	fclose(f);
	CU_ASSERT_EQUAL(truncate(in_file, 24 + 2 * 76 + 40), 0);
	struct port *p = front_open(r, err, sizeof(err));
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(capture_next_time(p, &ns), 1);
	capture_set_time(p, ns);
	CU_ASSERT_EQUAL_FATAL(receive(p, pkts, 64), 2);
	rte_pktmbuf_free_bulk(pkts, 2);
	CU_ASSERT_EQUAL(capture_next_time(p, &ns), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(capture_error(p), in_file));
	CU_ASSERT_PTR_NOT_NULL(strstr(capture_error(p), "packet 3"));
	port_registry_destroy(r);
}

static void registry_keeps_what_stays(void)
{
	struct port_registry *r = registry_make();
	const struct ports_message two = ports_of("front", "back");
	const struct ports_message one = ports_of("back", NULL);
	const struct ports_message others = ports_of("side", "back");
	struct port *ports[WEIR_MAX_PORTS] = { 0 };
	char err[256];

	fclose(pcap_begin(MICRO, 1));
	CU_ASSERT_EQUAL_FATAL(prepare(r, &two, ports, err, sizeof(err)), 0);
	port_registry_commit(r);
	struct port *back = ports[1];
	CU_ASSERT_STRING_EQUAL(telemetry->port[back->index].name, "back");
	CU_ASSERT_EQUAL(telemetry->port_count, 2);

	CU_ASSERT_EQUAL_FATAL(prepare(r, &others, ports, err, sizeof(err)), 0);
	CU_ASSERT_PTR_EQUAL(ports[1], back);
	CU_ASSERT_EQUAL(telemetry->port_count, 3);
	port_registry_rollback(r);
	CU_ASSERT_EQUAL(telemetry->port_count, 2);

	CU_ASSERT_EQUAL_FATAL(prepare(r, &one, ports, err, sizeof(err)), 0);
	port_registry_commit(r);
	CU_ASSERT_PTR_EQUAL(ports[0], back);
	CU_ASSERT_EQUAL(telemetry->port[0].used, 0);
	CU_ASSERT_EQUAL(telemetry->port[1].used, 1);
	port_registry_destroy(r);
	CU_ASSERT_EQUAL(telemetry->port[1].used, 0);
}

static void missing_interface_is_refused_by_name(void)
{
	struct port_registry *r = registry_make();
	struct ports_message m = ports_of("front", "far");
	struct port *ports[WEIR_MAX_PORTS] = { 0 };
	char err[256] = "";

	fclose(pcap_begin(MICRO, 1));
	m.port[1].kind = WEIR_PORT_KERNEL;
	strcpy(m.port[1].device, "weir-none0");
	CU_ASSERT_EQUAL(prepare(r, &m, ports, err, sizeof(err)), -ENODEV);
	CU_ASSERT_STRING_EQUAL(err, "port far: there is no interface weir-none0");
	CU_ASSERT_EQUAL(telemetry->port[0].used, 0);
	m.port[1].kind = WEIR_PORT_PCI;
	strcpy(m.port[1].device, "ffff:ff:1f.7");
	CU_ASSERT_EQUAL(prepare(r, &m, ports, err, sizeof(err)), -ENODEV);
	CU_ASSERT_STRING_EQUAL(err, "port far: there is no PCI device ffff:ff:1f.7");
	port_registry_destroy(r);
}

/* A port that comes back counts on; another one counts from zero. */
static void counters_are_their_port_s(void)
{
	struct port_registry *r = registry_make();
	struct weir_core_cell *cell = (void *)(telemetry + 1);
	const struct ports_message both = ports_of("front", "back"), one = ports_of("back", NULL),
				   other = ports_of("back", "side");
	struct port *ports[WEIR_MAX_PORTS] = { 0 };
	char err[256];

	fclose(pcap_begin(MICRO, 1));
	CU_ASSERT_EQUAL_FATAL(prepare(r, &both, ports, err, sizeof(err)), 0);
	port_registry_commit(r);
	const uint8_t front = ports[0]->index, back = ports[1]->index;
	cell->port[front].packets_received = 7;
	cell->port[back].packets_received = 8;
	CU_ASSERT_EQUAL_FATAL(prepare(r, &one, ports, err, sizeof(err)), 0);
	port_registry_commit(r);
	CU_ASSERT_EQUAL(cell->port[back].packets_received, 8);
	/* Another one does not take its place while there are others; and it counts from zero if it does. */
	CU_ASSERT_EQUAL_FATAL(prepare(r, &other, ports, err, sizeof(err)), 0);
	port_registry_commit(r);
	CU_ASSERT_NOT_EQUAL(ports[1]->index, front);
	CU_ASSERT_EQUAL(cell->port[ports[1]->index].packets_received, 0);
	CU_ASSERT_EQUAL_FATAL(prepare(r, &both, ports, err, sizeof(err)), 0);
	port_registry_commit(r);
	CU_ASSERT_EQUAL(ports[0]->index, front);
	CU_ASSERT_EQUAL(cell->port[front].packets_received, 7);
	port_registry_destroy(r);
}

static const struct tap_case cases[] = {
	{ "packets come when their time has come, and not before", packets_come_at_their_time },
	{ "a microsecond file gives a microsecond file", micro_files },
	{ "a nanosecond file gives a nanosecond file", nano_files },
	{ "bad files are refused by name", bad_files_are_refused },
	{ "a truncated file names the packet", truncated_file_names_the_packet },
	{ "the registry keeps what stays and forgets what was refused", registry_keeps_what_stays },
	{ "a port that comes back counts on, another one from zero", counters_are_their_port_s },
	{ "a missing interface is refused by name", missing_interface_is_refused_by_name },
};

int main(void)
{
	static char arguments[][24] = { "test", "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
		"--no-telemetry", "--log-level=3", "--lcores=0", "--file-prefix=weirtest" };
	enum {
		COUNT = sizeof(arguments) / sizeof(arguments[0])
	};
	char *argv[COUNT + 1] = { 0 };

	for (size_t i = 0; i < COUNT; i++)
		argv[i] = arguments[i];
	if (!tap_folder(top, sizeof(top)) || setenv("RUNTIME_DIRECTORY", top, 1) < 0)
		return 99;
	snprintf(in_file, sizeof(in_file), "%s/in.pcap", top);
	snprintf(out_file, sizeof(out_file), "%s/out.pcap", top);
	telemetry = calloc(1, sizeof(*telemetry) + sizeof(struct weir_core_cell));
	if (!telemetry || rte_eal_init(COUNT, argv) < 0)
		return 99;
	telemetry->core_count = 1;
	telemetry->core[0].cell_offset = sizeof(*telemetry);
	int rc = tap_run("capture", cases, sizeof(cases) / sizeof(cases[0]));
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", top);
	if (system(command) != 0)
		rc = 99;
	free(telemetry);
	return rc;
}
