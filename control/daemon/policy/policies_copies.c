/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/policies_copies.h"

#include "control/daemon/beside.h"
#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies_kernel.h"
#include "ebpf/engine/offload.h"
#include "ebpf/kernel/steering.h"

#include <bpf/bpf.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DUMP_TIMEOUT_MS 10000

/* Some entries for one copy. What it touches is its own, so nobody need wait for it. */
struct change_job {
	struct beside_job job;
	struct daemon *d;
	uint64_t id;
	uint64_t round; /* of the copies: those of an earlier one are of no interest */
	uint32_t map;
	int fd; /* owned */
	int remove;
	size_t key_size;
	size_t record;
	size_t count;
	uint8_t *records; /* owned */
	int rc;
	uint64_t next; /* of a dump: where it goes on; 0: the map is whole */
	bool dump;
	policies_copies_cb done;
	void *ctx;
};

/* A question for entries, until its answer. */
struct dump {
	struct daemon *d;
	uint64_t id;
	uint64_t round;
	uint32_t map;
};

static uint32_t copy_next(const struct policy_kept *k, uint32_t from)
{
	while (from < k->image->map_count && !policy_offload_copies(k->image, from))
		from++;
	return from;
}

static bool has_copies(const struct policy_kept *k)
{
	return k->place && copy_next(k, 0) < k->image->map_count;
}

const char *policies_copies_why(const struct policy_kept *k)
{
	if (!has_copies(k) || k->copies == POLICY_COPIES_WHOLE)
		return NULL;
	return k->copies == POLICY_COPIES_FAILED ? k->copies_why :
						   "its lists are being copied into the kernel";
}

void policies_copies_forget(struct policy_kept *k)
{
	if (k->copies == POLICY_COPIES_NONE)
		return;
	k->copies = POLICY_COPIES_NONE;
	k->copies_round++;
}

static void sync_all(struct daemon *d)
{
	d->policies.copies_filled = false;
	policies_kernel_sync(d, d->model, STEERING_F_REMOVE | STEERING_F_ADD);
}

static void failed(struct daemon *d, struct policy_kept *k, uint32_t map, int rc)
{
	k->copies = POLICY_COPIES_FAILED;
	k->copies_round++;
	snprintf(k->copies_why, sizeof(k->copies_why),
		"its map %s cannot be copied into the kernel: %s", image_maps(k->image)[map].name,
		strerror(-rc));
	sync_all(d);
}

/* Where the data plane has it. False: the model in force does not. */
static bool place_find(const struct daemon *d, uint64_t id, struct weir_policy_map *ret_header)
{
	for (size_t i = 0; d->model && i < d->model->service_count; i++) {
		const struct model_service *s = &d->model->services[i];
		uint32_t position = 0;

		for (size_t k = 0; k < s->policy_count; k++) {
			if (s->policies[k].id == id) {
				*ret_header = (struct weir_policy_map){ .position = position };
				snprintf(ret_header->service, sizeof(ret_header->service), "%s",
					s->name);
				return true;
			}
			position += s->policies[k].id != 0;
		}
	}
	return false;
}

static void dump_ask(struct daemon *d, struct policy_kept *k, uint32_t map, uint64_t cursor);

static void job_free(struct change_job *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->records);
	free(c);
}

static void change_run(struct beside_job *job)
{
	struct change_job *c = (struct change_job *)job;

	for (size_t i = 0; i < c->count && !c->rc; i++) {
		const uint8_t *record = c->records + i * c->record;

		if (!c->remove) {
			if (bpf_map_update_elem(c->fd, record, record + c->key_size, BPF_ANY) < 0)
				c->rc = -errno;
		} else if (bpf_map_delete_elem(c->fd, record) < 0 && errno != ENOENT) {
			c->rc = -errno;
		}
	}
}

static void change_done(struct beside_job *job, bool ran)
{
	struct change_job *c = (struct change_job *)job;
	struct policy_kept *k = policies_find(c->d, c->id);

	if (ran && k && k->copies_round == c->round) {
		if (c->rc)
			failed(c->d, k, c->map, c->rc);
		else if (c->dump)
			dump_ask(c->d, k, c->next ? c->map : c->map + 1, c->next);
	}
	if (c->done)
		c->done(c->ctx);
	job_free(c);
}

/* Give the thread what is to be changed. Returns 0 or -errno. */
static int change_start(struct change_job *c, const struct policy_kept *k, const void *records)
{
	const struct policy_image_map *m = &image_maps(k->image)[c->map];

	c->job = (struct beside_job){ .run = change_run, .done = change_done };
	c->round = k->copies_round;
	c->key_size = m->key_size;
	c->record = m->key_size + (c->remove ? 0 : m->value_size);
	c->fd = fcntl(k->array[c->map], F_DUPFD_CLOEXEC, 0);
	c->records = malloc(c->count * c->record + 1);
	if (c->fd < 0 || !c->records)
		return -ENOMEM;
	memcpy(c->records, records, c->count * c->record);
	beside_do(policies_kernel_beside(c->d), &c->job);
	return 0;
}

