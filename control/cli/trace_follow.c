/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/rpc.h"
#include "control/cli/trace.h"

#include <signal.h>
#include <time.h>

#define READ_PAUSE_NS 50000000
#define READ_RECORDS  256

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

/* From here on a signal only ends the trace; before is for signals_restore(). */
static void signals_catch(struct sigaction before[2])
{
	const struct sigaction catch = { .sa_handler = on_signal };
	interrupted = 0;
	sigaction(SIGINT, &catch, &before[0]);
	sigaction(SIGTERM, &catch, &before[1]);
}

static void signals_restore(const struct sigaction before[2])
{
	sigaction(SIGINT, &before[0], NULL);
	sigaction(SIGTERM, &before[1], NULL);
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A trace that is on. */
struct follower {
	struct cli *cli;
	bool frames;
	trace_records_fn fn;
	void *ctx;
	json_int_t session;
	uint64_t slots; /* packets that can be waiting to be read, at most */
	uint64_t lost;
	size_t found; /* by the last reading */
	bool ended;
};

static int start(struct follower *f, const struct trace_request *r)
{
	json_t *params = json_pack("{s:s?, s:s?, s:O?, s:I, s:I, s:I}", "service", r->service,
		"port", r->port, "filter", r->filter, "count", (json_int_t)r->count, "sample",
		(json_int_t)r->sample, "snaplen", (json_int_t)r->snaplen);
	json_t *result;
	int status = rpc_call(f->cli, "trace.start", params, RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	f->session = json_integer_value(json_object_get(result, "session"));
	f->slots = (uint64_t)json_integer_value(json_object_get(result, "slots"));
	json_decref(result);
	return CLI_DONE;
}

static int read_once(struct follower *f)
{
	json_t *result;
	int status = rpc_call(f->cli, "trace.read",
		json_pack("{s:I, s:i, s:b}", "session", f->session, "limit", READ_RECORDS, "frames",
			f->frames),
		RPC_TIMEOUT_MS, &result);
	if (status != CLI_DONE)
		return status;
	const json_t *records = json_object_get(result, "records");
	f->lost = (uint64_t)json_integer_value(json_object_get(result, "lost"));
	f->found = json_array_size(records);
	f->ended = json_is_true(json_object_get(result, "ended"));
	if (f->found > 0)
		status = f->fn(f->cli, f->ctx, records);
	json_decref(result);
	return status;
}

static int read_until(struct follower *f, double end)
{
	int status = CLI_DONE;
	while (status == CLI_DONE && !f->ended && !interrupted && (end == 0 || now_s() < end)) {
		status = read_once(f);
		if (status == CLI_DONE && !f->ended && f->found < READ_RECORDS)
			nanosleep(&(struct timespec){ .tv_nsec = READ_PAUSE_NS }, NULL);
	}
	return status;
}

/* What waits is of before the end; what comes meanwhile is not, and under load never stops. */
static int read_rest(struct follower *f)
{
	int status = CLI_DONE;
	f->found = READ_RECORDS;
	for (uint64_t left = f->slots;
		status == CLI_DONE && !f->ended && left > 0 && f->found == READ_RECORDS;
		left -= left < f->found ? left : f->found)
		status = read_once(f);
	return status;
}

int trace_follow(struct cli *cli, const struct trace_request *r, bool frames, trace_records_fn fn,
	void *ctx, uint64_t *ret_lost)
{
	struct follower f = { .cli = cli, .frames = frames, .fn = fn, .ctx = ctx };
	struct sigaction before[2];
	json_t *result;
	int status = start(&f, r);
	if (status != CLI_DONE)
		return status;
	signals_catch(before);
	status = read_until(&f, r->for_s > 0 ? now_s() + r->for_s : 0);
	if (status == CLI_DONE)
		status = read_rest(&f);
	if (status == CLI_DONE &&
		rpc_call(cli, "trace.stop", json_pack("{s:I}", "session", f.session),
			RPC_TIMEOUT_MS, &result) == CLI_DONE)
		json_decref(result);
	signals_restore(before);
	*ret_lost = f.lost;
	return status;
}
