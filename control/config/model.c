/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/model.h"

#include "control/config/bind.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *model_mode_label(enum model_mode mode)
{
	static const char *const labels[] = {
		[MODEL_NAT] = "nat",
		[MODEL_DSR] = "dsr",
		[MODEL_IPIP] = "ipip",
		[MODEL_GUE] = "gue",
	};

	return labels[mode];
}

static void policies_free(struct model_policy *policies, size_t count)
{
	for (size_t i = 0; i < count; i++)
		model_policy_fini(&policies[i]);
	free(policies);
}

void model_policy_fini(struct model_policy *p)
{
	for (size_t i = 0; i < p->set_count; i++)
		free(p->sets[i]);
	free(p->sets);
	free(p->object);
}

struct model_policy *model_policy_next(const struct model *m, struct model_policy_cursor *c,
	const struct model_service **ret_service, size_t *ret_position)
{
	for (; c->service <= m->service_count; c->service++, c->position = 0) {
		const struct model_service *s =
			c->service < m->service_count ? &m->services[c->service] : NULL;
		size_t count = s != NULL ? s->policy_count : m->policy_count;
		if (c->position >= count)
			continue;
		*ret_service = s;
		*ret_position = c->position++;
		return s != NULL ? &s->policies[*ret_position] : &m->policies[*ret_position];
	}
	return NULL;
}

void model_policy_key(const struct model *m, const struct model_service *s,
	const struct model_policy *p, size_t position, char *key)
{
	size_t used = 0;

	if (s != NULL)
		used = (size_t)snprintf(
			key, MODEL_POLICY_KEY_SIZE, "services[%td].", s - m->services);
	used += (size_t)snprintf(key + used, MODEL_POLICY_KEY_SIZE - used, "policy");
	if (p->listed)
		used += (size_t)snprintf(
			key + used, MODEL_POLICY_KEY_SIZE - used, "[%zu]", position);
	snprintf(key + used, MODEL_POLICY_KEY_SIZE - used, ".object");
}

void model_object_path(const char *file, const char *object, char *path)
{
	const char *slash = strrchr(file, '/');

	if (*object == '/' || slash == NULL)
		snprintf(path, PATH_MAX, "%s", object);
	else
		snprintf(path, PATH_MAX, "%.*s/%s", (int)(slash - file), file, object);
}

void model_destroy(struct model *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->service_count; i++) {
		free(m->services[i].sources);
		free(m->services[i].backends);
		free(m->services[i].fallback);
		free(m->services[i].health.path);
		policies_free(m->services[i].policies, m->services[i].policy_count);
		free(m->services[i].classes);
		for (size_t j = 0; j < m->services[i].pool_count; j++)
			free(m->services[i].pools[j].backends);
		free(m->services[i].pools);
	}
	policies_free(m->policies, m->policy_count);
	free(m->services);
	free(m->ports);
	free(m->neighbours);
	free(m->dataplane.cores);
	for (size_t i = 0; i < m->stream.broker_count; i++)
		free(m->stream.brokers[i]);
	free(m->stream.brokers);
	free(m->probes.key_file);
	free(m);
}

int model_parse(
	const char *text, size_t length, struct model **ret_model, struct model_errors *ret_errors)
{
	struct error_list errors = { 0 };
	struct model *m = NULL;
	struct tree *tree = NULL;
	int r = tree_parse(text, length, &errors, &tree);
	if (r == 0) {
		m = calloc(1, sizeof(*m));
		if (m == NULL)
			r = -ENOMEM;
		else if (bind_model(tree_root(tree), m, &errors))
			check_model(tree_root(tree), m, &errors);
	}
	tree_destroy(tree);
	struct model_errors found;
	errors_finish(&errors, &found);
	if (r != -ENOMEM)
		r = errors.no_memory ? -ENOMEM : found.count > 0 ? -EINVAL : 0;
	if (r == 0) {
		*ret_model = m;
		return 0;
	}
	model_destroy(m);
	if (r == -EINVAL)
		*ret_errors = found;
	else
		model_errors_fini(&found);
	return r;
}
