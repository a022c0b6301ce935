/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/policies_kernel.h"

#include "control/daemon/beside.h"
#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/policies_copies.h"
#include "control/daemon/policy/policies_wants.h"
#include "ebpf/engine/offload.h"
#include "ebpf/kernel/judges.h"
#include "ebpf/kernel/steering.h"
#include "ebpf/kernel/steering_keys.h"

#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char nowhere[] = "no port of a kernel interface is open";

/* What is wanted of one model, and how far that has come. */
struct kernel_work {
	struct daemon *d;
	struct beside *beside; /* owned */
	struct event *turn; /* owned */
	uint64_t number; /* of this work: what comes of an earlier one is thrown away */
	struct judge_want *wants; /* owned */
	size_t count;
	size_t port; /* index in the model; behind the last: done */
	size_t at; /* the next one */
	struct judges *open; /* owned; of the port */
	bool settled; /* of the port, what is gone has been forgotten */
	bool loading; /* the thread has the next one */
};

/* One program for one port: all descriptors are its own, so nobody need wait for it. */
struct load_job {
	struct beside_job job;
	struct kernel_work *work;
	uint64_t number;
	int image_fd;
	size_t image_size;
	int map[POLICY_MAX_MAPS];
	uint32_t map_count;
	int packet;
	int programs;
	int program; /* what came of it, or -errno */
	char why[POLICY_OFFLOAD_WHY];
};

/* The folder of a port's pins; false: it has none. */
static bool pins_of(const struct daemon *d, const struct model_port *p, char ret_path[PATH_MAX])
{
	return p->kind == MODEL_DEVICE_INTERFACE &&
		steering_path(d->run.path, p->name, ret_path, PATH_MAX) == 0;
}

static int port_open(struct daemon *d, const struct model *m, size_t port, struct judges **ret)
{
	char directory[PATH_MAX];

	return pins_of(d, &m->ports[port], directory) ? judges_open(directory, ret) : -ENOENT;
}

static int ports_open(struct daemon *d, struct port_judges *ports)
{
	const size_t count = d->model->port_count;

	if (ports->port)
		return 0;
	ports->port = calloc(count + 1, sizeof(struct judges *));
	if (!ports->port)
		return -ENOMEM;
	ports->count = count;
	for (size_t i = 0; i < count; i++)
		(void)port_open(d, d->model, i, &ports->port[i]);
	return 0;
}

void port_judges_close(struct port_judges *ports)
{
	for (size_t i = 0; i < ports->count; i++)
		judges_close(ports->port[i]);
	free(ports->port);
	*ports = (struct port_judges){ 0 };
}

/* What an earlier daemon made is found by the programs that run with it. */
static int arrays_find(struct daemon *d, struct policy_kept *k, struct port_judges *ports)
{
	int rc = ports_open(d, ports) ? -ENOMEM : -ENOENT;

	for (size_t i = 0; rc == -ENOENT && i < ports->count; i++) {
		int program = ports->port[i] ? judges_program(ports->port[i], k->id) : -1;

		if (program < 0)
			continue;
		rc = policy_offload_maps_of(k->image, program, k->array);
		close(program);
	}
	return rc;
}

int policies_kernel_arrays(struct daemon *d, struct policy_kept *k, struct port_judges *ports)
{
	char why[POLICY_OFFLOAD_WHY];
	int rc = -ENOENT;

	if (k->has_arrays)
		return 0;
	if (!k->place)
		return -ENOENT;
	if (policy_offload_shares(k->image)) {
		rc = arrays_find(d, k, ports);
		/* Where the data plane has others already, new ones would be a second set. */
		if (rc && k->from_before && k->from_before == dataplane_pid(d->dataplane))
			return rc;
	}
	if (rc)
		rc = policy_offload_maps(k->image, k->array, why, sizeof(why));
	k->has_arrays = rc == 0;
	return rc;
}

/* Adding, in turns of the loop. */

static void port_done(struct kernel_work *w)
{
	judges_close(w->open);
	w->open = NULL;
	w->settled = false;
	w->at = 0;
	w->port++;
}

static void port_lost(struct kernel_work *w, uint64_t id)
{
	struct policy_kept *k = id ? policies_find(w->d, id) : NULL;

	if (k)
		k->kernel_ports &= ~(UINT64_C(1) << (w->port & 63));
}

static void work_forget(struct kernel_work *w)
{
	judges_close(w->open);
	free(w->wants);
	w->open = NULL;
	w->wants = NULL;
	w->count = 0;
	w->at = 0;
	w->settled = false;
	w->loading = false;
	w->number++;
	event_del(w->turn);
}

