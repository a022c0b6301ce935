/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rpc/traces.h"

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/policy/policies_kernel.h"
#include "control/report/trace.h"
#include "ebpf/kernel/steering.h"

#include <event2/event.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_TIMEOUT_MS 5000
#define READ_DEFAULT	 256
#define PATIENCE_MORE_MS 500 /* until it has certainly ended */

/* A parameter that may be missing: a whole number from `least` to `most`. False: the call is answered. */
static bool number_param(struct rpc_call *call, const char *name, uint64_t least, uint64_t most,
	uint64_t otherwise, uint64_t *ret_value)
{
	json_t *value = json_object_get(rpc_call_params(call), name);
	json_int_t number = json_integer_value(value);

	*ret_value = otherwise;
	if (!value || json_is_null(value))
		return true;
	if (!json_is_integer(value) || number < (json_int_t)least || (uint64_t)number > most) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "%s: expected %llu..%llu", name,
			(unsigned long long)least, (unsigned long long)most);
		return false;
	}
	*ret_value = (uint64_t)number;
	return true;
}

/* A name that may be missing. */
static bool name_param(struct rpc_call *call, const char *name, char ret_name[WEIR_NAME_SIZE])
{
	json_t *value = json_object_get(rpc_call_params(call), name);
	const char *text = json_string_value(value);

	memset(ret_name, 0, WEIR_NAME_SIZE);
	if (!value || json_is_null(value))
		return true;
	if (!text || strlen(text) >= WEIR_NAME_SIZE) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "%s: expected a name", name);
		return false;
	}
	memcpy(ret_name, text, strlen(text));
	return true;
}

/* [code, jt, jf, k]; what the numbers mean is for the data plane to check. */
static bool instruction_read(json_t *item, struct weir_trace_instruction *ret_instruction)
{
	static const json_int_t most[] = { UINT16_MAX, UINT8_MAX, UINT8_MAX, UINT32_MAX };
	json_int_t part[4];

	if (json_array_size(item) != 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		json_t *number = json_array_get(item, i);

		part[i] = json_integer_value(number);
		if (!json_is_integer(number) || part[i] < 0 || part[i] > most[i])
			return false;
	}
	*ret_instruction = (struct weir_trace_instruction){ (uint16_t)part[0], (uint8_t)part[1],
		(uint8_t)part[2], (uint32_t)part[3] };
	return true;
}

static bool filter_param(struct rpc_call *call, struct weir_trace_start *start)
{
	json_t *list = json_object_get(rpc_call_params(call), "filter");
	void *behind = start + 1;
	struct weir_trace_instruction *to = behind;
	size_t count = json_array_size(list);
	bool good = !list || json_is_null(list) || json_is_array(list);

	good = good && count <= WEIR_TRACE_MAX_INSTRUCTIONS;
	for (size_t i = 0; good && i < count; i++)
		good = instruction_read(json_array_get(list, i), &to[i]);
	if (!good)
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"filter: expected at most %d instructions, each [code, jt, jf, k]",
			WEIR_TRACE_MAX_INSTRUCTIONS);
	start->instruction_count = (uint32_t)count;
	return good;
}

static bool start_read(struct rpc_call *call, struct weir_trace_start *start)
{
	uint64_t sample, snaplen;

	if (!name_param(call, "service", start->service) ||
		!name_param(call, "port", start->port) ||
		!number_param(call, "count", 0, INT64_MAX, 0, &start->count) ||
		!number_param(call, "sample", 1, UINT32_MAX, 1, &sample) ||
		!number_param(call, "snaplen", 0, WEIR_TRACE_MAX_SNAPLEN, 0, &snaplen) ||
		!filter_param(call, start))
		return false;
	start->sample = (uint32_t)sample;
	start->snaplen = (uint32_t)snaplen;
	if (start->service[0] || start->port[0])
		return true;
	rpc_call_error(call, RPC_INVALID_PARAMS, NULL, "service or port: expected one of them");
	return false;
}

/* A question to the data plane, until its answer. */
struct asked {
	struct daemon *d;
	struct rpc_call *call;
	enum weir_message_type type;
};

static bool covers(const struct traced *t, const char *service)
{
	return t->on && (!t->service[0] || !strcmp(t->service, service));
}

bool traces_has(const struct daemon *d, const char *service)
{
	return covers(&d->traces.asked, service) || covers(&d->traces.running, service);
}

/* The kernel's policies make way at once, and come back by and by. */
static void policies_follow(struct daemon *d)
{
	policies_kernel_sync(d, d->model, STEERING_F_REMOVE | STEERING_F_ADD);
}

static void ended(struct daemon *d)
{
	if (!d->traces.running.on)
		return;
	d->traces.running.on = false;
	if (d->traces.timer)
		evtimer_del(d->traces.timer);
	policies_follow(d);
}

