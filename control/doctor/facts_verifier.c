/* SPDX-License-Identifier: BSD-3-Clause */

/* What the kernel's verifier of policies is worth. */

#include "control/doctor/facts.h"
#include "ebpf/engine/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void facts_read_verifier(struct facts *f)
{
	struct policy_canary canaries[POLICY_CANARY_COUNT];
	size_t used = 0;

	policy_canaries_run(canaries);
	f->verifier_faults[0] = '\0';
	for (size_t i = 0; i < POLICY_CANARY_COUNT; i++) {
		const struct policy_canary *c = &canaries[i];
		if (c->rc == -EPERM || c->rc == -EACCES)
			f->verifier = 0;
		else if (c->rc == 0)
			f->verifier = 1;
		if (!c->wrong || used >= sizeof(f->verifier_faults))
			continue;
		used += (size_t)snprintf(f->verifier_faults + used,
			sizeof(f->verifier_faults) - used, "%s%s", used > 0 ? ", " : "", c->name);
	}
}
