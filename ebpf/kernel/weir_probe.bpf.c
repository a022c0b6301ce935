/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How long the services of a backend host take to answer: what Weir cannot see of `dsr`, `ipip` and `gue`
 * services, as their answers go past it. Attached by weir-probe to a cgroup (version 2), whose sockets
 * are looked at; no packet is changed, delayed or dropped.
 *
 *   connect     a client's first SYN reaches the listening socket -> its SYN-ACK leaves. Longer than some
 *               microseconds only when the backlog was full and SYNs had to come again.
 *   first byte  the first byte of a request reaches the socket -> the first byte of the answer leaves.
 *               After an answer the next data from the client begins the next request.
 *
 * Three programs: sock_ops is told when connections begin and end; cgroup_skb on both ways sees the data,
 * which sock_ops is not told of. What a connection is waiting for lies in its socket's own storage and
 * goes with it. A client's SYN, the data that comes with the last segment of its handshake, and UDP
 * requests have no socket of their own: they are remembered by their flow, in tables that forget the
 * oldest.
 *
 * Only members of the kernel's stable interface are used, so the same object runs on every kernel from
 * 5.12 (atomic compare and exchange) on, and nothing has to be relocated.
 */

#include "probe_keys.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#define AF_INET	    2
#define PROTO_TCP   6
#define PROTO_UDP   17
#define IP_OFFSET   0x1fff
#define MAX_PENDING 65536
#define PASS	    1

/* An answer that takes longer belongs to another datagram: the flow table's patience in nat. */
#define UDP_PATIENCE_NS 2000000000ULL

struct flow {
	__u8 client[16];
	__u8 service[16];
	__u16 client_port;
	__u16 service_port;
	__u32 protocol;
};

/* Of a flow that has no socket yet. */
struct pending {
	__u64 since_ns;
	__u32 end_seq; /* of the data that has come */
	__u32 service;
};

/* Of a connection. */
struct connection {
	__u64 asked_ns; /* the first byte of a request that has no answer yet; 0: none */
	__u32 service;
	__u32 received_seq; /* end of what the client has sent, and of what was sent to it: */
	__u32 sent_seq; /* what lies below has come, or gone, before */
	__u8 known; /* since its beginning, so its end will be told as well */
	__u8 has_received; /* received_seq is valid */
	__u8 has_sent;
	__u8 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROBE_MAX_SERVICES);
	__type(key, struct probe_service_key);
	__type(value, __u32);
} probe_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROBE_MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct probe_figures);
} probe_figures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} probe_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, struct flow);
	__type(value, struct pending);
} probe_syns SEC(".maps");

/* UDP requests, and TCP data that came with the end of the handshake. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, struct flow);
	__type(value, struct pending);
} probe_requests SEC(".maps");

/* What of a packet is looked at. */
struct packet {
	struct flow flow;
	__u32 seq;
	__u32 payload; /* bytes */
	bool syn;
	bool ack;
};

static __always_inline void mapped(__u8 address[16], __u32 ipv4_be)
{
	__builtin_memset(address, 0, 10);
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, &ipv4_be, 4);
}

static __always_inline struct probe_figures *figures_of(__u32 service)
{
	return bpf_map_lookup_elem(&probe_figures, &service);
}

static __always_inline void duration_add(__u32 *bucket, __u64 *sum_ns, __u64 ns)
{
	__u32 i = weir_histogram_index(ns);

	if (i < WEIR_HIST_BUCKETS)
		__sync_fetch_and_add(&bucket[i], 1);
	__sync_fetch_and_add(sum_ns, ns);
}

static __always_inline const __u32 *service_find(const struct flow *f)
{
	struct probe_service_key key = { .port = f->service_port, .protocol = (__u8)f->protocol };

	__builtin_memcpy(key.address, f->service, sizeof(key.address));
	const __u32 *found = bpf_map_lookup_elem(&probe_services, &key);
	if (found)
		return found;
	key.port = 0;
	return bpf_map_lookup_elem(&probe_services, &key);
}

/* Fills the flow's addresses and protocol; the offset of the L4 header, 0: not to be looked at. */
static __always_inline __u32 network_read(struct __sk_buff *skb, struct flow *f, bool from_client)
{
	__u8 *source = from_client ? f->client : f->service;
	__u8 *destination = from_client ? f->service : f->client;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0 ||
			(ip.frag_off & bpf_htons(IP_OFFSET)))
			return 0;
		mapped(source, ip.saddr);
		mapped(destination, ip.daddr);
		f->protocol = ip.protocol;
		return ip.ihl * 4;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		/* Behind extension headers is what hardly any client sends. */
		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0)
			return 0;
		__builtin_memcpy(source, &ip.saddr, 16);
		__builtin_memcpy(destination, &ip.daddr, 16);
		f->protocol = ip.nexthdr;
		return sizeof(ip);
	}
	return 0;
}

