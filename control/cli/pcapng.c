/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/pcapng.h"

#include <string.h>

enum block {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
};

enum option {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_SECTION_APPLICATION = 4,
	OPTION_INTERFACE_NAME = 2,
	OPTION_INTERFACE_RESOLUTION = 9,
	OPTION_PACKET_FLAGS = 2,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINK_ETHERNET	 1
#define NANOSECONDS	 9 /* a power of ten */
#define FLAGS_INBOUND	 1u
#define FLAGS_OUTBOUND	 2u
#define COMMENT_MAX	 512
#define BLOCK_OVERHEAD	 12 /* type, length, length again */
#define PACKET_FIXED	 20

static uint32_t padded(uint32_t bytes)
{
	return (bytes + 3) & ~3u;
}

static uint32_t option_bytes(size_t length)
{
	return 4 + padded((uint32_t)length);
}

static void put(struct pcapng *p, const void *bytes, size_t count)
{
	fwrite(bytes, 1, count, p->file);
}

static void put32(struct pcapng *p, uint32_t value)
{
	put(p, &value, sizeof(value));
}

static void put16(struct pcapng *p, uint16_t value)
{
	put(p, &value, sizeof(value));
}

static void put_padded(struct pcapng *p, const void *bytes, uint32_t count)
{
	static const uint8_t zeros[4];
	put(p, bytes, count);
	put(p, zeros, padded(count) - count);
}

static void put_option(struct pcapng *p, uint16_t code, const void *value, size_t length)
{
	put16(p, code);
	put16(p, (uint16_t)length);
	put_padded(p, value, (uint32_t)length);
}

void pcapng_begin(struct pcapng *p, FILE *file, uint32_t snaplen)
{
	static const char application[] = "weirctl " WEIR_VERSION;
	size_t length = sizeof(application) - 1;
	uint32_t total = BLOCK_OVERHEAD + 16 + option_bytes(length) + option_bytes(0);
	*p = (struct pcapng){ .file = file, .snaplen = snaplen };
	put32(p, BLOCK_SECTION);
	put32(p, total);
	put32(p, BYTE_ORDER_MAGIC);
	put16(p, 1); /* version 1.0 */
	put16(p, 0);
	put32(p, UINT32_MAX); /* of the section: not known, both halves */
	put32(p, UINT32_MAX);
	put_option(p, OPTION_SECTION_APPLICATION, application, length);
	put_option(p, OPTION_END, "", 0);
	put32(p, total);
}

void pcapng_interface(struct pcapng *p, const char *name)
{
	static const uint8_t resolution = NANOSECONDS;
	size_t length = strnlen(name, sizeof(p->interface[0]) - 1);
	uint32_t total =
		BLOCK_OVERHEAD + 8 + option_bytes(length) + option_bytes(1) + option_bytes(0);
	put32(p, BLOCK_INTERFACE);
	put32(p, total);
	put16(p, LINK_ETHERNET);
	put16(p, 0);
	put32(p, p->snaplen);
	put_option(p, OPTION_INTERFACE_NAME, name, length);
	put_option(p, OPTION_INTERFACE_RESOLUTION, &resolution, sizeof(resolution));
	put_option(p, OPTION_END, "", 0);
	put32(p, total);
	memcpy(p->interface[p->interface_count++], name, length);
}

static uint32_t interface_id(struct pcapng *p, const char *name)
{
	for (size_t i = 0; i < p->interface_count; i++)
		if (strcmp(p->interface[i], name) == 0)
			return (uint32_t)i;
	/* There are fewer ports than there is room for; they may be renamed meanwhile, though. */
	if (p->interface_count == PCAPNG_INTERFACES)
		return PCAPNG_INTERFACES - 1;
	pcapng_interface(p, name);
	return (uint32_t)p->interface_count - 1;
}

void pcapng_frame(struct pcapng *p, const struct pcapng_frame *frame)
{
	const uint32_t flags = frame->outbound ? FLAGS_OUTBOUND : FLAGS_INBOUND;
	size_t comment = frame->comment != NULL ? strnlen(frame->comment, COMMENT_MAX) : 0;
	uint32_t id = interface_id(p, frame->interface);
	uint32_t total = BLOCK_OVERHEAD + PACKET_FIXED + padded(frame->captured) +
		option_bytes(sizeof(flags)) + (comment > 0 ? option_bytes(comment) : 0) +
		option_bytes(0);
	put32(p, BLOCK_PACKET);
	put32(p, total);
	put32(p, id);
	put32(p, (uint32_t)(frame->time_ns >> 32));
	put32(p, (uint32_t)frame->time_ns);
	put32(p, frame->captured);
	put32(p, frame->length);
	put_padded(p, frame->data, frame->captured);
	put_option(p, OPTION_PACKET_FLAGS, &flags, sizeof(flags));
	if (comment > 0)
		put_option(p, OPTION_COMMENT, frame->comment, comment);
	put_option(p, OPTION_END, "", 0);
	put32(p, total);
}
