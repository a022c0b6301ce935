/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/log.h"

#include "dataplane/api/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void log_line(enum log_priority priority, const char *format, ...)
{
	static const char *const words[] = { [LOG_PRIORITY_ERROR] = "error: ",
		[LOG_PRIORITY_WARNING] = "warning: ",
		[LOG_PRIORITY_NOTICE] = "",
		[LOG_PRIORITY_INFO] = "" };
	char line[2048];
	int n;
	va_list args;

	if (notify_journal_reads())
		n = snprintf(line, sizeof(line), "<%d>%s", (int)priority, words[priority]);
	else
		n = snprintf(line, sizeof(line), "weir-controld: %s", words[priority]);
	va_start(args, format);
	int m = vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, format, args);
	va_end(args);
	size_t length = (size_t)n + (m < 0 ? 0 : (size_t)m);

	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	/* A line break inside would end the entry, and lose the priority of what follows. */
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[length] = '\n';
	/* One write, so that lines of the data plane on the same descriptor do not mix in. */
	if (write(STDERR_FILENO, line, length + 1) < 0)
		return;
}
