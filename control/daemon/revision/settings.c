/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/revision/settings.h"

#include "dataplane/api/messages.h"

#include <stdio.h>
#include <string.h>

static void name_add(char *text, size_t size, const char *name, bool differs)
{
	size_t used = strlen(text);

	if (differs)
		snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
}

bool settings_differ(
	const struct model_dataplane *a, const struct model_dataplane *b, char *text, size_t size)
{
	bool cores = a->core_count != b->core_count ||
		(a->core_count &&
			memcmp(a->cores, b->cores, a->core_count * sizeof(*a->cores)) != 0);

	text[0] = 0;
	name_add(text, size, "cores", cores);
	name_add(text, size, "idle", a->idle != b->idle);
	name_add(text, size, "early-drops", a->early_drops != b->early_drops);
	name_add(text, size, "hugepages", a->hugepages != b->hugepages);
	name_add(text, size, "memory", a->memory_bytes != b->memory_bytes);
	return text[0] != 0;
}

void cores_print(const struct model_dataplane *m, char *text, size_t size)
{
	size_t used = 0;

	text[0] = 0;
	for (size_t i = 0; i < m->core_count && used < size;) {
		size_t last = i;

		while (last + 1 < m->core_count && m->cores[last + 1] == m->cores[last] + 1)
			last++;
		used += (size_t)snprintf(text + used, size - used, last > i ? "%s%u-%u" : "%s%u",
			i ? "," : "", m->cores[i], m->cores[last]);
		i = last + 1;
	}
}

bool settings_differ_from_running(const struct model_dataplane *m,
	const struct weir_hello_reply *running, char *text, size_t size)
{
	char cores[1024];

	cores_print(m, cores, sizeof(cores));
	text[0] = 0;
	name_add(text, size, "cores", m->core_count && strcmp(cores, running->cores) != 0);
	name_add(text, size, "idle", (unsigned int)m->idle != running->idle);
	name_add(text, size, "early-drops",
		(m->early_drops == MODEL_EARLY_DROPS_WEIR) !=
			(running->early_drops_only_here != 0));
	name_add(text, size, "hugepages",
		(m->hugepages == MODEL_HUGEPAGES_REQUIRED && !running->hugepages) ||
			(m->hugepages == MODEL_HUGEPAGES_NONE && running->hugepages));
	name_add(text, size, "memory", m->memory_bytes && m->memory_bytes != running->memory_bytes);
	return text[0] != 0;
}
