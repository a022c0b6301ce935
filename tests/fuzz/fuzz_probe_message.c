/* SPDX-License-Identifier: BSD-3-Clause */

/* A datagram of weir-probe, as the daemon reads it once its seal has been checked. */

#include "control/probe/message.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct probe_message m;
	/* In memory of its exact size. */
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_CHECK(copy);
	memcpy(copy, data, size);
	int rc = probe_message_parse(copy, size, &m);

	FUZZ_CHECK(rc == 0 || rc == -EMSGSIZE || rc == -EPROTONOSUPPORT || rc == -EBADMSG);
	for (unsigned int i = 0; rc == 0 && i < m.service_count; i++) {
		const struct probe_service *s = &m.services[i];

		for (unsigned int j = 0; j < (unsigned int)s->connect_count + s->first_byte_count;
			j++) {
			struct probe_pair p = probe_pair_at(s, j);

			FUZZ_CHECK(p.bucket < WEIR_HIST_BUCKETS && p.count);
		}
	}
	free(copy);
	return 0;
}
