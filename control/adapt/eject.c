/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Ejection: the dead are left alone.
 *
 * A machine that has died says nothing: no reset, no answer. Its health check needs `fall` intervals to
 * know, seconds in which every new flow placed there is lost. The SYNs themselves tell sooner: five or
 * more without an answer, and not one answered meanwhile, is no chance. Those of the last tick do not
 * count unless they are many and belong to steady traffic, as their answers may still be on the way.
 *
 * Mostly five do not come together: those who wait there already make new flows go elsewhere, and its weight is
 * cut. Requests over kept connections still come. However slow a server is, its kernel acknowledges
 * what it gets at once. So three SYNs or requests are enough where for 300 ms not one packet has come from it, in
 * which others of its pool were heard (nat: elsewhere packets from it are not seen).
 *
 * An ejected backend gets no new flows for 1 s, then 2, 4, up to 60 when it is ejected again soon after.
 * The data plane gives up what begins there, too (flow_stays()): SYNs that come again, and requests over kept
 * connections. After that time two health checks that were passed since the ejection bring it back (without health
 * checks: the time alone), with a tenth of its weight and five seconds to the whole of it.
 *
 * At most half of a pool is ever ejected. When more than half seem dead, it is no backend's fault: that is
 * a panic, and is said. No further one is ejected; and when nobody at all answers, those that are out come
 * back, since there is no better place to send a flow to. The scenario "half of the pool dead" decided
 * that they stay out while others do answer.
 */

#include "control/adapt/eject.h"

#include "control/adapt/decision.h"

#include <math.h>

#define AT_ONCE	      12 /* SYNs of one tick that are enough without those before */
#define FEW	      3 /* SYNs and requests that are enough in a silence */
#define PROBES_GOOD   2
#define FORGIVE_NS    UINT64_C(120000000000)
#define PANIC_LASTS   UINT64_C(5000000000)
#define SILENCE_NS    UINT64_C(1000000000) /* without one answer from anybody */
#define RETURN_FACTOR 0.1

static bool answers_no_syn(
	struct eject_backend *j, const struct adapt_backend_signals *s, const struct adapt_gains *g)
{
	double before = j->unanswered;
	bool steady = j->asked_before;
	double sent = (double)s->syn_sent;
	j->asked_before = s->syn_sent > 0;
	if (s->syn_answered > 0)
		j->unanswered = fmax(0, sent - (double)s->syn_answered);
	else
		j->unanswered += sent;
	/* Requests that it took before it died may still have been answered. */
	if (s->syn_answered > 0 || s->answered > 0)
		return false;
	return before >= g->eject_after || (steady && sent >= AT_ONCE);
}

/* others: of its pool were heard in this tick. */
static bool is_mute(struct eject_backend *j, const struct adapt_backend_signals *s, bool others,
	double seconds, const struct adapt_gains *g)
{
	double before = j->silent_asked;
	if (!s->unheard) {
		j->silent_asked = j->silent_s = 0;
		return false;
	}
	j->silent_asked += (double)(s->syn_sent + s->requests);
	j->silent_s += others && j->silent_asked > 0 ? seconds : 0;
	return before >= FEW && j->silent_s > g->eject_silent - seconds / 2;
}

static bool looks_dead(struct eject_backend *j, const struct adapt_backend_signals *s, bool others,
	double seconds, const struct adapt_gains *g)
{
	bool no_syn = answers_no_syn(j, s, g);
	return is_mute(j, s, others, seconds, g) || no_syn;
}

static void returns(struct eject_backend *j, struct weights_backend *w, struct estimate_backend *b,
	uint64_t now_ns)
{
	j->out = false;
	j->returned_ns = now_ns;
	j->unanswered = j->silent_s = j->silent_asked = 0;
	/* Where it only would have been out, it has served all the time. */
	if (b->out)
		estimate_backend_init(b);
	w->factor = w->told = RETURN_FACTOR;
	w->ramp_ns = now_ns;
}

static void tell_return(const struct adapt_signals *s, const struct adapt_backend_signals *of,
	const struct weights_backend *w, const struct adapt_settings *settings,
	const struct adapt_log *log, const char *why)
{
	struct adapt_decision d = decision_make(s, ADAPT_WEIGHTS, "return", of);
	d.from = 0;
	d.to = of->weight * w->factor;
	decision_reason(&d, "%s; slow start over %g s", why, settings->gains.eject_ramp);
	decision_figure(&d, "probes_good", (double)of->probes_good);
	decision_tell(&d, settings, log);
}

