/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One line per event on standard error: with the priority in front when that is the journal. Event loop's thread.
 */

#ifndef WEIR_DAEMON_LOG_H
#define WEIR_DAEMON_LOG_H

enum log_priority {
	LOG_PRIORITY_ERROR = 3,
	LOG_PRIORITY_WARNING = 4,
	LOG_PRIORITY_NOTICE = 5,
	LOG_PRIORITY_INFO = 6,
};

void log_line(enum log_priority priority, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_line(LOG_PRIORITY_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_PRIORITY_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_PRIORITY_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_PRIORITY_INFO, __VA_ARGS__)

#endif
