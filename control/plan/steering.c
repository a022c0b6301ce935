/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/plan/steering.h"

#include "control/plan/ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(((struct steering_source *)NULL)->blocks) == BLOCK_BYTES, "same blocks");

void plan_steering_fini(struct plan_steering *s)
{
	free(s->services);
	free(s->sources);
	*s = (struct plan_steering){ 0 };
}

/* The entry of an address and protocol, made where there is none yet. */
static struct steering_source *source_get(
	struct plan_steering *s, const struct address *address, uint8_t protocol)
{
	for (size_t i = 0; i < s->source_count; i++) {
		if (s->sources[i].protocol == protocol &&
			memcmp(s->sources[i].address, address->bytes, sizeof(address->bytes)) == 0)
			return &s->sources[i];
	}
	struct steering_source *source = &s->sources[s->source_count++];
	*source = (struct steering_source){ .protocol = protocol };
	memcpy(source->address, address->bytes, sizeof(source->address));
	return source;
}

static void service_sources_add(
	struct plan_steering *to, const struct plan_ports *ports, const struct model_service *s)
{
	uint8_t protocol = (uint8_t)s->protocol;
	for (size_t i = 0; s->mode == MODEL_NAT && i < s->source_count; i++) {
		const struct plan_share *share =
			plan_ports_find(ports, s->name, &s->sources[i], protocol);
		if (share == NULL)
			continue;
		struct steering_source *source = source_get(to, &s->sources[i], protocol);
		for (size_t j = 0; j < BLOCK_BYTES; j++)
			source->blocks[j] |= share->blocks[j];
	}
}

int plan_steering_build(
	const struct model *m, const struct plan_ports *ports, struct plan_steering *ret_steering)
{
	struct plan_steering s = { 0 };
	size_t sources = 0;
	for (size_t i = 0; i < m->service_count; i++)
		sources += m->services[i].source_count;
	s.services = calloc(m->service_count + 1, sizeof(*s.services));
	s.sources = calloc(sources + 1, sizeof(*s.sources));
	if (s.services == NULL || s.sources == NULL) {
		plan_steering_fini(&s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->service_count; i++) {
		const struct model_service *from = &m->services[i];
		struct steering_service *service = &s.services[s.service_count++];
		*service = (struct steering_service){
			.prefix_length = from->prefix_length,
			.protocol = (uint8_t)from->protocol,
			.port = from->port,
		};
		memcpy(service->address, from->address.bytes, sizeof(service->address));
		service_sources_add(&s, ports, from);
	}
	*ret_steering = s;
	return 0;
}
