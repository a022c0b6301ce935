/* SPDX-License-Identifier: BSD-3-Clause */

/* weir-dataplane: read the arguments, start, serve until told to stop, leave nothing behind. */

#include "dataplane/api/notify.h"
#include "dataplane/process/log.h"
#include "dataplane/process/privileges.h"
#include "dataplane/process/process.h"
#include "dataplane/process/server.h"
#include "dataplane/process/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	static struct process process;
	char err[512] = "";

	if (arguments_parse(
		    argc, argv, getenv("WEIR_RUN_DIR"), &process.arguments, err, sizeof(err)) < 0) {
		fprintf(stderr, "weir-dataplane: %s\n", err);
		return 2;
	}
	if (process.arguments.help) {
		fputs(arguments_help, stdout);
		return 0;
	}
	if (process.arguments.version) {
		puts("weir-dataplane " WEIR_VERSION);
		return 0;
	}
	notify_init();
	int rc = process.arguments.replay ? 0 : privileges_reduce();
	if (rc < 0)
		log_warning("cannot give up privileges: %s", strerror(-rc));
	rc = process_start(&process, err, sizeof(err));
	if (rc < 0) {
		log_error("%s", err);
	} else {
		notify_ready("waiting for a configuration");
		rc = server_run(process.server);
		if (rc < 0)
			log_error("the main loop ended: %s", strerror(-rc));
	}
	notify_stopping(rc < 0 ? "ending after an error" : "stopping");
	process_end(&process);
	return rc < 0 ? 1 : 0;
}
