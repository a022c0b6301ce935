/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/requests.h"

#include "dataplane/api/stream.h"
#include "dataplane/api/validate.h"
#include "dataplane/core/arena.h"
#include "dataplane/core/fastpath.h"
#include "dataplane/port/registry.h"
#include "dataplane/process/flow_store.h"
#include "dataplane/process/placement.h"
#include "dataplane/process/process.h"
#include "dataplane/process/replay.h"
#include "dataplane/process/requests_move.h"
#include "dataplane/process/requests_policy.h"
#include "dataplane/process/requests_trace.h"
#include "dataplane/process/steering.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int hello(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	struct weir_hello hello;
	struct weir_hello_reply *reply;

	if (length < sizeof(hello)) {
		snprintf(r->text, sizeof(r->text), "HELLO of %zu bytes, expected %zu", length,
			sizeof(hello));
		return -EINVAL;
	}
	memcpy(&hello, body, sizeof(hello));
	if (hello.version_min > WEIR_PROTOCOL_VERSION ||
		hello.version_max < WEIR_PROTOCOL_VERSION) {
		snprintf(r->text, sizeof(r->text),
			"protocol %u to %u, but this data plane speaks %u", hello.version_min,
			hello.version_max, WEIR_PROTOCOL_VERSION);
		return -EPROTO;
	}
	reply = calloc(1, sizeof(*reply));
	if (!reply)
		return -ENOMEM;
	reply->version = WEIR_PROTOCOL_VERSION;
	reply->pid = (uint32_t)getpid();
	memcpy(reply->instance, p->arguments.instance, sizeof(reply->instance));
	reply->telemetry_size = p->telemetry->size;
	reply->generation = p->telemetry->generation;
	reply->config_digest = p->telemetry->config_digest;
	reply->idle = (uint8_t)p->arguments.idle;
	reply->hugepages = p->hugepages;
	reply->early_drops_only_here = p->arguments.early_drops_only_here;
	reply->memory_bytes = p->memory_bytes;
	memcpy(reply->cores, p->cores_text, sizeof(reply->cores));
	r->body = reply;
	r->length = sizeof(*reply);
	r->pass_fd = arena_fd(p->arena);
	r->is_hello = true;
	return 0;
}

/* A core that does not answer may be at work with a port that is no more wanted. */
static int ports_may_close(
	const struct process *p, struct port *const *ports, char *err, size_t err_size)
{
	if (!fastpath_ports_are_held(p->fastpath))
		return 0;
	for (uint32_t i = 0; i < p->port_count; i++) {
		bool stays = !p->port[i];

		for (uint32_t k = 0; k < WEIR_MAX_PORTS; k++)
			stays |= ports[k] == p->port[i];
		if (stays)
			continue;
		snprintf(err, err_size,
			"port %s cannot be closed while a CPU does not answer, which may be using it: "
			"`weirctl core list`",
			p->telemetry->port[p->port[i]->index].name);
		return -EBUSY;
	}
	return 0;
}

static int config_apply(
	struct process *p, const void *body, size_t length, char *err, size_t err_size)
{
	struct weir_config_view view;
	struct port *ports[WEIR_MAX_PORTS] = { 0 };

	weir_config_view(body, &view);
	int rc = port_registry_prepare(p->ports, &view, ports, err, err_size);
	if (rc < 0)
		return rc;
	rc = ports_may_close(p, ports, err, err_size);
	if (rc == 0)
		rc = fastpath_apply(p->fastpath, body, length, ports, err, err_size);
	if (rc < 0) {
		port_registry_rollback(p->ports);
		return rc;
	}
	port_registry_commit(p->ports);
	flow_store_sweep(p->flow_store);
	placement_check(p);
	memcpy(p->port, ports, sizeof(ports));
	p->port_count = view.header->port_count;
	return 0;
}

