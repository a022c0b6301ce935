/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A policy that can run: instructions with the addresses of their maps, and, where the machine has
 * one, code of our compiler. Made from an image that somebody else has verified, or from one that
 * nobody has: then only the interpreter runs it, which checks every access.
 *
 * For the data plane: policy_program_create() on the control thread when a generation is built, one
 * struct policy_worker and one struct policy_frame for each worker, policy_program_run() for each packet;
 * policy_program_destroy() after the grace period of the generation that was the last to have it. A
 * program is immutable but for its maps, so any number of workers run it at a time.
 */

#ifndef WEIR_ENGINE_PROGRAM_H
#define WEIR_ENGINE_PROGRAM_H

#include "ebpf/engine/image.h"
#include "ebpf/engine/map.h"

#include <weir/policy_abi.h>

#include <linux/bpf.h>

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

/* How often a policy may jump back, a packet: enough for any loop over one, bounds the worst. */
#define POLICY_BACK_EDGES 1024

/* What a worker has for running policies. Written by the worker only; code of the JIT knows its layout. */
struct policy_worker {
	int64_t back_edges; /* left of the budget */
	uint64_t stack_pointer; /* of the entry function, to give up from any depth */
	uint64_t now_ns; /* of the burst */
	uint64_t random; /* never 0 */
	uint32_t index; /* of the worker: below the program's workers */
	uint32_t aborted; /* packets that ran out of back edges, or did what they must not */
	/* Interpreter: the first thing that went wrong, until somebody clears the kind. */
	uint32_t fault; /* enum policy_fault */
	uint32_t fault_insn;
};

enum policy_fault {
	POLICY_FAULT_NONE = 0,
	POLICY_FAULT_READ, /* reads what is not the policy's */
	POLICY_FAULT_WRITE,
	POLICY_FAULT_MAP, /* gives a helper something that is no map, or a key or value that is not its */
	POLICY_FAULT_LOOP, /* runs without an end */
	POLICY_FAULT_DEPTH, /* calls functions too deep */
	POLICY_FAULT_COUNT
};

/* What is wrong, as the end of a sentence that begins with "the policy". */
const char *policy_fault_text(enum policy_fault fault);

/*
 * A context, and below it the memory that a policy may write as well: the verifier takes the context
 * for the top of its caller's stack frame, and allows all of that frame.
 */
struct policy_frame {
	alignas(64) uint8_t below[WEIR_FRAME_BELOW];
	struct weir_ctx ctx;
};
static_assert(offsetof(struct policy_frame, ctx) == WEIR_FRAME_BELOW, "a policy may write below");
static_assert(sizeof(struct policy_frame) == 512, "the context ends where the frame ends");

typedef uint64_t (*policy_function)(struct weir_ctx *ctx, struct policy_worker *worker);

struct policy_program {
	char name[POLICY_NAME_SIZE];
	struct bpf_insn *insns; /* owned; map references are addresses */
	uint8_t *starts; /* owned; as policy_insns_check() gives it */
	int8_t *map_of; /* owned; of a load of a map's address: which map; else -1 */
	uint32_t insn_count;
	uint32_t map_count;
	struct policy_map *maps[POLICY_MAX_MAPS]; /* owned */
	uint32_t back_edges;
	policy_function run; /* NULL: the interpreter runs it */
	struct policy_memory code; /* owned */
	uint32_t code_bytes;
};

struct policy_program_options {
	uint32_t workers; /* 1..1024 */
	int node; /* NUMA node of the maps, -1: any */
	uint32_t back_edges; /* 0: POLICY_BACK_EDGES */
	uint64_t seed; /* of hash tables; secret but in replays */
	bool verified; /* the kernel has accepted it; else it runs in the interpreter only */
	bool interpret; /* run it there all the same */
	const int *map_fds; /* by map: the kernel's array to share, or -1; NULL: none is shared */
	uint64_t memory_bytes; /* what its maps may take together; 0: what the machine can spare */
};

/*
 * Whether a checked image's maps fit into the memory that there is. Asked before anything is made of it: all of
 * it would be taken at once, and the kernel ends whoever takes more than it has.
 *
 * options  workers, map_fds and memory_bytes
 *
 * Returns 0 or -ENOMEM with a sentence in err.
 */
int policy_maps_fit(const struct policy_image *image, const struct policy_program_options *options,
	char *err, size_t err_size);

/*
 * Make a program of an image, after checking both it and its instructions.
 *
 * err  why not
 *
 * Control thread. Returns 0, -EINVAL (refused), -ENOMEM or another -errno.
 */
int policy_program_create(const void *image, size_t size,
	const struct policy_program_options *options, struct policy_program **ret_program,
	char *err, size_t err_size);
void policy_program_destroy(struct policy_program *program);

struct policy_map *policy_program_map(struct policy_program *program, const char *name);

/*
 * Judge one packet with the interpreter. Safe with any checked program: whatever it reads or writes
 * must be its stack, the frame, the packet or a value of its maps, else the packet is ABORTED.
 */
uint32_t policy_interpret(const struct policy_program *program, struct policy_frame *frame,
	struct policy_worker *worker);

/* Returns the verdict as the policy gave it. ctx is filled by the caller, its frame need not be clean. */
static inline uint32_t policy_program_run(const struct policy_program *program,
	struct policy_frame *frame, struct policy_worker *worker)
{
	worker->back_edges = program->back_edges;
	if (__builtin_expect(program->run != NULL, 1))
		return (uint32_t)program->run(&frame->ctx, worker);
	return policy_interpret(program, frame, worker);
}

/* An action that is none, or an argument where none belongs, is ABORTED. */
static inline uint32_t policy_action(uint32_t verdict)
{
	uint32_t action = WEIR_VERDICT_ACTION(verdict);

	return action < WEIR_ACTION_COUNT && verdict >> 24 == 0 ? action : WEIR_ACTION_ABORTED;
}

#endif
