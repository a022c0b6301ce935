/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/config/bind.h"

void check_stream(struct error_list *errors, struct node *stream)
{
#ifndef WEIR_HAVE_KAFKA
	if (stream != NULL)
		node_complain(errors, stream, NULL,
			"this weir was built without librdkafka, expected it to be left out");
#endif
}
