/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/adaptation/season_file.h"

#include "control/daemon/text_mark.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define MAGIC	   "WEIRDAY1"
#define BODY	   16
#define BODY_SIZE  (SEASON_FILE_SIZE - BODY)
#define USUAL_MOST 1e12F

static_assert(
	sizeof(((struct season_profile *)0)->usual) + sizeof(((struct season_profile *)0)->days) ==
		BODY_SIZE,
	"all of it");

void season_file_print(const struct season_profile *p, char ret_bytes[SEASON_FILE_SIZE])
{
	memcpy(ret_bytes, MAGIC, 8);
	memcpy(ret_bytes + BODY, p->usual, sizeof(p->usual));
	memcpy(ret_bytes + BODY + sizeof(p->usual), p->days, sizeof(p->days));
	uint64_t mark = text_mark(ret_bytes + BODY, BODY_SIZE);

	memcpy(ret_bytes + 8, &mark, sizeof(mark));
}

const char *season_file_parse(const char *bytes, size_t length, struct season_profile *ret)
{
	struct season_profile p;
	uint64_t mark;

	if (length < 8 || memcmp(bytes, MAGIC, 8) != 0)
		return "it does not begin with " MAGIC;
	if (length != SEASON_FILE_SIZE)
		return length < SEASON_FILE_SIZE ? "it is cut short" : "it is too long";
	memcpy(&mark, bytes + 8, sizeof(mark));
	if (mark != text_mark(bytes + BODY, BODY_SIZE))
		return "its check sum is wrong";
	memcpy(p.usual, bytes + BODY, sizeof(p.usual));
	memcpy(p.days, bytes + BODY + sizeof(p.usual), sizeof(p.days));
	for (int i = 0; i < SEASON_BINS; i++)
		if (!isfinite(p.usual[i]) || p.usual[i] < 0 || p.usual[i] > USUAL_MOST)
			return "a minute's figure is none";
	*ret = p;
	return NULL;
}
