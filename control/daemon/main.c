/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/daemon.h"

int main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(argc, argv, &options);

	return status >= 0 ? status : daemon_run(&options);
}
