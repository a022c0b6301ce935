/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/replay.h"
#include "control/config/model.h"
#include "dataplane/api/client.h"
#include "ebpf/engine/admit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STAGE_TIMEOUT_MS 10000

/* An image as a file that nobody can change any more; or -1. */
static int image_fd(const struct policy_image *image)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("weir policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	for (size_t done = 0; fd >= 0 && done < image->size;) {
		ssize_t n = write(fd, (const char *)image + done, image->size - done);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, seals) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int stage(struct cli *cli, struct weir_client *client, const char *path,
	const struct policy_image *image, uint64_t id)
{
	const struct weir_policy_stage message = { .id = id, .image_bytes = image->size };
	void *reply = NULL;
	size_t length = 0;
	int fd = image_fd(image);

	if (fd < 0)
		return cli_fail(cli, CLI_FAILED, "%s: %s", path, strerror(errno));
	int err = weir_client_call_fds(client, WEIR_MESSAGE_POLICY_STAGE, &message, sizeof(message),
		&fd, 1, STAGE_TIMEOUT_MS, &reply, &length);
	int status = CLI_DONE;

	if (err != 0)
		status = cli_fail(cli, CLI_FAILED, "%s: %s", path,
			reply != NULL && length > 0 ? (const char *)reply : strerror(-err));
	free(reply);
	close(fd);
	return status;
}

/* id: of this replay only */
static int policy_stage(struct cli *cli, struct weir_client *client, struct model_policy *p,
	const char *key, uint64_t id)
{
	const struct policy_admit_options options = {
		.sets = (const char *const *)p->sets,
		.set_count = p->set_count,
		.budget = p->budget,
		.no_kernel = true,
		.no_trial = true,
	};
	char path[PATH_MAX], sentence[POLICY_SENTENCE_SIZE];
	struct policy_admission a;
	int status;

	model_object_path(cli->arguments[0], p->object, path);
	if (policy_admit(path, &options, &a) != 0)
		return cli_fail(cli, CLI_FAILED, "%s: out of memory", path);
	if (a.outcome == POLICY_REFUSED) {
		policy_admission_sentence(&a, sentence, sizeof(sentence));
		fprintf(cli->err, "%s:%u:%u: %s: %s: %s\n", cli->arguments[0], p->line, p->column,
			key, p->object, sentence);
		status = CLI_FAILED;
	} else {
		p->id = id;
		snprintf(p->name, sizeof(p->name), "%.63s", a.image->name);
		status = stage(cli, client, path, a.image, id);
	}
	policy_admission_fini(&a);
	return status;
}

int replay_policies_stage(struct cli *cli, struct weir_client *client, struct model *m)
{
	struct model_policy_cursor c = { 0 };
	const struct model_service *s;
	struct model_policy *p;
	char key[MODEL_POLICY_KEY_SIZE];
	size_t position;
	uint64_t id = 1;
	int status = CLI_DONE;

	while (status == CLI_DONE && (p = model_policy_next(m, &c, &s, &position)) != NULL) {
		model_policy_key(m, s, p, position, key);
		status = policy_stage(cli, client, p, key, id++);
	}
	return status;
}
