/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/command.h"
#include "control/cli/format.h"
#include "control/cli/pcapng.h"
#include "control/cli/printer.h"
#include "control/cli/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SNAPLEN_DEFAULT 1600 /* a whole frame of an MTU of 1500 */

/* A frame on its way to the file. */
struct frame {
	uint64_t time_ns;
	const json_t *record; /* borrowed */
	bool outbound;
};

struct capture {
	struct pcapng file;
	const char *path;
	uint64_t packets;
	uint64_t frames;
};

static const char *text(const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));
	return value != NULL ? value : "-";
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Bytes of a hexadecimal text, malloc'ed; NULL when out of memory. */
static uint8_t *bytes_of(const json_t *value, uint32_t *ret_count)
{
	const char *s = json_string_value(value);
	size_t count = s != NULL ? strlen(s) / 2 : 0;
	uint8_t *bytes = malloc(count + 1);
	for (size_t i = 0; bytes != NULL && i < count; i++)
		bytes[i] = (uint8_t)(digit(s[2 * i]) << 4 | digit(s[2 * i + 1]));
	*ret_count = (uint32_t)count;
	return bytes;
}

/* What became of a packet, in a line. */
static void comment_make(const json_t *r, char *buf, size_t size)
{
	const char *backend = json_string_value(json_object_get(r, "backend"));
	char stay[32];
	format_seconds(json_number_value(json_object_get(r, "residence")), stay, sizeof(stay));
	if (strcmp(text(r, "verdict"), "dropped") == 0)
		snprintf(buf, size, "%s: dropped in %s, %s, after %s", text(r, "service"),
			text(r, "stage"), text(r, "reason"), stay);
	else if (strcmp(text(r, "verdict"), "passed_to_kernel") == 0)
		snprintf(buf, size, "passed to the kernel");
	else
		snprintf(buf, size, "%s: transmitted by %s after %s%s%s", text(r, "service"),
			text(r, "port_out"), stay, backend != NULL ? ", backend " : "",
			backend != NULL ? backend : "");
}

static int frame_write(struct cli *cli, struct capture *c, const struct frame *f)
{
	char comment[256];
	uint32_t captured;
	uint8_t *data =
		bytes_of(json_object_get(f->record, f->outbound ? "left_frame" : "received_frame"),
			&captured);
	if (data == NULL)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	comment_make(f->record, comment, sizeof(comment));
	pcapng_frame(&c->file,
		&(struct pcapng_frame){
			.interface = text(f->record, f->outbound ? "port_out" : "port"),
			.time_ns = f->time_ns,
			.outbound = f->outbound,
			.comment = comment,
			.data = data,
			.captured = captured,
			.length =
				(uint32_t)number(f->record, f->outbound ? "left_length" : "length"),
		});
	free(data);
	c->frames++;
	return CLI_DONE;
}

static int came_earlier(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;
	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return (int)x->outbound - (int)y->outbound;
}

static int records_write(struct cli *cli, void *ctx, const json_t *records)
{
	struct capture *c = ctx;
	struct frame *frames = calloc(2 * json_array_size(records), sizeof(*frames));
	size_t count = 0, i;
	json_t *r;
	int status = CLI_DONE;
	if (frames == NULL)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	json_array_foreach(records, i, r)
	{
		uint64_t time_ns = number(r, "time_ns");
		frames[count++] = (struct frame){ .time_ns = time_ns, .record = r };
		if (strcmp(text(r, "verdict"), "transmitted") == 0)
			frames[count++] = (struct frame){ .record = r,
				.time_ns = time_ns + number(r, "residence_ns"),
				.outbound = true };
	}
	qsort(frames, count, sizeof(*frames), came_earlier);
	for (i = 0; status == CLI_DONE && i < count; i++)
		status = frame_write(cli, c, &frames[i]);
	c->packets += json_array_size(records);
	free(frames);
	if (status == CLI_DONE && fflush(c->file.file) != 0)
		status = cli_fail(cli, CLI_FAILED, "cannot write %s: %s", c->path, strerror(errno));
	return status;
}

static int capture_print(struct cli *cli, const struct capture *c, uint64_t lost)
{
	static const struct printer_column columns[] = {
		{ "file", "file", PRINT_TEXT },
		{ "packets", "packets", PRINT_TEXT },
		{ "frames", "frames", PRINT_TEXT },
		{ "packets lost", "lost", PRINT_TEXT },
	};
	json_t *document = json_pack("{s:s, s:I, s:I, s:I}", "file", c->path, "packets",
		(json_int_t)c->packets, "frames", (json_int_t)c->frames, "lost", (json_int_t)lost);
	int status = CLI_DONE;
	/* Standard output may be the capture itself. */
	if (strcmp(c->path, "-") == 0)
		fprintf(cli->err, "%llu packets, %llu lost\n", (unsigned long long)c->packets,
			(unsigned long long)lost);
	else if (!printer_json(cli, document))
		status = printer_record(cli, document, columns, PRINTER_COUNT(columns));
	json_decref(document);
	return status;
}

static int capture_run(struct cli *cli, struct trace_request *request, FILE *file)
{
	struct capture c = { .path = cli_value(cli, "write", 0) };
	uint64_t lost = 0;
	pcapng_begin(&c.file, file, (uint32_t)request->snaplen);
	if (request->port != NULL)
		pcapng_interface(&c.file, request->port);
	int status = trace_follow(cli, request, true, records_write, &c, &lost);
	if (status == CLI_DONE && (fflush(file) != 0 || ferror(file)))
		status = cli_fail(cli, CLI_FAILED, "cannot write %s: %s", c.path, strerror(errno));
	return status == CLI_DONE ? capture_print(cli, &c, lost) : status;
}

int command_capture(struct cli *cli)
{
	struct trace_request request;
	const char *path = cli_value(cli, "write", 0);
	int status = trace_request_read_target(cli, 0, &request);
	if (status != CLI_DONE)
		return status;
	if (request.snaplen == 0)
		request.snaplen = SNAPLEN_DEFAULT;
	FILE *file = strcmp(path, "-") == 0 ? cli->out : fopen(path, "we");
	if (file == NULL)
		status = cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
	else
		status = capture_run(cli, &request, file);
	if (file != NULL && file != cli->out && fclose(file) != 0 && status == CLI_DONE)
		status = cli_fail(cli, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
	trace_request_fini(&request);
	return status;
}
