/* SPDX-License-Identifier: BSD-3-Clause */

/* Which configuration the daemon begins with. */

#ifndef WEIR_DAEMON_STARTUP_H
#define WEIR_DAEMON_STARTUP_H

struct daemon;

/* Read the file of --config. Returns 0, or the exit status; then all its errors have been printed. */
int startup_load(struct daemon *d);

/*
 * With the lock taken: perhaps go on with a configuration that was applied later, and with the port
 * blocks in use. Returns 0 or -ENOMEM.
 */
int startup_continue(struct daemon *d);

/* It has started: what it began with goes into the history, where that is news. */
void startup_note(struct daemon *d);

/* The data plane has ended with us: there are no flows whose ports have to stay. The history stays. */
void startup_forget(struct daemon *d);

#endif
