/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Keep the data plane in step with health and neighbours: what differs from what it has been told goes
 * out as BACKENDS and NEIGHBOURS. Never while a CONFIG is under way, as both refer to the last one.
 */

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/events/events.h"
#include "control/daemon/log.h"

#include <event2/event.h>

#include <errno.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPDATE_TIMEOUT_MS 5000
#define HOPS_STEP_MS	  250
#define ASKS_MAX	  256 /* questions to the kernel in one go */
#define PUSH_REST	  4u /* times the cost of a look before the next one: a fifth of the time at most */
#define PUSH_REST_MAX_NS  UINT64_C(50000000)

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct rpc_call *call;
	char service[MODEL_NAME_MAX + 1];
	struct address address;
	uint16_t port;
};

/* An update failed: what the data plane knows is uncertain, so tell it everything. */
static void update_failed(struct daemon *d, int status, const char *text, size_t length)
{
	if (status == -ECONNRESET)
		return;
	log_warning("the data plane refused an update: %.*s", (int)length, text);
	if (status == -ETIMEDOUT) {
		dataplane_reconnect(d->dataplane);
		return;
	}
	told_clear(&d->told);
	daemon_sync(d);
}

static void backends_reply(void *ctx, int status, const void *body, size_t length)
{
	struct daemon *d = ctx;

	d->backends_open--;
	history_expire(&d->history);
	if (status) {
		waiters_fail(d, "the data plane does not answer; see `weirctl status`");
		update_failed(d, status, body, length);
		return;
	}
	/* What has changed meanwhile goes together in the next one; who waits is told behind that. */
	daemon_push_soon(d);
}

static void neighbours_reply(void *ctx, int status, const void *body, size_t length)
{
	if (status)
		update_failed(ctx, status, body, length);
}

static const struct model_service *service_find(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->service_count; i++)
		if (!strcmp(m->services[i].name, name))
			return &m->services[i];
	return NULL;
}

/* The told services are in the model's order, mostly. */
static const struct model_service *service_told(
	const struct model *m, const char *name, size_t guess)
{
	if (guess < m->service_count && !strcmp(m->services[guess].name, name))
		return &m->services[guess];
	return service_find(m, name);
}

/* of: as the model has it; NULL when it does not */
static uint8_t state_now(struct daemon *d, const struct weir_config_service *s,
	const struct weir_config_backend *b, const struct model_service *of)
{
	struct address a;

	memcpy(a.bytes, b->address, sizeof(a.bytes));
	if (of && b->fallback)
		return pool_fallback_state(d->pool, of, &a, b->port);
	return pool_state(d->pool, s->name, &a, b->port, of ? of->health.type : MODEL_HEALTH_NONE);
}

/* Less than configured while it starts slowly. */
static uint16_t weight_now(struct daemon *d, const struct model_service *of, uint32_t index,
	const struct weir_config_backend *b, uint64_t now)
{
	const struct model_backend *m =
		of && index < model_backend_total(of) ? model_backend_at(of, index) : NULL;

	if (!m || m->port != b->port || memcmp(m->address.bytes, b->address, 16) != 0)
		return b->weight;
	return pool_weight(d->pool, of->name, &m->address, m->port, m->weight, now);
}

void push_weights(struct daemon *d, const struct model *m, struct told *t)
{
	uint64_t now = clock_now_ns();

	for (uint32_t i = 0; i < t->header->service_count; i++) {
		struct weir_config_service *s = &t->services[i];
		const struct model_service *of = service_told(m, s->name, i);

		for (uint32_t j = 0; j < s->backend_count; j++) {
			struct weir_config_backend *b = &t->backends[s->first_backend + j];

			b->weight = weight_now(d, of, j, b, now);
		}
	}
}

