/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/daemon.h"

#include "control/daemon/adaptation/probes.h"
#include "control/daemon/clock.h"
#include "control/daemon/dataplane/supervise.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/daemon/revision/settings.h"
#include "control/daemon/rpc/traces.h"
#include "control/daemon/startup.h"
#include "ebpf/kernel/steering.h"

#include <event2/event.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#define REPLAN_DELAY_MS 50 /* at most: changes come in swarms */
#define REPLAN_SOON_MS	5
#define ADOPT_ATTEMPTS	10
#define KERNEL_PLAN	(KERNEL_CHANGE_LINKS | KERNEL_CHANGE_ADDRESSES | KERNEL_CHANGE_ROUTES)

static void timer_arm(struct event *timer, uint64_t ms)
{
	struct timeval wait = clock_timeval_ms(ms);

	evtimer_add(timer, &wait);
}

/* What the kernel tells. */

static void kernel_changed(void *ctx, unsigned int changes)
{
	struct daemon *d = ctx;

	if (d->stopping)
		return;
	if (changes & KERNEL_CHANGE_NEIGHBOURS)
		daemon_push_soon(d);
	if (!(changes & KERNEL_PLAN) || evtimer_pending(d->replan_timer, NULL))
		return;
	if (!d->kernel_ns)
		d->kernel_ns = clock_now_ns();
	/* A swarm must not keep us planning all the time: the dearer a plan, the more wait for it. */
	uint64_t wait_ms = 2 * d->sync_cost_ns / NS_PER_MS;

	wait_ms = wait_ms < REPLAN_SOON_MS ? REPLAN_SOON_MS : wait_ms;
	timer_arm(d->replan_timer, wait_ms < REPLAN_DELAY_MS ? wait_ms : REPLAN_DELAY_MS);
}

static void replan(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;

	if (!d->stopping && dataplane_client(d->dataplane))
		daemon_sync(d);
}

/* What the data plane's end of the connection tells. */

static void pool_begin(struct daemon *d, const struct snapshot *adopted)
{
	if (d->pool_ready)
		return;
	if (pool_set_model(d->pool, d->model, adopted))
		log_error("no memory for health checks");
	d->pool_ready = true;
}

static void dataplane_absent(void *ctx)
{
	pool_begin(ctx, NULL);
}

static void dataplane_emit(struct daemon *d, const char *what, const char *why)
{
	char text[320];

	snprintf(text, sizeof(text), "%s%s%s", what, *why ? ": " : "", why);
	event_emit(EVENT_DATAPLANE, d->options.instance, text,
		json_pack("{s:s, s:i, s:i, s:s}", "what", what, "pid",
			(int)dataplane_pid(d->dataplane), "restarts",
			(int)dataplane_restarts(d->dataplane), "reason", why));
}

static void dataplane_connected(void *ctx)
{
	struct daemon *d = ctx;
	struct weir_client *client = dataplane_client(d->dataplane);
	const struct weir_hello_reply *hello = weir_client_hello(client);
	const struct snapshot *adopted = NULL;
	char text[128];

	dataplane_emit(d, hello->generation ? "adopted" : "started", "");
	d->adopted_digest = hello->generation ? hello->config_digest : 0;
	for (int i = 0; hello->generation && !adopted && i < ADOPT_ATTEMPTS; i++)
		adopted = daemon_snapshot(d, 0);
	if (settings_differ_from_running(&d->model->dataplane, hello, text, sizeof(text)))
		log_warning("the data plane runs with other settings than `dataplane:` says (%s): "
			    "restart it to bring them into force",
			text);
	adaptation_forget_told(d->adaptation);
	pool_begin(d, adopted);
	transactions_resume(d);
	daemon_sync(d);
}

static void dataplane_lost(void *ctx)
{
	struct daemon *d = ctx;

	dataplane_emit(d, "ended", dataplane_error(d->dataplane));
	told_clear(&d->told);
	policies_lost(d);
	d->adopted_digest = 0;
	d->in_step = false;
	history_clear(&d->history);
	hops_reset(&d->hops, 0);
	waiters_fail(d, "the data plane has ended; see `weirctl status`");
}

static void port_emit(const char *port, bool up, const char *why)
{
	char text[320];

	snprintf(text, sizeof(text), "is %s%s%s", up ? "up" : "down", *why ? ": " : "", why);
	event_emit(EVENT_PORT, port, text, json_pack("{s:s, s:b}", "port", port, "up", (int)up));
}

