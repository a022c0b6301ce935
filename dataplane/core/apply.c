/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a configuration to a generation. Everything new is made first; only when nothing can fail any
 * more is it published. Main thread.
 */

#include "dataplane/core/apply.h"

#include "dataplane/api/validate.h"
#include "dataplane/core/buckets/core_plan.h"
#include "dataplane/core/buckets/cores.h"
#include "dataplane/core/buckets/fence.h"
#include "dataplane/core/buckets/move.h"
#include "dataplane/core/core.h"
#include "dataplane/core/policy/policies.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A configuration on its way: what it will have, and what was made for it. */
struct applying {
	struct weir_config_view view;
	struct service *of[WEIR_MAX_SERVICES]; /* by the configuration's order */
	uint32_t fresh_count;
	uint16_t fresh[WEIR_MAX_SERVICES]; /* slots of services made for it */
	struct service *service[WEIR_MAX_SERVICES]; /* by slot */
	struct service_settings *settings[WEIR_MAX_SERVICES]; /* by slot */
	uint64_t
		promised; /* to services made for it: what of their shares their flow tables left */
	struct neighbours *neighbours;
	struct generation_shared *shared;
	struct policy_set *outside;
	uint8_t port_index[WEIR_MAX_PORTS];
	uint32_t load[WEIR_MAX_CORES];
	struct port *const *ports; /* by the configuration's order */
	char *err;
	size_t err_size;
};

__attribute__((format(printf, 2, 3))) static void say(
	const struct applying *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(a->err, a->err_size, format, args);
	va_end(args);
}

/* What a new service will take beside its flow table. */
static uint64_t other_bytes(const struct fastpath *fp, const struct weir_config_service *config)
{
	const uint32_t most = fp->core_count > 1 ? fp->core_count - 1 : 1;

	return service_other_bytes(config, directory_slots(fp, config),
		RTE_MIN(config->cores, most), fp->core_count > 1);
}

/*
 * Bytes for the next of `fresh` new services: equal shares of what is left, and one is left over for who comes
 * later.
 */
static uint64_t service_share(const struct fastpath *fp, const struct applying *a, uint32_t fresh)
{
	const uint64_t left = budget_left(&fp->budget);

	return (left - RTE_MIN(left, a->promised)) / (fresh + 1);
}

/*
 * What of a service's share is for its flow table: all but what the rest of it will take; at least half, as that may
 * also come from what is left over.
 */
static uint64_t flow_part(uint64_t share, uint64_t others)
{
	return share - RTE_MIN(others, share / 2);
}

static int slot_find(const struct fastpath *fp, const struct applying *a)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		if (!fp->service[i] && !fp->retired[i].entry && !a->service[i])
			return (int)i;
	return -ENOSPC;
}

static int service_add(struct fastpath *fp, struct applying *a,
	const struct weir_config_service *config, uint64_t share, struct service **ret_service)
{
	bool ipv6 = !weir_address_is_v4(config->address);
	bool nat = config->mode == WEIR_MODE_NAT;
	uint32_t capacity = service_flow_capacity(
		flow_part(share, other_bytes(fp, config)), ipv6, nat, config->flow_capacity);
	int slot = slot_find(fp, a);
	int node[WEIR_MAX_CORES];
	uint8_t core[WEIR_MAX_CORES];
	struct service_cells cells;
	struct service_params params = {
		.config = config,
		.cells = &cells,
		.slot = (uint16_t)slot,
		.core = core,
		.core_node = node,
		.rings = fp->core_count > 1,
		.flow_capacity = capacity,
		.flow_bytes = flow_table_bytes(capacity, ipv6, nat),
		.budget = &fp->budget,
		.seed = fp->params.seed,
		/* A service that comes back must not begin where it did before. */
		.port_start = (uint32_t)(fp->params.port_seed + fp->generation_count * 37),
	};
	int ret;

	if (slot < 0) {
		say(a, "service %s: all %u places for services are taken", config->name,
			WEIR_MAX_SERVICES);
		return slot;
	}
	if (capacity == 0) {
		say(a, "service %s: no memory for its flows", config->name);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < fp->core_count; i++)
		node[i] = fp->core[i]->node;
	params.worker_count = core_plan_place(a->load,
		core_plan_near(node, fp->core_count, a->ports, a->view.header->port_count),
		fp->core_count, config->cores, core);
	ret = directory_cells_create(fp, config, core, params.worker_count, &cells);
	if (ret) {
		say(a, "service %s: no room for its counters", config->name);
		return ret;
	}
	ret = service_create(&params, ret_service, a->err, a->err_size);
	if (ret) {
		directory_cells_free(fp, &cells);
		return ret;
	}
	(*ret_service)->short_of_cores = params.worker_count <
		RTE_MIN((uint32_t)config->cores,
			fp->core_count - core_plan_first_worker(fp->core_count));
	a->promised += share - RTE_MIN(share, params.flow_bytes);
	a->fresh[a->fresh_count++] = (uint16_t)slot;
	return 0;
}

