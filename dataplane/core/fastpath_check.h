/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For tests: do all sums of the telemetry agree with each other and with what is queued?
 */

#ifndef WEIR_CORE_FASTPATH_CHECK_H
#define WEIR_CORE_FASTPATH_CHECK_H

#include <stddef.h>

struct fastpath;

/*
 * Compare received with transmitted + passed to the kernel + dropped + queued, for each service and
 * over all ports, new and closed flows with the flow tables, and residence times with packets sent.
 * Main thread, while no core runs.
 *
 * Returns 0, or -EBADMSG with the first sum that does not balance in err.
 */
int fastpath_check_balance(struct fastpath *fp, char *err, size_t err_size);

#endif
