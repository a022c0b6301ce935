/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/bind.h"

void check_policies(struct model_policy *policies, size_t count, struct node *list)
{
	bool listed = list != NULL && list->kind == NODE_LIST;
	struct node *item = listed ? list->first : list;
	for (size_t i = 0; i < count && item != NULL; i++, item = item->next) {
		const struct node *object = node_get(item, "object");
		if (object == NULL)
			continue;
		policies[i].line = object->line;
		policies[i].column = object->column;
		policies[i].listed = listed;
	}
}
