/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Changes of configuration, one after another, each whole or not at all:
 *
 *   parse -> plan -> removed services leave the XDP maps -> CONFIG -> host addresses -> XDP maps
 *   -> the new model is in force, and saved
 *
 * With a thousand services each of these takes a while, so between them the loop has a turn for others.
 *
 * A failure before CONFIG has touched nothing. One behind it sends the old configuration again before
 * the asker is told. The same way, without a new model, brings a data plane in step that has just
 * been started or found, or after routes have changed.
 */

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/dataplane/steer.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/daemon/policy/policies_set.h"
#include "control/daemon/revision/limits_set.h"
#include "control/daemon/revision/transaction_private.h"
#include "ebpf/kernel/steering.h"

#include <event2/event.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_TIMEOUT_MS 60000
#define START_WAIT_MS	  5000 /* for a data plane that is just starting */
#define RETRY_MS	  1000 /* after a refusal that nobody was told of */

static void transaction_free(struct transaction *t)
{
	if (t->patience)
		event_free(t->patience);
	if (t->turn)
		event_free(t->turn);
	metrics_server_stop(t->metrics);
	told_clear(&t->told);
	json_decref(t->warnings);
	plan_ports_destroy(t->ports);
	free(t->diff);
	policies_judge_cancel(t->batch);
	json_decref(t->limit);
	json_decref(t->policy);
	json_decref(t->limits_set);
	json_decref(t->policies_set);
	json_decref(t->objects);
	model_destroy(t->model);
	free(t->text);
	free(t->file);
	free(t->label);
	free(t->failure);
	free(t);
}

static void refused_emit(const struct transaction *t, const char *why)
{
	if (t->limit)
		limits_emit(t->limit, &t->change.who, why);
	else if (t->policy)
		policies_set_refused(t->policy, &t->change.who, why);
	else
		config_emit(t->file, &t->change, "refused", 0, why);
}

/* Of one that waits for its policies, or for a data plane; NULL: there is none. */
static const struct model *transaction_model(const struct daemon *d)
{
	const struct transaction *t = TAILQ_FIRST(&d->transactions);

	return t ? t->model : NULL;
}

static void turn_due(evutil_socket_t fd, short what, void *ctx)
{
	struct transaction *t = ctx;
	void (*step)(struct transaction * t) = t->next;

	t->next = NULL;
	step(t);
}

void transaction_later(struct transaction *t, void (*step)(struct transaction *t))
{
	static const struct timeval at_once = { 0 };

	if (!t->turn)
		t->turn = evtimer_new(t->daemon->base, turn_due, t);
	if (!t->turn || evtimer_add(t->turn, &at_once))
		step(t); /* out of memory: others wait, then */
	else
		t->next = step;
}

void transaction_finish(struct transaction *t)
{
	struct daemon *d = t->daemon;

	TAILQ_REMOVE(&d->transactions, t, link);
	transaction_free(t);
	policies_sweep(d, d->model, transaction_model(d));
	d->busy = false;
	d->going_back = false;
	daemon_push_soon(d);
	waiters_check(d);
	transactions_run(d);
}

void transaction_fail(struct transaction *t, int code, json_t *data, const char *format, ...)
{
	char text[768];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (is_apply(t))
		refused_emit(t, text);
	if (t->call) {
		if (!is_by_hand(t))
			log_warning("configuration %s is not applied: %s", t->file, text);
		rpc_call_error(t->call, code, data, "%s", text);
	} else if (is_apply(t)) {
		json_t *line;
		size_t i;

		log_error("configuration %s is not applied: %s", t->file, text);
		json_array_foreach(json_object_get(data, "errors"), i, line)
			log_error("%s", json_string_value(line));
		json_decref(data);
	} else {
		/* Policies are not judged every second. */
		struct timeval wait = clock_timeval_ms(t->prepared ? RETRY_MS : 5 * RETRY_MS);

		if (strcmp(t->daemon->refusal, text))
			log_error("the configuration is not in force: %s", text);
		snprintf(t->daemon->refusal, sizeof(t->daemon->refusal), "%.511s", text);
		evtimer_add(t->daemon->replan_timer, &wait);
	}
	transaction_finish(t);
}

static void plan_and_send(struct transaction *t);

