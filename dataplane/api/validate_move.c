/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/api/validate_private.h"

int weir_core_move_validate(const void *body, size_t length, char *err, size_t err_size)
{
	const struct complaint c = { err, err_size };
	const struct weir_core_move *m = body;
	uint32_t any = 0;

	if (length != sizeof(*m))
		return complain(&c, "%zu bytes, a move has %zu", length, sizeof(*m));
	if (!weir_name_is_good(m->service, sizeof(m->service)))
		return complain(&c, "move: bad service name");
	if (m->from_cpu == m->to_cpu)
		return complain(&c, "move: from CPU %u to the same", m->from_cpu);
	if (m->flags & ~(uint32_t)WEIR_CORE_MOVE_F_ALL)
		return complain(
			&c, "move: flags %#x, only %#x is known", m->flags, WEIR_CORE_MOVE_F_ALL);
	for (size_t i = 0; i < sizeof(m->buckets); i++)
		any |= m->buckets[i];
	if ((any != 0) == ((m->flags & WEIR_CORE_MOVE_F_ALL) != 0))
		return complain(&c, "move: expected either buckets or all of them");
	return 0;
}