static void patience_ends(evutil_socket_t fd, short what, void *ctx)
{
	ended(ctx);
}

/* The data plane ends a trace that nobody reads. */
static void patience_begins(struct daemon *d)
{
	struct timeval wait = clock_timeval_ms(WEIR_TRACE_PATIENCE_MS + PATIENCE_MORE_MS);

	if (!d->traces.timer)
		d->traces.timer = evtimer_new(d->base, patience_ends, d);
	if (d->traces.timer)
		evtimer_add(d->traces.timer, &wait);
}

/* It has been begun by an earlier daemon, of whatever service. */
static void found_running(struct daemon *d)
{
	d->traces.running = (struct traced){ .on = true };
	policies_follow(d);
}

void traces_end(struct daemon *d)
{
	if (d->traces.timer)
		event_free(d->traces.timer);
	d->traces.timer = NULL;
}

static void start_reply(void *ctx, int status, const void *body, size_t length)
{
	struct asked *asked = ctx;
	struct weir_trace_started started;
	struct traces *t = &asked->d->traces;

	if (!rpc_call_takes(asked->call, status, body, length, &started, sizeof(started))) {
		t->asked.on = false;
		policies_follow(asked->d);
	} else {
		t->running = t->asked;
		t->asked.on = false;
		patience_begins(asked->d);
		rpc_call_result(asked->call,
			json_pack("{s:I, s:I}", "session", (json_int_t)started.session, "slots",
				(json_int_t)started.slots));
	}
	free(asked);
}

/* What a batch says of the trace itself. */
static void batch_follow(const struct asked *asked, const void *body, size_t length)
{
	struct weir_trace_batch head = { 0 };

	if (length >= sizeof(head))
		memcpy(&head, body, sizeof(head));
	if (asked->type == WEIR_MESSAGE_TRACE_STOP || (head.flags & WEIR_TRACE_F_ENDED)) {
		ended(asked->d);
		return;
	}
	if (!asked->d->traces.running.on)
		found_running(asked->d);
	patience_begins(asked->d);
}

static void batch_reply(void *ctx, int status, const void *body, size_t length)
{
	struct asked *asked = ctx;
	struct rpc_call *call = asked->call;
	bool frames = json_is_true(json_object_get(rpc_call_params(call), "frames"));
	json_t *document = NULL;

	if (!status)
		batch_follow(asked, body, length);
	free(asked);
	if (rpc_call_failed(call, status, body, length))
		return;
	if (report_trace_batch(body, length, frames, &document) == -EPROTO) {
		rpc_call_error(call, RPC_DATAPLANE, NULL, "the data plane's answer makes no sense");
		return;
	}
	rpc_call_result(call, document);
}

/* Returns false when the call has been answered instead. */
static bool request(struct daemon *d, struct rpc_call *call, enum weir_message_type type,
	const void *body, size_t length, weir_reply_cb cb)
{
	struct asked *asked = malloc(sizeof(*asked));
	int rc = -ENOMEM;

	if (asked) {
		*asked = (struct asked){ d, call, type };
		rc = dataplane_request(
			d->dataplane, type, body, length, TRACE_TIMEOUT_MS, cb, asked);
	}
	if (!rc)
		return true;
	free(asked);
	rpc_call_no_dataplane(call);
	return false;
}

void traces_start(struct daemon *d, struct rpc_call *call)
{
	struct {
		struct weir_trace_start head;
		struct weir_trace_instruction filter[WEIR_TRACE_MAX_INSTRUCTIONS];
	} start = { 0 };

	if (!start_read(call, &start.head))
		return;
	d->traces.asked.on = true;
	memcpy(d->traces.asked.service, start.head.service, sizeof(start.head.service));
	policies_follow(d);
	if (request(d, call, WEIR_MESSAGE_TRACE_START, &start,
		    sizeof(start.head) + start.head.instruction_count * sizeof(start.filter[0]),
		    start_reply))
		return;
	d->traces.asked.on = false;
	policies_follow(d);
}

static void session_request(struct daemon *d, struct rpc_call *call, enum weir_message_type type)
{
	uint64_t session, limit;

	if (!number_param(call, "session", 0, UINT32_MAX, 0, &session) ||
		!number_param(call, "limit", 1, WEIR_TRACE_MAX_READ, READ_DEFAULT, &limit))
		return;
	const struct weir_trace_read read = { (uint32_t)session, (uint32_t)limit };

	(void)request(d, call, type, &read, sizeof(read), batch_reply);
}

void traces_read(struct daemon *d, struct rpc_call *call)
{
	session_request(d, call, WEIR_MESSAGE_TRACE_READ);
}

void traces_stop(struct daemon *d, struct rpc_call *call)
{
	session_request(d, call, WEIR_MESSAGE_TRACE_STOP);
}
