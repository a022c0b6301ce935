/* SPDX-License-Identifier: BSD-3-Clause */

/* For writing rows of the schema table; inside control/config only. */

#ifndef WEIR_CONFIG_SCHEMA_ROW_H
#define WEIR_CONFIG_SCHEMA_ROW_H

#include "control/config/model.h"
#include "control/config/schema.h"

#define FIELD(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define LIST_OF(type, member, count_member, element)                             \
	.offset = offsetof(struct type, member), .size = sizeof(struct element), \
	.count_offset = offsetof(struct type, count_member)
#define MS UINT64_C(1000000)
#define S  (1000 * MS)

#endif