static struct service *service_known(
	const struct fastpath *fp, const struct weir_config_service *config)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		if (fp->service[i] && service_matches(fp->service[i], config))
			return fp->service[i];
	return NULL;
}

static int services_find(struct fastpath *fp, struct applying *a)
{
	uint32_t fresh = 0;

	for (uint32_t i = 0; i < a->view.header->service_count; i++) {
		const struct weir_config_service *config = &a->view.services[i];
		struct service *s = service_known(fp, config);

		a->of[i] = s;
		if (!s) {
			fresh++;
			continue;
		}
		a->service[s->slot] = s;
	}
	for (uint32_t i = 0; i < a->view.header->service_count; i++) {
		int ret;

		if (a->of[i])
			continue;
		ret = service_add(
			fp, a, &a->view.services[i], service_share(fp, a, fresh--), &a->of[i]);
		if (ret)
			return ret;
		a->service[a->of[i]->slot] = a->of[i];
	}
	return 0;
}

static int settings_make(struct fastpath *fp, struct applying *a)
{
	for (uint32_t i = 0; i < a->view.header->service_count; i++) {
		const struct weir_config_service *config = &a->view.services[i];
		uint16_t slot = a->of[i]->slot;
		const struct service_settings *old =
			fp->service[slot] ? fp->generation->settings[slot] : NULL;
		int ret = service_settings_create(a->of[i], old, config,
			a->view.backends + config->first_backend,
			a->view.sources + config->first_source, fp->tsc_hz, &fp->seed,
			&a->settings[slot], a->err, a->err_size);

		if (ret)
			return ret;
		ret = policies_attach(
			fp, &a->view, i, a->of[i], old, a->settings[slot], a->err, a->err_size);
		if (ret)
			return ret;
	}
	return 0;
}

static int shared_make(struct fastpath *fp, struct applying *a, struct port *const *ports)
{
	const struct weir_config *h = a->view.header;
	int ret;

	for (uint32_t i = 0; i < WEIR_MAX_PORTS; i++)
		a->port_index[i] = i < h->port_count && ports[i] ? ports[i]->index : UINT8_MAX;
	ret = neighbours_create(a->view.neighbours, h->neighbour_count, a->view.hop_groups,
		h->hop_group_count, a->port_index, &a->neighbours);
	if (ret == 0)
		ret = generation_shared_create(
			fp, a->view.services, a->view.sources, h->service_count, a->of, &a->shared);
	if (ret) {
		say(a, "no memory for the tables of %u services and %u neighbours",
			h->service_count, h->neighbour_count);
		return ret;
	}
	memcpy(a->shared->port_index, a->port_index, sizeof(a->port_index));
	return 0;
}

/* Take back what was made for a configuration that is refused. */
static void applying_undo(struct fastpath *fp, struct applying *a)
{
	for (uint32_t i = 0; i < WEIR_MAX_SERVICES; i++)
		service_settings_release(a->settings[i]);
	for (uint32_t i = 0; i < a->fresh_count; i++) {
		struct service *s = a->service[a->fresh[i]];
		struct service_cells cells = s->cells;

		journal_close(fp, s);
		service_destroy(s);
		directory_cells_free(fp, &cells);
	}
	policy_set_release(a->outside);
	neighbours_release(a->neighbours);
	generation_shared_release(a->shared);
}

