/* SPDX-License-Identifier: BSD-3-Clause */

/* Characters of a text; a pure function. */

#ifndef WEIR_CONFIG_UTF8_H
#define WEIR_CONFIG_UTF8_H

#include <stddef.h>

/*
 * Length in bytes of the UTF-8 character at p, of which `left` bytes can be read (1 or more). 0 when
 * it is none, or none that YAML allows: control characters, surrogates, the byte order mark inside a
 * text.
 */
size_t utf8_length(const unsigned char *p, size_t left);

#endif