static void backends_push(struct daemon *d)
{
	struct told *t = &d->told;
	uint64_t now = clock_now_ns();
	struct weir_backend_update *updates =
		calloc(t->header->backend_count + 1, sizeof(*updates));
	size_t count = 0;

	for (uint32_t i = 0; updates && i < t->header->service_count; i++) {
		const struct weir_config_service *s = &t->services[i];
		const struct model_service *of = service_told(d->model, s->name, i);

		for (uint32_t j = 0; j < s->backend_count; j++) {
			struct weir_config_backend *b = &t->backends[s->first_backend + j];
			uint8_t state = state_now(d, s, b, of);
			uint16_t weight = weight_now(d, of, j, b, now);

			if (state == b->state && weight == b->weight)
				continue;
			b->state = state;
			b->weight = weight;
			struct weir_backend_update *u = &updates[count++];

			memcpy(u->service, s->name, sizeof(u->service));
			memcpy(u->address, b->address, sizeof(u->address));
			u->port = b->port;
			u->weight = b->weight;
			u->state = state;
		}
	}
	if (count) {
		int rc = dataplane_request(d->dataplane, WEIR_MESSAGE_BACKENDS, updates,
			count * sizeof(*updates), UPDATE_TIMEOUT_MS, backends_reply, d);

		if (!rc)
			d->backends_open++;
		else
			update_failed(d, rc, strerror(-rc), strlen(strerror(-rc)));
	}
	free(updates);
}

static enum hop_sight hop_look(struct daemon *d, const struct weir_config_neighbour *n,
	uint32_t ifindex, uint8_t ret_mac[6], bool *ret_static)
{
	struct address a;

	memcpy(a.bytes, n->address, sizeof(a.bytes));
	if (world_link_address(d, d->model, &a, n->port, ret_mac, ret_static)) {
		if (*ret_static)
			return HOP_GOOD;
		return kernel_neighbour_find(d->kernel, ifindex, &a)->state & NUD_STALE ?
			HOP_STALE :
			HOP_GOOD;
	}
	const struct kernel_neighbour *k = kernel_neighbour_find(d->kernel, ifindex, &a);

	return k && (k->state & NUD_FAILED) ? HOP_FAILED : HOP_GONE;
}

