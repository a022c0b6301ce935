/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/policy/policies.h"

#include "dataplane/core/core.h"
#include "ebpf/engine/program.h"
#include "ebpf/kernel/steering_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fastpath_policy_stage(struct fastpath *fp, const struct weir_policy_stage *stage,
	const void *image, const int *map_fds, uint32_t client, char *err, size_t err_size)
{
	return policy_stock_add(&fp->policy_stock, stage, image, map_fds, client, err, err_size);
}

void fastpath_policy_forget(struct fastpath *fp, uint32_t client)
{
	policy_stock_forget(&fp->policy_stock, client);
}

/* What a service, or nobody, has in a configuration. */
struct policies_wanted {
	const char *owner; /* for messages */
	const struct weir_config_policy *policy;
	const struct weir_config_class *class;
	uint32_t policy_count;
	uint32_t class_count;
	int node;
};

/* leaving */

static void seat_release(struct fastpath *fp, struct policy_seat *seat)
{
	if (!seat || --seat->references)
		return;
	policy_program_destroy(seat->program);
	for (uint32_t i = 0; i < fp->core_count; i++)
		if (seat->cell[i])
			arena_free(fp->arena, seat->cell[i], sizeof(*seat->cell[i]));
	if (seat->image)
		policy_stock_release(&fp->policy_stock, seat->image);
	free(seat);
}

static void class_release(struct fastpath *fp, struct policy_class *class)
{
	if (!class || --class->references)
		return;
	for (uint32_t i = 0; i < fp->core_count; i++)
		if (class->cell[i])
			arena_free(fp->arena, class->cell[i], sizeof(*class->cell[i]));
	free(class);
}

static void set_destroy(struct policy_set *set)
{
	for (uint32_t i = 0; i < set->place_count; i++)
		seat_release(set->fastpath, set->place[i].seat);
	for (uint32_t i = 0; i < set->class_count; i++)
		class_release(set->fastpath, set->class[i].class);
	free(set);
}

/* coming */

static int seat_fill(
	struct fastpath *fp, struct policy_seat *seat, int node, char *err, size_t err_size)
{
	const struct policy_program_options options = {
		.workers = fp->core_count,
		.node = node,
		.seed = fp->params.seed ^ seat->id,
		.verified = seat->image->verified,
		.map_fds = seat->image->map_fds,
	};

	for (uint32_t i = 0; i < fp->core_count; i++) {
		seat->cell[i] = arena_alloc(fp->arena, sizeof(*seat->cell[i]));
		if (!seat->cell[i]) {
			snprintf(err, err_size, "no room for its counters");
			return -ENOMEM;
		}
	}
	return policy_program_create(seat->image->image, seat->image->image_bytes, &options,
		&seat->program, err, err_size);
}

static int seat_create(struct fastpath *fp, const struct weir_config_policy *config, int node,
	struct policy_seat **ret_seat, char *err, size_t err_size)
{
	struct policy_stocked *image = policy_stock_find(&fp->policy_stock, config->id);
	struct policy_seat *seat;
	int ret;

	if (!image) {
		snprintf(err, err_size, "its image (%016" PRIx64 ") has not been handed over",
			config->id);
		return -ENOENT;
	}
	seat = calloc(1, sizeof(*seat));
	if (!seat) {
		snprintf(err, err_size, "no memory");
		return -ENOMEM;
	}
	seat->references = 1;
	seat->id = config->id;
	seat->image = image;
	policy_stock_hold(image);
	ret = seat_fill(fp, seat, node, err, err_size);
	if (ret) {
		seat_release(fp, seat);
		return ret;
	}
	*ret_seat = seat;
	return 0;
}

static struct policy_seat *seat_known(const struct policy_set *old, uint64_t id)
{
	for (uint32_t i = 0; old && i < old->place_count; i++)
		if (old->place[i].seat->id == id)
			return old->place[i].seat;
	return NULL;
}

