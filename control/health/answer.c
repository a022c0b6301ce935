/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/health/answer.h"

#include <errno.h>
#include <stdio.h>

int health_answer_status(const char *answer)
{
	unsigned int status = 0;

	/* A sign is a number, too, to sscanf(). */
	if (sscanf(answer, "HTTP/%*1[0-9].%*1[0-9] %3u", &status) != 1 || status < 100 ||
		status > 999)
		return -EBADMSG;
	return (int)status;
}