static int config(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	int rc = weir_config_validate(body, length, r->text, sizeof(r->text));

	if (rc < 0)
		return rc;
	void *copy = malloc(length);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, body, length);
	rc = config_apply(p, body, length, r->text, sizeof(r->text));
	if (rc < 0) {
		free(copy);
		return rc;
	}
	/* Here and not with every generation: a port that comes back must not take what is staged for the next. */
	fastpath_policy_forget(p->fastpath, FASTPATH_ANY_CLIENT);
	free(p->config);
	p->config = copy;
	p->config_length = length;
	steering_set(p);
	return 0;
}

void requests_revive_ports(struct process *p)
{
	char err[256] = "";

	/* Not while a core may be using what the port was before. */
	if (!p->config || fastpath_ports_are_held(p->fastpath) ||
		!port_registry_has_returned(p->ports))
		return;
	if (config_apply(p, p->config, p->config_length, err, sizeof(err)) < 0)
		process_event(p, WEIR_EVENT_WARNING, "ports", err);
	else
		steering_set(p);
}

/* The copy of the configuration follows what came after it, so that applying it again takes nothing back. */
static void copy_update_backend(const struct process *p, const struct weir_backend_update *u)
{
	const struct weir_config *h = p->config;
	struct weir_config_view v;

	weir_config_view(p->config, &v);
	for (uint32_t i = 0; i < h->service_count; i++) {
		const struct weir_config_service *s = &v.services[i];

		if (strcmp(s->name, u->service) != 0)
			continue;
		for (uint32_t k = 0; k < s->backend_count; k++) {
			size_t at = (size_t)((const char *)&v.backends[s->first_backend + k] -
				(const char *)p->config);
			struct weir_config_backend *b = (void *)((char *)p->config + at);

			if (b->port == u->port && memcmp(b->address, u->address, 16) == 0) {
				b->state = u->state;
				b->weight = u->weight;
			}
		}
	}
}

static void copy_update_neighbour(const struct process *p, const struct weir_neighbour_update *u)
{
	struct weir_config_view v;

	weir_config_view(p->config, &v);
	size_t at = (size_t)((const char *)v.neighbours - (const char *)p->config);
	struct weir_config_neighbour *n = (void *)((char *)p->config + at);
	for (uint32_t i = 0; i < v.header->neighbour_count; i++)
		if (n[i].port == u->port && memcmp(n[i].address, u->address, 16) == 0) {
			memcpy(n[i].mac, u->mac, sizeof(n[i].mac));
			n[i].resolved = u->resolved;
		}
}

static int backends(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	const struct weir_backend_update *updates = body;
	uint32_t count = (uint32_t)(length / sizeof(*updates));
	int rc = weir_backend_updates_validate(body, length, r->text, sizeof(r->text));

	if (rc == 0)
		rc = fastpath_update_backends(
			p->fastpath, updates, count, r->text, sizeof(r->text));
	for (uint32_t i = 0; rc == 0 && p->config && i < count; i++)
		copy_update_backend(p, &updates[i]);
	return rc;
}

static int neighbours(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	const struct weir_neighbour_update *updates = body;
	uint32_t count = (uint32_t)(length / sizeof(*updates));
	int rc = weir_neighbour_updates_validate(body, length, r->text, sizeof(r->text));

	if (rc == 0)
		rc = fastpath_update_neighbours(
			p->fastpath, updates, count, r->text, sizeof(r->text));
	for (uint32_t i = 0; rc == 0 && p->config && i < count; i++)
		copy_update_neighbour(p, &updates[i]);
	return rc;
}

static int directives(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	int rc = weir_directives_validate(body, length, r->text, sizeof(r->text));

	return rc ? rc :
		    fastpath_direct(p->fastpath, body, process_now_ns(), r->text, sizeof(r->text));
}

