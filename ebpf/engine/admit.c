/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/engine/admit.h"

#include "ebpf/engine/check.h"
#include "ebpf/engine/object.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static bool refuse(
	struct policy_admission *a, enum policy_judge judge, const char *format, ...)
{
	va_list args;

	a->outcome = POLICY_REFUSED;
	a->judge = judge;
	va_start(args, format);
	vsnprintf(a->reason, sizeof(a->reason), format, args);
	va_end(args);
	return false;
}

const char *policy_judge_name(enum policy_judge judge)
{
	static const char *const names[] = { "none", "object", "parameter", "weir", "kernel",
		"trial" };

	return names[judge];
}

const struct policy_image_line *policy_admission_line(
	const struct policy_admission *a, const char **ret_file, const char **ret_text)
{
	const struct policy_image_line *line =
		a->image && a->insn != UINT32_MAX ? policy_image_line(a->image, a->insn) : NULL;
	const char *file, *slash;

	/* Instructions that no line of the author's stands for, as between two branches. */
	while (line && line->line == 0 && line > image_lines(a->image))
		line--;
	if (!line || line->line == 0)
		return NULL;
	file = image_at(a->image, line->file);
	slash = strrchr(file, '/');
	*ret_file = slash ? slash + 1 : file;
	*ret_text = image_at(a->image, line->text);
	return line;
}

void policy_admission_sentence(const struct policy_admission *a, char *buf, size_t size)
{
	static const char *const judges[] = {
		[POLICY_JUDGE_NONE] = "",
		[POLICY_JUDGE_OBJECT] = "",
		[POLICY_JUDGE_PARAMETER] = " by --set",
		[POLICY_JUDGE_WEIR] = " by Weir",
		[POLICY_JUDGE_KERNEL] = " by the kernel's verifier",
		[POLICY_JUDGE_TRIAL] = " when it was tried out",
	};
	const char *file, *text;
	const struct policy_image_line *line = policy_admission_line(a, &file, &text);
	char place[256] = "";

	if (line)
		snprintf(place, sizeof(place), "%s:%u: ", file, line->line);
	snprintf(buf, size, "refused%s: %s%s%s%s", judges[a->judge], place, a->reason,
		a->hint[0] ? ". " : "", a->hint);
}

static bool parameters_set(struct policy_admission *a, const struct policy_admit_options *o)
{
	char err[256];

	for (size_t i = 0; i < o->set_count; i++)
		if (policy_image_set(a->image, o->sets[i], err, sizeof(err)) < 0)
			return refuse(a, POLICY_JUDGE_PARAMETER, "%s", err);
	return true;
}

static bool checked(struct policy_admission *a)
{
	struct policy_refusal refusal;
	int rc = policy_insns_check(image_insns(a->image), a->image->insn_count,
		image_maps(a->image), a->image->map_count, NULL, &refusal);

	if (rc == 0)
		return true;
	if (rc == -EINVAL)
		a->insn = refusal.insn;
	return refuse(a, POLICY_JUDGE_WEIR, "%s", rc == -EINVAL ? refusal.reason : strerror(-rc));
}

/* The kernel's verifier wants maps as large as the policy's. */
static bool fits(struct policy_admission *a)
{
	const struct policy_program_options options = { .workers = 1 };
	char err[128];

	if (policy_maps_fit(a->image, &options, err, sizeof(err)) < 0)
		return refuse(a, POLICY_JUDGE_WEIR, "%s", err);
	return true;
}

/* True unless the kernel refuses; when it may not be asked, the policy is not verified. */
static bool kernel_asked(struct policy_admission *a, const struct policy_admit_options *o)
{
	struct policy_objection objection;
	char err[512];

	a->outcome = POLICY_UNVERIFIED;
	if (o->no_kernel) {
		snprintf(a->reason, sizeof(a->reason), "the kernel's verifier was not asked");
		return true;
	}
	int rc = policy_verify(a->image, &a->verified, &objection, &a->log, err, sizeof(err));
	if (rc == 0) {
		a->outcome = POLICY_ADMITTED;
		return true;
	}
	if (rc == -EPERM) {
		snprintf(a->reason, sizeof(a->reason), "%s", err);
		return true;
	}
	a->insn = objection.insn;
	if (objection.hint)
		snprintf(a->hint, sizeof(a->hint), "%s", objection.hint);
	return refuse(a, POLICY_JUDGE_KERNEL, "%s", err);
}

static bool made(struct policy_admission *a)
{
	char err[256];
	const struct policy_program_options options = {
		.workers = 1,
		.node = -1,
		.verified = a->outcome == POLICY_ADMITTED,
		.seed = UINT64_C(0x2545f4914f6cdd1d),
	};

	if (policy_program_create(
		    a->image, a->image->size, &options, &a->program, err, sizeof(err)) < 0)
		return refuse(a, POLICY_JUDGE_WEIR, "%s", err);
	return true;
}

static bool tried(struct policy_admission *a, const struct policy_admit_options *o)
{
	uint32_t budget = o->budget ? o->budget : POLICY_TRIAL_BUDGET;

	if (policy_trial_run(a->program, &a->trial) < 0)
		return refuse(a, POLICY_JUDGE_TRIAL, "out of memory");
	if (a->trial.fault != POLICY_FAULT_NONE && a->trial.fault != POLICY_FAULT_LOOP) {
		a->insn = a->trial.fault_insn;
		return refuse(a, POLICY_JUDGE_TRIAL, "the policy %s (seen when it was tried out)",
			policy_fault_text(a->trial.fault));
	}
	if (a->trial.cycles_median <= budget)
		return true;
	snprintf(a->hint, sizeof(a->hint), "Do less for each packet, or allow it with --budget %u.",
		a->trial.cycles_median);
	return refuse(a, POLICY_JUDGE_TRIAL,
		"it takes %u cycles a packet (median), the budget is %u", a->trial.cycles_median,
		budget);
}

int policy_admit(const char *path, const struct policy_admit_options *options,
	struct policy_admission *ret_admission)
{
	struct policy_admission *a = ret_admission;
	char err[512];

	*a = (struct policy_admission){
		.insn = UINT32_MAX,
		.verified = { .program_fd = -1, .context_fd = -1 },
	};
	int rc = policy_object_read(path, &a->image, err, sizeof(err));
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0) {
		refuse(a, POLICY_JUDGE_OBJECT, "%s", err);
		return 0;
	}
	/* Each says by itself why not. */
	if (parameters_set(a, options) && checked(a) && fits(a) && kernel_asked(a, options) &&
		made(a) && !options->no_trial)
		tried(a, options);
	return 0;
}

void policy_admission_fini(struct policy_admission *a)
{
	policy_program_destroy(a->program);
	policy_verified_fini(&a->verified);
	free(a->image);
	free(a->log);
}