static int places_create(struct fastpath *fp, const struct policies_wanted *wanted,
	const struct policy_set *old, struct policy_set *set, char *err, size_t err_size)
{
	for (uint32_t i = 0; i < wanted->policy_count; i++) {
		const struct weir_config_policy *config = &wanted->policy[i];
		struct policy_place *place = &set->place[i];
		char reason[192] = "";
		int ret = 0;

		place->seat = seat_known(old, config->id);
		if (place->seat)
			place->seat->references++;
		else
			ret = seat_create(
				fp, config, wanted->node, &place->seat, reason, sizeof(reason));
		if (ret) {
			snprintf(err, err_size, "service %s: policy %s: %s", wanted->owner,
				config->name, reason);
			return ret;
		}
		set->place_count++;
		place->observe = config->mode == WEIR_POLICY_OBSERVE;
		place->offload = config->offload == WEIR_POLICY_OFFLOAD_AUTO &&
			(i == 0 || place[-1].offload);
		place->chain = steering_chain(i ? place[-1].chain : 0, config->id);
		place->drop_on_error = config->on_error == WEIR_POLICY_ERROR_DROP;
		place->budget_cycles = config->budget_cycles;
		memcpy(place->name, config->name, sizeof(place->name));
	}
	return 0;
}

static struct policy_class *class_known(const struct policy_set *old, const char *name)
{
	for (uint32_t i = 0; old && i < old->class_count; i++)
		if (strcmp(old->class[i].class->name, name) == 0)
			return old->class[i].class;
	return NULL;
}

static struct policy_class *class_create(struct fastpath *fp, const char *name)
{
	struct policy_class *class =
		aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(sizeof(*class), RTE_CACHE_LINE_SIZE));

	if (!class)
		return NULL;
	memset(class, 0, sizeof(*class));
	class->references = 1;
	snprintf(class->name, sizeof(class->name), "%s", name);
	for (uint32_t i = 0; i < fp->core_count; i++) {
		class->cell[i] = arena_alloc(fp->arena, sizeof(*class->cell[i]));
		if (!class->cell[i]) {
			class_release(fp, class);
			return NULL;
		}
	}
	return class;
}

static int classes_create(struct fastpath *fp, const struct policies_wanted *wanted,
	const struct policy_set *old, struct policy_set *set)
{
	for (uint32_t i = 0; i < wanted->class_count; i++) {
		const struct weir_config_class *config = &wanted->class[i];
		struct policy_class_limits *l = &set->class[i];

		l->class = class_known(old, config->name);
		if (l->class)
			l->class->references++;
		else
			l->class = class_create(fp, config->name);
		if (!l->class)
			return -ENOMEM;
		set->class_count++;
		limiter_rate_init(&l->packets, config->packets, config->burst_ns, fp->tsc_hz);
		limiter_rate_init(&l->bits, config->bits, config->burst_ns, fp->tsc_hz);
		l->limits_packets = config->packets != WEIR_UNLIMITED;
		l->limits_bits = config->bits != WEIR_UNLIMITED;
		l->configured = *config;
	}
	return 0;
}

static int set_create(struct fastpath *fp, const struct policies_wanted *wanted,
	const struct policy_set *old, struct policy_set **ret_set, char *err, size_t err_size)
{
	struct policy_set *set;
	int ret;

	*ret_set = NULL;
	if (wanted->policy_count == 0 && wanted->class_count == 0)
		return 0;
	set = calloc(1, sizeof(*set) + wanted->class_count * sizeof(set->class[0]));
	if (!set) {
		snprintf(err, err_size, "no memory for policies of service %s", wanted->owner);
		return -ENOMEM;
	}
	set->references = 1;
	set->fastpath = fp;
	set->destroy = set_destroy;
	ret = places_create(fp, wanted, old, set, err, err_size);
	if (ret == 0) {
		ret = classes_create(fp, wanted, old, set);
		if (ret)
			snprintf(err, err_size, "service %s: no memory for its classes",
				wanted->owner);
	}
	if (ret) {
		policy_set_release(set);
		return ret;
	}
	*ret_set = set;
	return 0;
}

static int directory_create(struct fastpath *fp, struct service_cells *cells)
{
	if (!cells->policy)
		cells->policy = arena_alloc(
			fp->arena, WEIR_MAX_POLICIES_PER_SERVICE * sizeof(*cells->policy));
	if (!cells->class)
		cells->class = arena_alloc(
			fp->arena, WEIR_MAX_CLASSES_PER_SERVICE * sizeof(*cells->class));
	return cells->policy && cells->class ? 0 : -ENOMEM;
}

