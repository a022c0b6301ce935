/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The daemon as a whole: what the files of this folder share. One thread runs its event loop, and owns
 * everything here.
 *
 *   operator -> rpc_server -> methods -> transactions -> dataplane (CONFIG), host_addresses, steer
 *   health checks -> pool  \
 *   kernel events -> hops  --> push -> dataplane (BACKENDS, NEIGHBOURS)
 */

#ifndef WEIR_DAEMON_DAEMON_H
#define WEIR_DAEMON_DAEMON_H

#include "control/daemon/adaptation/adaptation.h"
#include "control/daemon/dataplane/dataplane.h"
#include "control/daemon/dataplane/gaps.h"
#include "control/daemon/dataplane/hops.h"
#include "control/daemon/dataplane/host_addresses.h"
#include "control/daemon/dataplane/link_hold.h"
#include "control/daemon/dataplane/told.h"
#include "control/daemon/history.h"
#include "control/daemon/options.h"
#include "control/daemon/policy/policies.h"
#include "control/daemon/pool.h"
#include "control/daemon/revision/config_history.h"
#include "control/daemon/revision/revision_store.h"
#include "control/daemon/rpc/rpc_server.h"
#include "control/daemon/rpc/traces.h"
#include "control/daemon/rundir.h"
#include "control/daemon/serving.h"
#include "control/export/metrics_server.h"
#include "control/kernel/kernel_watch.h"
#include "control/plan/plan.h"

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct transaction;
struct waiter;

struct daemon {
	struct options options;
	struct rundir run;
	struct event_base *base; /* owned */
	struct event *signals[3]; /* owned */
	uint64_t started_ns;
	struct event *supervise_timer; /* owned; NULL: nobody supervises */
	bool ready_told;
	bool stopping;

	struct kernel_watch *kernel; /* owned */
	struct host_addresses addresses;
	struct pool *pool; /* owned */
	struct dataplane_callbacks callbacks;
	struct dataplane *dataplane; /* owned */
	struct rpc_server *server; /* owned; control.sock */
	struct rpc_server *watchers; /* owned; control-ro.sock */
	struct metrics_server *metrics; /* owned; NULL: none configured */
	struct stream *stream; /* owned; NULL: none configured */
	struct event *summary_timer; /* owned; of the stream */
	struct probes *probes; /* owned; NULL: none configured */
	char probes_error[512]; /* why none are heard; "": they are, or none are configured */
	struct adaptation *adaptation; /* owned */
	struct history history;
	struct event *history_timer; /* owned */
	struct gap_watch gaps;
	struct traces traces;

	/* The configuration in force. */
	struct model *model; /* owned */
	char *text; /* owned; what it was read from */
	size_t text_length;
	char *file; /* owned; where the operator had it */
	double applied_at; /* seconds since 1970 */
	json_t *limits_set; /* owned; limits_set.h: what the model has and the text has not */
	struct policies policies;
	uint64_t start_mark; /* of the content of --config when it came into force */
	struct revision_store revisions; /* the newest is the one in force, or about to be */
	struct config_change start; /* why it began with what it has; `of` 0: with the file */
	struct event *confirm_timer; /* owned; go back unless it is confirmed */
	bool going_back; /* that is under way */
	struct plan_ports *ports; /* owned */
	struct serving serving; /* who serves each service, as it was said last */
	bool pool_ready; /* the pool follows the model; not before we know whom we adopt */

	/* The data plane's knowledge. */
	struct told told;
	uint64_t adopted_digest; /* of a data plane that was told by another daemon; 0: of nobody */
	bool in_step; /* addresses, steering and CONFIG are as the model says */
	char refusal[512]; /* why CONFIG failed last; "": it did not */
	struct hops hops;
	struct link_hold links; /* of the ports' XDP programs */
	json_t *route_warnings; /* owned; of the last plan */
	uint64_t kernel_ns; /* when the kernel told of what has not been planned with; 0: never */
	uint64_t sync_cost_ns; /* how long the last plan took to be in force */
	unsigned int backends_open; /* BACKENDS messages without an answer */
	struct event *push_timer; /* owned; send what differs */
	uint64_t pushed_ns; /* when that was looked for last, */
	uint64_t push_cost_ns; /* and how long it took */
	struct event *hops_timer; /* owned; look after neighbours */
	struct event *replan_timer; /* owned; routes, links or addresses have changed */

	TAILQ_HEAD(, transaction) transactions; /* the first is under way when `busy` */
	bool busy;
	TAILQ_HEAD(, waiter) waiters; /* drain and enable, until the data plane has it */
};

/* transaction*.c: configurations, one after another. */

/* Apply a text because of c; answers call, or logs when call is NULL. Everything is copied. */
void daemon_apply(struct daemon *d, const char *file, const char *text, size_t length,
	const struct config_change *c, struct rpc_call *call);
/* Set a limit of a service; answers call with what `limit show` shows. */
void daemon_set_limit(struct daemon *d, const char *service, const char *key, const char *value,
	struct rpc_call *call);
/* Load or unload a policy (policies_set.h); takes change, and answers call with what `policy show` shows. */
void daemon_set_policy(struct daemon *d, json_t *change, struct rpc_call *call);
/* Bring the data plane, addresses and steering in step with the configuration in force. */
void daemon_sync(struct daemon *d);
/* A data plane has connected: go on with what waited for that. */
void transactions_resume(struct daemon *d);
/* At the end: refuse what has not been done. */
void transactions_drop(struct daemon *d);

