/* SPDX-License-Identifier: BSD-3-Clause */

/* What each version of turns.c passes; the test asks the same function. */

#ifndef WEIR_TESTS_TURNS_H
#define WEIR_TESTS_TURNS_H

/* Source ports by their last two bits: all pass; judged by the first policy, or by the second; none passes. */
enum turns_kind {
	TURNS_ALL,
	TURNS_FIRST,
	TURNS_SECOND,
	TURNS_NONE,
};

/* Half of the ports, in each version others. */
static inline unsigned int turns_passes(unsigned int version, unsigned int port)
{
	return ((port * 0x9e3779b1u ^ version * 0x85ebca6bu) * 0xc2b2ae35u >> 13) & 1;
}

#endif
