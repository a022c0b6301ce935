/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/steering/steering_plan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct plan {
	const struct weir_config_view *view;
	const struct steering_workers *workers;
	struct steering_rule *rules;
	uint32_t count;
	struct steering_left left;
	uint32_t untold; /* services of which no rule can tell whose core a reply is for */
};

/* Those of clients come first, one for each service, so that it is only replies' that have no room. */
static_assert(
	STEERING_RULES_MAX >= WEIR_MAX_SERVICES, "each service has room for its clients' rule");

static void rule_add(struct plan *p, const struct steering_rule *rule)
{
	p->left.of += rule->replies;
	if (p->count < STEERING_RULES_MAX)
		p->rules[p->count++] = *rule;
	else
		p->left.rules++;
}

static void clients_add(struct plan *p, uint32_t index)
{
	const struct weir_config_service *s = &p->view->services[index];
	struct steering_rule rule = {
		.prefix_length = s->prefix_length,
		.protocol = s->protocol,
		.core = p->workers[index].core[0],
		.port = s->port,
		.port_mask = s->port ? UINT16_MAX : 0,
		.service = (uint16_t)index,
	};

	memcpy(rule.address, s->address, sizeof(rule.address));
	rule_add(p, &rule);
}

/* Has a service that is not worked on by the very same core alone ports of this address, too? */
static bool source_is_shared(
	const struct plan *p, uint32_t index, const struct weir_config_source *source)
{
	const struct steering_workers *mine = &p->workers[index];

	for (uint32_t i = 0; i < p->view->header->service_count; i++) {
		const struct weir_config_service *s = &p->view->services[i];
		const struct steering_workers *w = &p->workers[i];

		if (i == index || s->protocol != p->view->services[index].protocol ||
			(mine->count == 1 && w->count == 1 && w->core[0] == mine->core[0]))
			continue;
		for (uint32_t k = 0; k < s->source_count; k++)
			if (memcmp(p->view->sources[s->first_source + k].address, source->address,
				    sizeof(source->address)) == 0)
				return true;
	}
	return false;
}

static bool blocks_all(const uint8_t *blocks, uint32_t first, uint32_t count)
{
	for (uint32_t b = first; b < first + count; b++)
		if (!(blocks[b / 8] >> (b % 8) & 1))
			return false;
	return true;
}

/* The largest aligned ranges that a set of blocks is made of; beyond the limit, the rest is only counted. */
static void ranges_add(struct plan *p, const uint8_t *blocks, struct steering_rule *rule)
{
	uint32_t ranges = 0;

	for (uint32_t first = 0; first < WEIR_PORT_BLOCKS;) {
		uint32_t count = 1;

		if (!blocks_all(blocks, first, 1)) {
			first++;
			continue;
		}
		while (first % (2 * count) == 0 && first + 2 * count <= WEIR_PORT_BLOCKS &&
			blocks_all(blocks, first, 2 * count))
			count *= 2;
		rule->port = (uint16_t)(first << 8);
		rule->port_mask = (uint16_t) ~((count << 8) - 1);
		if (ranges++ < STEERING_RANGES_MAX) {
			rule_add(p, rule);
		} else {
			p->left.of++;
			p->left.rules++;
		}
		first += count;
	}
}

static void replies_add(struct plan *p, uint32_t index)
{
	const struct weir_config_service *s = &p->view->services[index];
	const struct steering_workers *w = &p->workers[index];
	const uint32_t first = p->count, left = p->left.rules;
	bool untold = false;

	for (uint32_t i = 0; i < s->source_count; i++) {
		const struct weir_config_source *source = &p->view->sources[s->first_source + i];
		struct steering_rule rule = {
			.prefix_length = 128,
			.protocol = s->protocol,
			.core = w->core[0],
			.replies = true,
			.service = (uint16_t)index,
		};
		const bool shared = source_is_shared(p, index, source);

		memcpy(rule.address, source->address, sizeof(rule.address));
		if (w->count == 1 && !shared) {
			/* The host's own ports on it come along, and go on to the kernel over core 0. */
			rule_add(p, &rule);
		} else if (w->count == 1) {
			ranges_add(p, source->blocks, &rule);
		} else if (!shared && (w->count & (w->count - 1)) == 0) {
			rule.port_mask = (uint16_t)(w->count - 1);
			for (uint8_t k = 0; k < w->count; k++) {
				rule.port = k;
				rule.core = w->core[k];
				rule_add(p, &rule);
			}
		} else {
			untold = true;
		}
	}
	p->untold += untold;
	p->left.services += p->left.rules != left;
	for (uint32_t i = first; i < p->count; i++)
		p->rules[i].partial = untold || p->left.rules != left;
}

/* One more reason. */
__attribute__((format(printf, 3, 4))) static void why_add(
	char *why, size_t why_size, const char *format, ...)
{
	size_t used = strlen(why);
	va_list ap;

	if (used) {
		snprintf(why + used, why_size - used, "; ");
		used = strlen(why);
	}
	va_start(ap, format);
	vsnprintf(why + used, why_size - used, format, ap);
	va_end(ap);
}

uint32_t steering_plan(const struct weir_config_view *view, const struct steering_workers *workers,
	struct steering_rule *ret_rules, struct steering_left *ret_left, char *ret_why,
	size_t why_size)
{
	struct plan p = { .view = view, .workers = workers, .rules = ret_rules };
	const uint32_t count = view->header->service_count;
	uint32_t without = 0;

	ret_why[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		if (workers[i].count == 1 && workers[i].core[0] != 0 && !workers[i].moved) {
			clients_add(&p, i);
			continue;
		}
		if (without++ == 0)
			why_add(ret_why, why_size, "%s %s", view->services[i].name,
				workers[i].moved ?
					"has buckets that were moved, which only Weir follows" :
					workers[i].count > 1 ?
					"has several cores, and which of them has a client's flow only Weir knows" :
					"is worked on by the core that receives");
	}
	if (without > 1)
		why_add(ret_why, why_size, "%u more services likewise", without - 1);
	for (uint32_t i = 0; i < count; i++)
		if (view->services[i].mode == WEIR_MODE_NAT && workers[i].count != 0 &&
			!workers[i].moved && (workers[i].count > 1 || workers[i].core[0] != 0))
			replies_add(&p, i);
	if (p.untold)
		why_add(ret_why, why_size,
			"replies of %u services have no rule, as ports do not tell their cores apart",
			p.untold);
	if (p.left.rules)
		why_add(ret_why, why_size,
			"%u of %u rules for replies of %u services are left out (at most %u for a "
			"source address, %u in all)",
			p.left.rules, p.left.of, p.left.services, STEERING_RANGES_MAX,
			STEERING_RULES_MAX);
	*ret_left = p.left;
	return p.count;
}
