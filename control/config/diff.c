/* SPDX-License-Identifier: BSD-3-Clause */

/* What changes from one model to another, as lines for people. */

#include "control/config/model.h"

#include <stdlib.h>

char *model_diff(const struct model *before, const struct model *after)
{
	return NULL;
}
