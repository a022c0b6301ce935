/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate.h"

#include "dataplane/api/address.h"
#include "dataplane/api/validate_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_FLOW_CAPACITY  (1u << 28)
#define MAX_SOURCE_ENTRIES (1u << 24)

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const uint8_t no_address[16];

int complain(const struct complaint *c, const char *format, ...)
{
	va_list ap;

	if (c->text && c->size) {
		va_start(ap, format);
		vsnprintf(c->text, c->size, format, ap);
		va_end(ap);
	}
	return -EINVAL;
}

static int too_many(const struct complaint *c, const char *what, uint32_t count, uint32_t limit)
{
	(void)complain(c, "%u %s, at most %u are possible", count, what, limit);
	return -E2BIG;
}

static bool is_unspecified(const uint8_t address[16])
{
	return weir_address_is_v4(address) ? memcmp(address + 12, no_address, 4) == 0 :
					     memcmp(address, no_address, 16) == 0;
}

static bool is_multicast(const uint8_t address[16])
{
	return weir_address_is_v4(address) ? (address[12] & 0xf0) == 0xe0 : address[0] == 0xff;
}

/* A name also stands in paths and log lines. */
bool weir_name_is_good(const char *name, size_t size)
{
	size_t length = strnlen(name, size);

	if (length == 0 || length == size || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
			return false;
	return true;
}

void weir_config_view(const void *body, struct weir_config_view *ret_view)
{
	const struct weir_config *h = body;
	const unsigned char *p = (const unsigned char *)body + sizeof(*h);

	ret_view->header = h;
	ret_view->ports = (const void *)p;
	p += (size_t)h->port_count * sizeof(struct weir_config_port);
	ret_view->services = (const void *)p;
	p += (size_t)h->service_count * sizeof(struct weir_config_service);
	ret_view->backends = (const void *)p;
	p += (size_t)h->backend_count * sizeof(struct weir_config_backend);
	ret_view->sources = (const void *)p;
	p += (size_t)h->source_count * sizeof(struct weir_config_source);
	ret_view->neighbours = (const void *)p;
	p += (size_t)h->neighbour_count * sizeof(struct weir_config_neighbour);
	ret_view->hop_groups = (const void *)p;
	p += (size_t)h->hop_group_count * sizeof(struct weir_config_hop_group);
	ret_view->policies = (const void *)p;
	p += (size_t)h->policy_count * sizeof(struct weir_config_policy);
	ret_view->classes = (const void *)p;
}

static int counts_check(const struct weir_config *h, size_t length, const struct complaint *c)
{
	if (h->port_count > WEIR_MAX_PORTS)
		return too_many(c, "ports", h->port_count, WEIR_MAX_PORTS);
	if (h->service_count > WEIR_MAX_SERVICES)
		return too_many(c, "services", h->service_count, WEIR_MAX_SERVICES);
	if (h->backend_count > WEIR_MAX_BACKENDS)
		return too_many(c, "backends", h->backend_count, WEIR_MAX_BACKENDS);
	if (h->source_count > WEIR_MAX_SOURCES)
		return too_many(c, "source addresses", h->source_count, WEIR_MAX_SOURCES);
	if (h->neighbour_count > WEIR_MAX_NEIGHBOURS)
		return too_many(c, "neighbours", h->neighbour_count, WEIR_MAX_NEIGHBOURS);
	if (h->hop_group_count > WEIR_MAX_HOP_GROUPS)
		return too_many(c, "groups of next hops", h->hop_group_count, WEIR_MAX_HOP_GROUPS);
	if (h->policy_count > WEIR_MAX_POLICIES)
		return too_many(c, "policies", h->policy_count, WEIR_MAX_POLICIES);
	if (h->class_count > WEIR_MAX_CLASSES)
		return too_many(c, "classes", h->class_count, WEIR_MAX_CLASSES);
	size_t expected = sizeof(*h) + (size_t)h->port_count * sizeof(struct weir_config_port) +
		(size_t)h->service_count * sizeof(struct weir_config_service) +
		(size_t)h->backend_count * sizeof(struct weir_config_backend) +
		(size_t)h->source_count * sizeof(struct weir_config_source) +
		(size_t)h->neighbour_count * sizeof(struct weir_config_neighbour) +
		(size_t)h->hop_group_count * sizeof(struct weir_config_hop_group) +
		(size_t)h->policy_count * sizeof(struct weir_config_policy) +
		(size_t)h->class_count * sizeof(struct weir_config_class);
	if (length != expected)
		return complain(
			c, "%zu bytes, but the counts in its header make %zu", length, expected);
	return 0;
}

static int ports_check(const struct weir_config_view *v, const struct complaint *c)
{
	for (uint32_t i = 0; i < v->header->port_count; i++) {
		const struct weir_config_port *p = &v->ports[i];

		if (!weir_name_is_good(p->name, sizeof(p->name)))
			return complain(c, "port %u: bad name", i);
		if (p->kind != WEIR_PORT_KERNEL && p->kind != WEIR_PORT_PCI &&
			p->kind != WEIR_PORT_CAPTURE)
			return complain(c, "port %s: unknown kind %u", p->name, p->kind);
		if (p->kind == WEIR_PORT_CAPTURE) {
			if (strnlen(p->device, sizeof(p->device)) == sizeof(p->device))
				return complain(c, "port %s: bad device", p->name);
		} else if (!weir_name_is_good(p->device, sizeof(p->device))) {
			return complain(c, "port %s: bad device", p->name);
		}
		for (uint32_t k = 0; k < i; k++) {
			const struct weir_config_port *q = &v->ports[k];

			if (strcmp(p->name, q->name) == 0)
				return complain(c, "two ports have the name %s", p->name);
			if (p->device[0] && strcmp(p->device, q->device) == 0)
				return complain(c, "ports %s and %s have the same device %s",
					q->name, p->name, p->device);
		}
	}
	return 0;
}

static int prefix_check(const struct weir_config_service *s, const struct complaint *c)
{
	if (s->prefix_length < 1 || s->prefix_length > 128)
		return complain(c, "service %s: prefix length %u", s->name, s->prefix_length);
	for (unsigned int bit = s->prefix_length; bit < 128; bit++)
		if (s->address[bit / 8] & (0x80u >> (bit % 8)))
			return complain(
				c, "service %s: address has bits set beyond its prefix", s->name);
	if (s->prefix_length >= 96)
		return 0;
	for (unsigned int bit = 0; bit < s->prefix_length; bit++) {
		uint8_t mapped = bit / 8 < sizeof(mapped_prefix) ? mapped_prefix[bit / 8] : 0;

		if ((s->address[bit / 8] ^ mapped) & (0x80u >> (bit % 8)))
			return 0;
	}
	return complain(c, "service %s: an IPv6 prefix that also covers mapped IPv4", s->name);
}

static int limits_check(const struct weir_config_service *s, const struct complaint *c)
{
	const struct {
		const char *name;
		uint64_t value;
	} rates[] = {
		{ "packets", s->limit_packets },
		{ "bits", s->limit_bits },
		{ "connections", s->limit_connections },
		{ "packets per source", s->per_source_packets },
		{ "connections per source", s->per_source_connections },
	};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (rates[i].value != WEIR_UNLIMITED && rates[i].value > VALIDATE_MAX_RATE)
			return complain(c, "service %s: limit of %s is over %llu", s->name,
				rates[i].name, (unsigned long long)VALIDATE_MAX_RATE);
	if (s->burst_ns > VALIDATE_MAX_BURST_NS)
		return complain(c, "service %s: burst is over %llu s", s->name,
			(unsigned long long)(VALIDATE_MAX_BURST_NS / 1000000000));
	if (s->per_source_burst_ns > VALIDATE_MAX_BURST_NS)
		return complain(c, "service %s: burst per source is over %llu s", s->name,
			(unsigned long long)(VALIDATE_MAX_BURST_NS / 1000000000));
	if (s->per_source_entries > MAX_SOURCE_ENTRIES)
		return complain(c, "service %s: %u places for sources, at most %u", s->name,
			s->per_source_entries, MAX_SOURCE_ENTRIES);
	if ((s->per_source_packets != WEIR_UNLIMITED ||
		    s->per_source_connections != WEIR_UNLIMITED) &&
		(s->per_source_prefix < 1 ||
			s->per_source_prefix > (weir_address_is_v4(s->address) ? 32 : 128)))
		return complain(c, "service %s: sources by a prefix of %u bits", s->name,
			s->per_source_prefix);
	if (s->flow_capacity > MAX_FLOW_CAPACITY)
		return complain(c, "service %s: flow table of %u entries, at most %u", s->name,
			s->flow_capacity, MAX_FLOW_CAPACITY);
	return 0;
}

static int affinity_check(const struct weir_config_service *s, const struct complaint *c)
{
	if (s->affinity_places == 0)
		return 0;
	if (s->affinity_places < WEIR_AFFINITY_MIN_PLACES ||
		s->affinity_places > WEIR_AFFINITY_MAX_PLACES)
		return complain(c, "service %s: affinity of %u sources, expected %u to %u", s->name,
			s->affinity_places, WEIR_AFFINITY_MIN_PLACES, WEIR_AFFINITY_MAX_PLACES);
	if (s->affinity_prefix < 1 ||
		s->affinity_prefix > (weir_address_is_v4(s->address) ? 32 : 128))
		return complain(c, "service %s: affinity by %u bits", s->name, s->affinity_prefix);
	if (s->affinity_timeout_ns > WEIR_AFFINITY_MAX_TIMEOUT_NS)
		return complain(c, "service %s: affinity for more than 30 days", s->name);
	return 0;
}

static bool range_is_good(uint32_t first, uint32_t count, uint32_t limit)
{
	return first <= limit && count <= limit - first;
}

static int service_check(const struct weir_config_view *v, uint32_t i, const struct complaint *c)
{
	const struct weir_config_service *s = &v->services[i];

	if (!weir_name_is_good(s->name, sizeof(s->name)))
		return complain(c, "service %u: bad name", i);
	int rc = prefix_check(s, c);
	if (rc < 0)
		return rc;
	if (is_multicast(s->address))
		return complain(c, "service %s: multicast address", s->name);
	if (s->prefix_length == 128 && is_unspecified(s->address))
		return complain(c, "service %s: no address", s->name);
	if (s->protocol != 6 && s->protocol != 17)
		return complain(
			c, "service %s: protocol %u, expected 6 or 17", s->name, s->protocol);
	if (s->mode < WEIR_MODE_NAT || s->mode > WEIR_MODE_GUE)
		return complain(c, "service %s: unknown mode %u", s->name, s->mode);
	if (s->cores < 1 || s->cores > WEIR_MAX_CORES)
		return complain(c, "service %s: %u cores, expected 1 to %u", s->name, s->cores,
			WEIR_MAX_CORES);
	if (s->cores_max != 0 && (s->cores_max < s->cores || s->cores_max > WEIR_MAX_CORES))
		return complain(c, "service %s: at most %u cores, expected %u to %u", s->name,
			s->cores_max, s->cores, WEIR_MAX_CORES);
	if (s->backend_count > WEIR_MAX_BACKENDS_PER_SERVICE) {
		(void)complain(c, "service %s: %u backends, at most %u are possible", s->name,
			s->backend_count, WEIR_MAX_BACKENDS_PER_SERVICE);
		return -E2BIG;
	}
	if (!range_is_good(s->first_backend, s->backend_count, v->header->backend_count))
		return complain(c, "service %s: backends beyond the array", s->name);
	if (!range_is_good(s->first_source, s->source_count, v->header->source_count))
		return complain(c, "service %s: source addresses beyond the array", s->name);
	if (s->silent > 1)
		return complain(c, "service %s: silent is %u, expected 0 or 1", s->name, s->silent);
	if (s->proxy_protocol != 0 &&
		(s->proxy_protocol != 2 || s->mode != WEIR_MODE_NAT || s->protocol != 6))
		return complain(c,
			"service %s: PROXY protocol %u, expected 0, or 2 in nat with tcp", s->name,
			s->proxy_protocol);
	if (s->mode == WEIR_MODE_DSR && s->source_count != 0)
		return complain(c, "service %s: dsr has no use for source addresses", s->name);
	if (s->mode > WEIR_MODE_DSR && s->source_count == 0)
		return complain(c, "service %s: a tunnel needs a source address", s->name);
	rc = limits_check(s, c);
	return rc < 0 ? rc : affinity_check(s, c);
}

static bool next_hop_is_good(const struct weir_config *h, uint32_t neighbour)
{
	if (neighbour == WEIR_NO_NEIGHBOUR)
		return true;
	if (neighbour & WEIR_HOP_GROUP)
		return (neighbour & ~WEIR_HOP_GROUP) < h->hop_group_count;
	return neighbour < h->neighbour_count;
}

static int hop_group_check(const struct weir_config_view *v, uint32_t i, const struct complaint *c)
{
	const struct weir_config_hop_group *g = &v->hop_groups[i];

	if (g->hop_count < 2 || g->hop_count > WEIR_MAX_HOPS)
		return complain(c, "group %u: %u next hops, expected 2 to %u", i, g->hop_count,
			WEIR_MAX_HOPS);
	for (uint32_t k = 0; k < g->hop_count; k++) {
		if (g->neighbour[k] >= v->header->neighbour_count)
			return complain(c, "group %u: next hop %u is beyond the array", i, k);
		if (g->weight[k] == 0)
			return complain(c, "group %u: next hop %u has weight 0", i, k);
		for (uint32_t other = 0; other < k; other++)
			if (g->neighbour[other] == g->neighbour[k])
				return complain(c, "group %u: a next hop stands in it twice", i);
	}
	return 0;
}

static int backends_check(const struct weir_config_view *v, const struct weir_config_service *s,
	const struct complaint *c)
{
	for (uint32_t i = 0; i < s->backend_count; i++) {
		const struct weir_config_backend *b = &v->backends[s->first_backend + i];

		if (weir_address_is_v4(b->address) != weir_address_is_v4(s->address))
			return complain(c, "service %s: backend %u is of the other address family",
				s->name, i);
		if (is_unspecified(b->address) || is_multicast(b->address))
			return complain(
				c, "service %s: backend %u has no unicast address", s->name, i);
		if (b->port == 0 && (s->mode == WEIR_MODE_NAT || s->port != 0))
			return complain(c, "service %s: backend %u has port 0", s->name, i);
		if (b->state < WEIR_BACKEND_UP || b->state > WEIR_BACKEND_DOWN)
			return complain(
				c, "service %s: backend %u has state %u", s->name, i, b->state);
		if (b->fallback > 1)
			return complain(c,
				"service %s: backend %u: fallback is %u, expected 0 or 1", s->name,
				i, b->fallback);
		if (b->pool > s->pool_count)
			return complain(c, "service %s: backend %u is of pool %u, and there are %u",
				s->name, i, b->pool, s->pool_count);
		if (b->pool && b->fallback)
			return complain(c,
				"service %s: backend %u: only the main pool has a fallback",
				s->name, i);
		if (!next_hop_is_good(v->header, b->neighbour))
			return complain(c,
				"service %s: backend %u has a neighbour beyond the array", s->name,
				i);
	}
	return 0;
}

static int sources_check(const struct weir_config_view *v, const struct weir_config_service *s,
	const struct complaint *c)
{
	bool has_block = false;

	for (uint32_t i = 0; i < s->source_count; i++) {
		const struct weir_config_source *a = &v->sources[s->first_source + i];

		if (weir_address_is_v4(a->address) != weir_address_is_v4(s->address))
			return complain(c, "service %s: source address %u is of the other family",
				s->name, i);
		if (is_unspecified(a->address) || is_multicast(a->address))
			return complain(
				c, "service %s: source address %u is not unicast", s->name, i);
		if (a->blocks[0] & 1)
			return complain(
				c, "service %s: source address %u uses port block 0", s->name, i);
		for (size_t k = 0; k < sizeof(a->blocks); k++)
			has_block |= a->blocks[k] != 0;
	}
	if (s->mode == WEIR_MODE_NAT && !has_block)
		return complain(
			c, "service %s: nat needs a source address with a port block", s->name);
	if (s->mode != WEIR_MODE_NAT && has_block)
		return complain(c, "service %s: only nat has use for port blocks", s->name);
	return 0;
}

/* True when some of the range was marked before; marks it. */
static bool range_mark(uint8_t *map, uint32_t first, uint32_t count)
{
	bool seen = false;

	for (uint32_t i = first; i < first + count; i++) {
		seen |= map[i / 8] & (1u << (i % 8));
		map[i / 8] |= (uint8_t)(1u << (i % 8));
	}
	return seen;
}

static int ranges_check(const struct weir_config_view *v, const struct complaint *c)
{
	uint8_t backend_map[WEIR_MAX_BACKENDS / 8] = { 0 };
	uint8_t source_map[WEIR_MAX_SOURCES / 8] = { 0 };

	for (uint32_t i = 0; i < v->header->service_count; i++) {
		const struct weir_config_service *s = &v->services[i];

		if (range_mark(backend_map, s->first_backend, s->backend_count))
			return complain(
				c, "service %s: backends that are another service's", s->name);
		if (range_mark(source_map, s->first_source, s->source_count))
			return complain(c,
				"service %s: source addresses that are another service's", s->name);
	}
	return 0;
}

int weir_config_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	struct weir_config_view v;

	if (length < sizeof(struct weir_config))
		return complain(&c, "%zu bytes are too short for a configuration", length);
	int rc = counts_check(body, length, &c);
	if (rc < 0)
		return rc;
	weir_config_view(body, &v);
	rc = ports_check(&v, &c);
	for (uint32_t i = 0; rc == 0 && i < v.header->service_count; i++) {
		rc = service_check(&v, i, &c);
		if (rc == 0)
			rc = backends_check(&v, &v.services[i], &c);
		if (rc == 0)
			rc = sources_check(&v, &v.services[i], &c);
	}
	for (uint32_t i = 0; rc == 0 && i < v.header->hop_group_count; i++)
		rc = hop_group_check(&v, i, &c);
	if (rc == 0)
		rc = config_policies_check(&v, &c);
	if (rc == 0)
		rc = ranges_check(&v, &c);
	if (rc == 0)
		rc = config_uniqueness_check(&v, &c);
	return rc;
}

