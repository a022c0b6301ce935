/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/adapt/gains.h"

#include <math.h>
#include <string.h>

const struct adapt_gains adapt_gains_preset = {
#define X(field, name, preset, least, most, help) .field = preset,
	ADAPT_GAINS(X)
#undef X
};

const struct adapt_gain_row adapt_gain_rows[] = {
#define X(field, name, preset, least, most, help) { name, preset, least, most, help },
	ADAPT_GAINS(X)
#undef X
};
const size_t adapt_gain_count = sizeof(adapt_gain_rows) / sizeof(adapt_gain_rows[0]);

static const size_t offsets[] = {
#define X(field, name, preset, least, most, help) offsetof(struct adapt_gains, field),
	ADAPT_GAINS(X)
#undef X
};

bool adapt_gain_set(struct adapt_gains *g, const char *name, double value)
{
	for (size_t i = 0; i < adapt_gain_count; i++) {
		const struct adapt_gain_row *r = &adapt_gain_rows[i];
		if (strcmp(r->name, name) != 0)
			continue;
		if (!isfinite(value) || value < r->least || value > r->most)
			return false;
		memcpy((char *)g + offsets[i], &value, sizeof(value));
		return true;
	}
	return false;
}

double adapt_share(double share, double ticks)
{
	/* pow() of one is the same, and takes longer than all else of a mean. */
	return 1 - (ticks == 1 ? 1 - share : pow(1 - share, ticks));
}
