/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate_private.h"

#include <errno.h>

int weir_trace_start_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_trace_start *s = body;

	if (length < sizeof(*s))
		return complain(&c, "%zu bytes, a trace begins with %zu", length, sizeof(*s));
	if (s->instruction_count > WEIR_TRACE_MAX_INSTRUCTIONS) {
		(void)complain(&c, "trace: a filter of %u instructions, at most %d are possible",
			s->instruction_count, WEIR_TRACE_MAX_INSTRUCTIONS);
		return -E2BIG;
	}
	size_t expected =
		sizeof(*s) + (size_t)s->instruction_count * sizeof(struct weir_trace_instruction);
	if (length != expected)
		return complain(
			&c, "trace: %zu bytes, but its instructions make %zu", length, expected);
	if (s->service[0] && !weir_name_is_good(s->service, sizeof(s->service)))
		return complain(&c, "trace: bad service name");
	if (s->port[0] && !weir_name_is_good(s->port, sizeof(s->port)))
		return complain(&c, "trace: bad port name");
	if (!s->service[0] && !s->port[0])
		return complain(&c, "trace: neither a service nor a port");
	if (s->sample == 0)
		return complain(&c, "trace: sample is 0, expected one packet in at least 1");
	if (s->snaplen > WEIR_TRACE_MAX_SNAPLEN)
		return complain(&c, "trace: snaplen %u, at most %d is possible", s->snaplen,
			WEIR_TRACE_MAX_SNAPLEN);
	return 0;
}

int weir_trace_read_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_trace_read *r = body;

	if (length != sizeof(*r))
		return complain(&c, "%zu bytes, a trace is read with %zu", length, sizeof(*r));
	if (r->limit == 0 || r->limit > WEIR_TRACE_MAX_READ)
		return complain(&c, "trace: a limit of %u records, expected 1 to %d", r->limit,
			WEIR_TRACE_MAX_READ);
	return 0;
}
