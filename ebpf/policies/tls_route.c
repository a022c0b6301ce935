/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The server name that a TLS client asks for chooses the pool. Names stand in the map `names`, in lower case and
 * filled up with zeroes to 64 bytes, with the number of their pool; "*.example.com" stands for all names one
 * level below. What names no pool passes, and so does a name in a second packet or an encrypted one.
 *
 * The name is in the first packet with payload; a flow that has been placed by then keeps its backend, so this is
 * for services that place flows late, or for counting and limiting (set `limits`) by name.
 *
 * Source: RFC 8446 section 4.1.2, RFC 6066 section 3.
 */

#include <weir/policy.h>

WEIR_PARAM __u8 limits = 0; /* 1: the number is a limiter class, not a pool */

#define NAME_BYTES     64
#define MAX_EXTENSIONS 24
#define NONE	       0xffffffffu

union name {
	char text[NAME_BYTES];
	__u64 word[NAME_BYTES / 8];
};

WEIR_HASH(names, union name, __u32, 4096);

/* 0 behind the end: then the lengths do not fit any more either. */
weir_inline __u32 read8(struct weir_ctx *ctx, __u32 at)
{
	__u8 *p = weir_at(ctx, at, 1);

	return p ? *p : 0;
}

weir_inline __u32 read16(struct weir_ctx *ctx, __u32 at)
{
	__u8 *p = weir_at(ctx, at, 2);

	return p ? (__u32)p[0] << 8 | p[1] : 0;
}

/* Offset of the name list in a ClientHello's extensions, or NONE. */
static __noinline __u32 find_name(struct weir_ctx *ctx, __u32 at)
{
	if (read8(ctx, at) != 22 || read8(ctx, at + 5) != 1)
		return NONE;
	at += 43; /* record, handshake, version, random */
	at += 1 + read8(ctx, at); /* session */
	at += 2 + read16(ctx, at); /* cipher suites */
	at += 1 + (read8(ctx, at) & 0xff); /* compression */
	at += 2;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		__u32 type = read16(ctx, at), length = read16(ctx, at + 2);

		if (at > 2048)
			return NONE;
		if (type == 0 && length >= 5)
			return at + 7;
		at += 4 + length;
	}
	return NONE;
}

/* Capital letters of 8 bytes to small ones: the top bit of m is set where one stands. */
weir_inline __u64 lower(__u64 w)
{
	const __u64 ones = 0x0101010101010101ULL;
	__u64 low = w & 0x7f * ones;
	__u64 m = (low + (0x80 - 'A') * ones) & ~(low + (0x80 - 'Z' - 1) * ones) & ~w & 0x80 * ones;

	return w | m >> 2;
}

/* n bytes, at most 8, the others 0; where the packet ends before the eighth they are taken one by one. */
weir_inline __u64 read_some(struct weir_ctx *ctx, __u32 at, __u32 n)
{
	__u8 *p = weir_at(ctx, at, 8);
	__u64 w = 0;

	if (p) {
		__builtin_memcpy(&w, p, 8);
		return n >= 8 ? w : w & ((1ULL << (n * 8 & 63)) - 1);
	}
	for (__u32 i = 0; i < 8; i++)
		if (i < n)
			w |= (__u64)read8(ctx, at + i) << i * 8;
	return w;
}

/* Copies the name to *to. Returns its length, or 0. */
static __noinline __u32 copy_name(struct weir_ctx *ctx, __u32 at, union name *to)
{
	__u32 length;

	if (!to)
		return 0;
	length = read16(ctx, at);
	if (length == 0 || length >= NAME_BYTES || !weir_at(ctx, at + 1 + length, 1))
		return 0;
	for (__u32 i = 0; i < NAME_BYTES / 8; i++) {
		if (i * 8 >= length)
			break;
		to->word[i] = lower(read_some(ctx, at + 2 + i * 8, length - i * 8));
	}
	return length;
}

/* "www.example.com" to "*.example.com". */
weir_inline int wildcard(const union name *from, union name *to)
{
	__u32 dot = 0;

	for (__u32 i = 1; i < NAME_BYTES; i++)
		if (dot == 0 && from->text[i] == '.')
			dot = i;
	if (dot == 0)
		return 0;
	to->text[0] = '*';
	for (__u32 i = 1; i < NAME_BYTES; i++) {
		__u32 k = dot + i - 1;

		to->text[i] = k < NAME_BYTES ? from->text[k & (NAME_BYTES - 1)] : 0;
	}
	return 1;
}

WEIR_POLICY(tls_route)
{
	union name name = {}, any = {};
	__u32 at;

	if (ctx->l4_proto != IPPROTO_TCP || !ctx->pl_off)
		return WEIR_PASS;
	at = find_name(ctx, ctx->pl_off);
	if (at == NONE || !copy_name(ctx, at, &name))
		return WEIR_PASS;
	__u32 *number = bpf_map_lookup_elem(&names, &name);

	if (!number && wildcard(&name, &any))
		number = bpf_map_lookup_elem(&names, &any);
	if (!number)
		return WEIR_PASS;
	return limits ? WEIR_LIMIT(*number) : WEIR_ROUTE(*number);
}
