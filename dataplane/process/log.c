/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/log.h"

#include "dataplane/api/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const words[] = { [LOG_LEVEL_ERROR] = "error: ",
		[LOG_LEVEL_WARNING] = "warning: ",
		[LOG_LEVEL_NOTICE] = "",
		[LOG_LEVEL_INFO] = "" };
	char line[1024];
	va_list ap;

	int n = notify_journal_reads() ?
		snprintf(line, sizeof(line), "<%d>weir-dataplane: ", (int)level) :
		snprintf(line, sizeof(line), "weir-dataplane: %s", words[level]);
	va_start(ap, format);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n, format, ap);
	va_end(ap);
	if (m < 0)
		return;
	size_t length = strlen(line);
	while (length && line[length - 1] == '\n')
		length--;
	/* One line, whatever a library put into it. */
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	if (length == sizeof(line) - 1)
		length--;
	line[length++] = '\n';
	/* One write, so that lines of several processes do not mix; nothing to do when it fails. */
	if (write(STDERR_FILENO, line, length) < 0)
		return;
}
