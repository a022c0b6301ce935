/* SPDX-License-Identifier: BSD-3-Clause */

/* What the main thread does for latency by itself while control is silent. */

#ifndef WEIR_CORE_GUARD_H
#define WEIR_CORE_GUARD_H

#include <stdint.h>

struct fastpath;
struct service;

/* For a service whose directives are stale; often. */
void guard_tick(struct fastpath *fp, struct service *s, uint64_t now_ns);

#endif