static void dataplane_event(void *ctx, const struct weir_event *event)
{
	struct daemon *d = ctx;
	char object[WEIR_NAME_SIZE + 1], text[sizeof(event->text) + 1];

	snprintf(object, sizeof(object), "%.*s", WEIR_NAME_SIZE, event->object);
	snprintf(text, sizeof(text), "%.*s", (int)sizeof(event->text), event->text);
	switch (event->kind) {
	case WEIR_EVENT_PORT_UP:
		port_emit(object, true, text);
		log_notice("port %s is up%s%s", object, *text ? ": " : "", text);
		break;
	case WEIR_EVENT_PORT_DOWN:
		port_emit(object, false, text);
		log_warning("port %s is down%s%s", object, *text ? ": " : "", text);
		break;
	case WEIR_EVENT_POLICY_DETACHED:
		event_emit(EVENT_POLICY, object, text,
			json_pack("{s:s, s:s}", "service", object, "what", "detached"));
		log_warning("service %s: %s", object, text);
		policies_kernel_sync(d, d->model, STEERING_F_REMOVE | STEERING_F_ADD);
		break;
	case WEIR_EVENT_CORES:
		event_emit(EVENT_CORE, object, text, json_pack("{s:s}", "service", object));
		log_notice("service %s: %s", object, text);
		break;
	default:
		event_emit(EVENT_WARNING, object, text, NULL);
		log_warning("data plane: %s%s%s", object, *object ? ": " : "", text);
		break;
	}
}

static const struct model_dataplane *dataplane_settings(void *ctx)
{
	struct daemon *d = ctx;

	return &d->model->dataplane;
}

static void history_due(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	struct weir_client *client = dataplane_client(d->dataplane);

	if (client)
		history_step(&d->history, client);
	gap_watch_tell(&d->gaps, history_latest(&d->history));
	timer_arm(d->history_timer, HISTORY_STEP_MS);
}

/* Signals. */

static void stopped(void *ctx)
{
	struct daemon *d = ctx;

	event_base_loopexit(d->base, NULL);
}

static void stop_signal(evutil_socket_t number, short what, void *ctx)
{
	struct daemon *d = ctx;

	if (d->stopping)
		return;
	log_notice("stopping: %s", strsignal((int)number));
	d->stopping = true;
	supervise_stopping();
	transactions_drop(d);
	waiters_fail(d, "weir-controld is stopping");
	/* A data plane that goes on keeps its addresses; without one they would be dead ends. */
	dataplane_stop(d->dataplane, stopped, d);
}

static void reload_signal(evutil_socket_t number, short what, void *ctx)
{
	struct config_change c = { .how = REVISION_RELOAD };
	struct daemon *d = ctx;
	size_t length;
	char *text;
	int rc = file_read(d->options.config, &text, &length);

	if (rc) {
		log_error("%s: %s; nothing has been changed", d->options.config, strerror(-rc));
		return;
	}
	log_notice("reading %s again", d->options.config);
	daemon_apply(d, d->options.config, text, length, &c, NULL);
	free(text);
}

