/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate_private.h"

#include <errno.h>
#include <string.h>

#define NAMELESS "packets of no service"

/* A text for people: it ends, says something, and has nothing in it that a terminal would obey. */
static bool text_is_good(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == 0 || length == size)
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

static int policies_check(const struct weir_config_view *v, uint32_t first, uint32_t count,
	const char *owner, const struct complaint *c)
{
	if (count > WEIR_MAX_POLICIES_PER_SERVICE)
		return complain(c, "service %s: %u policies, at most %u", owner, count,
			WEIR_MAX_POLICIES_PER_SERVICE);
	if (first > v->header->policy_count || count > v->header->policy_count - first)
		return complain(c, "service %s: policies beyond the array", owner);
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_config_policy *p = &v->policies[first + i];

		if (p->id == 0 || !text_is_good(p->name, sizeof(p->name)))
			return complain(c, "service %s: policy %u has no id or no name", owner, i);
		if (p->mode > WEIR_POLICY_OBSERVE || p->on_error > WEIR_POLICY_ERROR_DROP ||
			p->offload > WEIR_POLICY_OFFLOAD_AUTO)
			return complain(c, "service %s: policy %s: unknown mode", owner, p->name);
		for (uint32_t k = 0; k < i; k++)
			if (v->policies[first + k].id == p->id)
				return complain(
					c, "service %s: policy %s is there twice", owner, p->name);
	}
	return 0;
}

static int class_check(
	const struct weir_config_class *k, const char *owner, const struct complaint *c)
{
	const uint64_t rates[] = { k->packets, k->bits, k->connections };

	if (!weir_name_is_good(k->name, sizeof(k->name)))
		return complain(c, "service %s: a class has a bad name", owner);
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (rates[i] != WEIR_UNLIMITED && rates[i] > VALIDATE_MAX_RATE)
			return complain(c, "service %s: class %s: a limit is over %llu", owner,
				k->name, (unsigned long long)VALIDATE_MAX_RATE);
	if (k->burst_ns > VALIDATE_MAX_BURST_NS)
		return complain(c, "service %s: class %s: burst is over %llu s", owner, k->name,
			(unsigned long long)(VALIDATE_MAX_BURST_NS / 1000000000));
	return 0;
}

static int classes_check(const struct weir_config_view *v, const struct weir_config_service *s,
	const struct complaint *c)
{
	const struct weir_config_class *first = &v->classes[s->first_class];

	if (s->class_count > WEIR_MAX_CLASSES_PER_SERVICE)
		return complain(c, "service %s: %u classes, at most %u", s->name, s->class_count,
			WEIR_MAX_CLASSES_PER_SERVICE);
	if (s->first_class > v->header->class_count ||
		s->class_count > v->header->class_count - s->first_class)
		return complain(c, "service %s: classes beyond the array", s->name);
	for (uint32_t i = 0; i < s->class_count; i++) {
		int rc = class_check(&first[i], s->name, c);

		if (rc < 0)
			return rc;
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(first[k].name, first[i].name) == 0)
				return complain(c, "service %s: two classes have the name %s",
					s->name, first[i].name);
	}
	return 0;
}

int config_policies_check(const struct weir_config_view *v, const struct complaint *c)
{
	int rc = policies_check(v, 0, v->header->outside_policy_count, NAMELESS, c);

	for (uint32_t i = 0; rc == 0 && i < v->header->service_count; i++) {
		const struct weir_config_service *s = &v->services[i];

		if (s->pool_count > WEIR_MAX_POOLS_PER_SERVICE)
			return complain(c, "service %s: %u pools, at most %u", s->name,
				s->pool_count, WEIR_MAX_POOLS_PER_SERVICE);
		rc = policies_check(v, s->first_policy, s->policy_count, s->name, c);
		if (rc == 0)
			rc = classes_check(v, s, c);
	}
	return rc;
}

int weir_policy_stage_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_policy_stage *s = body;

	if (length != sizeof(*s))
		return complain(&c, "%zu bytes, a policy's head has %zu", length, sizeof(*s));
	if (s->id == 0)
		return complain(&c, "a policy without an id");
	if (s->image_bytes == 0 || s->image_bytes > WEIR_POLICY_MAX_IMAGE)
		return complain(&c, "a policy's image of %llu bytes, expected 1 to %u",
			(unsigned long long)s->image_bytes, WEIR_POLICY_MAX_IMAGE);
	if (s->flags & ~(uint32_t)WEIR_POLICY_F_VERIFIED)
		return complain(&c, "a policy with unknown flags %#x", s->flags);
	if (s->map_fd_count > WEIR_POLICY_MAX_MAPS)
		return complain(&c, "a policy with %u arrays, at most %u", s->map_fd_count,
			WEIR_POLICY_MAX_MAPS);
	for (uint32_t i = 0; i < s->map_fd_count; i++) {
		if (s->map[i] >= WEIR_POLICY_MAX_MAPS)
			return complain(&c, "array %u is of map %u", i, s->map[i]);
		for (uint32_t k = 0; k < i; k++)
			if (s->map[k] == s->map[i])
				return complain(&c, "two arrays for map %u", s->map[i]);
	}
	return 0;
}

static int map_records_check(
	const struct weir_policy_map *m, size_t length, const struct complaint *c)
{
	const bool dump = m->op == WEIR_POLICY_MAP_DUMP;
	const bool set = m->op == WEIR_POLICY_MAP_SET;

	if (m->count == 0 || m->count > WEIR_POLICY_MAX_DUMP)
		return complain(c, "%u records, expected 1 to %u", m->count, WEIR_POLICY_MAX_DUMP);
	if (m->key_bytes > WEIR_POLICY_MAX_KEY || dump != (m->key_bytes == 0))
		return complain(c, "keys of %u bytes", m->key_bytes);
	if (m->value_bytes > WEIR_POLICY_MAX_VALUE || set != (m->value_bytes != 0))
		return complain(c, "values of %u bytes", m->value_bytes);
	uint64_t records = dump ? 0 : (uint64_t)m->count * (m->key_bytes + m->value_bytes);
	if (length - sizeof(*m) != records)
		return complain(c, "%zu bytes, but its counts make %llu", length,
			(unsigned long long)(sizeof(*m) + records));
	return 0;
}

int weir_policy_map_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_policy_map *m = body;

	if (length < sizeof(*m))
		return complain(&c, "%zu bytes are too short for a map request", length);
	if (m->service[0] && !weir_name_is_good(m->service, sizeof(m->service)))
		return complain(&c, "map request: bad service name");
	if (!text_is_good(m->map, sizeof(m->map)))
		return complain(&c, "map request: bad map name");
	if (m->position >= WEIR_MAX_POLICIES_PER_SERVICE)
		return complain(&c, "map request: policy %u, at most %u are possible", m->position,
			WEIR_MAX_POLICIES_PER_SERVICE);
	if (m->op < WEIR_POLICY_MAP_GET || m->op > WEIR_POLICY_MAP_DUMP)
		return complain(&c, "map request: unknown operation %u", m->op);
	return map_records_check(m, length, &c);
}
