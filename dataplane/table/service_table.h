/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a destination to a service: exact addresses and prefixes, one port or any. The most specific
 * wins: the longer prefix first, then the exact port before any. Also from the destination of a reply
 * (source address, port block) to the service that owns it.
 *
 * Immutable once built; part of a generation. A lookup probes one small hash table for each (prefix
 * length, any-port) class in use, most specific first: one or two in most configurations, and the
 * tables of a thousand services stay in the second-level cache.
 *
 * Source: tuple space search (Srinivasan, Suri, Varghese, SIGCOMM 1999).
 */

#ifndef WEIR_TABLE_SERVICE_TABLE_H
#define WEIR_TABLE_SERVICE_TABLE_H

#include "dataplane/net/hash.h"
#include "dataplane/table/memory.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_NONE UINT16_MAX

struct service_table;

struct service_table_service {
	uint8_t address[16]; /* IPv4 mapped */
	uint8_t prefix_length; /* 0..128 of the mapped address */
	uint8_t protocol;
	uint16_t port; /* host order; 0: any */
	uint16_t index; /* what lookups return; not SERVICE_NONE */
};

struct service_table_source {
	uint8_t address[16];
	uint8_t protocol;
	uint16_t index; /* of the service */
	uint8_t blocks[32]; /* bit (port >> 8), byte b / 8, bit b % 8 */
};

/*
 * Build a table. Of two equal services the first wins; the caller has refused such configurations.
 *
 * seed  keys the hash, so that clients cannot aim at a chain of one of the tables
 *
 * Control thread. Returns 0 or -ENOMEM.
 */
int service_table_create(const struct service_table_service *services, uint32_t service_count,
	const struct service_table_source *sources, uint32_t source_count,
	const struct hash_seed *seed, const struct table_memory *memory, int node,
	struct service_table **ret_table);
void service_table_destroy(struct service_table *t);

/*
 * The service of a packet, or SERVICE_NONE.
 *
 * dst   destination address: 4 bytes as in the header in native load (IPv4), or 16 bytes
 * port  destination port, network order
 */
uint16_t service_table_find4(
	const struct service_table *t, uint32_t dst, uint8_t protocol, uint16_t port_be);
uint16_t service_table_find6(
	const struct service_table *t, const void *dst, uint8_t protocol, uint16_t port_be);

/*
 * Some service of this protocol on the address, whatever its port (the most specific prefix first):
 * whose a fragment or a packet with a broken L4 header is. SERVICE_NONE: nobody's.
 */
uint16_t service_table_find_address4(const struct service_table *t, uint32_t dst, uint8_t protocol);
uint16_t service_table_find_address6(
	const struct service_table *t, const void *dst, uint8_t protocol);

/* The service whose translated port this is: a reply. SERVICE_NONE: not one of ours. */
uint16_t service_table_find_source4(
	const struct service_table *t, uint32_t dst, uint8_t protocol, uint16_t port_be);
uint16_t service_table_find_source6(
	const struct service_table *t, const void *dst, uint8_t protocol, uint16_t port_be);

/* Do services of this protocol translate to the address, whatever the port? */
bool service_table_has_source4(const struct service_table *t, uint32_t dst, uint8_t protocol);
bool service_table_has_source6(const struct service_table *t, const void *dst, uint8_t protocol);

#endif
