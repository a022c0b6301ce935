/* SPDX-License-Identifier: BSD-3-Clause */

/* From the tree of a file to the model, by the schema; inside control/config only. */

#ifndef WEIR_CONFIG_BIND_H
#define WEIR_CONFIG_BIND_H

#include "control/config/errors.h"
#include "control/config/model.h"
#include "control/config/schema.h"
#include "control/config/yaml_tree.h"

/*
 * Fill m from the tree: every key read, defaults set. Complaints go to errors, and their nodes are
 * marked bad. Elements of lists are in m in the order of the file, bad ones too.
 *
 * Returns whether all of the tree was read: false when it is no mapping or of another version, and
 * then there is nothing to check either.
 */
bool bind_model(struct node *root, struct model *m, struct error_list *errors);

/* What no single key can say: names unique, addresses that fit together, and so on. */
void check_model(struct node *root, struct model *m, struct error_list *errors);

/* Note where the file names the objects of policies; list: a list, a mapping, or NULL. */
void check_policies(struct model_policy *policies, size_t count, struct node *list);
/* The part of it that is about adaptation: fills in the computed defaults. */
/* probed: answers that go past Weir may be told of by probes. */
void check_adapt(
	struct error_list *errors, struct model_service *s, struct node *service, bool probed);
void check_pci_ports(const struct model *m, struct node *list, struct error_list *errors);
/* Whether this build can have one. */
void check_stream(struct error_list *errors, struct node *stream);

/* Present and read without a complaint. */
static inline bool node_is_good(const struct node *n)
{
	return n != NULL && !n->bad;
}

/* Complain about a node, or about a key that it does not have (child), and mark it bad. */
void node_complain(struct error_list *errors, struct node *n, const char *child, const char *format,
	...) __attribute__((format(printf, 4, 5)));

#endif
