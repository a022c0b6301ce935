/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A flood of TCP SYNs from made-up IPv4 sources, of bounded rate and time, for the demo and the end-to-end tests.
 * Sends frames from an interface of its own network namespace; prints how many it has sent.
 *
 * usage: weir-flood INTERFACE MAC ADDRESS PORT SECONDS RATE [FLOWS]     FLOWS: that many in turn, not ever new ones
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	    32
#define MAX_SECONDS 60.0
#define MAX_RATE    1e6

struct frame {
	struct ether_header ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct target {
	uint8_t mac[6];
	struct in_addr address;
	uint16_t port;
	uint64_t random;
	uint32_t flows; /* 0: any number */
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*: the same sources each time. */
static uint32_t random32(struct target *t)
{
	t->random ^= t->random >> 12;
	t->random ^= t->random << 25;
	t->random ^= t->random >> 27;
	return (uint32_t)((t->random * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

static uint32_t add16(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void frame_fill(struct frame *f, struct target *t)
{
	uint32_t flow = random32(t);

	if (t->flows)
		flow %= t->flows;
	flow *= UINT32_C(0x9e3779b1);
	memset(f, 0, sizeof(*f));
	memcpy(f->ethernet.ether_dhost, t->mac, 6);
	f->ethernet.ether_shost[0] = 2;
	f->ethernet.ether_shost[5] = 0x99;
	f->ethernet.ether_type = htons(ETHERTYPE_IP);
	f->ip = (struct iphdr){ .version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(f->ip) + sizeof(f->tcp)),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		/* 32.0.0.0 to 95.255.255.255 */
		.saddr = htonl(0x20000000 + (flow & 0x3fffffff)),
		.daddr = t->address.s_addr };
	f->ip.check = fold(add16(0, &f->ip, sizeof(f->ip)));
	f->tcp.source = htons((uint16_t)(1024 + (flow >> 8) % 64000));
	f->tcp.dest = t->port;
	f->tcp.seq = random32(t);
	f->tcp.doff = 5;
	f->tcp.syn = 1;
	f->tcp.window = htons(1024);
	uint32_t sum = add16(IPPROTO_TCP + sizeof(f->tcp), &f->ip.saddr, 8);

	f->tcp.check = fold(add16(sum, &f->tcp, sizeof(f->tcp)));
}

static uint64_t flood(int fd, struct target *t, double seconds, double rate)
{
	static struct frame frames[BATCH];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec pieces[BATCH];
	const struct timespec step = { .tv_nsec = 500000 };
	double start = now_s(), passed;
	uint64_t sent = 0;

	for (size_t i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ &frames[i], sizeof(frames[i]) };
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while ((passed = now_s() - start) < seconds) {
		uint64_t due = (uint64_t)(passed * rate);

		if (due < sent + BATCH) {
			nanosleep(&step, NULL);
			continue;
		}
		for (size_t i = 0; i < BATCH; i++)
			frame_fill(&frames[i], t);
		int n = sendmmsg(fd, messages, BATCH, 0);

		if (n < 0 && errno != ENOBUFS && errno != EINTR) {
			perror("weir-flood: send");
			return sent;
		}
		sent += n > 0 ? (uint64_t)n : 0;
	}
	return sent;
}

static int socket_open(const char *interface)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (a.sll_ifindex && fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	perror(interface);
	return -1;
}

int main(int argc, char **argv)
{
	struct target t = { .random = UINT64_C(0x9e3779b97f4a7c15) };
	unsigned int mac[6];

	if (argc < 7 || argc > 8 ||
		sscanf(argv[2], "%2x:%2x:%2x:%2x:%2x:%2x", &mac[0], &mac[1], &mac[2], &mac[3],
			&mac[4], &mac[5]) != 6 ||
		inet_pton(AF_INET, argv[3], &t.address) != 1) {
		fprintf(stderr,
			"usage: weir-flood INTERFACE MAC ADDRESS PORT SECONDS RATE [FLOWS]\n");
		return 2;
	}
	for (size_t i = 0; i < 6; i++)
		t.mac[i] = (uint8_t)mac[i];
	t.port = htons((uint16_t)atoi(argv[4]));
	double seconds = atof(argv[5]);
	double rate = atof(argv[6]);

	if (argc == 8)
		t.flows = (uint32_t)strtoul(argv[7], NULL, 10);

	if (!(seconds > 0 && seconds <= MAX_SECONDS && rate > 0 && rate <= MAX_RATE)) {
		fprintf(stderr, "weir-flood: at most %.0f s and %.0f frames a second\n",
			MAX_SECONDS, MAX_RATE);
		return 2;
	}
	int fd = socket_open(argv[1]);

	if (fd < 0)
		return 1;
	printf("%llu\n", (unsigned long long)flood(fd, &t, seconds, rate));
	close(fd);
	return 0;
}
