/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How services come and go. Main thread.
 */

#ifndef WEIR_CORE_APPLY_H
#define WEIR_CORE_APPLY_H

struct fastpath;

/* Remove every service and the generation, when the cores have stopped and fastpath_drain() is done. */
void apply_nothing(struct fastpath *fp);

/* Drop all that is queued, as shutdown, when the cores have stopped. */
void fastpath_drain(struct fastpath *fp);

#endif
