/* SPDX-License-Identifier: BSD-3-Clause */

/* Policies for the test bed: compiled objects, staged as control would, and what was counted of them. */

#ifndef WEIR_TESTS_POLICY_BED_H
#define WEIR_TESTS_POLICY_BED_H

#include "ebpf/engine/image.h"
#include "ebpf/engine/object.h"
#include "tests/unit/fastpath/pipeline_bed.h"
#include "tests/unit/tap.h"

#include <weir/policy_abi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Once, before there are threads: reading forks. */
static inline struct policy_image *policy_read(const char *name)
{
	struct policy_image *image = NULL;
	char path[4096], err[512] = "";

	snprintf(path, sizeof(path), "%s/%s.o", WEIR_TEST_POLICIES, name);
	int rc = policy_object_read(path, &image, err, sizeof(err));

	if (rc < 0)
		printf("# %s: %s\n", path, err);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return image;
}

/* The policy that does what it is told (say.c), for tests whose first and last cases these are. */
static struct policy_image *say __attribute__((unused));

static inline void say_read(void)
{
	say = policy_read("say");
}

static inline void say_free(void)
{
	free(say);
}

/* Hand an image over under an id; our own compiler's output, so the kernel need not be asked. */
static inline int policy_stage_as(struct bed *b, const struct policy_image *image, uint64_t id,
	const char *const *sets, uint32_t flags)
{
	struct weir_policy_stage stage = { .id = id, .image_bytes = image->size, .flags = flags };
	struct policy_image *copy = malloc(image->size);

	memcpy(copy, image, image->size);
	for (; sets && *sets; sets++) {
		char err[256] = "";

		if (policy_image_set(copy, *sets, err, sizeof(err)))
			printf("# %s\n", err);
		CU_ASSERT_EQUAL(err[0], 0);
	}
	int rc = fastpath_policy_stage(b->fp, &stage, copy, NULL, 1, b->err, sizeof(b->err));

	free(copy);
	return rc;
}

static inline void policy_stage(
	struct bed *b, const struct policy_image *image, uint64_t id, const char *const *sets)
{
	int rc = policy_stage_as(b, image, id, sets, WEIR_POLICY_F_VERIFIED);

	CU_ASSERT_EQUAL(rc, 0);
	if (rc)
		printf("# stage: %d %s\n", rc, b->err);
}

/* Put it into the configuration, at the end of what the first service has. */
static inline struct weir_config_policy *policy_add(struct bed *b, uint64_t id)
{
	struct weir_config_policy *p = &b->policy[b->policy_count++];

	*p = (struct weir_config_policy){ .id = id };
	snprintf(p->name, sizeof(p->name), "say-%llu.o", (unsigned long long)id);
	b->service[0].policy_count++;
	return p;
}

static inline struct weir_config_class *class_add(struct bed *b, const char *name)
{
	struct weir_config_class *c = &b->class[b->class_count++];

	*c = (struct weir_config_class){ .packets = WEIR_UNLIMITED,
		.bits = WEIR_UNLIMITED,
		.connections = WEIR_UNLIMITED,
		.burst_ns = 10 * BED_MS };
	snprintf(c->name, sizeof(c->name), "%s", name);
	b->service[0].class_count++;
	return c;
}

static inline const struct weir_policy_entry *policy_entry(const struct bed *b, uint32_t position)
{
	const struct weir_policy_entry *e =
		(const void *)((const char *)b->telemetry + b->telemetry->service[0].policy_offset);

	CU_ASSERT_TRUE(position < b->telemetry->service[0].policy_count);
	return &e[position];
}

/* Sum over the cores. */
static inline uint64_t policy_sum(
	const struct bed *b, const struct weir_policy_entry *e, size_t word)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->core_count; i++)
		sum += ((const uint64_t *)(const void *)((const char *)b->telemetry +
			e->cell_offset[i]))[word];
	return sum;
}

#define POLICY_WORD(field) (offsetof(struct weir_policy_cell, field) / sizeof(uint64_t))

static inline uint64_t verdicts(const struct bed *b, uint32_t position, uint32_t action)
{
	return policy_sum(b, policy_entry(b, position), POLICY_WORD(verdicts) + action);
}

static inline uint64_t reasons(const struct bed *b, uint32_t position, uint32_t reason)
{
	return policy_sum(b, policy_entry(b, position), POLICY_WORD(reasons) + reason);
}

static inline uint64_t judged(const struct bed *b, uint32_t position)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WEIR_POLICY_ACTION_COUNT; i++)
		sum += verdicts(b, position, i);
	return sum;
}

static inline uint64_t class_sum(const struct bed *b, uint32_t class, size_t word)
{
	const struct weir_class_entry *e =
		(const void *)((const char *)b->telemetry + b->telemetry->service[0].class_offset);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->core_count; i++)
		sum += ((const uint64_t *)(const void *)((const char *)b->telemetry +
			e[class].cell_offset[i]))[word];
	return sum;
}

#endif
