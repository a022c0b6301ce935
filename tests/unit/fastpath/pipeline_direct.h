/* SPDX-License-Identifier: BSD-3-Clause */

/* Directives for the first service of a bed. */

#ifndef WEIR_TESTS_PIPELINE_DIRECT_H
#define WEIR_TESTS_PIPELINE_DIRECT_H

#include "dataplane/api/validate.h"
#include "tests/unit/fastpath/pipeline_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECT_SERVICE	"203.0.113.10"
#define DIRECT_BACKENDS 16
#define DIRECT_SOURCES	8
#define DIRECT_CLASSES	4

struct direct {
	struct weir_directives header;
	struct weir_directive_backend backend[DIRECT_BACKENDS];
	struct weir_directive_source source[DIRECT_SOURCES];
	struct weir_directive_class class[DIRECT_CLASSES];
};

/* As configured in all, for every backend. */
static inline void direct_begin(struct direct *d, const struct bed *b)
{
	memset(d, 0, sizeof(*d));
	snprintf(d->header.service, sizeof(d->header.service), "%s", b->service[0].name);
	d->header.limit_packets = d->header.limit_bits = WEIR_UNLIMITED;
	d->header.limit_connections = WEIR_UNLIMITED;
	d->header.source_flows = d->header.source_packets = WEIR_UNLIMITED;
	d->header.source_burst_ns = 10 * BED_MS;
	d->header.source_prefix = 32;
	d->header.source_yellow = 4;
	d->header.backend_count = b->backend_count[0];
	for (uint32_t i = 0; i < b->backend_count[0]; i++) {
		memcpy(d->backend[i].address, b->backend[0][i].address, 16);
		d->backend[i].port = b->backend[0][i].port;
		d->backend[i].weight = b->backend[0][i].weight * WEIR_WEIGHT_UNIT;
		d->backend[i].cap = d->backend[i].cap_yellow = WEIR_NO_CAP;
	}
}

static inline int direct_send(const struct direct *d, struct bed *b)
{
	size_t backends = d->header.backend_count * sizeof(d->backend[0]);
	size_t sources = d->header.source_count * sizeof(d->source[0]);
	size_t classes = d->header.class_count * sizeof(d->class[0]);
	size_t length = sizeof(d->header) + backends + sources + classes;
	char *body = malloc(length);
	int ret = -1;

	if (!body)
		return ret;
	memcpy(body, &d->header, sizeof(d->header));
	memcpy(body + sizeof(d->header), d->backend, backends);
	memcpy(body + sizeof(d->header) + backends, d->source, sources);
	memcpy(body + sizeof(d->header) + backends + sources, d->class, classes);
	ret = weir_directives_validate(body, length, b->err, sizeof(b->err));
	if (ret == 0)
		ret = fastpath_direct(b->fp, body, b->now, b->err, sizeof(b->err));
	free(body);
	return ret;
}

/* Time passes, as the main thread sees it: every 10 ms. */
static inline void direct_time(struct bed *b, uint32_t ms)
{
	for (uint32_t i = 0; i < ms; i += 10, b->now += 10 * BED_MS)
		fastpath_direct_tick(b->fp, b->now);
	fastpath_direct_tick(b->fp, b->now);
}

#endif
