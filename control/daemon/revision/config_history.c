/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/config_history.h"

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/object_store.h"
#include "control/daemon/text_mark.h"

#include <event2/event.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_MS 5000 /* when going back fails */

struct boot_time boot_time_now(void)
{
	struct boot_time now = { .boot = "unknown" };
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	now.ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (f) {
		if (fgets(now.boot, sizeof(now.boot), f))
			now.boot[strcspn(now.boot, "\n")] = 0;
		fclose(f);
	}
	return now;
}

void config_history_open(struct daemon *d)
{
	char path[PATH_MAX];

	if (d->options.state_dir)
		snprintf(path, sizeof(path), "%s/%s", d->options.state_dir, d->options.instance);
	else
		rundir_path(&d->run, "history", path);
	revision_store_open(&d->revisions, path);
}

uint64_t config_number(const struct daemon *d)
{
	return d->revisions.count ? d->revisions.list[0].number : 0;
}

bool config_waits(const struct daemon *d)
{
	return d->revisions.count && !d->revisions.list[0].confirmed;
}

json_t *config_confirm_within(const struct daemon *d)
{
	struct boot_time now = boot_time_now();

	return config_waits(d) ?
		json_real((double)revision_left_ms(&d->revisions.list[0], &now) / 1000) :
		json_null();
}

void config_emit(const char *file, const struct config_change *c, const char *what, uint64_t number,
	const char *why)
{
	char text[512], by[64], within[64] = "";
	/* The file named is the one that is back, not the one that was taken back. */
	bool back = c->how == REVISION_UNDO || c->how == REVISION_ROLLBACK;
	const char *again = back && strcmp(what, "refused") ? "is in force again: " : "";

	if (c->confirm_ms)
		snprintf(within, sizeof(within), ", goes back in %g s unless it is confirmed",
			(double)c->confirm_ms / 1000);
	snprintf(text, sizeof(text), "%s%s by %s%s%s%.300s", again, what,
		who_print(&c->who, by, sizeof(by)), within, *why ? ": " : "", why);
	event_emit(EVENT_CONFIG, file, text,
		json_pack("{s:s, s:s, s:o, s:I, s:I, s:f, s:s}", "what", what, "how",
			revision_how_name(c->how), "by", who_document(&c->who), "number",
			(json_int_t)number, "of", (json_int_t)c->of, "confirm_within",
			(double)c->confirm_ms / 1000, "reason", why));
}

static struct boot_time until(uint64_t ms)
{
	struct boot_time t = boot_time_now();

	t.ms += ms;
	return t;
}

/* What --config has at this moment: it has been seen, and is older than what comes into force now. */
static void start_mark_update(struct daemon *d)
{
	size_t length;
	char *text;

	if (file_read(d->options.config, &text, &length))
		return;
	d->start_mark = text_mark(text, length);
	free(text);
}

void config_note(struct daemon *d, const struct config_change *c, uint32_t changes, bool differs)
{
	bool back = c->how == REVISION_UNDO || c->how == REVISION_ROLLBACK;

	/* At the start it has just been read. */
	if (c->how != REVISION_START)
		start_mark_update(d);
	if (differs || back) {
		struct revision r = { .time_ms = (uint64_t)(d->applied_at * 1000),
			.how = c->how,
			.who = c->who,
			.of = c->of,
			.changes = changes,
			.start_mark = d->start_mark,
			.confirmed = !c->confirm_ms,
			.until = until(c->confirm_ms),
			.file = d->file,
			.text = d->text,
			.length = d->text_length,
			.objects = d->policies.objects };

		policies_objects_keep(d);
		revision_store_add(&d->revisions, &r);
		object_store_prune(&d->revisions);
	} else if (config_waits(d) && c->confirm_ms) {
		struct boot_time later = until(c->confirm_ms);

		revision_store_extend(&d->revisions, &later);
	} else if (config_waits(d)) {
		revision_store_confirm(&d->revisions);
		config_emit(d->file, c, "confirmed", config_number(d), "");
	}
	config_arm(d);
}

void config_note_objects(struct daemon *d)
{
	if (d->policies.objects)
		return;
	d->policies.objects = policies_objects(d, d->model);
	if (!json_array_size(d->policies.objects))
		return;
	policies_objects_keep(d);
	revision_store_objects(&d->revisions, d->policies.objects);
}

void config_arm(struct daemon *d)
{
	struct boot_time now = boot_time_now();

	if (!d->confirm_timer)
		return;
	evtimer_del(d->confirm_timer);
	if (!config_waits(d))
		return;
	struct timeval wait = clock_timeval_ms(revision_left_ms(&d->revisions.list[0], &now) + 1);

	evtimer_add(d->confirm_timer, &wait);
}

/* The number that an entry stands for in the order of configurations. */
static uint64_t original(const struct revision *r)
{
	return r->of ? r->of : r->number;
}

