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
		d->base, &m->metrics_address, m->metrics_port, daemon_metrics, d, ret_server);

	if (rc)
		snprintf(err, err_size, "metrics.listen: cannot listen on %s: %s",
			address_port_print(
				&m->metrics_address, m->metrics_port, text, sizeof(text)),
			strerror(-rc));
	return rc;
}

int metrics_begin(struct daemon *d)
{
	char err[256];
	int rc = d->model->has_metrics ? listen_at(d, d->model, &d->metrics, err, sizeof(err)) : 0;

	if (rc)
		log_error("%s", err);
	return rc;
}

int metrics_prepare(struct daemon *d, const struct model *m, struct metrics_server **ret_server,
	bool *ret_changed, char *err, size_t err_size)
{
	const struct model *before = d->model;

	*ret_changed = m->has_metrics != (d->metrics != NULL) ||
		(m->has_metrics &&
			(before->metrics_port != m->metrics_port ||
				memcmp(&before->metrics_address, &m->metrics_address,
					sizeof(m->metrics_address)) != 0));
	if (!*ret_changed || !m->has_metrics)
		return 0;
	return listen_at(d, m, ret_server, err, err_size);
}
