/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/replay.h"
#include "control/cli/trace.h"
#include "control/report/trace.h"
#include "dataplane/api/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_TIMEOUT_MS 10000
#define TRACE_RECORDS	 10 /* unless --count says otherwise */

/* TRACE_START's body, malloc'ed. */
static void *start_make(const struct trace_request *r, size_t *ret_length)
{
	size_t count = json_array_size(r->filter);
	size_t length =
		sizeof(struct weir_trace_start) + count * sizeof(struct weir_trace_instruction);
	struct weir_trace_start *start = calloc(1, length);
	if (start == NULL)
		return NULL;
	void *behind = start + 1;
	struct weir_trace_instruction *to = behind;
	if (strlen(r->service) < sizeof(start->service))
		memcpy(start->service, r->service, strlen(r->service));
	start->count = r->count;
	start->sample = (uint32_t)r->sample;
	start->instruction_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		json_t *part = json_array_get(r->filter, i);
		to[i] = (struct weir_trace_instruction){
			(uint16_t)json_integer_value(json_array_get(part, 0)),
			(uint8_t)json_integer_value(json_array_get(part, 1)),
			(uint8_t)json_integer_value(json_array_get(part, 2)),
			(uint32_t)json_integer_value(json_array_get(part, 3)),
		};
	}
	*ret_length = length;
	return start;
}

int replay_trace_read(struct cli *cli, struct replay_trace *t)
{
	const char *service = cli_value(cli, "trace", 0);
	*t = (struct replay_trace){ .wanted = service != NULL };
	if (service != NULL)
		return trace_request_read(cli, service, NULL, TRACE_RECORDS, &t->request);
	if (cli_value(cli, "match", 0) != NULL || cli_value(cli, "count", 0) != NULL)
		return cli_fail(cli, CLI_USAGE, "--match and --count are for --trace");
	return CLI_DONE;
}

static int refused(struct cli *cli, int err, const char *text)
{
	return cli_fail(cli, CLI_FAILED, "cannot trace: %s", text != NULL ? text : strerror(-err));
}

int replay_trace_start(struct cli *cli, struct weir_client *client, struct replay_trace *t)
{
	size_t length, reply_length = 0;
	struct weir_trace_started *started = NULL;
	void *reply = NULL;
	if (!t->wanted)
		return CLI_DONE;
	void *start = start_make(&t->request, &length);
	int err = start != NULL ? weir_client_call(client, WEIR_MESSAGE_TRACE_START, start, length,
					  TRACE_TIMEOUT_MS, &reply, &reply_length) :
				  -ENOMEM;
	free(start);
	int status = err != 0 ? refused(cli, err, reply) : CLI_DONE;
	if (status == CLI_DONE && reply_length < sizeof(*started))
		status = refused(cli, -EPROTO, NULL);
	if (status == CLI_DONE) {
		started = reply;
		t->session = started->session;
	}
	free(reply);
	return status;
}

/* One reading, added to t->records. */
static int batch_take(
	struct cli *cli, struct weir_client *client, struct replay_trace *t, size_t *ret_count)
{
	const struct weir_trace_read read = { t->session, WEIR_TRACE_MAX_READ };
	void *reply = NULL;
	size_t length = 0;
	json_t *batch = NULL;
	int err = weir_client_call(client, WEIR_MESSAGE_TRACE_READ, &read, sizeof(read),
		TRACE_TIMEOUT_MS, &reply, &length);
	if (err == 0)
		err = report_trace_batch(reply, length, false, &batch);
	int status = err != 0 ? refused(cli, err, NULL) : CLI_DONE;
	const json_t *records = json_object_get(batch, "records");
	*ret_count = json_array_size(records);
	/* jansson only reads the second one. */
	if (status == CLI_DONE)
		json_array_extend(t->records, json_object_get(batch, "records"));
	t->lost = (uint64_t)json_integer_value(json_object_get(batch, "lost"));
	json_decref(batch);
	free(reply);
	return status;
}

int replay_trace_take(struct cli *cli, struct weir_client *client, struct replay_trace *t)
{
	size_t count = 1;
	int status = CLI_DONE;
	if (!t->wanted)
		return CLI_DONE;
	t->records = json_array();
	while (status == CLI_DONE && count > 0)
		status = batch_take(cli, client, t, &count);
	if (t->lost > 0)
		fprintf(cli->err,
			"%llu more packets could not be followed; --match chooses fewer\n",
			(unsigned long long)t->lost);
	return status;
}

void replay_trace_print(struct cli *cli, const struct replay_trace *t)
{
	size_t i;
	const json_t *record;
	json_array_foreach(t->records, i, record)
	{
		trace_print(cli->out, record);
	}
}

void replay_trace_fini(struct replay_trace *t)
{
	json_decref(t->records);
	trace_request_fini(&t->request);
}
