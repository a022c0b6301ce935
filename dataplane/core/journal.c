/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/core/core.h"
#include "dataplane/service/adopt.h"
#include "dataplane/table/flow_journal.h"

/* Without a journal a service works as well, but its flows end with the process. */
void journal_begin(struct fastpath *fp, struct service *s, struct service_settings *settings)
{
	const struct fastpath_journal *j = &fp->params.journal;
	const struct stage_core *c = &fp->core[0]->stage;
	uint64_t now = fp->single_threaded ? c->now : rte_rdtsc();
	struct service_adopted adopted;
	const void *old = NULL;
	size_t old_bytes = 0;
	void *memory;

	if (!j->open)
		return;
	s->journal = j->open(j->ctx, s->identity.name,
		flow_journal_bytes(flow_table_capacity(s->flows), settings->ipv6),
		fp->core[s->worker[0]->core]->node, &memory, &old, &old_bytes);
	if (!s->journal)
		return;
	flow_journal_attach(s->flows, memory);
	if (old &&
		service_adopt(s, settings, old, old_bytes, &fp->seed,
			(uint32_t)(stage_ns(c, now) / 1000000), &adopted) == 0)
		j->adopted(j->ctx, s->identity.name, adopted.flows, adopted.refused);
	j->commit(j->ctx, s->journal);
}

void journal_close(struct fastpath *fp, struct service *s)
{
	if (s->journal)
		fp->params.journal.close(fp->params.journal.ctx, s->journal);
	s->journal = NULL;
}
