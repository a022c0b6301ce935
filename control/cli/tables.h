/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tables that more than one command prints.
 */

#ifndef WEIR_CLI_TABLES_H
#define WEIR_CLI_TABLES_H

#include "control/cli/printer.h"

extern const struct printer_column table_services[];
extern const size_t table_services_count;
extern const struct printer_column table_backends[];
extern const size_t table_backends_count;
extern const struct printer_column table_policies[]; /* the first column is the service */
extern const size_t table_policies_count;

#endif