static int signals_follow(struct daemon *d)
{
	d->signals[0] = evsignal_new(d->base, SIGTERM, stop_signal, d);
	d->signals[1] = evsignal_new(d->base, SIGINT, stop_signal, d);
	d->signals[2] = evsignal_new(d->base, SIGHUP, reload_signal, d);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (!d->signals[i] || event_add(d->signals[i], NULL))
			return -ENOMEM;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* Start and end. */

static int timers_create(struct daemon *d)
{
	d->history_timer = evtimer_new(d->base, history_due, d);
	d->push_timer = evtimer_new(d->base, push_timer_run, d);
	d->hops_timer = evtimer_new(d->base, hops_timer_run, d);
	d->replan_timer = evtimer_new(d->base, replan, d);
	d->confirm_timer = evtimer_new(d->base, config_timer_run, d);
	if (!d->history_timer || !d->push_timer || !d->hops_timer || !d->replan_timer ||
		!d->confirm_timer)
		return -ENOMEM;
	config_arm(d);
	timer_arm(d->history_timer, HISTORY_STEP_MS);
	timer_arm(d->hops_timer, REPLAN_DELAY_MS);
	return 0;
}

/* Many health checks need many descriptors. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ret_what: the one that cannot be had. */
static int sockets_start(struct daemon *d, const char **ret_what)
{
	char path[PATH_MAX];
	struct rpc_settings watchers = { .path = rundir_path(&d->run, "control-ro.sock", path),
		.group = d->options.read_only_group,
		.read_only = true,
		.handler = methods_handle,
		.ctx = d };

	*ret_what = "control-ro.sock";
	int rc = rpc_server_start(d->base, &watchers, &d->watchers);

	if (rc)
		return rc;
	*ret_what = "control.sock";
	struct rpc_settings operators = { .path = d->options.socket ?
			d->options.socket :
			rundir_path(&d->run, "control.sock", path),
		.group = d->options.group,
		.handler = methods_handle,
		.ctx = d };

	return rpc_server_start(d->base, &operators, &d->server);
}

static int parts_start(struct daemon *d)
{
	const char *what = "event loop";
	int rc = -ENOMEM;

	d->base = event_base_new();
	if (!d->base || signals_follow(d) || timers_create(d))
		goto fail;
	if (events_start(d->base) || adaptation_start(d, &d->adaptation) ||
		policies_kernel_start(d))
		goto fail;
	if (metrics_begin(d))
		return -EADDRINUSE;
	probes_apply(d);
	stream_follow(d, NULL);
	what = "rtnetlink";
	rc = kernel_watch_start(d->base, kernel_changed, d, &d->kernel);
	if (rc)
		goto fail;
	host_addresses_init(&d->addresses, &d->run, d->kernel);
	what = "health checks";
	rc = pool_create(d->base, &d->run, daemon_push_soon, d, &d->pool);
	if (rc)
		goto fail;
	d->callbacks = (struct dataplane_callbacks){ .ctx = d,
		.connected = dataplane_connected,
		.lost = dataplane_lost,
		.absent = dataplane_absent,
		.event = dataplane_event,
		.settings = dataplane_settings };
	what = "data plane";
	rc = dataplane_start(d->base, &d->run, d->options.instance, d->options.spawn_dataplane,
		&d->callbacks, &d->dataplane);
	if (rc)
		goto fail;
	/* Last: who finds the socket finds everything else. */
	rc = sockets_start(d, &what);
	if (rc)
		goto fail;
	return 0;
fail:
	log_error("cannot start: %s: %s", what, strerror(-rc));
	return rc;
}

/* With the data plane of ours gone, nothing of it is to be left on the host. */
static void traces_remove(struct daemon *d)
{
	char path[PATH_MAX];

	host_addresses_prune(&d->addresses, NULL);
	startup_forget(d);
	/* A data plane that was killed could not do this; one that ended has done it. */
	rundir_path(&d->run, "bpf", path);
	umount2(path, MNT_DETACH);
	rmdir(path);
	rundir_unlink(&d->run, "dataplane.sock");
}

static void parts_end(struct daemon *d)
{
	struct event *timers[] = { d->history_timer, d->push_timer, d->hops_timer, d->replan_timer,
		d->confirm_timer, d->supervise_timer };

	policies_kernel_stop(d); /* it answers calls */
	traces_end(d);
	stream_end(d);
	events_stop();
	rpc_server_stop(d->server);
	rpc_server_stop(d->watchers);
	metrics_server_stop(d->metrics);
	adaptation_stop(d->adaptation);
	probes_stop(d->probes);
	dataplane_destroy(d->dataplane);
	pool_destroy(d->pool);
	serving_fini(&d->serving);
	host_addresses_fini(&d->addresses);
	kernel_watch_stop(d->kernel);
	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		if (timers[i])
			event_free(timers[i]);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	told_clear(&d->told);
	hops_fini(&d->hops);
	link_hold_fini(&d->links);
	history_clear(&d->history);
	json_decref(d->route_warnings);
	plan_ports_destroy(d->ports);
	model_destroy(d->model);
	free(d->text);
	json_decref(d->limits_set);
	policies_fini(d);
	free(d->file);
	revision_store_close(&d->revisions);
	if (d->base)
		event_base_free(d->base);
}

int daemon_run(const struct options *options)
{
	struct daemon d = { .options = *options, .started_ns = clock_now_ns() };
	char err[512];
	int status = 1;

	d.run.lock_fd = -1;
	TAILQ_INIT(&d.transactions);
	TAILQ_INIT(&d.waiters);
	descriptors_raise();
	if (startup_load(&d))
		goto out;
	if (rundir_open(options->instance, &d.run, err, sizeof(err))) {
		log_error("%s", err);
		goto out;
	}
	if (startup_continue(&d)) {
		log_error("out of memory");
		goto out;
	}
	if (parts_start(&d))
		goto out;
	if (supervise_start(&d)) {
		log_error("out of memory");
		goto out;
	}
	startup_note(&d);
	log_notice("weir-controld %s, instance %s, configuration %s", WEIR_VERSION,
		options->instance, d.file);
	event_base_dispatch(d.base);
	status = 0;
	if (options->spawn_dataplane)
		traces_remove(&d);
	log_notice("stopped");
out:
	parts_end(&d);
	/* One that could not start leaves the folder as it has found it. */
	if (d.run.lock_fd >= 0 && (options->spawn_dataplane || status))
		rundir_remove(&d.run);
	rundir_close(&d.run);
	return status;
}
