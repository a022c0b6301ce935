/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/daemon/daemon.h"
#include "dataplane/api/notify.h"

int main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(argc, argv, &options);

	if (status >= 0)
		return status;
	notify_init();
	return daemon_run(&options);
}
