/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate.h"
#include "dataplane/api/validate_private.h"

#include <errno.h>
#include <string.h>

#define MAX_EXPIRY_NS UINT64_C(3600000000000)
#define MAX_GUARD_NS  UINT64_C(60000000000)
#define MAX_BURST_NS  UINT64_C(60000000000)
#define MAX_RATE      UINT64_C(1000000000000000)
#define MAX_BOX_MS    86400000u
#define MAX_WEIGHT    (2u * WEIR_MAX_WEIGHT * WEIR_WEIGHT_UNIT)
#define KNOWN_FLAGS   (WEIR_DIRECTIVE_F_SPILL | WEIR_DIRECTIVE_F_WATCH | WEIR_DIRECTIVE_F_POLICE)

void weir_directives_view(const void *body, struct weir_directives_view *ret_view)
{
	const struct weir_directives *h = body;

	ret_view->header = h;
	ret_view->backends = (const void *)(h + 1);
	ret_view->sources = (const void *)(ret_view->backends + h->backend_count);
	ret_view->classes = (const void *)(ret_view->sources + h->source_count);
}

static int lengths_check(const struct weir_directives *h, size_t length, const struct complaint *c)
{
	if (h->backend_count > WEIR_MAX_BACKENDS_PER_SERVICE) {
		(void)complain(c, "directives: %u backends, at most %u are possible",
			h->backend_count, WEIR_MAX_BACKENDS_PER_SERVICE);
		return -E2BIG;
	}
	if (h->source_count > WEIR_MAX_DIRECTIVE_SOURCES) {
		(void)complain(c, "directives: %u sources, at most %u are possible",
			h->source_count, WEIR_MAX_DIRECTIVE_SOURCES);
		return -E2BIG;
	}
	if (h->class_count > WEIR_MAX_CLASSES_PER_SERVICE) {
		(void)complain(c, "directives: %u classes, at most %u are possible", h->class_count,
			WEIR_MAX_CLASSES_PER_SERVICE);
		return -E2BIG;
	}
	size_t expected = sizeof(*h) + h->backend_count * sizeof(struct weir_directive_backend) +
		h->source_count * sizeof(struct weir_directive_source) +
		h->class_count * sizeof(struct weir_directive_class);
	if (length != expected)
		return complain(c, "directives: %zu bytes, but the counts in their header make %zu",
			length, expected);
	return 0;
}

static int rates_check(const struct weir_directives *h, const struct complaint *c)
{
	const struct {
		const char *name;
		uint64_t value;
	} rates[] = {
		{ "packets", h->limit_packets },
		{ "bits", h->limit_bits },
		{ "connections", h->limit_connections },
		{ "flows per source", h->source_flows },
		{ "packets per source", h->source_packets },
	};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (rates[i].value != WEIR_UNLIMITED && rates[i].value > MAX_RATE)
			return complain(c, "directives of %s: limit of %s is over %llu", h->service,
				rates[i].name, (unsigned long long)MAX_RATE);
	return 0;
}

static int header_check(const struct weir_directives *h, const struct complaint *c)
{
	if (!weir_name_is_good(h->service, sizeof(h->service)))
		return complain(c, "directives: bad service name");
	if (h->flags & ~KNOWN_FLAGS)
		return complain(c, "directives of %s: flags %#x", h->service, h->flags);
	if (h->expires_ns > MAX_EXPIRY_NS || h->stale_ns > MAX_EXPIRY_NS ||
		(h->expires_ns && h->expires_ns < h->stale_ns))
		return complain(c, "directives of %s: stale after %llu ns, expired after %llu ns",
			h->service, (unsigned long long)h->stale_ns,
			(unsigned long long)h->expires_ns);
	if (h->guard_ns > MAX_GUARD_NS)
		return complain(c, "directives of %s: a guard at %llu ns", h->service,
			(unsigned long long)h->guard_ns);
	if (h->source_burst_ns > MAX_BURST_NS)
		return complain(c, "directives of %s: burst per source is over 60 s", h->service);
	if ((h->flags & (WEIR_DIRECTIVE_F_WATCH | WEIR_DIRECTIVE_F_POLICE)) &&
		(h->source_prefix < 1 || h->source_prefix > 128))
		return complain(c, "directives of %s: sources by a prefix of %u bits", h->service,
			h->source_prefix);
	if ((h->flags & WEIR_DIRECTIVE_F_POLICE) && (h->source_yellow < 2 || h->source_yellow > 64))
		return complain(c, "directives of %s: yellow to %u times, expected 2 to 64",
			h->service, h->source_yellow);
	if (h->cores > WEIR_MAX_CORES)
		return complain(c, "directives of %s: %u cores, expected 0 to %u", h->service,
			h->cores, WEIR_MAX_CORES);
	return rates_check(h, c);
}

static int backend_check(const struct weir_directives *h, const struct weir_directive_backend *b,
	const struct complaint *c)
{
	if (b->ejected > 1)
		return complain(c, "directives of %s: ejected is %u, expected 0 or 1", h->service,
			b->ejected);
	if (b->weight > MAX_WEIGHT)
		return complain(c, "directives of %s: weight %u, at most %u", h->service, b->weight,
			MAX_WEIGHT);
	if (b->cap_yellow > b->cap)
		return complain(c, "directives of %s: cap %u for yellow flows, but %u for all",
			h->service, b->cap_yellow, b->cap);
	if (b->close_idle > 1000)
		return complain(c, "directives of %s: close %u of 1000 idle flows", h->service,
			b->close_idle);
	return 0;
}

static int source_check(const struct weir_directives *h, const struct weir_directive_source *s,
	const struct complaint *c)
{
	if (s->weight < 1 || s->weight > WEIR_SOURCE_WEIGHT_MAX)
		return complain(c, "directives of %s: a source of weight %u, expected 1 to %u",
			h->service, s->weight, WEIR_SOURCE_WEIGHT_MAX);
	if (s->boxed_ms > MAX_BOX_MS)
		return complain(c, "directives of %s: a source in the penalty box for %u ms",
			h->service, s->boxed_ms);
	return 0;
}

static int class_check(
	const struct weir_directives_view *v, uint32_t index, const struct complaint *c)
{
	const struct weir_directive_class *k = &v->classes[index];
	const char *owner = v->header->service;

	if (!weir_name_is_good(k->name, sizeof(k->name)))
		return complain(c, "directives of %s: class %u has a bad name", owner, index + 1);
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(v->classes[i].name, k->name) == 0)
			return complain(c, "directives of %s: class %s twice", owner, k->name);
	if (k->connections < 1 || (k->connections != WEIR_UNLIMITED && k->connections > MAX_RATE))
		return complain(c, "directives of %s: class %s: %llu new flows, expected 1 to %llu",
			owner, k->name, (unsigned long long)k->connections,
			(unsigned long long)MAX_RATE);
	return 0;
}

int weir_directives_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	struct weir_directives_view v;

	if (length < sizeof(struct weir_directives))
		return complain(&c, "%zu bytes are too short for directives", length);
	int rc = lengths_check(body, length, &c);
	if (rc < 0)
		return rc;
	weir_directives_view(body, &v);
	rc = header_check(v.header, &c);
	for (uint32_t i = 0; rc == 0 && i < v.header->backend_count; i++)
		rc = backend_check(v.header, &v.backends[i], &c);
	for (uint32_t i = 0; rc == 0 && i < v.header->source_count; i++)
		rc = source_check(v.header, &v.sources[i], &c);
	for (uint32_t i = 0; rc == 0 && i < v.header->class_count; i++)
		rc = class_check(&v, i, &c);
	return rc;
}
