/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/probe/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(int err, const char *why, const char **ret_why)
{
	*ret_why = why;
	return err;
}

static int key_check(int fd, const char **ret_why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failed(-errno, strerror(errno), ret_why);
	if (!S_ISREG(st.st_mode))
		return failed(-EINVAL, "is not a file, expected a key in a file", ret_why);
	if (st.st_mode & (S_IROTH | S_IWOTH))
		return failed(-EPERM, "is open to everybody, expected mode 600 or 640", ret_why);
	return 0;
}

int probe_key_read(const char *path, struct probe_key *ret_key, const char **ret_why)
{
	struct probe_key key = { .length = 0 };
	uint8_t more;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return failed(-errno, strerror(errno), ret_why);
	int err = key_check(fd, ret_why);
	ssize_t n = 1;

	while (!err && n > 0 && key.length < sizeof(key.bytes)) {
		n = read(fd, key.bytes + key.length, sizeof(key.bytes) - key.length);
		if (n < 0)
			err = failed(-errno, strerror(errno), ret_why);
		else
			key.length += (size_t)n;
	}
	if (!err && key.length == sizeof(key.bytes) && read(fd, &more, 1) > 0)
		err = failed(-EINVAL, "is too long, expected a key of at most 1024 bytes", ret_why);
	close(fd);
	if (!err && key.length && key.bytes[key.length - 1] == '\n')
		key.length--;
	if (!err && key.length < PROBE_KEY_LEAST)
		err = failed(-EINVAL, "is too short, expected a key of at least 16 bytes", ret_why);
	if (!err)
		*ret_key = key;
	probe_key_clear(&key);
	return err;
}

void probe_key_clear(struct probe_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

int probe_seal_make(const struct probe_key *key, const void *data, size_t length,
	uint8_t ret_seal[PROBE_SEAL_BYTES])
{
	unsigned int size = 0;
	const uint8_t *made =
		HMAC(EVP_sha256(), key->bytes, (int)key->length, data, length, ret_seal, &size);

	return made && size == PROBE_SEAL_BYTES ? 0 : -EIO;
}

bool probe_seal_matches(const struct probe_key *key, const void *data, size_t length,
	const uint8_t seal[PROBE_SEAL_BYTES])
{
	uint8_t made[PROBE_SEAL_BYTES];

	return probe_seal_make(key, data, length, made) == 0 &&
		CRYPTO_memcmp(made, seal, sizeof(made)) == 0;
}