static void eject(struct eject_backend *j, struct weights_backend *w, const struct adapt_signals *s,
	const struct adapt_backend_signals *of, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	const struct adapt_gains *g = &settings->gains;
	double seconds = fmin(g->eject_most, g->eject_first * exp2(fmin(j->times, 16)));
	struct adapt_decision d = decision_make(s, ADAPT_WEIGHTS, "eject", of);
	d.from = of->weight * w->factor;
	d.to = 0;
	if (j->unanswered < g->eject_after)
		decision_reason(&d,
			"not a packet for %.1f s, %.0f SYNs and requests unanswered; for %g s at least",
			j->silent_s, j->silent_asked, seconds);
	else
		decision_reason(&d, "%.0f SYNs without an answer, none answered; for %g s at least",
			j->unanswered, seconds);
	decision_figure(&d, "syn_unanswered", j->unanswered);
	decision_figure(&d, "silent_seconds", j->silent_s);
	decision_figure(&d, "silent_asked", j->silent_asked);
	decision_figure(&d, "seconds", seconds);
	decision_figure(&d, "times", j->times + 1);
	decision_tell(&d, settings, log);
	j->out = true;
	j->times++;
	j->until_ns = s->now_ns + (uint64_t)(seconds * 1e9);
	j->probes_at = of->probes_good;
	j->unanswered = j->silent_s = j->silent_asked = 0;
	w->factor = w->told = g->weights_floor;
}

static void panic_tell(struct eject_service *e, const struct adapt_signals *s, size_t dead,
	size_t pool, bool anybody, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	if (!e->panic) {
		struct adapt_decision d = decision_make(s, ADAPT_WEIGHTS, "panic", NULL);
		decision_reason(&d,
			"%zu of %zu backends seem dead, which is no backend's fault: %s", dead,
			pool,
			anybody ? "no more of them are ejected" :
				  "nobody answers, all are back in");
		decision_figure(&d, "dead", (double)dead);
		decision_figure(&d, "backends", (double)pool);
		decision_tell(&d, settings, log);
	}
	e->panic = true;
	e->panic_until_ns = s->now_ns + PANIC_LASTS;
}

static void come_back(struct eject_backend *j, struct weights_backend *w,
	struct estimate_backend *b, const struct adapt_signals *s,
	const struct adapt_backend_signals *of, const struct adapt_settings *settings,
	const struct adapt_log *log)
{
	if (s->now_ns < j->until_ns)
		return;
	if (of->probed && of->probes_good - j->probes_at < PROBES_GOOD)
		return;
	returns(j, w, b, s->now_ns);
	tell_return(s, of, w, settings, log,
		of->probed ? "passed two health checks" : "its time is over");
}

void eject_step(struct eject_service *e, struct eject_backend *of, struct weights_backend *weights,
	struct estimate_backend *b, const struct adapt_signals *s,
	const struct adapt_settings *settings, struct adapt_directive *to,
	const struct adapt_log *log)
{
	size_t pool = 0, out = 0, dead = 0, heard = 0;
	double seconds = (double)s->elapsed_ns / 1e9;
	for (size_t i = 0; i < s->backend_count; i++) {
		pool += s->backends[i].usable;
		out += s->backends[i].usable && of[i].out;
		heard += s->backends[i].answered > 0 || s->backends[i].syn_answered > 0;
	}
	if (heard > 0)
		e->answered_ns = s->now_ns;
	bool anybody = s->now_ns - e->answered_ns < SILENCE_NS;
	dead = out;
	for (size_t i = 0; i < s->backend_count; i++) {
		struct eject_backend *j = &of[i];
		if (!s->backends[i].usable) {
			/* Health has taken it out: its verdict brings it back. */
			*j = (struct eject_backend){ .times = j->times };
			continue;
		}
		if (j->returned_ns != 0 && s->now_ns - j->returned_ns > FORGIVE_NS)
			j->times = 0;
		if (j->out) {
			come_back(j, &weights[i], &b[i], s, &s->backends[i], settings, log);
		} else if (looks_dead(j, &s->backends[i], heard > 0, seconds, &settings->gains)) {
			dead++;
			if (!e->panic &&
				(double)(out + 1) <= settings->gains.eject_share * (double)pool) {
				eject(j, &weights[i], s, &s->backends[i], settings, log);
				out++;
			}
		}
		to->backends[i].ejected = b[i].out = j->out;
	}
	if (2 * dead > pool && pool > 1)
		panic_tell(e, s, dead, pool, anybody, settings, log);
	else if (e->panic && s->now_ns > e->panic_until_ns)
		e->panic = false;
	for (size_t i = 0; e->panic && !anybody && i < s->backend_count; i++) {
		if (!of[i].out)
			continue;
		returns(&of[i], &weights[i], &b[i], s->now_ns);
		to->backends[i].ejected = b[i].out = false;
	}
}
