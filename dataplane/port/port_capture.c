/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/capture.h"
#include "dataplane/port/port_private.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPTURE_POOL_MBUFS 512u
#define CAPTURE_ROOM_BYTES (2048u + RTE_PKTMBUF_HEADROOM)
#define CAPTURE_MTU	   65535u
#define CAPTURE_SNAP_BYTES 262144
#define NANO_MAGIC	   0xa1b23c4du

struct capture {
	struct port_queue queue;
	struct rte_mempool *pool; /* owned */
	const char *in_file; /* borrowed; NULL: nothing to receive */
	const char *out_file; /* borrowed; NULL: what is sent is thrown away */
	pcap_t *in; /* owned */
	pcap_t *out_format; /* owned */
	pcap_dumper_t *out; /* owned */
	bool nano; /* both files count nanoseconds */
	/* The packet at the head of the input, borrowed from libpcap until the next read. */
	const struct pcap_pkthdr *head;
	const u_char *head_bytes;
	uint64_t head_ns;
	uint64_t packets_read;
	uint64_t now_ns;
	char error[512];
};

static int capture_fail(struct capture *c, int rc, const char *file, const char *what)
{
	if (!c->error[0])
		snprintf(c->error, sizeof(c->error), "%s: %s", file, what);
	return rc;
}

/* Read the next packet into head. Returns 1, 0 at the end, -EINVAL. */
static int head_read(struct capture *c)
{
	struct pcap_pkthdr *header;

	c->head = NULL;
	if (!c->in)
		return 0;
	int rc = pcap_next_ex(c->in, &header, &c->head_bytes);
	if (rc == PCAP_ERROR_BREAK)
		return 0;
	if (rc != 1) {
		snprintf(c->error, sizeof(c->error), "%s: packet %llu: %s", c->in_file,
			(unsigned long long)c->packets_read + 1, pcap_geterr(c->in));
		return -EINVAL;
	}
	c->packets_read++;
	c->head = header;
	c->head_ns = (uint64_t)header->ts.tv_sec * 1000000000u + (uint64_t)header->ts.tv_usec;
	return 1;
}

/* Put a captured packet into as many mbufs as it needs; NULL when the pool is empty. */
static struct rte_mbuf *head_to_mbuf(struct capture *c)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(c->pool);
	struct rte_mbuf *last = m;
	uint32_t left = c->head->caplen;
	const u_char *from = c->head_bytes;

	if (!m)
		return NULL;
	for (;;) {
		uint32_t room = rte_pktmbuf_tailroom(last);
		uint32_t part = left < room ? left : room;

		memcpy(rte_pktmbuf_mtod(last, void *), from, part);
		last->data_len = (uint16_t)part;
		m->pkt_len += part;
		from += part;
		left -= part;
		if (!left)
			return m;
		struct rte_mbuf *next = rte_pktmbuf_alloc(c->pool);
		if (!next) {
			rte_pktmbuf_free(m);
			return NULL;
		}
		last->next = next;
		last = next;
		m->nb_segs++;
	}
}

static uint16_t capture_rx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct capture *c = queue;
	uint16_t got = 0;

	while (got < n && c->head && c->head_ns == c->now_ns) {
		struct rte_mbuf *m = head_to_mbuf(c);

		if (!m)
			break;
		pkts[got++] = m;
		if (head_read(c) <= 0)
			break;
	}
	return got;
}

static void capture_write(struct capture *c, struct rte_mbuf *m)
{
	uint8_t joined[CAPTURE_MTU + 64];
	struct pcap_pkthdr header = {
		.ts.tv_sec = (time_t)(c->now_ns / 1000000000u),
		.ts.tv_usec = (suseconds_t)(c->now_ns % 1000000000u / (c->nano ? 1 : 1000)),
		.caplen = m->pkt_len,
		.len = m->pkt_len,
	};

	if (m->pkt_len > sizeof(joined)) {
		(void)capture_fail(c, -EINVAL, c->out_file, "packet too large to write");
		return;
	}
	const void *bytes = rte_pktmbuf_read(m, 0, m->pkt_len, joined);
	pcap_dump((u_char *)c->out, &header, bytes);
}

static uint16_t capture_tx(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct capture *c = queue;

	for (uint16_t i = 0; i < n; i++) {
		if (c->out)
			capture_write(c, pkts[i]);
		rte_pktmbuf_free(pkts[i]);
	}
	return n;
}

static struct capture *capture_of(const struct port *port)
{
	return port->rx_queue[0].handle;
}

int capture_next_time(struct port *port, uint64_t *ret_ns)
{
	struct capture *c = capture_of(port);

	if (c->error[0])
		return -EINVAL;
	if (!c->head)
		return 0;
	*ret_ns = c->head_ns;
	return 1;
}

