/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The process's words to its operator: one line each on standard error, with the priority in front when
 * that is the journal. Main thread; never on the packet path.
 */

#ifndef WEIR_PROCESS_LOG_H
#define WEIR_PROCESS_LOG_H

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
};

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)

#endif
