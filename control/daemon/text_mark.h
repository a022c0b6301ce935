/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef WEIR_DAEMON_TEXT_MARK_H
#define WEIR_DAEMON_TEXT_MARK_H

#include <stddef.h>
#include <stdint.h>

/* A mark of a file's content. */
uint64_t text_mark(const char *text, size_t length);

#endif
