#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Flows by the capture's own clock: how long they last, and what opens, closes and replaces them."""

from weir_replay import *


def opened(times, protocol="udp", mode="nat", frame=None):
    """New flows when the same packet comes at these times."""
    frame = frame or client_frame(protocol=protocol)
    run = replay(config(service(protocol=protocol, mode=mode)), [(t, frame) for t in times])
    equal(run.transmitted, len(times), f"frames out (dropped: {run.dropped})")
    return run.service()["new_flows"]


@case("an unanswered UDP flow lasts 30 s after its last packet, and not 40 s")
def udp_new():
    equal(opened([0, 29, 58]), 1, "flows with gaps of 29 s")
    equal(opened([0, 40]), 2, "flows with a gap of 40 s")


@case("an answered UDP flow lasts 180 s, and not 190 s")
def udp_answered():
    whole = config(service(protocol="udp"))
    request = client_frame(protocol="udp")
    answer = reply_frame(replay(whole, [(0, request)]).only())
    for gap, flows in ((175, 1), (190, 2)):
        run = replay(whole, [(0, request), (0.1, answer), (gap, request)])
        equal(run.service()["new_flows"], flows, f"flows with a gap of {gap} s")


@case("a half-open TCP flow is gone after 20 s")
def half_open():
    frame = client_frame(flags="S")
    whole = config(service())
    answer = reply_frame(replay(whole, [(0, frame)]).only())
    run = replay(whole, [(0, frame), (20, answer)])
    equal(run.dropped, {"no_flow": 1}, "the late SYN-ACK")
    equal(run.service()["flows"], 0, "flows at the end")


@case("an established TCP flow lasts 15 minutes of silence")
def established():
    whole = config(service())
    answer = reply_frame(replay(whole, [(0, client_frame())]).only())
    handshake = [(0, client_frame()), (0.1, answer), (0.2, client_frame(flags="A"))]
    data = client_frame(flags="PA", payload=b"x")
    run = replay(whole, handshake + [(890, data)])
    equal((run.transmitted, run.service()["new_flows"]), (4, 1), "after 890 s")
    run = replay(whole, handshake + [(910, reply_frame(run.frames()[0], "PA", b"late"))])
    equal(run.dropped, {"no_flow": 1}, "a reply after 910 s")


@case("a closed TCP flow is short-lived, and a SYN on it opens a new one at once")
def closed():
    whole = config(service())
    first = replay(whole, [(0, client_frame())]).only()
    conversation = [
        (0, client_frame()), (0.1, reply_frame(first, "SA")), (0.2, client_frame(flags="A")),
        (0.3, client_frame(flags="FA")), (0.4, reply_frame(first, "FA")),
        (0.5, client_frame(flags="A"))]
    run = replay(whole, conversation + [(0.6, client_frame(flags="S"))])
    equal(run.transmitted, 7, f"frames out (dropped: {run.dropped})")
    equal(run.service()["new_flows"], 2, "flows, the second opened by the SYN")
    run = replay(whole, conversation + [(25, reply_frame(first, "A"))])
    equal(run.dropped, {"no_flow": 1}, "a reply 25 s after the close")


@case("a reset ends a flow")
def reset():
    whole = config(service())
    first = replay(whole, [(0, client_frame())]).only()
    run = replay(whole, [
        (0, client_frame()), (0.1, reply_frame(first)), (0.2, client_frame(flags="A")),
        (0.3, client_frame(flags="R")), (30, reply_frame(first, "A"))])
    equal(run.dropped, {"no_flow": 1}, "a reply 30 s after the reset")
    equal(run.service()["flows"], 0, "flows at the end")


@case("after {} flows and a long silence nothing is left: flows, ports, counters", 3000)
def all_gone(count):
    whole = config(service(protocol="udp"))
    frames = [(i * 0.001, f) for i, f in enumerate(udp_flood(count, count))]
    run = replay(whole, frames)
    equal(run.service()["flows"], count, "flows at the end")
    run = replay(whole, frames + [(1000, udp_flood(1, 1, first=count + 5)[0])])
    equal(run.service()["flows"], 1, "flows after 1000 s")
    equal(run.service()["new_flows"], count + 1, "new flows")


@case("retransmitted SYNs stay on one flow, backend and port")
def retransmitted():
    frame = client_frame(flags="S")
    run = replay(config(service()), [(0, frame), (1, frame), (3, frame), (7, frame)])
    equal(len({to_backend_nat(frame, o) for o in run.frames()}), 1, "places")
    equal(run.service()["new_flows"], 1, "new flows")


@case("in nat a TCP packet from the middle of an unknown connection is refused as no_flow")
def middle_nat():
    frames = [client_frame(flags=f, sport=6000 + i) for i, f in enumerate(("A", "PA", "FA", "R", "SA"))]
    run = replay(config(service()), [(i, f) for i, f in enumerate(frames)])
    equal((run.transmitted, run.dropped), (0, {"no_flow": len(frames)}), "what became of them")


if __name__ == "__main__":
    main()
