/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Steering by devices: the rules are set when a configuration is in force, and then it is looked at whether they do what
 * they say. Main thread.
 *
 * A device may take a rule and not follow it, or send replies to another queue than the clients' packets. It is
 * believed only what is seen at its port: the first packets of a service that ought to be steered, in each direction.
 * When all of them come to the dispatcher, its rules are taken back and not set again as long as the port is open,
 * an event says so, and `port show` gives the reason.
 */

#ifndef WEIR_PROCESS_STEERING_H
#define WEIR_PROCESS_STEERING_H

#include <stdint.h>

struct process;

/* A configuration is in force, or ports have come back. */
void steering_set(struct process *p);

/* Often. now_ns: CLOCK_MONOTONIC */
void steering_tick(struct process *p, uint64_t now_ns);

void steering_end(struct process *p);

#endif
