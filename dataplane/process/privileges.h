/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the data plane may do, taken down to what it needs. The main thread opens ports again at any time, so
 * it keeps what that takes; packet cores, the threads that touch what strangers send, keep nothing.
 */

#ifndef WEIR_PROCESS_PRIVILEGES_H
#define WEIR_PROCESS_PRIVILEGES_H

/*
 * Give up all capabilities but those for ports, for this thread, those it starts, and for good: the
 * bounding set goes too, and no program that is executed can gain any. Main thread, before there are
 * others. Without privileges there is nothing to give up.
 *
 * Returns 0 or -errno.
 */
int privileges_reduce(void);

/* A packet core gives up the rest. Its own thread. Returns 0 or -errno. */
int privileges_end(void);

#endif
