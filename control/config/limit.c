/* SPDX-License-Identifier: BSD-3-Clause */

/* Single limits of a service, by the names and in the writing of the configuration file. */

#include "control/config/model.h"
#include "control/config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct schema_key *key_find(
	const struct schema_key *keys, const char *name, size_t length)
{
	for (; keys->name != NULL; keys++)
		if (strlen(keys->name) == length && strncmp(keys->name, name, length) == 0)
			return keys;
	return NULL;
}

/* The key of "per-source.packets" and the object that it is a field of; NULL: there is none. */
static const struct schema_key *limit_find(
	struct model_limits *limits, const char *path, void **ret_object)
{
	const struct schema_key *k = key_find(schema_root, "services", strlen("services"));
	char *object = (char *)limits;
	k = k ? key_find(k->children, "limits", strlen("limits")) : NULL;
	while (k != NULL && k->type == SCHEMA_MAP) {
		size_t length = strcspn(path, ".");
		k = key_find(k->children, path, length);
		if (k == NULL || (path[length] == '.') != (k->type == SCHEMA_MAP))
			return NULL;
		path += length + 1;
		*ret_object = object;
		object += k->offset;
	}
	return k;
}

static int keys_list(const struct schema_key *keys, const char *before, char *text, size_t size)
{
	size_t used = 0;
	for (; keys->name != NULL && used < size; keys++) {
		if (keys->type != SCHEMA_MAP)
			used += (size_t)snprintf(
				text + used, size - used, ", %s%s", before, keys->name);
		else
			used += (size_t)keys_list(
				keys->children, "per-source.", text + used, size - used);
	}
	return (int)used;
}

int model_limit_set(
	struct model_limits *limits, const char *key, const char *value, char *err, size_t err_size)
{
	const struct schema_key *k;
	char what[256];
	char expect[256];
	void *object;
	k = limit_find(limits, key, &object);
	if (k == NULL) {
		const struct schema_key *services = key_find(schema_root, "services", 8);
		const struct schema_key *all = key_find(services->children, "limits", 6);
		keys_list(all->children, "", expect, sizeof(expect));
		snprintf(err, err_size, "%.64s is no limit, expected one of %s", key, expect + 2);
		return -ENOENT;
	}
	if (k->type == SCHEMA_RATE && strcmp(value, "none") == 0) {
		const uint64_t unlimited = MODEL_UNLIMITED;
		memcpy((char *)object + k->offset, &unlimited, sizeof(unlimited));
		return 0;
	}
	uint64_t burst_ns = limits->burst_ns;
	if (!schema_read(k, value, object, what, sizeof(what))) {
		snprintf(err, err_size, "%s: %s, expected %s%s", key, what,
			schema_expect(k, expect, sizeof(expect)),
			k->type == SCHEMA_RATE ? ", or none" : "");
		return -EINVAL;
	}
	/* A source's burst that was the service's stays so. */
	if (object == limits && limits->per_source.burst_ns == burst_ns)
		limits->per_source.burst_ns = limits->burst_ns;
	return 0;
}

const char *model_limit_print(
	const struct model_limits *limits, const char *key, char *buf, size_t size)
{
	struct model_limits copy = *limits;
	const struct schema_key *k;
	void *object;
	uint64_t value = 0;
	k = limit_find(&copy, key, &object);
	if (k == NULL)
		return "none";
	memcpy(&value, (char *)object + k->offset, k->size); /* numbers are little-endian */
	if (k->type == SCHEMA_RATE && value == MODEL_UNLIMITED)
		return "none";
	return unit_print(schema_unit(k->type), value, buf, size);
}
