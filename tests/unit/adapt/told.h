/* SPDX-License-Identifier: BSD-3-Clause */

/* A log of decisions for tests of one rule: the last one, and how many there were. */

#ifndef WEIR_TESTS_ADAPT_TOLD_H
#define WEIR_TESTS_ADAPT_TOLD_H

#include "control/adapt/adapt.h"

#include <stddef.h>

static struct adapt_decision last;
static size_t decided;

static void decide(void *ctx, const struct adapt_decision *d)
{
	last = *d;
	decided++;
}

static const struct adapt_log log_all = { NULL, decide };

#endif
