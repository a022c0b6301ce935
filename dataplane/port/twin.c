/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/port/twin.h"

#include "dataplane/core/bell.h"
#include "dataplane/net/packet.h"
#include "dataplane/port/port_private.h"
#include "dataplane/port/twin_notes.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TWIN_RING    1024u /* packets waiting in each direction */
#define TWIN_BUFFERS 2047u /* of what the kernel sends */
#define TWIN_BURST   32u
#define TWIN_BUSY    64u /* rounds without packets that are short */

struct twin {
	int fd; /* of the TAP device */
	bool ours; /* made by this instance: removed at the end */
	_Atomic uint8_t port_index;
	char name[IFNAMSIZ];
	char instance_dir[PATH_MAX];
	struct rte_mempool *pool; /* owned */
	struct rte_ring *to_kernel; /* owned */
	struct rte_ring *from_kernel; /* owned */
	struct bell *bell; /* borrowed */
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic uint64_t sent;
};

struct rte_ring *twin_to_kernel(const struct twin *t)
{
	return t->to_kernel;
}

struct rte_ring *twin_from_kernel(const struct twin *t)
{
	return t->from_kernel;
}

uint64_t twin_sent(const struct twin *t)
{
	return atomic_load_explicit(&t->sent, memory_order_relaxed);
}

/* the thread */

/* What core 0 has for the kernel. A packet that the kernel does not take is the kernel's loss. */
static unsigned int kernel_give(const struct twin *t)
{
	struct rte_mbuf *pkts[TWIN_BURST];
	unsigned int n = rte_ring_sc_dequeue_burst(t->to_kernel, (void **)pkts, TWIN_BURST, NULL);

	for (unsigned int i = 0; i < n; i++) {
		ssize_t written = write(t->fd, rte_pktmbuf_mtod(pkts[i], const void *),
			rte_pktmbuf_data_len(pkts[i]));
		(void)written;
	}
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* One packet of the kernel's, ready for the transmit stage; NULL: there is none, or no buffer for it. */
static struct rte_mbuf *packet_read(const struct twin *t)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(t->pool);

	if (!m)
		return NULL;
	ssize_t n = read(t->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));
	if (n <= 0) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	uint8_t port = atomic_load_explicit(&t->port_index, memory_order_relaxed);
	struct packet *p = packet_of(m);
	packet_reset(p, rte_rdtsc(), port, (uint32_t)n);
	p->flags = PACKET_F_ORIGINATED;
	p->port_out = port;
	return m;
}

/* What the kernel has for the wire; while the ring is full it waits with the kernel. */
static unsigned int kernel_take(struct twin *t)
{
	struct rte_mbuf *pkts[TWIN_BURST];
	unsigned int room = RTE_MIN(rte_ring_free_count(t->from_kernel), TWIN_BURST);
	unsigned int n = 0;

	while (n < room && (pkts[n] = packet_read(t)) != NULL)
		n++;
	if (n == 0)
		return 0;
	unsigned int took = rte_ring_sp_enqueue_burst(t->from_kernel, (void *const *)pkts, n, NULL);
	if (t->bell)
		bell_ring(t->bell);
	rte_pktmbuf_free_bulk(pkts + took, n - took);
	atomic_fetch_add_explicit(&t->sent, took, memory_order_relaxed);
	return n;
}

/*
 * Core 0 cannot wake us without a system call, so we look: every 100 us while there is traffic, every
 * millisecond otherwise. The kernel's packets wake us at once.
 */
static void *twin_run(void *arg)
{
	struct twin *t = arg;
	unsigned int idle = 0;

	while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
		unsigned int found = kernel_give(t);

		found += kernel_take(t);
		if (found) {
			idle = 0;
			continue;
		}
		idle += idle < TWIN_BUSY;
		const struct timespec wait = { .tv_nsec = idle < TWIN_BUSY ? 100000 : 1000000 };
		struct pollfd fd = { .fd = t->fd, .events = POLLIN };

		/* With the ring full, or the interface gone, the kernel would wake us for nothing. */
		if (ppoll(&fd, 1, &wait, NULL) > 0 &&
			(fd.revents & ~POLLIN || rte_ring_full(t->from_kernel) ||
				rte_mempool_empty(t->pool)))
			nanosleep(&wait, NULL);
	}
	return NULL;
}

