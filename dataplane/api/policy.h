/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Messages about policies. Control verifies a policy and hands over its image (ebpf/engine/image.h) and
 * the arrays that it shares with the kernel (POLICY_STAGE); a CONFIG then names it by its id. So a
 * configuration stays one transaction, however large its policies are.
 *
 * An image is known by its id for as long as it is staged or a configuration uses it. Staged ones that
 * no service uses are forgotten when the next CONFIG is in force, and when the connection that staged
 * them ends.
 */

#ifndef WEIR_API_POLICY_H
#define WEIR_API_POLICY_H

#include "telemetry.h"

#include <assert.h>
#include <stdint.h>

#define WEIR_POLICY_MAX_MAPS   32 /* of one policy */
#define WEIR_POLICY_MAX_KEY    64 /* bytes */
#define WEIR_POLICY_MAX_VALUE  4096
#define WEIR_POLICY_MAX_IMAGE  (32u << 20)
#define WEIR_POLICY_MAX_STAGED 8192
#define WEIR_POLICY_MAX_DUMP   65536 /* records in one answer; and its bytes: */
#define WEIR_POLICY_MAX_BYTES  (4u << 20)

enum weir_policy_stage_flag {
	WEIR_POLICY_F_VERIFIED = 1u
		<< 0, /* the kernel took it; else only the interpreter runs it */
};

/*
 * POLICY_STAGE -> empty. Descriptors come along: a memfd with the image, which nobody can write or shrink any
 * more (F_SEAL_WRITE, F_SEAL_SHRINK), then map_fd_count BPF arrays. An id that is known already is
 * answered with success and changes nothing: an id stands for one image and its arrays.
 */
struct weir_policy_stage {
	uint64_t id; /* control's own; never 0 */
	uint64_t image_bytes;
	uint32_t flags; /* enum weir_policy_stage_flag */
	uint32_t map_fd_count; /* 0..WEIR_POLICY_MAX_MAPS */
	uint8_t map[WEIR_POLICY_MAX_MAPS]; /* the image's index of each array; 0 behind the last */
};

enum weir_policy_mode {
	WEIR_POLICY_ENFORCE = 0,
	WEIR_POLICY_OBSERVE = 1, /* runs and is counted; its verdicts have no effect */
};

enum weir_policy_on_error {
	WEIR_POLICY_ERROR_PASS = 0,
	WEIR_POLICY_ERROR_DROP = 1,
};

enum weir_policy_offload {
	WEIR_POLICY_OFFLOAD_NEVER = 0,
	WEIR_POLICY_OFFLOAD_AUTO = 1, /* judge in the kernel where that is possible */
};

/* In CONFIG these lie behind parts whose sizes are multiples of four bytes, not of eight. */
#define WEIR_BEHIND_FOUR_BYTES __attribute__((packed, aligned(4)))

/*
 * A policy at its place, in CONFIG. Where the same id stands at the same service (in any position), the
 * program goes on with its maps and counters; what else is said of it may change.
 */
struct weir_config_policy {
	uint64_t id;
	char name[WEIR_NAME_SIZE]; /* what the operator calls it; for events and traces */
	uint32_t budget_cycles; /* a packet, on average over a second; 0: no bound */
	uint8_t mode; /* enum weir_policy_mode */
	uint8_t on_error; /* enum weir_policy_on_error */
	uint8_t offload; /* enum weir_policy_offload */
	uint8_t reserved;
} WEIR_BEHIND_FOUR_BYTES;

/* What LIMIT(n) means: the service's n-th class, from 1. A class of the same name keeps its state. */
struct weir_config_class {
	char name[WEIR_NAME_SIZE];
	uint64_t packets; /* per second; WEIR_UNLIMITED, and 0 lets nothing pass */
	uint64_t bits;
	uint64_t connections; /* new flows per second */
	uint64_t burst_ns;
} WEIR_BEHIND_FOUR_BYTES;

enum weir_policy_map_op {
	WEIR_POLICY_MAP_GET = 1, /* records of keys -> those that are there, with values */
	WEIR_POLICY_MAP_SET = 2, /* records of key and one value; every worker's is set */
	WEIR_POLICY_MAP_DELETE = 3, /* records of keys */
	WEIR_POLICY_MAP_DUMP = 4, /* no records -> some from `cursor` on */
};

/*
 * POLICY_MAP: this and `count` records, without anything between -> weir_policy_map_reply and its records.
 * Workers go on meanwhile: each record is taken whole, all of them together are not. SET and DELETE stop
 * at the first that fails; the answer's text says which.
 */
struct weir_policy_map {
	char service[WEIR_NAME_SIZE]; /* empty: of the policies of packets that are no service's */
	char map[WEIR_NAME_SIZE];
	uint64_t cursor; /* DUMP: 0, then the answer's `next` */
	uint32_t position; /* of the policy among the service's, from 0 */
	uint32_t op; /* enum weir_policy_map_op */
	uint32_t key_bytes; /* of each record; what the map has, or 0 with DUMP */
	uint32_t value_bytes; /* the same; 0 but with SET */
	uint32_t count; /* records here; DUMP: as many as are wanted */
	uint32_t reserved;
};

struct weir_policy_map_reply {
	uint64_t next; /* DUMP: where to go on; 0: that was all */
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t values; /* in each record: 1, or one for each core (per-CPU arrays) */
	uint32_t max_entries;
	uint32_t count; /* records here: key, then the values; SET and DELETE: done */
};

static_assert(sizeof(struct weir_policy_stage) == 56, "policy stage layout");
static_assert(sizeof(struct weir_config_policy) == 80, "config policy layout");
static_assert(sizeof(struct weir_config_class) == 96, "config class layout");
static_assert(sizeof(struct weir_policy_map) == 160, "policy map layout");
static_assert(sizeof(struct weir_policy_map_reply) == 32, "policy map reply layout");

#endif
