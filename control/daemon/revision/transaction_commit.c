/* SPDX-License-Identifier: BSD-3-Clause */

/* The end of a transaction that has succeeded: its model takes effect, is noted, and the asker is answered. */

#include "control/daemon/clock.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/daemon/policy/policies_methods.h"
#include "control/daemon/revision/limits_set.h"
#include "control/daemon/revision/transaction_private.h"
#include "ebpf/kernel/steering.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_change(const struct transaction *t)
{
	return t->diff && *t->diff;
}

static json_t *apply_result(const struct transaction *t)
{
	struct weir_client *client = dataplane_client(t->daemon->dataplane);
	uint64_t generation = client ?
		__atomic_load_n(&weir_client_telemetry(client)->generation, __ATOMIC_RELAXED) :
		0;
	json_t *result = json_pack("{s:b, s:I, s:s, s:I, s:o}", "changed", is_change(t),
		"generation", (json_int_t)generation, "diff", t->diff, "number",
		(json_int_t)config_number(t->daemon), "confirm_within",
		config_confirm_within(t->daemon));

	if (t->pending)
		json_object_set_new(result, "pending", json_true());
	return result;
}

static uint32_t lines_count(const char *text)
{
	uint32_t lines = 0;

	while ((text = strchr(text, '\n'))) {
		lines++;
		text++;
	}
	return lines;
}

/* The new model takes effect in everything that is ours alone. */
static void commit_model(struct transaction *t)
{
	static const char *const what[] = { [REVISION_START] = "applied",
		[REVISION_APPLY] = "applied",
		[REVISION_RELOAD] = "applied",
		[REVISION_UNDO] = "undone",
		[REVISION_ROLLBACK] = "rolled back" };
	struct daemon *d = t->daemon;
	struct timespec now;
	bool differs = t->length != d->text_length || memcmp(t->text, d->text, t->length) != 0;
	json_t *objects = is_by_hand(t) ? NULL : policies_objects(d, t->model);

	clock_gettime(CLOCK_REALTIME, &now);
	if (pool_set_model(d->pool, t->model, NULL))
		log_error("no memory for the health checks of %s", t->file);
	d->pool_ready = true;
	if (t->metrics_changed) {
		metrics_server_stop(d->metrics);
		d->metrics = t->metrics;
		t->metrics = NULL;
	}
	policies_emit(d->model, t->model, &t->change.who);
	struct model *before = d->model;
	free(d->text);
	free(d->file);
	d->model = t->model;
	stream_follow(d, before);
	d->text = t->text;
	d->text_length = t->length;
	d->file = t->file;
	probes_apply(d);
	model_destroy(before);
	t->model = NULL;
	t->text = NULL;
	t->file = NULL;
	json_decref(d->limits_set);
	d->limits_set = t->limits_set;
	t->limits_set = NULL;
	json_decref(d->policies.set);
	d->policies.set = t->policies_set;
	t->policies_set = NULL;
	json_array_clear(d->policies.failed);
	if (t->limit && *t->diff)
		limits_emit(t->limit, &t->change.who, "");
	if (is_by_hand(t))
		return;
	/* The same text with another object is another configuration. */
	if (d->policies.objects ? !json_equal(d->policies.objects, objects) :
				  json_array_size(objects) > 0)
		differs = true;
	json_decref(d->policies.objects);
	d->policies.objects = objects;
	adaptation_model_changed(d->adaptation);
	d->applied_at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	config_note(d, &t->change, lines_count(t->diff), differs);
	if (*t->diff || t->change.of)
		config_emit(d->file, &t->change, what[t->change.how], config_number(d), "");
}

static void timing_note(const struct transaction *t)
{
	uint64_t now = clock_now_ns();

	t->daemon->sync_cost_ns = now - t->begun_ns;
	if (t->kernel_ns && t->taken)
		log_info("followed a change of routes or links, in force %.1f ms after the "
			 "kernel told",
			(double)(now - t->kernel_ns) / NS_PER_MS);
}

static void answer(struct transaction *t)
{
	struct daemon *d = t->daemon;
	struct rpc_call *call = t->call;

	if (t->failure && call)
		rpc_call_error(call, RPC_REFUSED, NULL, "%s", t->failure);
	else if (call)
		rpc_call_result(call,
			t->limit	  ? limits_document_of(d, t->limit) :
				t->policy ? policies_document_of(d, t->policy) :
					    apply_result(t));
	transaction_finish(t);
}

static void save(struct transaction *t)
{
	t->unsaved = false;
	daemon_save(t->daemon);
	transaction_later(t, answer);
}

/* What the host and the kernel have beyond the new model goes, what they can have more comes. */
static void host_follow(struct transaction *t)
{
	struct daemon *d = t->daemon;

	host_addresses_prune(&d->addresses, d->model);
	policies_kernel_sync(d, d->model, STEERING_F_ADD | STEERING_F_REMOVE);
	transaction_later(t, save);
}

void transaction_commit(struct transaction *t, bool pending)
{
	struct daemon *d = t->daemon;

	plan_ports_destroy(d->ports);
	d->ports = t->ports;
	t->ports = NULL;
	json_decref(d->route_warnings);
	d->route_warnings = t->warnings;
	t->warnings = NULL;
	t->unsaved = true;
	t->pending = pending;
	if (is_apply(t)) {
		if (!is_by_hand(t))
			log_notice("configuration %s is %s%s", t->file,
				is_change(t) ? "in force" : "as before",
				pending ? ", as soon as a data plane runs" : "");
		commit_model(t);
	} else {
		config_note_objects(d);
	}
	if (pending) {
		transaction_later(t, save);
		return;
	}
	d->in_step = true;
	d->refusal[0] = 0;
	timing_note(t);
	transaction_later(t, host_follow);
}
