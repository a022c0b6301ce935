/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Shared by the files of this folder: values that JSON needs with care, and what has come between two
 * snapshots.
 */

#ifndef WEIR_REPORT_REPORT_PRIVATE_H
#define WEIR_REPORT_REPORT_PRIVATE_H

#include "control/report/report.h"

/* A counter; JSON's integers are signed here, and a figure beyond them is shown as the largest. */
json_t *report_count(uint64_t value);
json_t *report_number(double value); /* null when it is not finite */
json_t *report_address(const struct address *a);
json_t *report_port_number(uint16_t port); /* "any" for 0 */
/* A text of the data plane's; "?" where it is not one (not UTF-8). */
json_t *report_text(const char *text);

/* part / whole, NAN when whole is 0. */
double report_share(double part, double whole);

/*
 * {p50, p99}, with the tail also p999 and p9999, of what now has and base (may be NULL) had not, or of all of now when
 * that is nothing.
 */
json_t *report_percentiles(
	const struct weir_histogram *now, const struct weir_histogram *base, bool with_tail);

/*
 * A backend of the configuration in a snapshot's service, or NULL. Slots mostly have the order of the
 * configuration, so the backend's own index is tried first.
 */
const struct snapshot_backend *report_find_backend(
	const struct snapshot_service *s, const struct model_backend *b, size_t index);

/* {count, total, last_minute, longest, recent}: lists of report_gap(). */
json_t *report_gaps(const struct snapshot *s, const struct weir_core_gaps *gaps);

/* One entry of report_service_list(). */
json_t *report_service_entry(
	const struct model_service *s, const struct snapshot *now, const struct snapshot *base);

#endif
