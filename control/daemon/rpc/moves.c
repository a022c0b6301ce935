/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/rpc/moves.h"

#include "control/config/buckets.h"
#include "control/daemon/daemon.h"

#include <assert.h>
#include <string.h>

#define MOVE_TIMEOUT_MS 5000
#define CPU_MAX		65535

static_assert(BUCKETS_COUNT == WEIR_BUCKETS, "what is read fits into the message");

static void move_reply(void *ctx, int status, const void *body, size_t length)
{
	struct rpc_call *call = ctx;
	struct weir_core_moving r;

	if (!rpc_call_takes(call, status, body, length, &r, sizeof(r)))
		return;
	rpc_call_result(call,
		json_pack("{s:I, s:b}", "buckets", (json_int_t)r.buckets, "done", r.done != 0));
}

static bool cpu_read(struct rpc_call *call, const char *name, uint32_t *ret_cpu)
{
	json_t *value = json_object_get(rpc_call_params(call), name);
	json_int_t cpu = json_integer_value(value);

	*ret_cpu = (uint32_t)cpu;
	if (json_is_integer(value) && cpu >= 0 && cpu <= CPU_MAX)
		return true;
	rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
		"%s: expected a CPU as `weirctl core list` shows them", name);
	return false;
}

static bool buckets_read(struct rpc_call *call, struct weir_core_move *m)
{
	json_t *value = json_object_get(rpc_call_params(call), "buckets");

	if (!value || json_is_null(value)) {
		m->flags = WEIR_CORE_MOVE_F_ALL;
		return true;
	}
	if (json_is_string(value) && buckets_parse(json_string_value(value), m->buckets))
		return true;
	rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
		"buckets: expected numbers 0..%u and ranges, such as 0-127,200", BUCKETS_COUNT - 1);
	return false;
}

void moves_start(struct daemon *d, struct rpc_call *call, const struct model_service *s)
{
	struct weir_core_move m = { .flags = 0 };

	if (!cpu_read(call, "from", &m.from_cpu) || !cpu_read(call, "to", &m.to_cpu) ||
		!buckets_read(call, &m))
		return;
	if (m.from_cpu == m.to_cpu) {
		rpc_call_error(call, RPC_INVALID_PARAMS, NULL,
			"from CPU %u to CPU %u is no way: name two", m.from_cpu, m.to_cpu);
		return;
	}
	memcpy(m.service, s->name, sizeof(m.service));
	if (dataplane_request(d->dataplane, WEIR_MESSAGE_CORE_MOVE, &m, sizeof(m), MOVE_TIMEOUT_MS,
		    move_reply, call))
		rpc_call_no_dataplane(call);
}