static void applying_commit(struct fastpath *fp, struct applying *a)
{
	for (uint32_t i = 0; i < a->fresh_count; i++) {
		struct service *s = a->service[a->fresh[i]];

		journal_begin(fp, s, a->settings[s->slot]);
		fp->service[s->slot] = s;
		for (uint32_t j = 0; j < fp->core_count; j++)
			fp->core[j]->stage.service_cell[s->slot] = s->cells.cell[j];
	}
	/* Buckets follow by and by: fastpath_move_tick(). */
	for (uint32_t i = 0; i < a->view.header->service_count; i++) {
		a->of[i]->cores_min = a->view.services[i].cores;
		a->of[i]->cores_max =
			RTE_MAX(a->view.services[i].cores, a->view.services[i].cores_max);
		cores_want(fp, a->of[i], a->of[i]->cores_wanted);
	}
}

static int apply(struct fastpath *fp, struct applying *a, struct port *const *ports)
{
	struct generation_input in = {
		.ports = ports,
		.port_count = a->view.header->port_count,
		.service = a->service,
		.settings = a->settings,
	};
	struct generation *g, *old;
	struct move *move = fp->move;
	int ret = services_find(fp, a);

	if (ret == 0)
		ret = settings_make(fp, a);
	if (ret == 0)
		ret = policies_outside(fp, &a->view, &a->outside, a->err, a->err_size);
	if (ret == 0)
		ret = shared_make(fp, a, ports);
	if (ret)
		return ret;
	in.neighbours = a->neighbours;
	in.shared = a->shared;
	in.outside = a->outside;
	if (move && !a->service[move->service->slot])
		fp->move = NULL; /* its service leaves */
	ret = generation_create(fp, &in, &g);
	if (ret) {
		fp->move = move;
		say(a, "no memory for a generation");
		return ret;
	}
	applying_commit(fp, a);
	fp->telemetry->generation++;
	fp->telemetry->config_digest = a->view.header->digest;
	old = generation_publish(fp, g);
	directory_write(fp, g);
	/* Not before: nobody reads of a policy's counters there any more. */
	generation_let_go(fp, old);
	services_leave(fp, g);
	if (!fp->move && move)
		fence_keep(fp, fence_holders(fp), move_kept_free, move);
	return 0;
}

void services_load(const struct fastpath *fp, uint32_t *load)
{
	for (uint32_t i = 0; i < fp->core_count; i++)
		if (!fence_is_fit(fp->core[i]))
			load[i] = CORE_PLAN_UNFIT;
	for (uint32_t slot = 0; slot < WEIR_MAX_SERVICES; slot++)
		for (uint32_t i = 0; fp->service[slot] && i < fp->service[slot]->worker_count;
			i++) {
			const struct service_worker *w = fp->service[slot]->worker[i];

			if (load[w->core] != CORE_PLAN_UNFIT)
				load[w->core] += service_worker_buckets(w) ||
					(fp->move && (fp->move->to == w || fp->move->from == w));
		}
}

/* Behind what there is no memory for: before anything of it is given back. */
static void budget_say(const struct fastpath *fp, struct applying *a)
{
	const size_t length = strnlen(a->err, a->err_size);

	snprintf(a->err + length, a->err_size - length,
		"; %" PRIu64 " KiB of the services' budget of %" PRIu64
		" KiB (half of dataplane.memory) are left",
		budget_left(&fp->budget) >> 10, fp->budget.bytes >> 10);
}

int fastpath_apply(struct fastpath *fp, const struct weir_config *config, size_t config_length,
	struct port *const *ports, char *err, size_t err_size)
{
	struct applying *a = calloc(1, sizeof(*a));
	int ret;

	if (!a)
		return -ENOMEM;
	if (fp->takeover) {
		snprintf(err, err_size, "a core is being taken over: try again in a moment");
		free(a);
		return -EBUSY;
	}
	a->err = err;
	a->err_size = err_size;
	services_load(fp, a->load);
	weir_config_view(config, &a->view);
	a->ports = ports;
	retired_reap(fp);
	ret = apply(fp, a, ports);
	if (ret == -ENOMEM)
		budget_say(fp, a);
	if (ret)
		applying_undo(fp, a);
	free(a);
	return ret;
}