/* What the data plane will be told of a next hop, and was told before. */
static void hop_emit(const struct daemon *d, const struct weir_config_neighbour *before,
	bool resolved, const uint8_t mac[6])
{
	char address[80], object[160], text[96], link[18];
	struct address a;

	/* 2: of an adopted data plane nobody knows; nothing needs to have changed. */
	if (before->resolved > 1)
		return;
	memcpy(a.bytes, before->address, sizeof(a.bytes));
	address_print(&a, address, sizeof(address));
	snprintf(object, sizeof(object), "%s %s", address, d->told.ports[before->port].name);
	snprintf(link, sizeof(link), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	if (!resolved)
		snprintf(text, sizeof(text), "is lost: nobody answers for it");
	else
		snprintf(text, sizeof(text), "%s %s",
			before->resolved ? "has moved to" : "is found at", link);
	event_emit(EVENT_NEXT_HOP, object, text,
		json_pack("{s:s, s:s, s:b, s:o}", "address", address, "port",
			d->told.ports[before->port].name, "resolved", (int)resolved, "mac",
			resolved ? json_string(link) : json_null()));
}

/* Decide about one next hop; returns true when the data plane has to hear of it. */
static bool hop_step(struct daemon *d, size_t index, uint64_t now, unsigned int *asks)
{
	struct weir_config_neighbour *n = &d->told.neighbours[index];
	uint32_t ifindex = world_port_ifindex(d, d->model, n->port);
	uint8_t mac[6] = { 0 };
	bool fixed;
	enum hop_sight sight = hop_look(d, n, ifindex, mac, &fixed);
	struct hop_verdict v = hop_decide(&d->hops.items[index], sight, n->resolved == 1, now);

	if (v.ask && !fixed && ifindex && *asks) {
		struct address a;

		memcpy(a.bytes, n->address, sizeof(a.bytes));
		kernel_neighbour_ask(d->kernel, ifindex, &a);
		(*asks)--;
	}
	if (v.keep_mac || (n->resolved == v.resolved && (!v.resolved || !memcmp(n->mac, mac, 6))))
		return false;
	hop_emit(d, n, v.resolved, mac);
	n->resolved = v.resolved;
	memcpy(n->mac, mac, sizeof(n->mac));
	return true;
}

static void neighbours_push(struct daemon *d)
{
	struct told *t = &d->told;
	uint64_t now = clock_now_ns();
	unsigned int asks = ASKS_MAX;
	size_t count = 0;

	if (d->hops.count != t->header->neighbour_count)
		return;
	struct weir_neighbour_update *updates = calloc(d->hops.count + 1, sizeof(*updates));

	for (size_t i = 0; updates && i < d->hops.count; i++) {
		if (!hop_step(d, i, now, &asks))
			continue;
		const struct weir_config_neighbour *n = &t->neighbours[i];
		struct weir_neighbour_update *u = &updates[count++];

		memcpy(u->address, n->address, sizeof(u->address));
		memcpy(u->mac, n->mac, sizeof(u->mac));
		u->port = n->port;
		u->resolved = n->resolved;
	}
	if (count) {
		int rc = dataplane_request(d->dataplane, WEIR_MESSAGE_NEIGHBOURS, updates,
			count * sizeof(*updates), UPDATE_TIMEOUT_MS, neighbours_reply, d);

		if (rc)
			update_failed(d, rc, strerror(-rc), strlen(strerror(-rc)));
	}
	free(updates);
}

uint64_t push_wait_ns(uint64_t pushed_ns, uint64_t cost_ns, uint64_t now_ns)
{
	uint64_t rest =
		cost_ns < PUSH_REST_MAX_NS / PUSH_REST ? PUSH_REST * cost_ns : PUSH_REST_MAX_NS;
	uint64_t due = pushed_ns + rest;

	return due > now_ns ? due - now_ns : 0;
}

void daemon_push(struct daemon *d)
{
	uint64_t began = clock_now_ns();

	if (d->stopping || d->busy || !d->told.body || !dataplane_client(d->dataplane))
		return;
	if (d->pool_ready) {
		/* One at a time: many changes make few messages, however fast they come. */
		if (!d->backends_open)
			backends_push(d);
		serving_follow(&d->serving, d->pool, d->model);
	}
	if (d->told.body && !d->busy)
		neighbours_push(d);
	d->pushed_ns = clock_now_ns();
	d->push_cost_ns = d->pushed_ns - began;
	waiters_check(d);
}

void daemon_push_soon(void *ctx)
{
	struct daemon *d = ctx;
	uint64_t wait = push_wait_ns(d->pushed_ns, d->push_cost_ns, clock_now_ns());
	struct timeval after = { .tv_usec = (suseconds_t)(wait / 1000) };

	if (!evtimer_pending(d->push_timer, NULL))
		evtimer_add(d->push_timer, &after);
}

void push_timer_run(int fd, short what, void *ctx)
{
	daemon_push(ctx);
}

/* Ports come and go with configurations and interfaces; a data plane that dies finds its links held. */
static void links_follow(struct daemon *d)
{
	uint32_t ifindex[WEIR_MAX_PORTS];
	size_t count = 0;

	for (size_t i = 0; i < d->model->port_count && count < WEIR_MAX_PORTS; i++)
		if (d->model->ports[i].kind == MODEL_DEVICE_INTERFACE)
			ifindex[count++] = world_port_ifindex(d, d->model, i);
	link_hold_follow(&d->links, port_link_owner(d->run.path), ifindex, count);
}

/* Time alone can make a next hop due: to be asked for again, or to be given up. */
void hops_timer_run(int fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	struct timeval step = clock_timeval_ms(HOPS_STEP_MS);

	daemon_push(d);
	links_follow(d);
	evtimer_add(d->hops_timer, &step);
}

void waiter_add(struct daemon *d, struct rpc_call *call, const char *service,
	const struct address *a, uint16_t port)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		rpc_call_error(call, RPC_REFUSED, NULL, "out of memory");
		return;
	}
	w->call = call;
	snprintf(w->service, sizeof(w->service), "%s", service);
	w->address = *a;
	w->port = port;
	TAILQ_INSERT_TAIL(&d->waiters, w, link);
	daemon_push(d);
}

/* Answer those who wait, when there is nothing more that the data plane has to hear. */
void waiters_check(struct daemon *d)
{
	struct waiter *w;

	if (d->busy || d->backends_open || evtimer_pending(d->push_timer, NULL))
		return;
	while ((w = TAILQ_FIRST(&d->waiters))) {
		TAILQ_REMOVE(&d->waiters, w, link);
		const struct model_service *s = service_find(d->model, w->service);

		if (s)
			rpc_call_result(w->call, backend_document(d, s, &w->address, w->port, 0));
		else
			rpc_call_error(w->call, RPC_REFUSED, NULL,
				"service %s has been removed meanwhile", w->service);
		free(w);
	}
}

void waiters_fail(struct daemon *d, const char *why)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&d->waiters))) {
		TAILQ_REMOVE(&d->waiters, w, link);
		rpc_call_error(w->call, RPC_DATAPLANE, NULL, "%s", why);
		free(w);
	}
}
