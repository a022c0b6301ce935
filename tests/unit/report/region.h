/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A telemetry region made by hand: two cores, one port ("front"), two services ("web" with two backends
 * and a free slot between them, "dns" without). Tests change it as they need.
 */

#ifndef WEIR_TESTS_UNIT_REPORT_REGION_H
#define WEIR_TESTS_UNIT_REPORT_REGION_H

#include "dataplane/api/telemetry.h"

#define REGION_CORES 2
#define REGION_SLOTS 3

struct region {
	struct weir_telemetry t;
	struct weir_core_cell core[REGION_CORES];
	struct weir_service_cell web[REGION_CORES];
	struct weir_service_cell dns[1];
	struct weir_backend_entry web_backend[REGION_SLOTS];
	struct weir_backend_cell web_backend_cell[REGION_CORES][REGION_SLOTS];
	struct weir_policy_entry policy[2]; /* of nobody as yet */
};

struct region *region_create(void); /* free() it */

/* 203.0.113.last, IPv4 mapped. */
void region_address(uint8_t ret_address[16], uint8_t last);

/* Put `count` values of `ns` into h. */
void region_measure(struct weir_histogram *h, uint64_t ns, uint64_t count);

#endif
