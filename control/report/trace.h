/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the data plane tells of packets that a trace followed, as JSON: weirctl's `trace` and `capture`,
 * and `replay --trace`. Pure functions.
 */

#ifndef WEIR_REPORT_TRACE_H
#define WEIR_REPORT_TRACE_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * A reply to TRACE_READ or TRACE_STOP as {records, lost, ended}; see docs/operators/json.md. The bytes
 * are not trusted.
 *
 * frames  whether records carry their frames, in hexadecimal
 * Returns 0, -EPROTO (it contradicts itself) or -ENOMEM.
 */
int report_trace_batch(const void *body, size_t length, bool frames, json_t **ret_document);

#endif