static __always_inline bool packet_read(struct __sk_buff *skb, struct packet *p, bool from_client)
{
	__u16 source, destination;
	__u32 offset = network_read(skb, &p->flow, from_client);
	__u32 header;

	if (!offset)
		return false;
	if (p->flow.protocol == PROTO_TCP) {
		struct tcphdr tcp;

		if (bpf_skb_load_bytes(skb, offset, &tcp, sizeof(tcp)) < 0)
			return false;
		source = tcp.source;
		destination = tcp.dest;
		header = tcp.doff * 4;
		p->seq = bpf_ntohl(tcp.seq);
		p->syn = tcp.syn;
		p->ack = tcp.ack;
	} else if (p->flow.protocol == PROTO_UDP) {
		struct udphdr udp;

		if (bpf_skb_load_bytes(skb, offset, &udp, sizeof(udp)) < 0)
			return false;
		source = udp.source;
		destination = udp.dest;
		header = sizeof(udp);
	} else {
		return false;
	}
	p->flow.client_port = bpf_ntohs(from_client ? source : destination);
	p->flow.service_port = bpf_ntohs(from_client ? destination : source);
	p->payload = skb->len > offset + header ? skb->len - offset - header : 0;
	return true;
}

/* A request begins, unless one is under way. */
static __always_inline void request_begin(
	struct connection *c, struct probe_figures *f, __u64 now_ns)
{
	if (__sync_val_compare_and_swap(&c->asked_ns, 0, now_ns) != 0)
		return;
	__sync_fetch_and_add(&f->requests, 1);
	if (c->known)
		__sync_fetch_and_add(&f->waiting, 1);
}

/* The request under way ends; when it began, 0: there is none. */
static __always_inline __u64 request_end(struct connection *c, struct probe_figures *f)
{
	__u64 asked_ns = *(volatile __u64 *)&c->asked_ns;

	if (!asked_ns || __sync_val_compare_and_swap(&c->asked_ns, asked_ns, 0) != asked_ns)
		return 0;
	if (c->known)
		__sync_fetch_and_add(&f->waiting, -1);
	return asked_ns;
}

/* Data that ends behind all before it; a retransmission and a probe of the window do not. */
static __always_inline bool is_new(__u32 *end_seq, __u8 *valid, const struct packet *p)
{
	__u32 end = p->seq + p->payload;

	if (!p->payload || (*valid && (__s32)(end - *end_seq) <= 0))
		return false;
	*end_seq = end;
	*valid = 1;
	return true;
}

