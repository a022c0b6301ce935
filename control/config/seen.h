/* SPDX-License-Identifier: BSD-3-Clause */

/* What of a file has been seen before; inside control/config only. */

#ifndef WEIR_CONFIG_SEEN_H
#define WEIR_CONFIG_SEEN_H

#include "control/config/bind.h"

#include <stddef.h>
#include <stdint.h>

/* A set of byte strings, each with the node that brought it in. */
struct seen {
	struct seen_entry {
		struct node *node;
		uint8_t length;
		uint8_t key[71];
	} * entries;
	size_t mask;
};

/* Room for `count` of them; without memory nothing is found, and errors says so. free(s->entries) ends it. */
void seen_init(struct error_list *errors, struct seen *s, size_t count);
/* The node that brought the key in before, or NULL: then it is node now. */
struct node *seen_add(struct seen *s, const void *key, size_t length, struct node *node);
struct node *seen_find(const struct seen *s, const void *key, size_t length);

#endif
