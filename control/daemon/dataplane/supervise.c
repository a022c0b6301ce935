/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/dataplane/supervise.h"

#include "control/daemon/clock.h"
#include "control/daemon/daemon.h"
#include "dataplane/api/notify.h"

#include <event2/event.h>

#include <errno.h>
#include <stdio.h>

#define STEP_MS	      1000
#define START_STEP_MS 50
/* A data plane that does not come is no reason to call the daemon's start a failure. */
#define READY_WAIT_NS (5 * UINT64_C(1000000000))

static void status_print(const struct daemon *d, char *text, size_t size)
{
	size_t backends = 0;
	size_t up = 0;

	if (d->refusal[0]) {
		snprintf(text, size, "the configuration is not in force: %s", d->refusal);
		return;
	}
	if (!dataplane_client(d->dataplane)) {
		snprintf(text, size, "waiting for a data plane");
		return;
	}
	for (size_t i = 0; i < d->model->service_count; i++) {
		const struct model_service *s = &d->model->services[i];

		for (size_t j = 0; j < s->backend_count; j++)
			up += pool_state(d->pool, s->name, &s->backends[j].address,
				      s->backends[j].port, s->health.type) == WEIR_BACKEND_UP;
		backends += s->backend_count;
	}
	snprintf(text, size, "%zu service%s, %zu of %zu backends up", d->model->service_count,
		d->model->service_count == 1 ? "" : "s", up, backends);
}

static uint64_t step_ms(const struct daemon *d)
{
	uint64_t quarter_ms = notify_watchdog_ns() / 4 / NS_PER_MS;
	uint64_t ms = d->ready_told ? STEP_MS : START_STEP_MS;

	return quarter_ms && quarter_ms < ms ? quarter_ms : ms;
}

/* Runs in the event loop, so a loop that is stuck says nothing; nor does it where the thread that checks is stuck. */
static void supervise_due(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;
	uint64_t now = clock_now_ns();
	char text[640];

	if (pool_alive(d->pool))
		notify_alive(now);
	if (!d->stopping) {
		bool ready = d->ready_told || d->in_step || now - d->started_ns > READY_WAIT_NS;

		status_print(d, text, sizeof(text));
		if (ready && !d->ready_told)
			notify_ready(text);
		else
			notify_status(text);
		d->ready_told = ready;
	}
	struct timeval wait = clock_timeval_ms(step_ms(d));

	evtimer_add(d->supervise_timer, &wait);
}

int supervise_start(struct daemon *d)
{
	if (!notify_is_wanted())
		return 0;
	d->supervise_timer = evtimer_new(d->base, supervise_due, d);
	if (!d->supervise_timer)
		return -ENOMEM;
	supervise_due(-1, 0, d);
	return 0;
}

void supervise_stopping(void)
{
	notify_stopping("stopping");
}
