/* SPDX-License-Identifier: BSD-3-Clause */

/* The key that weir-probe and the daemon share, and what is sealed with it: HMAC-SHA256, RFC 2104. */

#ifndef WEIR_PROBE_KEY_H
#define WEIR_PROBE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_SEAL_BYTES 32
#define PROBE_KEY_LEAST	 16 /* bytes; fewer can be guessed */
#define PROBE_KEY_MOST	 1024

struct probe_key {
	uint8_t bytes[PROBE_KEY_MOST];
	size_t length;
};

/*
 * Read a key: all bytes of the file but a newline at its end.
 *
 * ret_why  on failure a constant text, what is wrong with it and what is expected
 *
 * Returns 0 or a negative errno: -EPERM when others than owner and group can read it, -EINVAL when it is
 * too short or too long.
 */
int probe_key_read(const char *path, struct probe_key *ret_key, const char **ret_why);

/* Overwrite it. */
void probe_key_clear(struct probe_key *key);

/* Returns 0, or -EIO when libcrypto refuses (it is out of memory, or has no SHA-256). */
int probe_seal_make(const struct probe_key *key, const void *data, size_t length,
	uint8_t ret_seal[PROBE_SEAL_BYTES]);

/* In a time that does not depend on where they differ. */
bool probe_seal_matches(const struct probe_key *key, const void *data, size_t length,
	const uint8_t seal[PROBE_SEAL_BYTES]);

#endif