static int records_check(
	size_t length, size_t record, uint32_t limit, const char *what, const struct complaint *c)
{
	if (length == 0 || length % record != 0)
		return complain(c, "%zu bytes are not a whole number of %s", length, what);
	if (length / record > limit) {
		(void)complain(c, "%zu %s, at most %u are possible", length / record, what, limit);
		return -E2BIG;
	}
	return 0;
}

int weir_backend_updates_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_backend_update *u = body;
	int rc = records_check(length, sizeof(*u), WEIR_MAX_BACKENDS, "backend updates", &c);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < length / sizeof(*u); i++) {
		if (!weir_name_is_good(u[i].service, sizeof(u[i].service)))
			return complain(&c, "backend update %zu: bad service name", i);
		if (u[i].state < WEIR_BACKEND_UP || u[i].state > WEIR_BACKEND_DOWN)
			return complain(&c, "backend update %zu: state %u", i, u[i].state);
	}
	return 0;
}

int weir_neighbour_updates_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_neighbour_update *u = body;
	int rc = records_check(length, sizeof(*u), WEIR_MAX_NEIGHBOURS, "neighbour updates", &c);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < length / sizeof(*u); i++) {
		if (u[i].port >= WEIR_MAX_PORTS)
			return complain(&c, "neighbour update %zu: port %u", i, u[i].port);
		if (u[i].resolved > 1)
			return complain(&c, "neighbour update %zu: resolved is %u, expected 0 or 1",
				i, u[i].resolved);
	}
	return 0;
}

int weir_flow_query_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_flow_query *q = body;

	if (length != sizeof(*q))
		return complain(&c, "%zu bytes, a flow query has %zu", length, sizeof(*q));
	if (q->service[0] && !weir_name_is_good(q->service, sizeof(q->service)))
		return complain(&c, "flow query: bad service name");
	if (q->limit > 65536)
		return complain(&c, "flow query: limit %u, at most 65536", q->limit);
	if (q->protocol != 0 && q->protocol != 6 && q->protocol != 17)
		return complain(&c, "flow query: protocol %u", q->protocol);
	return 0;
}
