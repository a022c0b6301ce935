/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The policies of a daemon: images that have been admitted, kept for as long as a configuration uses them,
 * and handed to the data plane again whenever that has lost them. Event loop's thread.
 *
 *   model -> policies_resolve(): which are there, which have to be judged -> policies_judge()
 *         -> plan (ids) -> policies_stage() -> CONFIG -> policies_in_force()
 */

#ifndef WEIR_DAEMON_POLICIES_H
#define WEIR_DAEMON_POLICIES_H

#include "control/config/model.h"
#include "control/daemon/policy/policies_copies.h"
#include "control/daemon/policy/sha256.h"
#include "ebpf/engine/image.h"
#include "ebpf/engine/offload.h"
#include "ebpf/engine/verify.h"

#include <jansson.h>

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct daemon;
struct kernel_work;
struct policy_answer;
struct policy_batch;
struct staging;
struct who;

/* Which file an image was made of: another one of the same name differs in this. */
struct policy_stamp {
	uint64_t device;
	uint64_t inode;
	uint64_t size;
	uint64_t modified_ns;
	uint64_t changed_ns;
};

/* Where the policies of a model come from. */
struct policy_source {
	const char *file; /* of the configuration: objects lie relative to its folder */
	const char *label; /* what complaints call it */
	bool reread; /* objects that have changed on disk since do not count as kept */
	/* What the objects were, as in struct revision; NULL, or one not named in it: as the file is. */
	json_t *objects;
	bool strict; /* refuse what cannot be had as it was; else the file as it is takes its place */
};

/* What was judged: the same, and there once, for all services that have the object with these parameters. */
struct policy_bytes {
	size_t users;
	const struct policy_image *image; /* owned mapping */
	size_t image_size;
	int image_fd; /* owned; nobody can write it any more */
	uint64_t mark; /* of the image */
	char object[SHA256_TEXT_SIZE]; /* of the object that it was made of; "": not known */
	int object_fd; /* owned; its bytes, until the history has a copy; -1: has been let go */
};

/* An image that has been admitted. */
struct policy_kept {
	struct policy_kept *next; /* owned */
	struct policy_kept *beside; /* the next one in by_id */
	uint64_t id;
	uint64_t form; /* of path, parameters and load: those that differ in it differ */
	uint64_t load; /* as in struct model_policy */
	uint64_t place; /* the only service that it is of, as it shares its arrays; 0: any */
	bool used; /* by the model that is being looked at */
	bool staged; /* this data plane has it */
	struct policy_bytes *bytes; /* shared, counted */
	const struct policy_image *image; /* of bytes */
	char *path; /* owned; absolute */
	char **sets; /* owned, as the texts are */
	size_t set_count;
	struct policy_stamp stamp;
	uint32_t cycles_median; /* of its trial; 0: it was not compiled */
	uint32_t cycles_p99;
	/* In the kernel: policies_kernel.h. */
	char offload_why
		[POLICY_OFFLOAD_WHY]; /* why the kernel cannot run it; "" where that was not asked */
	char kernel_why
		[POLICY_OFFLOAD_WHY]; /* why it does not now, or not everywhere; "": it does */
	uint64_t kernel_ports; /* where it does: bits, by index in the model */
	uint32_t kernel_cycles; /* of its trial there; 0: not known */
	enum policy_copies_state copies;
	uint64_t copies_round; /* of the copies: another one is of no interest any more */
	char copies_why[POLICY_OFFLOAD_WHY]; /* of those that have failed */
	pid_t from_before; /* of an earlier daemon: this data plane has arrays that are not known here */
	bool has_arrays;
	int array[POLICY_MAX_MAPS]; /* owned; by map, where it has some; of others copies */
};

#define POLICIES_BUCKETS 1024 /* a power of two; there may be some thousand */

struct policies {
	struct policy_kept *kept; /* owned; the newest first */
	struct policy_kept *by_id[POLICIES_BUCKETS]; /* likewise */
	struct kernel_work *work; /* owned; policies_kernel.h */
	bool copies_filled; /* since the kernel was last told of copies */
	json_t *set; /* owned; policies_set.h */
	/* Owned; objects of the configuration in force, as in struct revision; NULL: not known yet. */
	json_t *objects;
	json_t *failed; /* owned; texts: what does not run although the configuration has it */
	struct policy_canary canaries[POLICY_CANARY_COUNT];
	struct staging *staging; /* the one under way; it frees itself */
	uint64_t *
		detached; /* owned; ids that the data plane has detached, as last read; ascending */
	size_t detached_count;
};

