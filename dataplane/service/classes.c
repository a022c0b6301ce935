/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/service/directive.h"
#include "dataplane/service/policies.h"
#include "dataplane/service/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t left_of(
	const struct policy_class_limits *l, const struct service_directives *directives)
{
	return service_limit_in_force(
		l->configured.connections, service_class_told(directives, l->class->name));
}

void policy_classes_limit(
	struct policy_set *set, const struct service_directives *directives, uint64_t hz)
{
	for (uint32_t i = 0; i < set->class_count; i++) {
		struct policy_class_limits *l = &set->class[i];

		l->connections_in_force = left_of(l, directives);
		l->limits_connections = l->connections_in_force != WEIR_UNLIMITED;
		limiter_rate_init(
			&l->connections, l->connections_in_force, l->configured.burst_ns, hz);
	}
}

bool service_classes_differ(const struct service_settings *s)
{
	const struct policy_set *set = s->policy_set;

	for (uint32_t i = 0; set && i < set->class_count; i++) {
		const struct policy_class_limits *l = &set->class[i];

		if (service_is_followed(l->connections_in_force, left_of(l, s->service->directives),
			    l->configured.connections))
			return true;
	}
	return false;
}

int service_classes_follow(struct service_settings *s)
{
	const struct policy_set *old = s->policy_set;
	size_t size = sizeof(*old) + old->class_count * sizeof(old->class[0]);
	struct policy_set *set = malloc(size);

	if (!set)
		return -ENOMEM;
	memcpy(set, old, size);
	set->references = 1;
	for (uint32_t i = 0; i < set->place_count; i++)
		set->place[i].seat->references++;
	for (uint32_t i = 0; i < set->class_count; i++)
		set->class[i].class->references++;
	policy_classes_limit(set, s->service->directives, s->configured.hz);
	policy_set_release(s->policy_set);
	service_policies_set(s, set);
	return 0;
}
