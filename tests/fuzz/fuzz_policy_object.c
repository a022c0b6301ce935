/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the daemon itself looks at in an object file, and what it makes of the verifier's words. (The rest of
 * an object is libbpf's, in a child process: tests/bpf/policy_corpus.py damages whole objects.)
 */

#include "ebpf/engine/object.h"
#include "ebpf/engine/verify.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_objection objection;
	char err[512] = "";
	int rc = policy_elf_check(data, size, err, sizeof(err));

	FUZZ_CHECK(rc == 0 || err[0] != 0);
	FUZZ_CHECK(memchr(err, 0, sizeof(err)) != NULL);
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	memcpy(text, data, size);
	text[size] = 0;
	policy_log_explain(text, 31, &objection);
	FUZZ_CHECK(memchr(objection.message, 0, sizeof(objection.message)) != NULL);
	FUZZ_CHECK(objection.message[0] != 0);
	free(text);
	return 0;
}
