/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/model.h"

#include "control/config/bind.h"

#include <errno.h>
#include <stdlib.h>

void model_destroy(struct model *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->service_count; i++) {
		free(m->services[i].sources);
		free(m->services[i].backends);
		free(m->services[i].fallback);
		free(m->services[i].health.path);
	}
	free(m->services);
	free(m->ports);
	free(m->neighbours);
	free(m->dataplane.cores);
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
