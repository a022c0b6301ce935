/* SPDX-License-Identifier: BSD-3-Clause */

/* Buckets of a service as an operator names them: "7", "0-127", "0-3,9". */

#ifndef WEIR_CONFIG_BUCKETS_H
#define WEIR_CONFIG_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKETS_COUNT 256u

/*
 * Read numbers and ranges, in any order, each bucket once or more often.
 *
 * ret_buckets  bit b % 8 of byte b / 8; some are set when this returns true
 *
 * Any thread.
 */
bool buckets_parse(const char *text, uint8_t ret_buckets[BUCKETS_COUNT / 8]);

#endif
