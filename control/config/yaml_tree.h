/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A YAML file as a tree of nodes that know where they stand, so that every later complaint can name
 * line and column. Refuses what a configuration has no use for (anchors, aliases, tags, several
 * documents) and bounds depth and size, so that no file can make it slow or large.
 */

#ifndef WEIR_CONFIG_YAML_TREE_H
#define WEIR_CONFIG_YAML_TREE_H

#include "control/config/errors.h"

#include <stdbool.h>
#include <stddef.h>

#define TREE_MAX_BYTES (16u << 20)
#define TREE_MAX_NODES (1u << 20)
#define TREE_MAX_DEPTH 32

enum node_kind {
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP,
};

struct node {
	enum node_kind kind;
	unsigned int line; /* of the value, from 1 */
	unsigned int column;
	unsigned int key_line; /* of its key, inside a mapping */
	unsigned int key_column;
	bool plain; /* scalar without quotes */
	bool bad; /* set by those who complained about it, to keep others silent */
	size_t index; /* in its list */
	size_t count; /* children */
	const char *key; /* inside a mapping, else NULL; owned by the tree */
	const char *text; /* of a scalar; owned by the tree */
	struct node *parent;
	struct node *first; /* children in the order of the file */
	struct node *last;
	struct node *next;
};

struct tree;

/*
 * Build the tree of a file. Complaints go to errors; then there is no tree.
 *
 * ret_tree  free with tree_destroy()
 * Returns 0, -EINVAL (something was added to errors) or -ENOMEM.
 */
int tree_parse(const char *text, size_t length, struct error_list *errors, struct tree **ret_tree);
void tree_destroy(struct tree *t); /* NULL is fine */
struct node *tree_root(const struct tree *t);

/* A mapping's child by key, or NULL; map may be NULL or no mapping. */
struct node *node_get(const struct node *map, const char *key);

/* True for a value that YAML reads as nothing: empty, ~ or null without quotes. */
bool node_is_null(const struct node *n);

/* "services[0].port"; the root is "file". child may be NULL, else it is added as a key. */
const char *node_path(const struct node *n, const char *child, char *buf, size_t size);

#endif
