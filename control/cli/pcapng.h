/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A capture file of the next generation: frames with nanoseconds, direction, comment, and the interface
 * that they came or left by, described when it is first seen.
 *
 * Source: draft-ietf-opsawg-pcapng, sections 4.1, 4.2 and 4.3.
 */

#ifndef WEIR_CLI_PCAPNG_H
#define WEIR_CLI_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PCAPNG_INTERFACES 64

struct pcapng {
	FILE *file;
	uint32_t snaplen;
	size_t interface_count;
	char interface[PCAPNG_INTERFACES][64];
};

struct pcapng_frame {
	const char *interface;
	uint64_t time_ns;
	bool outbound;
	const char *comment; /* NULL: none */
	const uint8_t *data;
	uint32_t captured; /* bytes of data */
	uint32_t length; /* of the whole frame */
};

/* Begin a file. file stays the caller's. Errors of writing are those of the file: ferror(). */
void pcapng_begin(struct pcapng *p, FILE *file, uint32_t snaplen);
/* Describe an interface now, though no frame of it may come. */
void pcapng_interface(struct pcapng *p, const char *name);
void pcapng_frame(struct pcapng *p, const struct pcapng_frame *frame);

#endif