/* metrics_listen.c: where the exporter listens. Both return 0 or -errno. */

/* As the configuration in force says, at the start; a failure has been logged. */
int metrics_begin(struct daemon *d);
/*
 * As m says, before anything else is touched. ret_changed: ret_server (NULL: none) is to take the place of
 * the one in force; on errors a sentence is in err.
 */
int metrics_prepare(struct daemon *d, const struct model *m, struct metrics_server **ret_server,
	bool *ret_changed, char *err, size_t err_size);

/* probes_feed.c: what weir-probe of backend hosts tells. A failure is logged, and shown by `status`. */

/* As the configuration in force says; before the model before is gone. */
void probes_apply(struct daemon *d);
json_t *probes_document(const struct daemon *d); /* null when none are configured */
void probes_warn(const struct daemon *d, json_t *list);

/* stream_feed.c: the events and figures that go to Kafka. A failure is logged, and shown by `status`. */

/* As the configuration in force says; before: the one until now, NULL: none. */
void stream_follow(struct daemon *d, const struct model *before);
/* At the end of the daemon: what waits has half a second. */
void stream_end(struct daemon *d);
json_t *stream_document(struct daemon *d); /* null when there is none */
void stream_warn(struct daemon *d, json_t *list);

/* explain.c: answers the call, with what was decided about a service, and what became of its policies. */
void explain_answer(struct daemon *d, struct rpc_call *call, const struct model_service *s);

/* startup.c */

/* {errors: ["FILE:LINE:COLUMN: text", ...]}; NULL when out of memory. */
json_t *config_errors_document(const char *file, const struct model_errors *e);
/* Remember the port blocks in use for the daemon after this one. */
void daemon_save(struct daemon *d);

/* push.c: BACKENDS and NEIGHBOURS. */

void daemon_push(struct daemon *d);
/* Put the weights that are in force now into what is about to be told; m: what it was planned from. */
void push_weights(struct daemon *d, const struct model *m, struct told *t);
void daemon_push_soon(void *ctx); /* ctx: the daemon; from the loop: push_wait_ns() */
/*
 * When to look for differences again, from now: at once, but where there are many backends and looking is dear, only
 * after some times what the last look has cost, so that a swarm of changes leaves time for checks. In ns.
 */
uint64_t push_wait_ns(uint64_t pushed_ns, uint64_t cost_ns, uint64_t now_ns);
void hops_timer_run(int fd, short what, void *ctx);
void push_timer_run(int fd, short what, void *ctx);
/* Answer call with the backend's entry once the data plane has what was changed. */
void waiter_add(struct daemon *d, struct rpc_call *call, const char *service,
	const struct address *a, uint16_t port);
void waiters_check(struct daemon *d);
void waiters_fail(struct daemon *d, const char *why);

/* world.c: the plan in the light of routes, neighbours and health. */

/*
 * ret_warnings  a list of texts; a new reference
 * Otherwise as plan_build(); the digest in ret_body is that of told_digest().
 */
int world_plan(struct daemon *d, const struct model *m, struct plan_ports *ports, void **ret_body,
	size_t *ret_length, json_t **ret_warnings, char *err, size_t err_size);
/* Link address of a next hop now; also whether it is a matter of configuration only. */
bool world_link_address(struct daemon *d, const struct model *m, const struct address *via,
	size_t port_index, uint8_t ret_mac[6], bool *ret_static);
/* Interface of a port; 0 when there is none now. */
uint32_t world_port_ifindex(struct daemon *d, const struct model *m, size_t port_index);

/* methods.c, status.c: the answers. */

void methods_handle(void *ctx, struct rpc_call *call);
/*
 * The newest snapshot, at most max_age_ms old; NULL without a data plane. Borrowed, until somebody asks for one
 * again: who makes a document of it hands it on to the makers of its parts.
 */
const struct snapshot *daemon_snapshot(struct daemon *d, unsigned int max_age_ms);
json_t *status_document(struct daemon *d);
/* Parts of it: {state, pid, ...} and the list of warnings; now may be NULL. */
json_t *status_dataplane(struct daemon *d, const struct snapshot *now);
json_t *status_warnings(struct daemon *d, const struct snapshot *now);
/* The backend's entry of `backend list`; NULL when out of memory. */
json_t *backend_document(struct daemon *d, const struct model_service *s, const struct address *a,
	uint16_t port, unsigned int max_age_ms);
/* Of a service, or of all; NULL without a snapshot. */
json_t *backends_document(
	struct daemon *d, const struct snapshot *now, const struct model_service *s);

/* live.c: for `weirctl top`. Both answer the call. */

void live_show(struct daemon *d, struct rpc_call *call);
/* b: a backend of s, or NULL for all. */
void histogram_show(struct daemon *d, struct rpc_call *call, const struct model_service *s,
	const struct model_backend *b);

/* daemon.c */

/* Run to the end. Returns the exit status. */
int daemon_run(const struct options *options);
/* Render the metrics; ctx: the daemon. For metrics_server.h. */
void daemon_metrics(void *ctx, struct evbuffer *out);

#endif