void capture_set_time(struct port *port, uint64_t ns)
{
	capture_of(port)->now_ns = ns;
}

int capture_flush(struct port *port)
{
	struct capture *c = capture_of(port);

	if (c->out && (pcap_dump_flush(c->out) < 0 || ferror(pcap_dump_file(c->out))))
		return capture_fail(c, -EIO, c->out_file, "cannot be written whole");
	return 0;
}

const char *capture_error(const struct port *port)
{
	return capture_of(port)->error;
}

/* Does a file count nanoseconds? Asked of the file, as libpcap tells only what it converts to. */
static bool file_is_nano(const char *file)
{
	uint32_t magic = 0;
	FILE *f = fopen(file, "re");

	if (!f)
		return false;
	size_t n = fread(&magic, sizeof(magic), 1, f);
	fclose(f);
	return n == 1 && (magic == NANO_MAGIC || magic == __builtin_bswap32(NANO_MAGIC));
}

static int input_open(struct capture *c, char *err, size_t err_size)
{
	char reason[PCAP_ERRBUF_SIZE] = "";

	if (!c->in_file)
		return 0;
	c->nano = file_is_nano(c->in_file);
	c->in = pcap_open_offline_with_tstamp_precision(
		c->in_file, PCAP_TSTAMP_PRECISION_NANO, reason);
	if (!c->in) {
		/* libpcap mostly names the file itself. */
		const char *file = strstr(reason, c->in_file) ? "" : c->in_file;
		return port_refuse(
			-EINVAL, err, err_size, "%s%s%s", file, *file ? ": " : "", reason);
	}
	if (pcap_datalink(c->in) != DLT_EN10MB)
		return port_refuse(-EINVAL, err, err_size, "%s: link type %s, expected Ethernet",
			c->in_file, pcap_datalink_val_to_name(pcap_datalink(c->in)) ?: "unknown");
	if (head_read(c) < 0)
		return port_refuse(-EINVAL, err, err_size, "%s", c->error);
	return 0;
}

static int output_open(struct capture *c, char *err, size_t err_size)
{
	if (!c->out_file)
		return 0;
	c->out_format = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, CAPTURE_SNAP_BYTES,
		c->nano ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO);
	if (!c->out_format)
		return port_refuse(-ENOMEM, err, err_size, "%s: out of memory", c->out_file);
	c->out = pcap_dump_open(c->out_format, c->out_file);
	if (!c->out)
		return port_refuse(-EIO, err, err_size, "%s", pcap_geterr(c->out_format));
	return 0;
}

static void capture_close(struct open_port *p)
{
	struct capture *c = p->state;

	if (c->out)
		pcap_dump_close(c->out);
	if (c->out_format)
		pcap_close(c->out_format);
	if (c->in)
		pcap_close(c->in);
	port_pool_free(c->pool);
	free(c);
}

static int capture_open(struct open_port *p, struct open_port *heir_of,
	const struct port_registry_params *params, char *err, size_t err_size)
{
	const uint8_t mac[6] = { 0x02, 0x57, 0x45, 0x49, 0x52, p->port.index };
	struct capture *c = calloc(1, sizeof(*c));
	char pool_name[32];

	if (!c)
		return port_refuse(-ENOMEM, err, err_size, "port %s: out of memory", p->name);
	p->state = c;
	if (params->capture_in)
		c->in_file = params->capture_in(params->capture_ctx, p->name);
	if (params->capture_out)
		c->out_file = params->capture_out(params->capture_ctx, p->name);
	snprintf(pool_name, sizeof(pool_name), "capture%u", p->port.index);
	int rc = port_pool_create(
		pool_name, CAPTURE_POOL_MBUFS, CAPTURE_ROOM_BYTES, SOCKET_ID_ANY, &c->pool);
	if (rc < 0)
		rc = port_refuse(rc, err, err_size, "port %s: no memory for packets", p->name);
	if (rc == 0)
		rc = input_open(c, err, err_size);
	if (rc == 0)
		rc = output_open(c, err, err_size);
	if (rc < 0) {
		capture_close(p);
		return rc;
	}
	c->queue = (struct port_queue){ .rx = capture_rx, .tx = capture_tx, .handle = c };
	p->port.mtu = CAPTURE_MTU;
	p->port.completes_checksums = false;
	p->port.rx_queue_count = 1;
	p->port.tx_queue_count = 1;
	p->port.rx_queue = &c->queue;
	p->port.tx_queue = &c->queue;
	memcpy(p->port.mac, mac, sizeof(mac));
	atomic_store_explicit(&p->port.up, true, memory_order_relaxed);
	snprintf(p->driver_name, sizeof(p->driver_name), "capture");
	return 0;
}

const struct port_driver port_driver_capture = {
	.open = capture_open,
	.close = capture_close,
};