/* Apply an entry again. Returns false with a sentence in err when it cannot be had. */
static bool apply_entry(struct daemon *d, int index, struct config_change *c, struct rpc_call *call,
	char *err, size_t err_size)
{
	struct revision r;
	char why[256];

	if (index < 0) {
		snprintf(err, err_size,
			"there is no configuration to go back to; see `weirctl config "
			"history`");
		return false;
	}
	uint64_t number = d->revisions.list[index].number;

	if (revision_store_read(&d->revisions, number, &r, why, sizeof(why))) {
		snprintf(err, err_size, "configuration %" PRIu64 " cannot be read: %.200s", number,
			why);
		return false;
	}
	c->of = original(&r);
	c->objects = r.objects;
	daemon_apply(d, r.file, r.text, r.length, c, call);
	revision_fini(&r);
	return true;
}

void config_timer_run(int fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	struct boot_time now = boot_time_now();
	struct timeval again = clock_timeval_ms(RETRY_MS);
	struct config_change c = { .how = REVISION_ROLLBACK };
	char err[512];

	if (d->stopping || !config_waits(d))
		return;
	if (revision_left_ms(&d->revisions.list[0], &now)) {
		config_arm(d);
		return;
	}
	/* Before it is tried: when it succeeds nothing waits any more. */
	evtimer_add(d->confirm_timer, &again);
	if (d->going_back)
		return;
	log_warning("configuration %" PRIu64 " (%s) was not confirmed in time: going back",
		config_number(d), d->file);
	if (!apply_entry(d, revision_confirmed(d->revisions.list, d->revisions.count), &c, NULL,
		    err, sizeof(err))) {
		log_error("%s", err);
		config_emit(d->file, &c, "refused", 0, err);
	}
}

void config_confirm(struct daemon *d, struct rpc_call *call)
{
	struct config_change c = { .how = REVISION_APPLY, .who = who_asks(call) };
	char by[64];

	if (d->going_back) {
		rpc_call_error(call, RPC_REFUSED, NULL, "too late: it is going back already");
		return;
	}
	if (!config_waits(d)) {
		rpc_call_error(call, RPC_REFUSED, NULL,
			"no configuration waits to be confirmed; see `weirctl config history`");
		return;
	}
	if (revision_store_confirm(&d->revisions)) {
		rpc_call_error(call, RPC_REFUSED, NULL,
			"it cannot be noted, see the log of weir-controld; it still goes back");
		return;
	}
	config_arm(d);
	log_notice("configuration %" PRIu64 " (%s) is confirmed by %s", config_number(d), d->file,
		who_print(&c.who, by, sizeof(by)));
	config_emit(d->file, &c, "confirmed", config_number(d), "");
	rpc_call_result(call,
		json_pack("{s:I, s:s, s:b}", "number", (json_int_t)config_number(d), "file",
			d->file, "confirmed", 1));
}

void config_undo(struct daemon *d, struct rpc_call *call)
{
	struct config_change c = { .how = REVISION_UNDO, .who = who_asks(call) };
	json_t *number = json_object_get(rpc_call_params(call), "number");
	int index = revision_before(d->revisions.list, d->revisions.count);
	char err[512];

	if (number && !json_is_null(number)) {
		json_int_t wanted = json_integer_value(number);

		if (!json_is_integer(number) || wanted < 1) {
			rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
				"number: expected that of a configuration, as in `weirctl config history`");
			return;
		}
		index = revision_store_find(&d->revisions, (uint64_t)wanted);
		if (index < 0) {
			rpc_call_error(call, RPC_REFUSED, NULL,
				"there is no configuration %lld; see `weirctl config history`",
				(long long)wanted);
			return;
		}
	}
	if (!apply_entry(d, index, &c, call, err, sizeof(err)))
		rpc_call_error(call, RPC_REFUSED, NULL, "%s", err);
}

static const char *state_name(const struct revision *r, bool newest)
{
	if (newest)
		return r->confirmed ? "in force" : "waits for confirmation";
	return r->confirmed ? "past" : "not confirmed";
}

void config_history_list(struct daemon *d, struct rpc_call *call)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->revisions.count; i++) {
		const struct revision *r = &d->revisions.list[i];
		json_t *file = json_string(r->file);

		json_array_append_new(list,
			json_pack("{s:I, s:f, s:s, s:o, s:o, s:o, s:I, s:s, s:o, s:O?}", "number",
				(json_int_t)r->number, "time", (double)r->time_ms / 1000, "how",
				revision_how_name(r->how), "by", who_document(&r->who), "file",
				file ? file : json_string("?"), "of",
				r->of ? json_integer((json_int_t)r->of) : json_null(), "changes",
				(json_int_t)r->changes, "state", state_name(r, i == 0),
				"confirm_within", i ? json_null() : config_confirm_within(d),
				"objects", r->objects));
	}
	rpc_call_result(call, list);
}
