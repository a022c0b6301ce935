/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the verifier logs, for people. Its last lines but the statistics say what is wrong; the last
 * line that begins with a number and a code in parentheses is the instruction.
 */

#include "ebpf/engine/verify.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *sign; /* in the verifier's message */
	const char *hint;
} hints[] = {
	{ "outside of the packet",
		"Ask for the bytes with weir_at(ctx, offset, size), and test for NULL before you "
		"use them; offsets in the context are not to be trusted without that." },
	{ "invalid access to packet",
		"Ask for the bytes with weir_at(ctx, offset, size), and test for NULL before you "
		"use them; offsets in the context are not to be trusted without that." },
	{ "math between pkt pointer",
		"Ask for the bytes with weir_at(ctx, offset, size): it keeps the offset in bounds." },
	{ "pointer arithmetic on pkt_end",
		"Ask for the bytes with weir_at(ctx, offset, size) instead of computing with "
		"ctx->data_end." },
	{ "map_value_or_null",
		"bpf_map_lookup_elem() may return NULL: test for it before you use the value." },
	{ "invalid mem access 'scalar'",
		"It may be NULL here, or is no pointer at all: test what weir_at() and "
		"bpf_map_lookup_elem() return before you use it." },
	{ "invalid mem access 'mem_or_null'", "Test the pointer for NULL before you use it." },
	{ "invalid access to map value",
		"Make sure that the index is inside of the value, with a test or a mask just "
		"before it is used." },
	{ "cannot write into packet",
		"A policy reads packets; what it decides is its verdict and ctx->mark." },
	{ "write into map forbidden",
		"A WEIR_PARAM is constant while the policy runs; keep what changes in a map." },
	{ "infinite loop detected",
		"The verifier sees no progress in this loop: give it a constant bound, as in "
		"for (int i = 0; i < 16; i++), and leave it early with break." },
	{ "BPF program is too large",
		"The verifier followed a million instructions without coming to an end: give loops a "
		"small constant bound." },
	{ "sequence of",
		"There are too many paths: give loops a small constant bound, and move what is in them "
		"to a function." },
	{ "loop is not bounded", "Give the loop a constant bound." },
	{ "back-edge", "Give the loop a constant bound." },
	{ "leaks addr",
		"The policy would store or return an address; store what it points to instead." },
	{ "pointer comparison prohibited", "Compare what the pointers point to." },
	{ "invalid read from stack",
		"A variable is read before it was written: give it a value where it is declared, as in "
		"struct key k = {}." },
	{ "invalid indirect read from stack",
		"A key or value has bytes that were never written, perhaps between its fields: declare "
		"it with = {}." },
	{ "variable stack access",
		"An array on the stack is read with an index that is only known at run time; keep such "
		"tables in a map." },
	{ "variable offset stack access",
		"An array on the stack is read with an index that is only known at run time; keep such "
		"tables in a map." },
	{ "stack size of",
		"A policy has 416 bytes of stack, with all the functions that it calls; keep large "
		"things in a map." },
	{ "invalid write to stack",
		"Outside of what the policy may write: its own 416 bytes of stack." },
	{ "stack", "A policy may use its own variables, 416 bytes of them." },
	{ "unknown func",
		"Policies may call bpf_map_lookup_elem, bpf_map_update_elem, bpf_map_delete_elem, "
		"bpf_ktime_get_ns, bpf_get_prandom_u32 and bpf_get_smp_processor_id." },
	{ "cannot use helper",
		"Policies may call bpf_map_lookup_elem, bpf_map_update_elem, bpf_map_delete_elem, "
		"bpf_ktime_get_ns, bpf_get_prandom_u32 and bpf_get_smp_processor_id." },
	{ "R0 !read_ok", "Every way through the policy must return a verdict." },
	{ "!read_ok",
		"A value is used that nothing has set, or that a call has destroyed; give the "
		"variable a value where it is declared." },
	{ "misaligned",
		"Copy the bytes with __builtin_memcpy() instead of reading a larger type." },
};

static bool starts_insn(const char *line, uint32_t *ret_insn)
{
	char *end;

	if (!isdigit((unsigned char)*line))
		return false;
	unsigned long n = strtoul(line, &end, 10);

	if (strncmp(end, ": (", 3) != 0 || n > UINT32_MAX)
		return false;
	*ret_insn = (uint32_t)n;
	return true;
}

/* Lines that tell how the verifier came there, not what it found. */
static bool is_message(const char *line, size_t length)
{
	static const char *const noise[] = { "processed ", "from ", "verification time",
		"stack depth", "mark_precise", "Live regs", "func#", "caller:", "callee:", "arg#",
		"frame", "last_idx", "peak_states", "returning from", "to caller", "parent ",
		"regs=", "cur state: ", "old state: " };

	if (length == 0 || line[0] == ';' || line[0] == ' ')
		return false;
	/* "R1=ctx() R10=fp0", "12: R0_w=..." and "12: (79) ...": states and instructions. */
	if (isdigit((unsigned char)line[0]))
		return false;
	if (line[0] == 'R' && isdigit((unsigned char)line[1]) && memchr(line, '=', length) &&
		!memchr(line, '\'', length)) {
		const char *equals = memchr(line, '=', length);
		const char *blank = memchr(line, ' ', length);

		if (!blank || equals < blank)
			return false;
	}
	for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
		if (strncmp(line, noise[i], strlen(noise[i])) == 0)
			return false;
	return true;
}

void policy_log_explain(const char *log, uint32_t before, struct policy_objection *ret)
{
	uint32_t insn = UINT32_MAX;

	*ret = (struct policy_objection){ .insn = UINT32_MAX };
	for (const char *line = log; *line;) {
		size_t length = strcspn(line, "\n");

		if (!starts_insn(line, &insn) && is_message(line, length))
			snprintf(ret->message, sizeof(ret->message), "%.*s", (int)length, line);
		line += length + (line[length] == '\n');
	}
	if (insn != UINT32_MAX && insn >= before)
		ret->insn = insn - before;
	/* What is made of it ends the sentence. */
	for (size_t end = strlen(ret->message); end && ret->message[end - 1] == '.';)
		ret->message[--end] = 0;
	if (ret->message[0] == 0)
		snprintf(ret->message, sizeof(ret->message), "the kernel gives no reason");
	for (size_t i = 0; !ret->hint && i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strstr(ret->message, hints[i].sign))
			ret->hint = hints[i].hint;
}
