/* SPDX-License-Identifier: BSD-3-Clause */

#include "control/cli/config_policies.h"

#include "ebpf/engine/admit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What came of one object with its parameters. */
struct judgement {
	struct judgement *next; /* owned */
	const struct model_policy *policy; /* borrowed; the first that asked */
	enum policy_outcome outcome;
	struct policy_image *image; /* owned; NULL: there is none */
	char text[POLICY_SENTENCE_SIZE];
};

static bool is_alike(const struct model_policy *a, const struct model_policy *b)
{
	bool same = !strcmp(a->object, b->object) && a->budget == b->budget &&
		a->set_count == b->set_count;

	for (size_t i = 0; same && i < a->set_count; i++)
		same = !strcmp(a->sets[i], b->sets[i]);
	return same;
}

/*
 * A file may be checked on another machine than it is for: what is not here is no fault of the file's, as a
 * port's device is none.
 */
static bool is_elsewhere(const char *path)
{
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static int judgement_make(
	const char *path, const struct policy_admit_options *options, struct judgement *ret)
{
	struct policy_admission a;

	if (is_elsewhere(path)) {
		ret->outcome = POLICY_UNVERIFIED;
		snprintf(ret->text, sizeof(ret->text),
			"is not on this machine, so it was not judged; it has to be there when the "
			"configuration is applied");
		return 0;
	}
	if (policy_admit(path, options, &a))
		return -ENOMEM;
	ret->outcome = a.outcome;
	if (a.outcome == POLICY_REFUSED)
		policy_admission_sentence(&a, ret->text, sizeof(ret->text));
	else
		snprintf(ret->text, sizeof(ret->text), "cannot be verified here: %s", a.reason);
	ret->image = a.image;
	a.image = NULL;
	policy_admission_fini(&a);
	return 0;
}

static int judge(const char *file, const struct model_policy *p, struct judgement **list)
{
	const struct policy_admit_options options = {
		.sets = (const char *const *)p->sets, .set_count = p->set_count, .budget = p->budget
	};
	struct judgement *j = calloc(1, sizeof(*j));
	char path[PATH_MAX];

	model_object_path(file, p->object, path);
	if (!j || judgement_make(path, &options, j)) {
		free(j);
		return -ENOMEM;
	}
	j->policy = p;
	j->next = *list;
	*list = j;
	return 0;
}

/* The one of a policy, NULL when it has not been judged yet. */
static const struct judgement *judgement_of(
	const struct judgement *list, const struct model_policy *p)
{
	while (list && !is_alike(list->policy, p))
		list = list->next;
	return list;
}

/* A service runs an image once: its maps and counters are found by what it is. */
static bool stands_before(const struct judgement *list, const struct model_policy *p,
	size_t position, const struct policy_image *image)
{
	for (size_t i = 1; image && i <= position; i++) {
		const struct judgement *other = judgement_of(list, p - i);

		if (other->image && other->image->size == image->size &&
			!memcmp(other->image, image, image->size))
			return true;
	}
	return false;
}

static void complain(json_t *to, const char *file, const struct model_policy *p, const char *key,
	const char *text)
{
	json_array_append_new(to,
		json_sprintf(
			"%s:%u:%u: %s: %s: %s", file, p->line, p->column, key, p->object, text));
}

int config_policies_check(const char *file, const struct model *m, json_t *errors, json_t *warnings)
{
	struct model_policy_cursor c = { 0 };
	struct judgement *list = NULL;
	const struct model_service *s;
	const struct model_policy *p;
	char key[MODEL_POLICY_KEY_SIZE];
	size_t position;
	int rc = 0;

	while (!rc && (p = model_policy_next(m, &c, &s, &position))) {
		const struct judgement *j = judgement_of(list, p);

		if (!j) {
			rc = judge(file, p, &list);
			j = list;
		}
		if (rc)
			break;
		model_policy_key(m, s, p, position, key);
		if (j->outcome == POLICY_REFUSED)
			complain(errors, file, p, key, j->text);
		else if (stands_before(list, p, position, j->image))
			complain(errors, file, p, key,
				"stands there twice with the same parameters; expected once");
		else if (j->outcome == POLICY_UNVERIFIED)
			complain(warnings, file, p, key, j->text);
	}
	while (list) {
		struct judgement *next = list->next;

		free(list->image);
		free(list);
		list = next;
	}
	return rc;
}
