/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/format.h"
#include "control/cli/trace.h"

#include <string.h>
#include <time.h>

static const char *text(const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));
	return value != NULL ? value : "-";
}

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static bool is_set(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* "syn ack"; nothing for an empty list. */
static void print_words(FILE *out, const json_t *list, const char *before)
{
	size_t i;
	const json_t *word;
	json_array_foreach(list, i, word)
	{
		fprintf(out, "%s%s", i == 0 ? before : " ", json_string_value(word));
	}
}

static void print_protocol(FILE *out, const json_t *o)
{
	const json_t *protocol = json_object_get(o, "protocol");
	if (json_is_string(protocol))
		fprintf(out, "%s", json_string_value(protocol));
	else if (json_is_integer(protocol))
		fprintf(out, "protocol %lld", number(o, "protocol"));
	else
		fprintf(out, "not IP");
	print_words(out, json_object_get(o, "tcp_flags"), " ");
}

static void print_head(FILE *out, const json_t *r)
{
	long long ns = number(r, "time_ns");
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm local;
	char day[32], stay[32];
	localtime_r(&seconds, &local);
	strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &local);
	fprintf(out, "%s.%06lld %s ", day, ns % 1000000000 / 1000, text(r, "service"));
	if (json_is_string(json_object_get(r, "from")))
		fprintf(out, "%s > %s ", text(r, "from"), text(r, "to"));
	print_protocol(out, r);
	fprintf(out, ", %lld bytes: ", number(r, "length"));
	if (strcmp(text(r, "verdict"), "dropped") == 0)
		fprintf(out, "dropped in %s, %s", text(r, "stage"), text(r, "reason"));
	else if (strcmp(text(r, "verdict"), "passed_to_kernel") == 0)
		fprintf(out, "passed to the kernel");
	else
		fprintf(out, "transmitted");
	fprintf(out, " after %s\n",
		format_seconds(
			json_number_value(json_object_get(r, "residence")), stay, sizeof(stay)));
}

static void print_parse(FILE *out, const json_t *s)
{
	print_protocol(out, s);
	if (json_is_string(json_object_get(s, "from")))
		fprintf(out, ", ttl %lld, %lld bytes of payload", number(s, "ttl"),
			number(s, "payload"));
	else
		fprintf(out, ", type %s", text(s, "ether_type"));
	fprintf(out, "%s%s%s", is_set(s, "vlan") ? ", vlan" : "",
		is_set(s, "fragment") ? ", fragment" : "", is_set(s, "options") ? ", options" : "");
	if (strcmp(text(s, "result"), "ok") != 0)
		fprintf(out, ", %s", text(s, "result"));
}

static void print_policies(FILE *out, const json_t *s)
{
	const json_t *policies = json_object_get(s, "policies"), *p;
	size_t i;
	if (json_array_size(policies) == 0)
		fprintf(out, "none judged it");
	json_array_foreach(policies, i, p)
	{
		fprintf(out, "%s%zu %s", i > 0 ? ", " : "", i + 1, text(p, "says"));
		if (number(p, "argument") != 0)
			fprintf(out, " %lld", number(p, "argument"));
		if (is_set(p, "observed"))
			fprintf(out, " (observed)");
	}
	if (number(s, "mark") != 0)
		fprintf(out, ", mark %lld", number(s, "mark"));
}

static void print_limit(FILE *out, const json_t *s)
{
	if (json_array_size(json_object_get(s, "limits")) == 0)
		fprintf(out, "none is set");
	else
		print_words(out, json_object_get(s, "limits"), "of ");
}

static void print_flow(FILE *out, const json_t *s)
{
	const char *flow = text(s, "flow");
	if (strcmp(flow, "known") == 0)
		fprintf(out, "known, %s", text(s, "state"));
	else if (strcmp(flow, "homeless") == 0)
		fprintf(out, "known, but its backend is gone");
	else if (strcmp(flow, "none") == 0)
		fprintf(out, "no flow yet");
	else
		fprintf(out, "no flow");
}

static void print_balance(FILE *out, const json_t *s)
{
	static const struct {
		const char *why;
		const char *words;
	} reasons[] = {
		{ "known_flow", "its flow has it" },
		{ "new_flow", "chosen for a new flow" },
		{ "flow_just_opened", "a packet just before opened the flow" },
		{ "moved", "chosen anew: the flow's backend is gone" },
		{ "stateless", "chosen by hashing, without a flow" },
		{ "reply", "it comes from there" },
	};
	if (!json_is_string(json_object_get(s, "backend"))) {
		fprintf(out, "no backend");
		return;
	}
	const char *words = text(s, "why");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(words, reasons[i].why) == 0)
			words = reasons[i].words;
	fprintf(out, "%s, %s", text(s, "backend"), words);
}

static void print_service(FILE *out, const json_t *s)
{
	if (!json_is_string(json_object_get(s, "service")))
		fprintf(out, "no service's");
	else
		fprintf(out, "%s, %s, bucket %lld", text(s, "service"),
			strcmp(text(s, "direction"), "from_backend") == 0 ? "from a backend" :
									    "from a client",
			number(s, "bucket"));
}

static void print_details(FILE *out, const char *stage, const json_t *s)
{
	if (strcmp(stage, "receive") == 0)
		fprintf(out, "%s, %lld bytes, from %s, CPU %lld", text(s, "port"),
			number(s, "length"), text(s, "from_mac"), number(s, "cpu"));
	else if (strcmp(stage, "parse") == 0)
		print_parse(out, s);
	else if (strcmp(stage, "service") == 0)
		print_service(out, s);
	else if (strcmp(stage, "dispatch") == 0 && json_object_get(s, "cpu") != NULL)
		fprintf(out, "CPU %lld", number(s, "cpu"));
	else if (strcmp(stage, "policy") == 0)
		print_policies(out, s);
	else if (strcmp(stage, "limit") == 0)
		print_limit(out, s);
	else if (strcmp(stage, "flow") == 0)
		print_flow(out, s);
	else if (strcmp(stage, "balance") == 0)
		print_balance(out, s);
	else if (strcmp(stage, "rewrite") == 0)
		fprintf(out, "%s > %s", text(s, "from"), text(s, "to"));
	else if (strcmp(stage, "neighbour") == 0 && json_is_string(json_object_get(s, "mac")))
		fprintf(out, "%s, %s", text(s, "port"), text(s, "mac"));
	else if (strcmp(stage, "transmit") == 0)
		fprintf(out, "%s, %lld bytes", text(s, "port"), number(s, "length"));
}

void trace_print(FILE *out, const json_t *record)
{
	size_t i;
	const json_t *stage;
	print_head(out, record);
	json_array_foreach(json_object_get(record, "stages"), i, stage)
	{
		fprintf(out, "  %-10s ", text(stage, "stage"));
		print_details(out, text(stage, "stage"), stage);
		if (json_object_get(stage, "reason") != NULL)
			fprintf(out, ": dropped, %s", text(stage, "reason"));
		else if (strcmp(text(stage, "verdict"), "passed_to_kernel") == 0)
			fprintf(out, ": passed to the kernel");
		fputc('\n', out);
	}
	fputc('\n', out);
}