static int thread_start(struct twin *t)
{
	sigset_t all, before;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = -pthread_create(&t->thread, NULL, twin_run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	t->running = rc == 0;
	if (rc == 0)
		(void)pthread_setname_np(t->thread, "twin");
	return rc;
}

/* the interface */

static int interface_request(const struct twin *t, unsigned long what, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(ifr->ifr_name, t->name, sizeof(ifr->ifr_name));
	int rc = ioctl(fd, what, ifr) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int up_set(const struct twin *t, bool up)
{
	struct ifreq ifr = { 0 };
	int rc = interface_request(t, SIOCGIFFLAGS, &ifr);

	if (rc < 0)
		return rc;
	if (up)
		ifr.ifr_flags |= IFF_UP;
	else
		ifr.ifr_flags = (short)(ifr.ifr_flags & ~IFF_UP);
	return interface_request(t, SIOCSIFFLAGS, &ifr);
}

static int mac_set(const struct twin *t, const uint8_t mac[6])
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };

	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	return interface_request(t, SIOCSIFHWADDR, &ifr);
}

int twin_mtu_set(const struct twin *t, uint32_t mtu)
{
	struct ifreq ifr = { .ifr_mtu = (int)mtu };

	return interface_request(t, SIOCSIFMTU, &ifr);
}

int twin_read(const struct twin *t, bool *ret_up, uint32_t *ret_mtu)
{
	struct ifreq ifr = { 0 };
	int rc = interface_request(t, SIOCGIFFLAGS, &ifr);

	*ret_up = ifr.ifr_flags & IFF_UP;
	if (rc == 0)
		rc = interface_request(t, SIOCGIFMTU, &ifr);
	*ret_mtu = (uint32_t)ifr.ifr_mtu;
	return rc;
}

uint32_t twin_ifindex(const struct twin *t)
{
	return if_nametoindex(t->name);
}

void twin_carrier_set(struct twin *t, bool up)
{
	int carrier = up;

	(void)ioctl(t->fd, TUNSETCARRIER, &carrier);
}