void policies_init(struct daemon *d);
void policies_fini(struct daemon *d);

/* A number that stands for some bytes, with another one mixed in; never 0. */
uint64_t policies_mark(const void *bytes, size_t size, uint64_t with);

/* What is kept of an image, by its id; NULL: nothing. */
struct policy_kept *policies_find(const struct daemon *d, uint64_t id);

/* Give the policies of a model the ids and names of images that are kept. Returns how many have none. */
size_t policies_resolve(struct daemon *d, struct model *m, const struct policy_source *from);

bool policies_resolve_one(
	struct daemon *d, struct model_policy *p, const struct policy_source *from);
/* What the object of a policy has to be; NULL: whatever the file is. */
const char *policy_wanted(
	const struct policy_source *from, const struct model_policy *p, const char *path);
/* Does one service have the same image twice? Then err says where. */
bool policies_twice(const struct model *m, char *err, size_t err_size);

/*
 * Judge what policies_resolve() found missing, and keep what is admitted. done is called from the loop,
 * once: errors is NULL, or a list of lines, a new reference; source is the author's line that the first of
 * them is about, or "".
 *
 * m  borrowed until then
 * Returns 0 or -ENOMEM: then done is not called.
 */
typedef void (*policies_judged_cb)(void *ctx, json_t *errors, const char *source);
int policies_judge(struct daemon *d, struct model *m, const struct policy_source *from,
	policies_judged_cb done, void *ctx, struct policy_batch **ret_batch);
void policies_judge_cancel(struct policy_batch *b); /* NULL is fine */

/* Keep an image that has been admitted; takes its descriptors. Returns NULL when out of memory. */
struct policy_kept *policies_keep(struct daemon *d, const char *path, const struct model_policy *p,
	const struct policy_stamp *stamp, const struct policy_answer *a);
/* The same with bytes that are there already: the answer's own are not looked at. */
struct policy_kept *policies_keep_bytes(struct daemon *d, const char *path,
	const struct model_policy *p, const struct policy_stamp *stamp,
	const struct policy_answer *a, struct policy_bytes *bytes);
/* A number for path, parameters and load; never 0. */
uint64_t policies_form(const char *path, const struct model_policy *p);
/* Of the policies that the configuration itself has, as in struct revision; a new reference. */
json_t *policies_objects(const struct daemon *d, const struct model *m);
/* Copies of what those in force were made of, for the history. */
void policies_objects_keep(struct daemon *d);

/* Returns false when there is no such file. */
bool policy_stamp_read(const char *path, struct policy_stamp *ret_stamp);

/*
 * Send the images of a model that the data plane does not have, some in each turn of the loop. done is called once,
 * perhaps at once: with 0, or -errno and why. One at a time.
 *
 * m  borrowed until then
 */
typedef void (*policies_staged_cb)(void *ctx, int status, const char *text);
void policies_stage(struct daemon *d, const struct model *m, policies_staged_cb done, void *ctx);
/* The one under way, if any, is to fail: what has been sent has been lost. */
void policies_stage_fail(struct daemon *d, int status, const char *text);
/* With the loop, behind the data plane's answers: it calls back now. */
void policies_stage_end(struct daemon *d);
/* CONFIG with this model is in force: the data plane forgets the others. */
void policies_in_force(struct daemon *d, const struct model *m);
/* The data plane has gone, with all that it had. */
void policies_lost(struct daemon *d);
/* Let go what neither of the two uses; the second may be NULL. */
void policies_sweep(struct daemon *d, const struct model *m, const struct model *other);

/* A file in the run directory, and the images beside it, for the daemon that comes next. */
void policies_save(const struct daemon *d);
void policies_continue(struct daemon *d);
void policies_forget(const struct daemon *d);

/* Lines for a difference: policies whose object is another one although its name is the same. */
char *policies_diff(const char *diff, const struct model *before, const struct model *after);
/* Tell what became of policies, service by service. */
void policies_emit(const struct model *before, const struct model *after, const struct who *who);
/* Warnings for `status`. */
void policies_warn(const struct daemon *d, json_t *warnings);

#endif
