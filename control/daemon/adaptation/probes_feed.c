/* SPDX-License-Identifier: BSD-3-Clause */

/* Probes in the daemon: they come and go with the configuration, and what is said of them. */

#include "control/daemon/adaptation/probes.h"
#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "control/daemon/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill(void *ctx, struct snapshot *s)
{
	const struct daemon *d = ctx;

	probes_fill_snapshot(d->probes, s);
}

static void begin(struct daemon *d)
{
	const struct model_probes *m = &d->model->probes;

	/* Who has been heard stays known: an apply must not let a replay in. */
	if (m->key_file && d->probes && probes_are_at(d->probes, &m->listen) &&
		probes_renew(d->probes, m, d->file, d->probes_error, sizeof(d->probes_error)) == 0)
		return;
	probes_stop(d->probes);
	d->probes = NULL;
	if (m->key_file &&
		probes_start(
			d->base, m, d->file, &d->probes, d->probes_error, sizeof(d->probes_error)))
		log_error("%s: no probe is heard", d->probes_error);
}

void probes_apply(struct daemon *d)
{
	d->history.fill = fill;
	d->history.fill_ctx = d;
	d->probes_error[0] = '\0';
	begin(d);
	if (d->probes) {
		d->probes_error[0] = '\0';
		probes_follow(d->probes, d->model);
	}
}

json_t *probes_document(const struct daemon *d)
{
	const struct model_probes *m = &d->model->probes;
	json_t *refused = json_object();
	char text[80];

	if (!m->key_file) {
		json_decref(refused);
		return json_null();
	}
	for (int i = 0; d->probes && i < PROBES_REFUSAL_COUNT; i++) {
		uint64_t count = probes_figures(d->probes)->refused[i];

		if (count)
			json_object_set_new(
				refused, probes_refusal_name(i), json_integer((json_int_t)count));
	}
	address_port_print(&m->listen.address, m->listen.port, text, sizeof(text));
	return json_pack("{s:s, s:I, s:o, s:I, s:s}", "listen", text, "received",
		(json_int_t)(d->probes ? probes_figures(d->probes)->received : 0), "refused",
		refused, "backends",
		(json_int_t)(d->probes ? probes_count_fresh(d->probes, clock_now_ns()) : 0),
		"error", d->probes_error);
}

void probes_warn(const struct daemon *d, json_t *list)
{
	char text[sizeof(d->probes_error) + 32];

	if (!*d->probes_error)
		return;
	snprintf(text, sizeof(text), "%s: no probe is heard", d->probes_error);
	json_array_append_new(list, json_string(text));
}
