/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What reflectors send to a victim: answers of DNS, NTP, SSDP, memcached, CLDAP, chargen and SNMP that
 * nobody here has asked for, because a service does not ask from its own port. Answers are known by their
 * source port and by their content; other UDP passes. Reasons: 1 DNS, 2 NTP, 3 other reflectors.
 *
 * Not for a service that is a resolver's or time server's client side on its own port.
 */

#include <weir/policy.h>

WEIR_PARAM __u8 strict = 0; /* 1: drop by source port alone, whatever is in it */

weir_inline int dns(struct weir_ctx *ctx)
{
	struct {
		__u16 id;
		__u8 flags; /* top bit: an answer */
	} *h = weir_at(ctx, ctx->pl_off, 4);

	return strict || !h || h->flags & 0x80 ? WEIR_DROP_AS(1) : WEIR_PASS;
}

/* Modes 4 (server), 6 (control) and 7 (private, monlist); a client's request is mode 3. */
weir_inline int ntp(struct weir_ctx *ctx)
{
	__u8 *h = weir_at(ctx, ctx->pl_off, 1);
	__u8 mode = h ? *h & 7 : 0;

	return strict || mode == 4 || mode >= 6 ? WEIR_DROP_AS(2) : WEIR_PASS;
}

WEIR_POLICY(amplification)
{
	/* The rest of a large answer comes in fragments without ports; it is of no use alone. */
	if (ctx->l4_proto != IPPROTO_UDP || !ctx->l4_off)
		return WEIR_PASS;
	switch (bpf_ntohs(ctx->sport)) {
	case 53:
		return dns(ctx);
	case 123:
		return ntp(ctx);
	case 17: /* quote of the day */
	case 19: /* chargen */
	case 111: /* portmap */
	case 161: /* SNMP */
	case 389: /* CLDAP */
	case 1900: /* SSDP */
	case 3702: /* WS-Discovery */
	case 11211: /* memcached */
		return WEIR_DROP_AS(3);
	default:
		return WEIR_PASS;
	}
}
