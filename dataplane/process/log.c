/* SPDX-License-Identifier: BSD-3-Clause */

#include "dataplane/process/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_line(enum log_level level, const char *format, ...)
{
	char line[1024];
	va_list ap;

	int n = snprintf(line, sizeof(line), "<%d>weir-dataplane: ", (int)level);
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