/* The data plane has the new configuration, but the host does not take it: go back. */
static void restore(struct transaction *t, const char *why)
{
	if (!t->model) {
		/* This was the way back, or there is no other configuration. */
		t->daemon->in_step = false;
		if (t->failure)
			transaction_fail(t, RPC_REFUSED, NULL, "%s; and going back failed: %s",
				t->failure, why);
		else
			transaction_fail(t, RPC_REFUSED, NULL, "%s", why);
		return;
	}
	t->failure = strdup(why);
	log_warning("configuration %s is not applied: %s", t->file, why);
	refused_emit(t, why);
	json_decref(t->limit);
	t->limit = NULL;
	json_decref(t->policy);
	t->policy = NULL;
	model_destroy(t->model);
	free(t->text);
	free(t->diff);
	plan_ports_destroy(t->ports);
	json_decref(t->warnings);
	t->model = NULL;
	t->text = NULL;
	t->diff = NULL;
	t->ports = NULL;
	t->warnings = NULL;
	plan_and_send(t);
}

/* CONFIG is in force: the host's addresses, then the maps. */
static void configured(struct transaction *t)
{
	struct daemon *d = t->daemon;
	char err[512];

	if (host_addresses_add(&d->addresses, model_of(t), err, sizeof(err)) ||
		steer_ports(d->run.path, model_of(t), t->ports, STEERING_F_ADD | STEERING_F_REMOVE,
			err, sizeof(err))) {
		restore(t, err);
		return;
	}
	transaction_commit(t, false);
}

static void told_adopt(struct transaction *t)
{
	struct daemon *d = t->daemon;

	told_clear(&d->told);
	d->told = t->told;
	t->told = (struct told){ 0 };
	d->adopted_digest = 0;
	if (hops_reset(&d->hops, d->told.header->neighbour_count))
		log_error("no memory to follow neighbours");
}

static void config_reply(void *ctx, int status, const void *body, size_t length)
{
	struct transaction *t = ctx;
	struct daemon *d = t->daemon;
	char err[512];

	t->sent = false;
	history_expire(&d->history);
	if (t->abandoned) {
		transaction_free(t);
		return;
	}
	if (!status) {
		t->taken = true;
		policies_in_force(d, model_of(t));
		told_adopt(t);
		configured(t);
		return;
	}
	/* What left the maps before comes back: the data plane still serves it. */
	if (d->told.body && status != -ECONNRESET &&
		steer_ports(d->run.path, d->model, d->ports, STEERING_F_ADD, err, sizeof(err)))
		log_error("%s", err);
	if (d->told.body && status != -ECONNRESET)
		policies_kernel_sync(d, d->model, STEERING_F_ADD);
	if (status == -ETIMEDOUT) {
		transaction_fail(t, RPC_DATAPLANE, NULL,
			"the data plane does not answer; see `weirctl status`");
		/* It may still take it: only a new greeting tells. */
		dataplane_reconnect(d->dataplane);
	} else if (status == -ECONNRESET) {
		transaction_fail(t, RPC_DATAPLANE, NULL,
			"the data plane ended while it took the configuration; see its log");
	} else {
		transaction_fail(t, RPC_REFUSED, NULL, "%.*s", (int)length, (const char *)body);
	}
}

static void patience_ends(evutil_socket_t fd, short what, void *ctx)
{
	struct transaction *t = ctx;

	transaction_commit(t, true);
}

/* No data plane: an operator's configuration is accepted for when there is one. */
static void send_later(struct transaction *t)
{
	struct daemon *d = t->daemon;
	struct timeval wait = clock_timeval_ms(START_WAIT_MS);

	if (t->failure) {
		transaction_fail(t, RPC_DATAPLANE, NULL, "%s", t->failure);
		return;
	}
	if (!is_apply(t)) {
		transaction_finish(t); /* comes again with the connection */
		return;
	}
	if (dataplane_state(d->dataplane) == DATAPLANE_STARTING && !t->patience) {
		t->patience = evtimer_new(d->base, patience_ends, t);
		if (t->patience && !evtimer_add(t->patience, &wait))
			return;
	}
	transaction_commit(t, true);
}

static void send_config(struct transaction *t)
{
	struct daemon *d = t->daemon;
	char err[512];

	if (d->told.body &&
		steer_ports(
			d->run.path, model_of(t), t->ports, STEERING_F_REMOVE, err, sizeof(err))) {
		transaction_fail(t, RPC_REFUSED, NULL, "%s", err);
		return;
	}
	policies_kernel_sync(d, model_of(t), STEERING_F_REMOVE);
	int rc = dataplane_request(d->dataplane, WEIR_MESSAGE_CONFIG, t->told.body, t->told.length,
		CONFIG_TIMEOUT_MS, config_reply, t);

	t->sent = true;
	if (rc)
		config_reply(t, rc, strerror(-rc), strlen(strerror(-rc)));
}

