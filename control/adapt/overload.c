/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/adapt/overload.h"

#include <math.h>

#define FLOOR  0.5 /* of the best: no capacity is taken to be less */
#define MORE   1.05 /* than was served: hold back */
#define EXCESS 0.95 /* of the capacity */

bool overload_of_flows(const struct estimate_service *e, const struct adapt_signals *s,
	const struct adapt_settings *settings)
{
	return (double)s->shed > 0.01 * fmax(1, (double)s->offered) ||
		(settings->objective_s > 0 && e->p99 > settings->objective_s);
}

void overload_step(struct overload *v, bool over, double asked, double served, double growth,
	const struct adapt_signals *s)
{
	double ticks = (double)s->elapsed_ns / (double)ADAPT_TICK_NS;
	double seconds = (double)s->elapsed_ns / 1e9;
	v->demand += adapt_share(0.2, ticks) * (asked - v->demand);
	v->over_ticks = over ? v->over_ticks + ticks : 0;
	v->best = fmax(served, v->best * (1 - 0.01 * seconds));
	if (over)
		v->capacity = v->capacity == 0 ?
			served :
			v->capacity + adapt_share(0.2, ticks) * (served - v->capacity);
	else
		v->capacity *= pow(growth, ticks);
	v->capacity = fmax(v->capacity, FLOOR * v->best);
}

bool overload_is_excess(const struct overload *v, bool holds)
{
	return v->capacity > 0 && v->demand > (holds ? EXCESS : MORE) * v->capacity;
}
