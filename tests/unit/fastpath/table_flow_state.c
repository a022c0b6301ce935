/* SPDX-License-Identifier: BSD-3-Clause */

/* How packets move a flow between its states. */

#include "dataplane/table/flow_state.h"
#include "tests/unit/tap.h"

static uint8_t tcp_play(const char *script, bool nat, uint16_t *flags)
{
	uint8_t state = FLOW_SYN;

	/* "cA": the client sends ACK; "bSA": the backend sends SYN and ACK; ... */
	for (const char *s = script; *s != '\0';) {
		bool backend = *s++ == 'b';
		uint8_t tcp = 0;

		for (; *s != '\0' && *s != ' '; s++)
			tcp |= *s == 'A'  ? FLOW_TCP_ACK :
				*s == 'S' ? FLOW_TCP_SYN :
				*s == 'F' ? FLOW_TCP_FIN :
					    FLOW_TCP_RST;
		while (*s == ' ')
			s++;
		state = flow_tcp_next(state, flags, tcp, backend, nat);
	}
	return state;
}

static void tcp_states_follow_the_packets(void)
{
	static const struct {
		const char *script;
		bool nat;
		uint8_t state;
	} cases[] = {
		{ "cS", true, FLOW_SYN },
		{ "cS bSA", true, FLOW_SYN },
		{ "cS bSA cA", true, FLOW_ESTABLISHED },
		{ "cS cA cA", true, FLOW_SYN }, /* nobody has answered */
		{ "cS cA", false, FLOW_ESTABLISHED },
		{ "cS cSA", false, FLOW_SYN },
		{ "cS bSA cA cFA", true, FLOW_FIN },
		{ "cS bSA cA cFA bA bA", true, FLOW_FIN },
		{ "cS bSA cA cFA bFA", true, FLOW_CLOSED },
		{ "cS bSA cA bFA cFA cA", true, FLOW_CLOSED },
		{ "cS bSA cA bR", true, FLOW_CLOSED },
		{ "cS bRA", true, FLOW_CLOSED },
		{ "cS cA cFA cA", false, FLOW_CLOSED },
		{ "cS cA cR", false, FLOW_CLOSED },
	};

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t flags = 0;

		CU_ASSERT_EQUAL(tcp_play(cases[i].script, cases[i].nat, &flags), cases[i].state);
	}
	CU_ASSERT(flow_tcp_reopens(FLOW_CLOSED, FLOW_TCP_SYN));
	CU_ASSERT_FALSE(flow_tcp_reopens(FLOW_CLOSED, FLOW_TCP_SYN | FLOW_TCP_ACK));
	CU_ASSERT_FALSE(flow_tcp_reopens(FLOW_FIN, FLOW_TCP_SYN));
}

static void udp_is_assured_by_an_answer(void)
{
	uint16_t flags = 0;

	CU_ASSERT_EQUAL(flow_udp_next(FLOW_UDP_NEW, &flags, false, true), FLOW_UDP_NEW);
	CU_ASSERT_EQUAL(flow_udp_next(FLOW_UDP_NEW, &flags, true, true), FLOW_UDP_STREAM);
	CU_ASSERT_EQUAL(flow_udp_next(FLOW_UDP_NEW, &flags, false, false), FLOW_UDP_STREAM);
	CU_ASSERT_EQUAL(flow_udp_next(FLOW_UDP_STREAM, &flags, false, true), FLOW_UDP_STREAM);
}

static const struct tap_case cases[] = {
	{ "TCP states follow the packets", tcp_states_follow_the_packets },
	{ "a UDP flow is assured by an answer, or in dsr by a second packet",
		udp_is_assured_by_an_answer },
};

TAP_MAIN("flow state", cases)
