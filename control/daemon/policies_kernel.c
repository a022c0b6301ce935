/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policies_kernel.h"

#include "control/daemon/daemon.h"
#include "control/daemon/log.h"
#include "ebpf/engine/offload.h"
#include "ebpf/kernel/judges.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of a port's pins; false: it has none. */
static bool pins_of(const struct daemon *d, const struct model_port *p, char ret_path[PATH_MAX])
{
	return p->kind == MODEL_DEVICE_INTERFACE &&
		steering_path(d->run.path, p->name, ret_path, PATH_MAX) == 0;
}

/* What an earlier daemon made is found by the programs that run with it. */
static int arrays_find(struct daemon *d, struct policy_kept *k)
{
	char directory[PATH_MAX];
	int rc = -ENOENT;

	for (size_t i = 0; rc && i < d->model->port_count; i++) {
		int program = -1;

		if (pins_of(d, &d->model->ports[i], directory))
			program = judge_program(directory, k->id);
		if (program < 0)
			continue;
		rc = policy_offload_maps_of(k->image, program, k->array);
		close(program);
	}
	return rc;
}

int policies_kernel_arrays(struct daemon *d, struct policy_kept *k)
{
	char why[POLICY_OFFLOAD_WHY];

	if (k->has_arrays)
		return 0;
	if (!k->place)
		return -ENOENT;
	int rc = k->image->map_count ? arrays_find(d, k) : 0;

	/* Where the data plane has others already, new ones would be a second set. */
	if (rc && (!k->from_before || k->from_before != dataplane_pid(d->dataplane)))
		rc = policy_offload_maps(k->image, k->array, why, sizeof(why));
	k->has_arrays = rc == 0;
	return rc;
}

struct wanted {
	struct daemon *d;
	struct policy_kept *k;
};

static int load(struct judge_want *want, int packet_fd, int programs_fd)
{
	const struct wanted *w = want->policy;
	int rc = policies_kernel_arrays(w->d, w->k);

	if (rc)
		snprintf(want->why, want->why_size,
			"its arrays are of an earlier daemon; load it again to have it in the kernel");
	return rc ? rc :
		    policy_offload_load(w->k->image, w->k->array, packet_fd, programs_fd, want->why,
			    want->why_size);
}

static bool is_detached(const struct snapshot *now, const struct model_service *s, uint64_t id)
{
	const struct snapshot_service *found = snapshot_find_service(now, s->name);

	for (size_t i = 0; found && i < found->entry.policy_count; i++)
		if (found->policies[i].entry.id == id)
			return found->policies[i].entry.state == WEIR_POLICY_DETACHED;
	return false;
}

/* What of the service stands in the way; NULL: nothing does. */
static const char *objection(
	const struct snapshot *now, const struct model_service *s, const struct model_policy *p)
{
	if (p->mode == MODEL_POLICY_OBSERVE)
		return "it is only observed";
	if (s->prefix_length != 128)
		return "its service has a range of addresses";
	if (!s->port)
		return "its service has any port";
	if (is_detached(now, s, p->id))
		return "it has been detached";
	return NULL;
}

static struct judge_want want_of(const struct model_service *s, struct wanted *w)
{
	struct judge_want want = { .protocol = (uint8_t)s->protocol,
		.port = s->port,
		.id = w->k->id,
		.policy = w,
		.why = w->k->kernel_why,
		.why_size = sizeof(w->k->kernel_why) };

	memcpy(want.address, s->address.bytes, sizeof(want.address));
	return want;
}

/* The first policies of services; the two arrays have room for all. */
static size_t wants_build(
	struct daemon *d, const struct model *m, struct judge_want *wants, struct wanted *wanted)
{
	const struct snapshot *now = m->service_count ? daemon_snapshot(d, 0) : NULL;
	size_t count = 0;

	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *s = &m->services[i];
		const struct model_policy *p = s->policies;
		struct policy_kept *k = s->policy_count && p->id ? policies_find(d, p->id) : NULL;

		if (!k || !k->place)
			continue;
		const char *why = objection(now, s, p);

		snprintf(k->kernel_why, sizeof(k->kernel_why), "%s",
			why ? why : "no port of a kernel interface is open");
		if (why)
			continue;
		wanted[count] = (struct wanted){ .d = d, .k = k };
		wants[count] = want_of(s, &wanted[count]);
		count++;
	}
	return count;
}

static void ports_sync(
	struct daemon *d, const struct model *m, const struct judge_list *list, unsigned int flags)
{
	char directory[PATH_MAX];
	bool first = true;

	for (size_t i = 0; i < m->port_count; i++) {
		if (!pins_of(d, &m->ports[i], directory))
			continue;
		/* From here on only what a port says stands in the way. */
		int rc = judges_sync(directory, list, flags & ~(unsigned int)STEERING_F_ADD);

		for (size_t k = 0; rc == 0 && first && k < list->count; k++)
			list->want[k].why[0] = 0;
		first &= rc != 0;
		if (rc == 0)
			rc = judges_sync(directory, list, flags);
		if (rc < 0 && rc != -ENOENT)
			log_warning("port %s: policies cannot be put into the kernel: %s",
				m->ports[i].name, strerror(-rc));
	}
}

void policies_kernel_sync(struct daemon *d, const struct model *m, unsigned int flags)
{
	struct judge_want *wants = calloc(m->service_count + 1, sizeof(*wants));
	struct wanted *wanted = calloc(m->service_count + 1, sizeof(*wanted));

	if (wants && wanted) {
		const struct judge_list list = {
			.want = wants, .count = wants_build(d, m, wants, wanted), .load = load
		};

		ports_sync(d, m, &list, flags);
	}
	free(wants);
	free(wanted);
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
