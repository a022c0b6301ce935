/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Capture ports for replay: packets come from one file and go to another, and the caller says up to
 * which moment of the capture's own clock they come. Single thread.
 */

#ifndef WEIR_PORT_CAPTURE_H
#define WEIR_PORT_CAPTURE_H

#include "dataplane/port/port.h"

#include <stdint.h>

/*
 * Time of the next packet to be received.
 *
 * Returns 1 (ret_ns is set, ns since 1970), 0 (no more), or -EINVAL: the file is damaged, and
 * capture_error() says where.
 */
int capture_next_time(struct port *port, uint64_t *ret_ns);

/*
 * Let the receive function give packets of exactly this time, and stamp what is sent from here on with
 * it.
 */
void capture_set_time(struct port *port, uint64_t ns);

/* Write out what is buffered. Returns 0 or -EIO; capture_error() says which file. */
int capture_flush(struct port *port);

const char *capture_error(const struct port *port); /* "" when all is well; borrowed */

#endif