/* An interface that is not there is made. Returns the descriptor or -errno. */
static int tap_attach(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int interface_open(struct twin *t, char *err, size_t err_size)
{
	struct twin_notes notes;
	bool there = if_nametoindex(t->name) != 0;
	int rc = 0;

	twin_notes_read(t->instance_dir, &notes);
	t->ours = !there || twin_notes_have(&notes, t->name);
	if (t->ours)
		rc = twin_notes_add(t->instance_dir, t->name);
	if (rc < 0)
		return port_refuse(rc, err, err_size, "interface %s cannot be noted in %s: %s",
			t->name, t->instance_dir, strerror(-rc));
	t->fd = tap_attach(t->name);
	if (t->fd == -EINVAL || t->fd == -EBUSY)
		return port_refuse(-EBUSY, err, err_size,
			"there is an interface %s already, and it is not a free TAP device; name the "
			"port differently",
			t->name);
	if (t->fd == -ENOENT)
		return port_refuse(t->fd, err, err_size,
			"no /dev/net/tun for its kernel interface; do: modprobe tun");
	if (t->fd < 0)
		return port_refuse(
			t->fd, err, err_size, "kernel interface %s: %s", t->name, strerror(-t->fd));
	if (t->ours && ioctl(t->fd, TUNSETPERSIST, 1) < 0)
		return port_refuse(
			-errno, err, err_size, "kernel interface %s: %s", t->name, strerror(errno));
	return 0;
}

static int interface_set_up(struct twin *t, const struct twin_params *p, char *err, size_t err_size)
{
	/* A MAC address is taken by an interface that is down, and by newer kernels' also when up. */
	int rc = mac_set(t, p->mac);

	if (rc == -EBUSY) {
		(void)up_set(t, false);
		rc = mac_set(t, p->mac);
	}
	if (rc == 0)
		rc = twin_mtu_set(t, p->mtu);
	if (rc == 0)
		rc = up_set(t, true);
	if (rc < 0)
		return port_refuse(rc, err, err_size, "kernel interface %s cannot be set up: %s",
			t->name, strerror(-rc));
	return 0;
}

/* coming and going */

static int rings_create(struct twin *t, int node)
{
	static unsigned int serial;
	char name[32];

	snprintf(name, sizeof(name), "twin%u", serial);
	if (port_pool_create(name, TWIN_BUFFERS, PORT_ROOM_BYTES, node, &t->pool) < 0)
		return -ENOMEM;
	snprintf(name, sizeof(name), "to_kernel%u", serial);
	t->to_kernel = rte_ring_create(name, TWIN_RING, node, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "from_kernel%u", serial++);
	t->from_kernel = rte_ring_create(name, TWIN_RING, node, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return t->to_kernel && t->from_kernel ? 0 : -ENOMEM;
}

int twin_open(const struct twin_params *p, struct twin **ret_twin, char *err, size_t err_size)
{
	struct twin *t = calloc(1, sizeof(*t));

	if (!t)
		return port_refuse(-ENOMEM, err, err_size, "out of memory");
	t->fd = -1;
	t->bell = p->bell;
	atomic_init(&t->port_index, p->port_index);
	snprintf(t->name, sizeof(t->name), "%s", p->name);
	snprintf(t->instance_dir, sizeof(t->instance_dir), "%s", p->instance_dir);
	int rc = rings_create(t, p->node);
	if (rc < 0)
		(void)port_refuse(rc, err, err_size, "no memory for its kernel interface");
	if (rc == 0)
		rc = interface_open(t, err, err_size);
	if (rc == 0)
		rc = interface_set_up(t, p, err, err_size);
	if (rc == 0) {
		rc = thread_start(t);
		if (rc < 0)
			(void)port_refuse(rc, err, err_size, "no thread for its kernel interface");
	}
	if (rc < 0) {
		twin_close(t);
		return rc;
	}
	*ret_twin = t;
	return 0;
}

static void ring_end(struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_sc_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void twin_close(struct twin *t)
{
	if (!t)
		return;
	if (t->running) {
		atomic_store_explicit(&t->stop, true, memory_order_relaxed);
		(void)pthread_join(t->thread, NULL);
	}
	if (t->fd >= 0) {
		if (t->ours)
			(void)ioctl(t->fd, TUNSETPERSIST, 0);
		close(t->fd);
	}
	if (t->ours)
		(void)twin_notes_remove(t->instance_dir, t->name);
	ring_end(t->to_kernel);
	ring_end(t->from_kernel);
	port_pool_drain(t->pool);
	free(t);
}

void twin_inherit(struct twin *t, const struct twin_params *p)
{
	char unused[256];

	atomic_store_explicit(&t->port_index, p->port_index, memory_order_relaxed);
	(void)interface_set_up(t, p, unused, sizeof(unused));
}

int twin_rename(struct twin *t, const char *name)
{
	struct ifreq ifr = { 0 };

	if (strlen(name) > TWIN_NAME_MAX)
		return -ENAMETOOLONG;
	int rc = t->ours ? twin_notes_add(t->instance_dir, name) : 0;
	if (rc < 0)
		return rc;
	snprintf(ifr.ifr_newname, sizeof(ifr.ifr_newname), "%s", name);
	(void)up_set(t, false);
	rc = interface_request(t, SIOCSIFNAME, &ifr);
	if (rc == 0) {
		(void)twin_notes_remove(t->instance_dir, t->name);
		snprintf(t->name, sizeof(t->name), "%s", name);
	} else {
		(void)twin_notes_remove(t->instance_dir, name);
	}
	(void)up_set(t, true);
	return rc;
}

void twins_sweep(const char *instance_dir, const char *const *names, size_t count)
{
	struct twin_notes notes;

	twin_notes_read(instance_dir, &notes);
	for (size_t i = 0; i < notes.count; i++) {
		bool used = false;

		for (size_t k = 0; k < count; k++)
			used |= strcmp(notes.name[i], names[k]) == 0;
		if (used)
			continue;
		int fd = if_nametoindex(notes.name[i]) ? tap_attach(notes.name[i]) : -ENODEV;
		if (fd >= 0) {
			(void)ioctl(fd, TUNSETPERSIST, 0);
			close(fd);
		}
		(void)twin_notes_remove(instance_dir, notes.name[i]);
	}
}
