/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What an instance has in the file system: its folder, a lock that only one data plane holds, a bpffs
 * for pins. What a killed predecessor left there is cleaned at the start. Main thread.
 */

#ifndef WEIR_PROCESS_INSTANCE_H
#define WEIR_PROCESS_INSTANCE_H

#include <stddef.h>

struct instance;

/*
 * dir   RUN_DIR/NAME; made when missing, parents too
 *
 * Returns 0 or -errno with the reason in err (-EBUSY: another data plane has it). A bpffs that cannot
 * be mounted is no error here: opening a kernel interface later says so.
 */
int instance_open(const char *dir, struct instance **ret_instance, char *err, size_t err_size);

/* Remove all of the above that is ours; the folder too when nobody else has files there. */
void instance_close(struct instance *i);

const char *instance_socket_path(const struct instance *i); /* borrowed */
const char *instance_hugepages_path(const struct instance *i); /* borrowed */

#endif
