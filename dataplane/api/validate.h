/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Whole-message checks that the data plane makes before it applies anything: lengths, counts, ranges,
 * references, NUL-terminated names, uniqueness, disjoint port blocks. Pure functions of the bytes.
 */

#ifndef WEIR_API_VALIDATE_H
#define WEIR_API_VALIDATE_H

#include "messages.h"

#include <stddef.h>

/* Returns 0, or -EINVAL / -E2BIG with the reason in err. body need not be aligned beyond 8 bytes. */
int weir_config_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_backend_updates_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_neighbour_updates_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_flow_query_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_core_move_validate(const void *body, size_t length, char *err, size_t err_size);
/* Without the filter's instructions: dataplane/net/filter.h checks those. */
int weir_trace_start_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_trace_read_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_directives_validate(const void *body, size_t length, char *err, size_t err_size);

/* Without the image and the number of descriptors that came along. */
int weir_policy_stage_validate(const void *body, size_t length, char *err, size_t err_size);
int weir_policy_map_validate(const void *body, size_t length, char *err, size_t err_size);

/* The arrays behind a validated header. */
struct weir_config_view {
	const struct weir_config *header;
	const struct weir_config_port *ports;
	const struct weir_config_service *services;
	const struct weir_config_backend *backends;
	const struct weir_config_source *sources;
	const struct weir_config_neighbour *neighbours;
	const struct weir_config_hop_group *hop_groups;
	const struct weir_config_policy *policies;
	const struct weir_config_class *classes;
};

void weir_config_view(const void *body, struct weir_config_view *ret_view);

/* The same of directives. */
struct weir_directives_view {
	const struct weir_directives *header;
	const struct weir_directive_backend *backends;
	const struct weir_directive_source *sources;
	const struct weir_directive_class *classes;
};

void weir_directives_view(const void *body, struct weir_directives_view *ret_view);

#endif
