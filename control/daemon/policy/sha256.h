/* SPDX-License-Identifier: BSD-3-Clause */

/* SHA-256 (FIPS 180-4) of bytes in memory, as text. Pure. */

#ifndef WEIR_DAEMON_SHA256_H
#define WEIR_DAEMON_SHA256_H

#include <stddef.h>

#define SHA256_TEXT_SIZE 65

/* 64 lower-case hexadecimal digits and a NUL. */
void sha256_text(const void *bytes, size_t length, char ret_text[SHA256_TEXT_SIZE]);

#endif
