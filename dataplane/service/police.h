/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sources as directives have them: heavy ones are counted (watched), and each is held to a fair rate
 * (policed). Made by the main thread with each change, immutable but for the table of budgets; shared by the
 * generations in which it is the same.
 */

#ifndef WEIR_SERVICE_POLICE_H
#define WEIR_SERVICE_POLICE_H

#include "dataplane/api/messages.h"
#include "dataplane/table/source_table.h"

#include <stdbool.h>
#include <stdint.h>

struct service;
struct service_per_source;
struct service_settings;

/* Weights go by quarters of powers of two, from 1/16 to 32; WEIR_SOURCE_WEIGHT_UNIT is class 16. */
#define POLICE_CLASSES	 37u
#define POLICE_CLASS_ONE 16u

/* A source that directives name. */
struct police_source {
	uint64_t key; /* as source_identify() makes it */
	uint64_t boxed_until_ns; /* by the workers' clock; 0: not boxed */
	uint8_t class;
	bool used;
};

struct service_police {
	uint32_t references;
	struct account *account; /* of the service */
	uint8_t mask[16]; /* of the prefix, over a mapped address */
	struct hash_seed seed;
	bool polices;
	struct source_table *table; /* per_source->table; NULL: only watched */
	struct service_per_source *per_source; /* shared */
	uint32_t list_mask;
	struct police_source *list; /* owned; hashed, [list_mask + 1]; NULL: none is named */
	struct source_rates rates[POLICE_CLASSES];
};

/* What directives name, or NULL. */
static inline const struct police_source *police_find(
	const struct service_police *p, const struct source_id *id)
{
	if (!p->list)
		return NULL;
	for (uint32_t i = id->tag & p->list_mask; p->list[i].used; i = (i + 1) & p->list_mask)
		if (p->list[i].key == id->key)
			return &p->list[i];
	return NULL;
}

/*
 * Make what the directives in force ask for, with the table of old where there is one; *ret_police is NULL
 * when they ask for nothing.
 *
 * clock_ns  of the workers, now
 * Returns 0 or -ENOMEM.
 */
int police_create(const struct service_settings *s, const struct service_police *old,
	const struct hash_seed *seed, uint64_t clock_ns, struct service_police **ret_police);
void police_release(struct service_police *p); /* NULL is fine */

#endif