int policies_attach(struct fastpath *fp, const struct weir_config_view *view, uint32_t i,
	struct service *s, const struct service_settings *old, struct service_settings *settings,
	char *err, size_t err_size)
{
	const struct weir_config_service *config = &view->services[i];
	const struct policies_wanted wanted = {
		.owner = config->name,
		.policy = view->policies + config->first_policy,
		.class = view->classes + config->first_class,
		.policy_count = config->policy_count,
		.class_count = config->class_count,
		.node = fp->core[s->worker[0]->core]->node,
	};
	struct policy_set *set;
	int ret = set_create(fp, &wanted, old ? old->policy_set : NULL, &set, err, err_size);

	if (ret)
		return ret;
	service_policies_set(settings, set);
	if (set)
		policy_classes_limit(set, s->directives, fp->tsc_hz);
	if (set && directory_create(fp, &s->cells)) {
		snprintf(err, err_size, "service %s: no room for its policies' counters",
			config->name);
		return -ENOMEM;
	}
	return 0;
}

int policies_outside(struct fastpath *fp, const struct weir_config_view *view,
	struct policy_set **ret_set, char *err, size_t err_size)
{
	const struct policies_wanted wanted = {
		.owner = "(none)",
		.policy = view->policies,
		.policy_count = view->header->outside_policy_count,
		.node = fp->core[0]->node,
	};
	const struct policy_set *old = fp->generation ? fp->generation->outside : NULL;

	if (wanted.policy_count && !fp->outside_entry)
		fp->outside_entry = arena_alloc(
			fp->arena, WEIR_MAX_POLICIES_PER_SERVICE * sizeof(*fp->outside_entry));
	if (wanted.policy_count && !fp->outside_entry) {
		snprintf(err, err_size, "no room for the counters of policies");
		return -ENOMEM;
	}
	return set_create(fp, &wanted, old, ret_set, err, err_size);
}

/* telemetry */

void policies_directory_free(struct fastpath *fp, struct service_cells *cells)
{
	if (cells->policy)
		arena_free(fp->arena, cells->policy,
			WEIR_MAX_POLICIES_PER_SERVICE * sizeof(*cells->policy));
	if (cells->class)
		arena_free(fp->arena, cells->class,
			WEIR_MAX_CLASSES_PER_SERVICE * sizeof(*cells->class));
}

static void places_write(
	struct fastpath *fp, const struct policy_set *set, struct weir_policy_entry *entry)
{
	for (uint32_t i = 0; i < set->place_count; i++) {
		const struct policy_place *place = &set->place[i];
		uint8_t state = place->observe ? WEIR_POLICY_OBSERVED : WEIR_POLICY_RUNNING;

		if (place->seat->detached)
			state = WEIR_POLICY_DETACHED;
		__atomic_store_n(&entry[i].state, state, __ATOMIC_RELAXED);
		entry[i].id = place->seat->id;
		entry[i].on_error = place->drop_on_error;
		entry[i].compiled = place->seat->program->run != NULL;
		entry[i].budget_cycles = place->budget_cycles;
		memcpy(entry[i].name, place->name, sizeof(entry[i].name));
		for (uint32_t k = 0; k < fp->core_count; k++)
			entry[i].cell_offset[k] = arena_offset(fp->arena, place->seat->cell[k]);
	}
}

static void classes_write(
	struct fastpath *fp, const struct policy_set *set, struct weir_class_entry *entry)
{
	for (uint32_t i = 0; i < set->class_count; i++) {
		const struct policy_class_limits *l = &set->class[i];

		memcpy(entry[i].name, l->class->name, sizeof(entry[i].name));
		entry[i].limit_packets = l->configured.packets;
		entry[i].limit_bits = l->configured.bits;
		entry[i].limit_connections = l->configured.connections;
		for (uint32_t k = 0; k < fp->core_count; k++)
			entry[i].cell_offset[k] = arena_offset(fp->arena, l->class->cell[k]);
	}
}

void policies_service_write(struct fastpath *fp, const struct policy_set *set,
	const struct service_cells *cells, struct weir_service_entry *e)
{
	e->policy_offset = arena_offset(fp->arena, cells->policy);
	e->class_offset = arena_offset(fp->arena, cells->class);
	e->policy_count = set ? (uint16_t)set->place_count : 0;
	e->class_count = set ? (uint16_t)set->class_count : 0;
	if (!set)
		return;
	places_write(fp, set, cells->policy);
	classes_write(fp, set, cells->class);
}

void policies_outside_write(struct fastpath *fp, const struct policy_set *set)
{
	struct weir_telemetry *t = fp->telemetry;

	t->outside_policy_offset = arena_offset(fp->arena, fp->outside_entry);
	t->outside_policy_count = set ? set->place_count : 0;
	if (set)
		places_write(fp, set, fp->outside_entry);
}