static void dump_reply(void *ctx, int status, const void *body, size_t length)
{
	struct dump ask = *(struct dump *)ctx;
	const struct weir_policy_map_reply *reply = body;
	struct policy_kept *k = policies_find(ask.d, ask.id);
	int rc = status;

	free(ctx);
	if (!k || k->copies_round != ask.round || !policies_kernel_beside(ask.d))
		return;
	const struct policy_image_map *m = &image_maps(k->image)[ask.map];
	struct change_job *c = calloc(1, sizeof(*c));

	if (!rc &&
		(length < sizeof(*reply) || reply->key_bytes != m->key_size ||
			reply->value_bytes != m->value_size || reply->values != 1 ||
			(length - sizeof(*reply)) / (m->key_size + m->value_size) < reply->count))
		rc = -EPROTO;
	if (!rc && c) {
		*c = (struct change_job){ .d = ask.d,
			.id = ask.id,
			.map = ask.map,
			.fd = -1,
			.count = reply->count,
			.next = reply->next,
			.dump = true };
		rc = change_start(c, k, reply + 1);
		if (!rc)
			return;
		job_free(c);
	} else {
		free(c);
	}
	failed(ask.d, k, ask.map, rc ? rc : -ENOMEM);
}

/* Ask for entries from `cursor` on; behind the last map the copies are whole. */
static void dump_ask(struct daemon *d, struct policy_kept *k, uint32_t map, uint64_t cursor)
{
	struct weir_policy_map header;
	struct dump *ask;
	int rc = -ENOMEM;

	map = copy_next(k, map);
	if (map >= k->image->map_count) {
		k->copies = POLICY_COPIES_WHOLE;
		d->policies.copies_filled = true;
		policies_copies_begin(d);
		return;
	}
	if (!place_find(d, k->id, &header)) {
		policies_copies_forget(k);
		return;
	}
	snprintf(header.map, sizeof(header.map), "%s", image_maps(k->image)[map].name);
	header.op = WEIR_POLICY_MAP_DUMP;
	header.count = WEIR_POLICY_MAX_DUMP;
	header.cursor = cursor;
	ask = malloc(sizeof(*ask));
	if (ask) {
		*ask = (struct dump){ d, k->id, k->copies_round, map };
		rc = dataplane_request(d->dataplane, WEIR_MESSAGE_POLICY_MAP, &header,
			sizeof(header), DUMP_TIMEOUT_MS, dump_reply, ask);
	}
	if (rc) {
		free(ask);
		failed(d, k, map, rc);
	}
}

/* New ones, as nobody knows what is in the old. */
static int copies_renew(struct policy_kept *k)
{
	for (uint32_t i = copy_next(k, 0); i < k->image->map_count; i = copy_next(k, i + 1)) {
		int fd = policy_offload_copy(k->image, i);

		if (fd < 0)
			return fd;
		close(k->array[i]);
		k->array[i] = fd;
	}
	return 0;
}

void policies_copies_begin(struct daemon *d)
{
	struct weir_policy_map unused;

	if (!dataplane_client(d->dataplane) || !d->told.body)
		return;
	for (struct policy_kept *k = d->policies.kept; k; k = k->next)
		if (k->copies == POLICY_COPIES_FILLING)
			return;
	for (struct policy_kept *k = d->policies.kept; k; k = k->next) {
		if (k->copies != POLICY_COPIES_NONE || !k->has_arrays || !has_copies(k) ||
			!place_find(d, k->id, &unused))
			continue;
		int rc = copies_renew(k);

		if (rc) {
			failed(d, k, copy_next(k, 0), rc);
			return;
		}
		k->copies = POLICY_COPIES_FILLING;
		k->copies_round++;
		dump_ask(d, k, 0, 0);
		return;
	}
	if (d->policies.copies_filled)
		sync_all(d);
}

static int map_named(const struct policy_kept *k, const char *map, uint32_t *ret_index)
{
	for (uint32_t i = copy_next(k, 0); i < k->image->map_count; i = copy_next(k, i + 1)) {
		if (strcmp(image_maps(k->image)[i].name, map) != 0)
			continue;
		*ret_index = i;
		return 0;
	}
	return -ENOENT;
}

static bool is_kept_in_step(const struct policy_kept *k)
{
	return k && has_copies(k) &&
		(k->copies == POLICY_COPIES_FILLING || k->copies == POLICY_COPIES_WHOLE);
}

void policies_copies_change(struct daemon *d, uint64_t id, const char *map, int remove,
	const void *records, size_t count, policies_copies_cb done, void *ctx)
{
	struct policy_kept *k = policies_find(d, id);
	uint32_t index;

	if (!is_kept_in_step(k) || !policies_kernel_beside(d) || map_named(k, map, &index)) {
		done(ctx);
		return;
	}
	struct change_job *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c) {
		*c = (struct change_job){ .d = d,
			.id = id,
			.map = index,
			.fd = -1,
			.remove = remove,
			.count = count,
			.done = done,
			.ctx = ctx };
		rc = change_start(c, k, records);
	}
	if (!rc)
		return;
	if (c)
		job_free(c);
	failed(d, k, index, rc);
	done(ctx);
}

void policies_copies_doubt(struct daemon *d, uint64_t id, const char *map)
{
	struct policy_kept *k = policies_find(d, id);
	uint32_t index;

	if (!is_kept_in_step(k) || map_named(k, map, &index))
		return;
	policies_copies_forget(k);
	sync_all(d);
}
