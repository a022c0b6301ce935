/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Does a packet core go round? Its count of rounds and the CPU time that its thread has used tell a round that
 * does not end from a thread that does not run; the kernel says of that whether it waits for a CPU or was stopped. Pure;
 * main thread.
 */

#ifndef WEIR_CORE_PULSE_H
#define WEIR_CORE_PULSE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * CPU time in one round. A round is 0.5 ms at most, be it that all its rings are full and policies use up
 * their budgets; but where a hypervisor takes the CPU away for a while, the kernel may count that as the
 * thread's. No multiple of the time between two looks: else the look at which it is reached misses it by what an
 * interrupt took.
 */
#define PULSE_STUCK_NS	 UINT64_C(19000000)
/* Time without a round for a thread that somebody has stopped. */
#define PULSE_STOPPED_NS UINT64_C(20000000)
/* Time without a round for a thread that does not run: others have its CPU now and then. */
#define PULSE_AWAY_NS	 UINT64_C(200000000)
/* Looks that have to find it so, after the one that found it stuck or away, until its work is taken over. */
#define PULSE_LOOKS	 2

/* What passes between two looks counts as watched up to this. */
#define PULSE_WATCH_NS UINT64_C(20000000)

/* While the main thread waits for cores, it looks so often. */
#define PULSE_WAIT_NS UINT64_C(5000000)

enum pulse_state {
	PULSE_BEATS, /* as WEIR_CORE_ANSWERS, and so on */
	PULSE_STUCK,
	PULSE_AWAY,
};

/* What is there to be seen of a core. */
struct pulse_signs {
	uint64_t loops; /* its count of rounds */
	uint64_t now_ns; /* any clock, always the same one */
	uint64_t cpu_ns; /* CPU time of its thread */
	bool stopped; /* its thread is, by a debugger or a signal; matters when pulse_is_silent() */
};

struct pulse {
	bool begun;
	bool stopped; /* at the last look */
	uint8_t state; /* enum pulse_state */
	uint64_t loops; /* of the core, when it was seen going round last */
	uint64_t now_ns; /* when that was */
	uint64_t cpu_ns; /* what its thread had used by then */
	uint64_t looked_ns; /* the last look */
	uint64_t
		watched_ns; /* for so long this thread has seen it silent: it may have been kept itself */
	uint32_t looks; /* PULSE_LOOKS counts these */
};

/* Has it not gone round for so long that it matters whether somebody has stopped it? */
bool pulse_is_silent(const struct pulse *p, uint64_t loops, uint64_t now_ns);

/*
 * Look at a core, often. Returns true when its state has changed; ret_silent_ns is how long it did not go round.
 */
bool pulse_look(struct pulse *p, const struct pulse_signs *seen, uint64_t *ret_silent_ns);

/*
 * Is it time that others do its work? Looked at twice more, and not only because nobody ran for a while: the
 * whole machine may have stood still.
 */
bool pulse_is_gone(const struct pulse *p);

#endif
