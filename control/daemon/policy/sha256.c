/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/policy/sha256.h"

#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>

void sha256_text(const void *bytes, size_t length, char ret_text[SHA256_TEXT_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256(bytes, length, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_text + 2 * i, 3, "%02x", digest[i]);
}
