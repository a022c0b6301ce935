/* SPDX-License-Identifier: BSD-3-Clause */

/* One object at many services: its bytes are judged once, and each service has an image, and arrays, of its own. */

#include "control/daemon/daemon.h"
#include "control/daemon/policy/policy_admit.h"
#include "ebpf/engine/object.h"
#include "tests/unit/tap.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATH "/policies/guard.o"

static char *set[] = { (char[]){ "rate=5" } };
static const struct policy_source from = { .file = "/policies/weir.yaml" };
static struct daemon d;

static struct model_policy policy_at(uint64_t place)
{
	static char object[] = "guard.o";

	return (struct model_policy){ .object = object, .place = place, .budget = 100 };
}

/* As if a child had judged it; why: the kernel cannot run it. */
static const struct policy_kept *keep(const struct model_policy *p, const char *why)
{
	const struct policy_stamp stamp = { .size = 1 };
	struct policy_answer a = { .admitted = true,
		.cycles_median = 10,
		.kernel_cycles = 70,
		.object_fd = -1,
		.image_fd = memfd_create("image", 0) };
	struct policy_image *image;
	char err[256];

	CU_ASSERT_EQUAL_FATAL(policy_object_read(TEST_OBJECT, &image, err, sizeof(err)), 0);
	a.image_size = image->size;
	CU_ASSERT_EQUAL_FATAL(write(a.image_fd, image, image->size), (ssize_t)image->size);
	snprintf(a.offload_why, sizeof(a.offload_why), "%s", why);
	free(image);
	return policies_keep(&d, PATH, p, &stamp, &a);
}

static size_t kept_count(void)
{
	size_t n = 0;

	for (const struct policy_kept *k = d.policies.kept; k; k = k->next)
		n++;
	return n;
}

static void another_service_is_judged_with_it(void)
{
	struct model_policy first = policy_at(1), second = policy_at(2), never = policy_at(0);
	const struct policy_kept *k = keep(&first, "");

	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	CU_ASSERT_TRUE(policies_resolve_one(&d, &first, &from));
	CU_ASSERT_EQUAL(first.id, k->id);
	CU_ASSERT_TRUE(policies_resolve_one(&d, &second, &from));
	CU_ASSERT_NOT_EQUAL(second.id, first.id);
	CU_ASSERT_TRUE(second.offloads);
	CU_ASSERT_STRING_EQUAL(second.name, first.name);
	CU_ASSERT_EQUAL(policies_find(&d, second.id)->kernel_cycles, 70);
	CU_ASSERT_PTR_EQUAL(policies_find(&d, second.id)->bytes, k->bytes);
	CU_ASSERT_TRUE(policies_resolve_one(&d, &never, &from));
	CU_ASSERT_FALSE(never.offloads);
	CU_ASSERT_EQUAL(kept_count(), 3);
	CU_ASSERT_TRUE(policies_resolve_one(&d, &second, &from));
	CU_ASSERT_EQUAL(kept_count(), 3);
	policies_sweep(&d, NULL, NULL);
}

static void what_differs_is_judged_by_itself(void)
{
	struct model_policy first = policy_at(1), other = policy_at(2);

	CU_ASSERT_PTR_NOT_NULL_FATAL(keep(&first, ""));
	other.sets = set;
	other.set_count = 1;
	CU_ASSERT_FALSE(policies_resolve_one(&d, &other, &from));
	other = policy_at(2);
	other.budget = 9;
	CU_ASSERT_FALSE(policies_resolve_one(&d, &other, &from));
	other = policy_at(2);
	other.load = 7;
	CU_ASSERT_FALSE(policies_resolve_one(&d, &other, &from));
	policies_sweep(&d, NULL, NULL);
	/* Where it was never asked whether the kernel can run it. */
	struct model_policy never = policy_at(0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(keep(&never, ""));
	other = policy_at(2);
	CU_ASSERT_FALSE(policies_resolve_one(&d, &other, &from));
	policies_sweep(&d, NULL, NULL);
	/* What the kernel cannot run shares nothing, and is one for all. */
	CU_ASSERT_PTR_NOT_NULL_FATAL(keep(&first, "it cannot"));
	CU_ASSERT_TRUE(policies_resolve_one(&d, &first, &from));
	CU_ASSERT_TRUE(policies_resolve_one(&d, &other, &from));
	CU_ASSERT_EQUAL(other.id, first.id);
	CU_ASSERT_EQUAL(kept_count(), 1);
	policies_sweep(&d, NULL, NULL);
}

/* So many that buckets hold several. */
static void what_is_used_stays(void)
{
	enum {
		SERVICES = 3 * POLICIES_BUCKETS
	};
	struct model_policy *all = calloc(SERVICES, sizeof(*all));
	struct model m = { .policies = all, .policy_count = SERVICES };

	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	all[0] = policy_at(1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(keep(&all[0], ""));
	for (size_t i = 0; i < SERVICES; i++) {
		all[i] = policy_at(i + 1);
		CU_ASSERT_TRUE(policies_resolve_one(&d, &all[i], &from));
		policies_find(&d, all[i].id)->staged = true;
	}
	CU_ASSERT_EQUAL(kept_count(), SERVICES);
	CU_ASSERT_EQUAL(d.policies.kept->bytes->users, SERVICES);
	for (size_t i = 0; i < SERVICES; i++)
		CU_ASSERT_EQUAL(policies_find(&d, all[i].id)->place, i + 1);
	const uint64_t first = all[0].id, last = all[SERVICES - 1].id;
	struct model half = { .policies = all, .policy_count = SERVICES / 2 };

	policies_in_force(&d, &half);
	CU_ASSERT_TRUE(policies_find(&d, first)->staged);
	CU_ASSERT_FALSE(policies_find(&d, last)->staged);
	policies_sweep(&d, &half, &m);
	CU_ASSERT_EQUAL(kept_count(), SERVICES);
	policies_sweep(&d, &half, NULL);
	CU_ASSERT_EQUAL(kept_count(), SERVICES / 2);
	CU_ASSERT_PTR_NOT_NULL(policies_find(&d, first));
	CU_ASSERT_PTR_NULL(policies_find(&d, last));
	CU_ASSERT_EQUAL(d.policies.kept->bytes->users, SERVICES / 2);
	policies_sweep(&d, NULL, NULL);
	CU_ASSERT_PTR_NULL(policies_find(&d, first));
	free(all);
}

static const struct tap_case cases[] = {
	{ "an object at another service need not be judged again",
		another_service_is_judged_with_it },
	{ "what differs in more than its place is judged", what_differs_is_judged_by_itself },
	{ "of thousands those stay that a model uses", what_is_used_stays },
};

TAP_MAIN("twins", cases)
