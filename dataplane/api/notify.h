/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a process tells the service manager that started it: that it serves, what it does, that it is
 * still alive. Without one ($NOTIFY_SOCKET is not set) all of it does nothing.
 *
 * Source: the protocol of sd_notify(3): datagrams of NAME=value lines to a UNIX socket.
 */

#ifndef WEIR_API_NOTIFY_H
#define WEIR_API_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Read the environment, and take what is ours out of it: a child must not speak for its parent.
 * Main thread, at start.
 */
void notify_init(void);

bool notify_is_wanted(void);

/* Whether standard error goes to the journal ($JOURNAL_STREAM), which wants priorities in front of lines: sd-daemon(3). */
bool notify_journal_reads(void);

/* Say that the process serves from now on, or that it is about to end. status may be NULL. */
void notify_ready(const char *status);
void notify_stopping(const char *status);
/* One line for people, shown by `systemctl status`; said again only when it changes. */
void notify_status(const char *status);

/* How often the manager wants to hear of us, in nanoseconds; 0: it does not. */
uint64_t notify_watchdog_ns(void);
/*
 * Say that the process works, when half of the watchdog's time has passed since it was last said. Call it
 * only where it is true.
 */
void notify_alive(uint64_t now_ns);

#endif
