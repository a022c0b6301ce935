/* SPDX-License-Identifier: BSD-3-Clause */

/* Between flow_table.c (records and index) and flow_age.c (queues and wheel). */

#ifndef WEIR_TABLE_FLOW_PRIVATE_H
#define WEIR_TABLE_FLOW_PRIVATE_H

#include "dataplane/table/flow_table.h"

/* Hang a flow on the queue or the wheel slot of its state. record: flow_index() of it. */
void flow_list_add(struct flow_partition *p, struct flow *f, uint16_t record);
void flow_list_unlink(struct flow_partition *p, struct flow *f);

#endif