/* A connection that is older than the probe is taken up where it is. Its end will not be told. */
static __always_inline struct connection *connection_of(struct bpf_sock *sk, const struct packet *p)
{
	struct connection *c = bpf_sk_storage_get(&probe_sockets, sk, NULL, 0);

	if (c || !p->payload)
		return c;
	const __u32 *service = service_find(&p->flow);
	if (!service)
		return NULL;
	struct connection fresh = { .service = *service };
	return bpf_sk_storage_get(&probe_sockets, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
}

/* To a socket that listens: a SYN, or data with what will end the handshake. */
static __always_inline void listener_asked(const struct packet *p)
{
	const __u32 *service = service_find(&p->flow);
	if (!service)
		return;
	struct pending pending = {
		.since_ns = bpf_ktime_get_ns(), .end_seq = p->seq + p->payload, .service = *service
	};
	if (p->payload && !p->syn) {
		bpf_map_update_elem(&probe_requests, &p->flow, &pending, BPF_NOEXIST);
		return;
	}
	struct probe_figures *f = figures_of(pending.service);
	if (!p->syn || p->ack || !f)
		return;
	if (bpf_map_update_elem(&probe_syns, &p->flow, &pending, BPF_NOEXIST) == 0)
		__sync_fetch_and_add(&f->syns, 1);
}

static __always_inline void listener_answered(const struct packet *p)
{
	const struct pending *pending = bpf_map_lookup_elem(&probe_syns, &p->flow);

	if (!pending || !p->syn)
		return;
	__u64 since_ns = pending->since_ns;
	struct probe_figures *f = figures_of(pending->service);
	/* Whoever takes it out counts it. */
	if (f && bpf_map_delete_elem(&probe_syns, &p->flow) == 0)
		duration_add(f->connect, &f->connect_ns, bpf_ktime_get_ns() - since_ns);
}

static __always_inline void datagram_asked(const struct packet *p)
{
	const __u32 *service = service_find(&p->flow);
	if (!service)
		return;
	struct probe_figures *f = figures_of(*service);
	struct pending pending = { .since_ns = bpf_ktime_get_ns(), .service = *service };
	struct pending *known = bpf_map_lookup_elem(&probe_requests, &p->flow);

	if (known && pending.since_ns - known->since_ns < UDP_PATIENCE_NS)
		return;
	if (f && bpf_map_update_elem(&probe_requests, &p->flow, &pending, BPF_ANY) == 0)
		__sync_fetch_and_add(&f->requests, 1);
}

static __always_inline void datagram_answered(const struct packet *p)
{
	const struct pending *pending = bpf_map_lookup_elem(&probe_requests, &p->flow);
	if (!pending)
		return;
	__u64 took_ns = bpf_ktime_get_ns() - pending->since_ns;
	struct probe_figures *f = figures_of(pending->service);

	if (bpf_map_delete_elem(&probe_requests, &p->flow) == 0 && f && took_ns < UDP_PATIENCE_NS)
		duration_add(f->first_byte, &f->first_byte_ns, took_ns);
}

SEC("cgroup_skb/ingress")
int probe_ingress(struct __sk_buff *skb)
{
	struct packet p = { 0 };
	struct bpf_sock *sk = skb->sk;

	if (!sk || !packet_read(skb, &p, true))
		return PASS;
	if (p.flow.protocol == PROTO_UDP) {
		datagram_asked(&p);
		return PASS;
	}
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	if (sk->state == BPF_TCP_LISTEN) {
		listener_asked(&p);
		return PASS;
	}
	struct connection *c = connection_of(sk, &p);
	struct probe_figures *f = c ? figures_of(c->service) : NULL;
	if (f && is_new(&c->received_seq, &c->has_received, &p))
		request_begin(c, f, bpf_ktime_get_ns());
	return PASS;
}

SEC("cgroup_skb/egress")
int probe_egress(struct __sk_buff *skb)
{
	struct packet p = { 0 };
	struct bpf_sock *sk = skb->sk;

	if (!sk || !packet_read(skb, &p, false))
		return PASS;
	if (p.flow.protocol == PROTO_UDP) {
		datagram_answered(&p);
		return PASS;
	}
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	if (sk->state == BPF_TCP_LISTEN) {
		listener_answered(&p);
		return PASS;
	}
	struct connection *c = connection_of(sk, &p);
	struct probe_figures *f = c ? figures_of(c->service) : NULL;
	if (!f || !is_new(&c->sent_seq, &c->has_sent, &p))
		return PASS;
	__u64 asked_ns = request_end(c, f);
	if (asked_ns)
		duration_add(f->first_byte, &f->first_byte_ns, bpf_ktime_get_ns() - asked_ns);
	return PASS;
}

static __always_inline void accepted(struct bpf_sock_ops *ops)
{
	struct flow flow = { .protocol = PROTO_TCP,
		.client_port = (__u16)bpf_ntohl(ops->remote_port),
		.service_port = (__u16)ops->local_port };

	if (ops->family == AF_INET) {
		mapped(flow.client, ops->remote_ip4);
		mapped(flow.service, ops->local_ip4);
	} else {
		__u32 *client = (__u32 *)flow.client, *service = (__u32 *)flow.service;

		client[0] = ops->remote_ip6[0];
		client[1] = ops->remote_ip6[1];
		client[2] = ops->remote_ip6[2];
		client[3] = ops->remote_ip6[3];
		service[0] = ops->local_ip6[0];
		service[1] = ops->local_ip6[1];
		service[2] = ops->local_ip6[2];
		service[3] = ops->local_ip6[3];
	}
	const __u32 *service = service_find(&flow);
	struct bpf_sock *sk = ops->sk;
	struct probe_figures *f = service ? figures_of(*service) : NULL;
	if (!f || !sk)
		return;
	struct connection fresh = { .service = *service,
		.received_seq = ops->rcv_nxt,
		.sent_seq = ops->snd_nxt,
		.known = 1,
		.has_received = 1,
		.has_sent = 1 };
	struct connection *c =
		bpf_sk_storage_get(&probe_sockets, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
	/* Without the callback its end would not be told. */
	if (!c || bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG) != 0) {
		bpf_sk_storage_delete(&probe_sockets, sk);
		return;
	}
	__sync_fetch_and_add(&f->open, 1);
	const struct pending *early = bpf_map_lookup_elem(&probe_requests, &flow);
	if (early) {
		c->received_seq = early->end_seq;
		request_begin(c, f, early->since_ns);
		bpf_map_delete_elem(&probe_requests, &flow);
	}
}

static __always_inline void closed(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct connection *c = sk ? bpf_sk_storage_get(&probe_sockets, sk, NULL, 0) : NULL;
	struct probe_figures *f = c ? figures_of(c->service) : NULL;

	if (!f || !c->known)
		return;
	request_end(c, f);
	__sync_fetch_and_add(&f->open, -1);
	c->known = 0;
}

SEC("sockops")
int probe_sock_ops(struct bpf_sock_ops *ops)
{
	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		accepted(ops);
	else if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == BPF_TCP_CLOSE)
		closed(ops);
	return 1;
}

char _license[] SEC("license")
= "Dual BSD/GPL";
