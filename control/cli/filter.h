/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Expressions that say which packets: libpcap's language (pcap-filter(7)), compiled here to classic
 * BPF. The data plane checks what it is given.
 */

#ifndef WEIR_CLI_FILTER_H
#define WEIR_CLI_FILTER_H

#include "control/cli/cli.h"

#include <jansson.h>

/*
 * Compile. Prints what is wrong with the expression. Returns CLI_DONE with *ret_program set, an array
 * of [code, jt, jf, k] (new reference), or the exit status.
 */
int filter_compile(struct cli *cli, const char *expression, json_t **ret_program);

#endif