/* The data plane has the policies that CONFIG will name, or will not have them. */
static void staged(void *ctx, int status, const char *text)
{
	struct transaction *t = ctx;
	struct daemon *d = t->daemon;

	t->sent = false;
	if (t->abandoned) {
		transaction_free(t);
	} else if (!status) {
		send_config(t);
	} else if (status == -ETIMEDOUT) {
		transaction_fail(t, RPC_DATAPLANE, NULL, "%s; see `weirctl status`", text);
		dataplane_reconnect(d->dataplane);
	} else {
		transaction_fail(
			t, status == -ECONNRESET ? RPC_DATAPLANE : RPC_REFUSED, NULL, "%s", text);
	}
}

/* Where what is told stands: the data plane may have come or gone since it was planned. */
static void planned(struct transaction *t)
{
	struct daemon *d = t->daemon;

	/* Behind the digest, which is of what is configured. */
	push_weights(d, model_of(t), &t->told);
	if (!dataplane_client(d->dataplane)) {
		send_later(t);
		return;
	}
	uint64_t digest = t->told.header->digest;

	if (d->told.body && d->told.header->digest == digest) {
		told_clear(&t->told);
		configured(t);
	} else if (!d->told.body && d->adopted_digest == digest) {
		log_info("the running data plane has this configuration already");
		told_adopt(t);
		told_forget_states(&d->told);
		configured(t);
	} else {
		t->sent = true;
		policies_stage(d, model_of(t), staged, t);
	}
}

static void plan_and_send(struct transaction *t)
{
	struct daemon *d = t->daemon;
	void *body;
	size_t length;
	char err[512] = "out of memory";

	t->begun_ns = clock_now_ns();
	if (d->kernel_ns)
		t->kernel_ns = d->kernel_ns;
	d->kernel_ns = 0;
	plan_ports_destroy(t->ports);
	json_decref(t->warnings);
	t->warnings = NULL;
	t->ports = plan_ports_copy(d->ports);
	if (!t->ports ||
		world_plan(
			d, model_of(t), t->ports, &body, &length, &t->warnings, err, sizeof(err))) {
		transaction_fail(t, RPC_REFUSED, NULL, "%s", err);
		return;
	}
	told_set(&t->told, body, length);
	transaction_later(t, planned);
}

void transactions_resume(struct daemon *d)
{
	struct transaction *t = TAILQ_FIRST(&d->transactions);

	/* One whose patience has ended is in force already, and only to be noted and answered. */
	if (!t || !t->patience || t->next)
		return;
	event_free(t->patience);
	t->patience = NULL;
	plan_and_send(t);
}

static void apply_begin(struct transaction *t)
{
	struct daemon *d = t->daemon;
	char text[512];

	/* Confirmed, or replaced for good, while this waited for its turn. */
	if (t->change.how == REVISION_ROLLBACK && !config_waits(d)) {
		transaction_finish(t);
		return;
	}
	d->going_back = t->change.how == REVISION_ROLLBACK;
	if (metrics_prepare(d, t->model, &t->metrics, &t->metrics_changed, text, sizeof(text))) {
		transaction_fail(t, RPC_REFUSED, NULL, "%s", text);
		return;
	}
	plan_and_send(t);
}

/* A loop, not a recursion: many may be refused one after another. */
void transactions_run(struct daemon *d)
{
	static bool running;

	if (running)
		return;
	running = true;
	while (!d->busy && !d->stopping && !TAILQ_EMPTY(&d->transactions)) {
		struct transaction *t = TAILQ_FIRST(&d->transactions);

		if (t->batch || t->next)
			break; /* its policies are being judged, or it has its turn soon */
		if (!transaction_prepare(t))
			continue; /* it has failed, or is waiting now */
		d->busy = true;
		transaction_later(t, is_apply(t) ? apply_begin : plan_and_send);
	}
	running = false;
}

void transactions_drop(struct daemon *d)
{
	struct transaction *t;

	while ((t = TAILQ_FIRST(&d->transactions))) {
		TAILQ_REMOVE(&d->transactions, t, link);
		if (t->call)
			rpc_call_error(t->call, RPC_REFUSED, NULL, "weir-controld is stopping");
		t->call = NULL;
		if (t->unsaved)
			daemon_save(d);
		if (t->sent)
			t->abandoned = true;
		else
			transaction_free(t);
	}
	d->busy = false;
}