static void work_end(struct kernel_work *w)
{
	const size_t ports = w->d->model->port_count;

	for (struct policy_kept *k = w->d->policies.kept; k; k = k->next) {
		if (ports < 64)
			k->kernel_ports &= (UINT64_C(1) << ports) - 1;
		if (!k->kernel_ports && !strcmp(k->kernel_why, policies_coming))
			snprintf(k->kernel_why, sizeof(k->kernel_why), "%s", nowhere);
	}
	work_forget(w);
}

static void turn_soon(struct kernel_work *w)
{
	static const struct timeval at_once = { 0 };

	evtimer_add(w->turn, &at_once);
}

/* What became of the next one on this port; why: "" when it judges. */
static void next_done(struct kernel_work *w, const char *why)
{
	struct policy_kept *k = policies_find(w->d, w->wants[w->at].id);
	const uint64_t bit = UINT64_C(1) << (w->port & 63);

	w->at++;
	if (!k)
		return;
	if (*why)
		k->kernel_ports &= ~bit;
	else
		k->kernel_ports |= bit;
	if (*why || !strcmp(k->kernel_why, policies_coming))
		snprintf(k->kernel_why, sizeof(k->kernel_why), "%s", why);
}

static void put(struct kernel_work *w, int program)
{
	char why[POLICY_OFFLOAD_WHY] = "";
	int rc = judges_add(w->open, &w->wants[w->at], program);

	if (rc == -ENOSPC)
		snprintf(why, sizeof(why), "the kernel has %u policies already, which is all",
			STEERING_MAX_JUDGES - 1);
	else if (rc)
		snprintf(why, sizeof(why), "it cannot be put into the port's program: %s",
			strerror(-rc));
	next_done(w, why);
}

static void load_free(struct load_job *l)
{
	for (uint32_t i = 0; i < l->map_count; i++)
		if (l->map[i] >= 0)
			close(l->map[i]);
	if (l->image_fd >= 0)
		close(l->image_fd);
	if (l->packet >= 0)
		close(l->packet);
	if (l->programs >= 0)
		close(l->programs);
	if (l->program >= 0)
		close(l->program);
	free(l);
}

static void load_run(struct beside_job *job)
{
	struct load_job *l = (struct load_job *)job;
	void *image = mmap(NULL, l->image_size, PROT_READ, MAP_SHARED, l->image_fd, 0);

	if (image == MAP_FAILED) {
		l->program = -errno;
		snprintf(l->why, sizeof(l->why), "%s", strerror(errno));
		return;
	}
	l->program =
		policy_offload_load(image, l->map, l->packet, l->programs, l->why, sizeof(l->why));
	munmap(image, l->image_size);
}

static void load_done(struct beside_job *job, bool ran)
{
	struct load_job *l = (struct load_job *)job;
	struct kernel_work *w = l->work;

	if (ran && l->number == w->number) {
		w->loading = false;
		if (l->program < 0)
			next_done(w, l->why);
		else
			put(w, l->program);
		turn_soon(w);
	}
	load_free(l);
}

/* Give the thread the next one. Returns false when that cannot be. */
static bool load_start(struct kernel_work *w, const struct policy_kept *k)
{
	struct load_job *l = malloc(sizeof(*l));
	bool good;

	if (!l)
		return false;
	*l = (struct load_job){ .job = { .run = load_run, .done = load_done },
		.work = w,
		.number = w->number,
		.image_fd = fcntl(k->bytes->image_fd, F_DUPFD_CLOEXEC, 0),
		.image_size = k->bytes->image_size,
		.map_count = k->image->map_count,
		.packet = fcntl(judges_packet_fd(w->open), F_DUPFD_CLOEXEC, 0),
		.programs = fcntl(judges_programs_fd(w->open), F_DUPFD_CLOEXEC, 0),
		.program = -1 };
	good = l->image_fd >= 0 && l->packet >= 0 && l->programs >= 0;
	for (uint32_t i = 0; i < l->map_count; i++) {
		l->map[i] = fcntl(k->array[i], F_DUPFD_CLOEXEC, 0);
		good &= l->map[i] >= 0;
	}
	if (!good) {
		load_free(l);
		return false;
	}
	w->loading = true;
	beside_do(w->beside, &l->job);
	return true;
}

