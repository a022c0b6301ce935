/* SPDX-License-Identifier: BSD-3-Clause */

/* Addresses as all messages and tables have them: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */

#ifndef WEIR_API_ADDRESS_H
#define WEIR_API_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool weir_address_is_v4(const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

#endif
