/* SPDX-License-Identifier: BSD-3-Clause */

#include "ebpf/kernel/judges.h"

#include "ebpf/kernel/steering_keys.h"

#include <bpf/bpf.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define JUDGES_BYTES (STEERING_MAX_JUDGES * sizeof(struct steering_judge))

struct judges {
	int judged; /* all owned */
	int programs;
	int packet;
	int memory;
	struct steering_judge *judge; /* [STEERING_MAX_JUDGES], shared with the kernel */
};

static int pin_open(const char *directory, const char *name)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", directory, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -1;
	return bpf_obj_get(path);
}

static void judges_close(struct judges *j)
{
	if (j->judge)
		munmap(j->judge, JUDGES_BYTES);
	if (j->judged >= 0)
		close(j->judged);
	if (j->programs >= 0)
		close(j->programs);
	if (j->packet >= 0)
		close(j->packet);
	if (j->memory >= 0)
		close(j->memory);
}

static int judges_open(struct judges *j, const char *directory)
{
	*j = (struct judges){
		.judged = pin_open(directory, STEERING_MAP_JUDGED),
		.programs = pin_open(directory, STEERING_MAP_PROGRAMS),
		.packet = pin_open(directory, STEERING_MAP_PACKET),
		.memory = pin_open(directory, STEERING_MAP_JUDGES),
	};
	void *at = MAP_FAILED;

	if (j->judged >= 0 && j->programs >= 0 && j->packet >= 0 && j->memory >= 0)
		at = mmap(NULL, JUDGES_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, j->memory, 0);
	if (at == MAP_FAILED) {
		judges_close(j);
		return -ENOENT;
	}
	j->judge = at;
	return 0;
}

static uint32_t index_of(const struct judges *j, uint64_t id)
{
	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++)
		if (j->judge[i].id == id)
			return i;
	return 0;
}

/* The one that has dropped least, so that what is not read yet of its predecessor is not taken for its own. */
static uint32_t index_new(const struct judges *j)
{
	uint32_t found = 0;

	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++)
		if (!j->judge[i].id && (!found || j->judge[i].packets < j->judge[found].packets))
			found = i;
	return found;
}

static void id_set(struct judges *j, uint32_t index, uint64_t id)
{
	__atomic_store_n(&j->judge[index].id, id, __ATOMIC_RELEASE);
}

static struct steering_service_key key_of(const struct judge_want *w)
{
	struct steering_service_key key = {
		.port = w->port, .protocol = w->protocol, .kind = STEERING_KIND_PORT
	};

	memcpy(key.address, w->address, sizeof(key.address));
	return key;
}

static bool is_wanted(
	const struct judge_list *list, const struct steering_service_key *key, uint64_t id)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct steering_service_key wanted = key_of(&list->want[i]);

		if (list->want[i].id == id && (!key || memcmp(&wanted, key, sizeof(wanted)) == 0))
			return true;
	}
	return false;
}

/* Keys first, so that no packet is sent to a judge that is gone. Returns how many are left. */
static uint32_t keys_remove(struct judges *j, const struct judge_list *list)
{
	struct steering_service_key keys[STEERING_MAX_JUDGES];
	uint32_t count = 0, left = 0;
	void *previous = NULL;

	while (count < STEERING_MAX_JUDGES &&
		bpf_map_get_next_key(j->judged, previous, &keys[count]) == 0)
		previous = &keys[count++];
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = 0;

		if (bpf_map_lookup_elem(j->judged, &keys[i], &index) == 0 &&
			index < STEERING_MAX_JUDGES &&
			is_wanted(list, &keys[i], j->judge[index].id))
			left++;
		else
			(void)bpf_map_delete_elem(j->judged, &keys[i]);
	}
	return left;
}

static void judges_remove(struct judges *j, const struct judge_list *list)
{
	if (keys_remove(j, list) == 0)
		id_set(j, 0, 0);
	for (uint32_t i = 1; i < STEERING_MAX_JUDGES; i++) {
		if (!j->judge[i].id || is_wanted(list, NULL, j->judge[i].id))
			continue;
		(void)bpf_map_delete_elem(j->programs, &i);
		id_set(j, i, 0);
	}
}

static void judge_add(struct judges *j, const struct judge_list *list, struct judge_want *w)
{
	const struct steering_service_key key = key_of(w);
	uint32_t index = index_of(j, w->id), program = 0;

	if (!index)
		index = index_new(j);
	if (!index) {
		snprintf(w->why, w->why_size, "the kernel has %u policies already, which is all",
			STEERING_MAX_JUDGES - 1);
		return;
	}
	/* A program array is emptied when nobody has it open for a moment. */
	if (bpf_map_lookup_elem(j->programs, &index, &program) < 0) {
		int fd = list->load(w, j->packet, j->programs);

		if (fd < 0)
			return;
		int rc = bpf_map_update_elem(j->programs, &index, &fd, BPF_ANY) < 0 ? -errno : 0;

		close(fd);
		if (rc < 0) {
			snprintf(w->why, w->why_size,
				"it cannot be put into the port's program: %s", strerror(-rc));
			return;
		}
	}
	id_set(j, index, w->id);
	id_set(j, 0, 1);
	if (bpf_map_update_elem(j->judged, &key, &index, BPF_ANY) < 0)
		snprintf(w->why, w->why_size, "the port's map does not take it: %s",
			strerror(errno));
}

int judges_sync(const char *directory, const struct judge_list *list, unsigned int flags)
{
	struct judges j;
	int rc = judges_open(&j, directory);

	if (rc < 0)
		return rc;
	if (flags & STEERING_F_REMOVE)
		judges_remove(&j, list);
	for (size_t i = 0; (flags & STEERING_F_ADD) && i < list->count; i++)
		judge_add(&j, list, &list->want[i]);
	judges_close(&j);
	return 0;
}

int judge_program(const char *directory, uint64_t id)
{
	struct judges j;
	int rc = judges_open(&j, directory);
	uint32_t index, program;

	if (rc < 0)
		return rc;
	index = index_of(&j, id);
	rc = -ENOENT;
	if (index && bpf_map_lookup_elem(j.programs, &index, &program) == 0) {
		rc = bpf_prog_get_fd_by_id(program);
		if (rc < 0)
			rc = -errno;
	}
	judges_close(&j);
	return rc;
}