static int flow_list(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	const struct weir_flow_query *query = body;
	int rc = weir_flow_query_validate(body, length, r->text, sizeof(r->text));

	if (rc < 0)
		return rc;
	if (!query->service[0] || !query->limit) {
		snprintf(r->text, sizeof(r->text), "a flow list needs a service and a limit");
		return -EINVAL;
	}
	struct weir_flow_record *records = calloc(query->limit, sizeof(*records));
	uint32_t count = 0;
	if (!records)
		return -ENOMEM;
	rc = fastpath_flow_list(p->fastpath, query, records, &count, r->text, sizeof(r->text));
	if (rc < 0) {
		free(records);
		return rc;
	}
	r->body = records;
	r->length = count * sizeof(*records);
	return 0;
}

static int flow_find(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	const struct weir_flow_query *query = body;
	int rc = weir_flow_query_validate(body, length, r->text, sizeof(r->text));

	if (rc < 0)
		return rc;
	if (!query->protocol) {
		snprintf(
			r->text, sizeof(r->text), "a flow is found by protocol, and there is none");
		return -EINVAL;
	}
	struct weir_flow_record *record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	rc = fastpath_flow_find(p->fastpath, query, record, r->text, sizeof(r->text));
	if (rc < 0) {
		free(record);
		return rc;
	}
	r->body = record;
	r->length = sizeof(*record);
	return 0;
}

static int run(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	if (!p->arguments.replay) {
		snprintf(r->text, sizeof(r->text), "RUN is for replay");
		return -EOPNOTSUPP;
	}
	return replay_run(p, r->text, sizeof(r->text));
}

static int stop(struct process *p, const void *body, size_t length, struct request_reply *r)
{
	/* Nothing ends because of what was meant to be something else. */
	if (length > 0) {
		snprintf(r->text, sizeof(r->text), "STOP has no body, not %zu bytes", length);
		return -EINVAL;
	}
	p->stopping = true;
	return 0;
}

void requests_client_gone(struct process *p, uint32_t client)
{
	if (p->fastpath)
		fastpath_policy_forget(p->fastpath, client);
}

void request_handle(struct process *p, const struct weir_stream_message *m, uint32_t client,
	struct request_reply *ret_reply)
{
	static int (*const handlers[])(
		struct process *, const void *, size_t, struct request_reply *) = {
		[WEIR_MESSAGE_HELLO] = hello,
		[WEIR_MESSAGE_CONFIG] = config,
		[WEIR_MESSAGE_BACKENDS] = backends,
		[WEIR_MESSAGE_NEIGHBOURS] = neighbours,
		[WEIR_MESSAGE_DIRECTIVES] = directives,
		[WEIR_MESSAGE_CORE_MOVE] = request_core_move,
		[WEIR_MESSAGE_FLOW_LIST] = flow_list,
		[WEIR_MESSAGE_FLOW_FIND] = flow_find,
		[WEIR_MESSAGE_RUN] = run,
		[WEIR_MESSAGE_STOP] = stop,
		[WEIR_MESSAGE_POLICY_MAP] = request_policy_map,
		[WEIR_MESSAGE_TRACE_START] = request_trace_start,
		[WEIR_MESSAGE_TRACE_READ] = request_trace_read,
		[WEIR_MESSAGE_TRACE_STOP] = request_trace_stop,
	};

	const uint16_t type = m->header.type;

	memset(ret_reply, 0, sizeof(*ret_reply));
	ret_reply->pass_fd = -1;
	if (type == WEIR_MESSAGE_POLICY_STAGE) {
		ret_reply->status = request_policy_stage(p, m, client, ret_reply);
	} else if (type < sizeof(handlers) / sizeof(handlers[0]) && handlers[type]) {
		ret_reply->status = handlers[type](p, m->body, m->header.length, ret_reply);
	} else {
		snprintf(ret_reply->text, sizeof(ret_reply->text), "unknown message type %u", type);
		ret_reply->status = -EOPNOTSUPP;
		return;
	}
	if (ret_reply->status && !ret_reply->text[0])
		snprintf(ret_reply->text, sizeof(ret_reply->text), "%s",
			strerror(-ret_reply->status));
}