/* On with the next one. Returns false when there is nothing more to do in this turn. */
static bool work_step(struct kernel_work *w)
{
	const struct model *m = w->d->model;

	if (w->port >= m->port_count) {
		work_end(w);
		return false;
	}
	if (!w->open && port_open(w->d, m, w->port, &w->open)) {
		for (size_t i = 0; i < w->count; i++)
			port_lost(w, w->wants[i].id);
		port_done(w);
		return true;
	}
	if (!w->settled) {
		w->settled = true;
		if (judges_settle(w->open, w->wants, w->count))
			port_done(w);
		return true;
	}
	if (w->at >= w->count) {
		port_done(w);
		return true;
	}
	const struct judge_want *want = &w->wants[w->at];
	struct policy_kept *k = want->id ? policies_find(w->d, want->id) : NULL;

	if (!k || !k->has_arrays)
		w->at++;
	else if (judges_has(w->open, want))
		next_done(w, "");
	else if (load_start(w, k))
		return false;
	else
		next_done(w, "out of memory or descriptors");
	return true;
}

static void turn(evutil_socket_t fd, short what, void *ctx)
{
	struct kernel_work *w = ctx;
	const uint64_t until = clock_now_ns() + LOOP_TURN_NS;

	if (w->loading)
		return;
	policies_copies_begin(w->d);
	while (w->wants && work_step(w))
		if (clock_now_ns() >= until) {
			turn_soon(w);
			return;
		}
}

void policies_kernel_sync(struct daemon *d, const struct model *m, unsigned int flags)
{
	struct kernel_work *w = d->policies.work;
	struct judge_want *wants;
	size_t count;

	if (!w || !m)
		return;
	work_forget(w);
	if (policies_wants_build(d, m, &wants, &count))
		return;
	for (size_t i = 0; flags & STEERING_F_REMOVE && i < m->port_count; i++) {
		struct judges *j;
		int rc = port_open(d, m, i, &j);

		if (rc)
			continue;
		rc = judges_keep(j, wants, count);
		judges_close(j);
		if (rc)
			log_warning("port %s: policies cannot be kept in step in the kernel: %s",
				m->ports[i].name, strerror(-rc));
	}
	if (!(flags & STEERING_F_ADD)) {
		free(wants);
		return;
	}
	w->wants = wants;
	w->count = count;
	w->port = 0;
	turn_soon(w);
}

/* Start and end. */

int policies_kernel_start(struct daemon *d)
{
	struct kernel_work *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	if (!w)
		return rc;
	w->d = d;
	w->turn = evtimer_new(d->base, turn, w);
	if (w->turn)
		rc = beside_start(d->base, &w->beside);
	if (rc) {
		if (w->turn)
			event_free(w->turn);
		free(w);
		return rc;
	}
	d->policies.work = w;
	return 0;
}

void policies_kernel_stop(struct daemon *d)
{
	struct kernel_work *w = d->policies.work;

	if (!w)
		return;
	d->policies.work = NULL;
	work_forget(w);
	beside_stop(w->beside);
	event_free(w->turn);
	free(w);
}

struct beside *policies_kernel_beside(struct daemon *d)
{
	return d->policies.work ? d->policies.work->beside : NULL;
}

/* What is told of it. */

bool policies_kernel_runs(const struct model_policy *p, const struct policy_kept *k)
{
	return k && k->place && k->kernel_ports && p->offload != MODEL_OFFLOAD_NEVER;
}

const char *policies_kernel_why(const struct model_policy *p, const struct policy_kept *k)
{
	if (p->offload == MODEL_OFFLOAD_NEVER)
		return "offload: never";
	if (!k)
		return "it does not run";
	if (k->offload_why[0])
		return k->offload_why;
	return k->place ? k->kernel_why : "it is for packets of no service";
}

bool policies_kernel_on(void *ctx, uint64_t policy, const char *port)
{
	const struct daemon *d = ctx;
	const struct policy_kept *k = policies_find(d, policy);

	for (size_t i = 0; k && k->kernel_ports && i < d->model->port_count && i < 64; i++)
		if (!strcmp(d->model->ports[i].name, port))
			return k->kernel_ports >> i & 1;
	return false;
}

json_t *policies_kernel_ports(
	const struct daemon *d, const struct model_policy *p, const struct policy_kept *k)
{
	json_t *list = json_array();

	for (size_t i = 0; policies_kernel_runs(p, k) && i < d->model->port_count && i < 64; i++)
		if (k->kernel_ports >> i & 1)
			json_array_append_new(list, json_string(d->model->ports[i].name));
	return list;
}
