/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/daemon.h"
#include "control/daemon/log.h"

#include <stdio.h>
#include <string.h>

static int listen_at(struct daemon *d, const struct model *m, struct metrics_server **ret_server,
	char *err, size_t err_size)
{
	char text[80];
	int rc = metrics_server_start(
		d->base, &m->metrics.address, m->metrics.port, daemon_metrics, d, ret_server);

	if (rc)
		snprintf(err, err_size, "metrics.listen: cannot listen on %s: %s",
			address_port_print(
				&m->metrics.address, m->metrics.port, text, sizeof(text)),
			strerror(-rc));
	return rc;
}

int metrics_begin(struct daemon *d)
{
	char err[256];
	int rc = d->model->metrics.set ? listen_at(d, d->model, &d->metrics, err, sizeof(err)) : 0;

	if (rc)
		log_error("%s", err);
	return rc;
}

int metrics_prepare(struct daemon *d, const struct model *m, struct metrics_server **ret_server,
	bool *ret_changed, char *err, size_t err_size)
{
	const struct model *before = d->model;

	*ret_changed = m->metrics.set != (d->metrics != NULL) ||
		(m->metrics.set &&
			(before->metrics.port != m->metrics.port ||
				memcmp(&before->metrics.address, &m->metrics.address,
					sizeof(m->metrics.address)) != 0));
	if (!*ret_changed || !m->metrics.set)
		return 0;
	return listen_at(d, m, ret_server, err, err_size);
}
