/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a server answers to a check by HTTP: bytes of somebody else. Pure.
 *
 * Source of the status line: RFC 9112 section 4.
 */

#ifndef WEIR_HEALTH_ANSWER_H
#define WEIR_HEALTH_ANSWER_H

/* The status of an answer that ends with a NUL: 100 to 999, or -EBADMSG when it is not HTTP. */
int health_answer_status(const char *answer);

#endif
