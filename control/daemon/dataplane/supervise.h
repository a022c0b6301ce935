/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the service manager hears of the daemon: ready when the configuration is in force, or when that cannot
 * be waited for; a line on what is served; and that the event loop turns, for the watchdog.
 */

#ifndef WEIR_DAEMON_SUPERVISE_H
#define WEIR_DAEMON_SUPERVISE_H

struct daemon;

/* Begin; does nothing without a service manager. Returns 0 or -ENOMEM. */
int supervise_start(struct daemon *d);
/* The daemon is about to end; may be called more than once. */
void supervise_stopping(void);

#endif
