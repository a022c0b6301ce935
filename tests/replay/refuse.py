#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""When nobody can serve: resets and port unreachable, byte for byte, and how many of them."""

from scapy.layers.inet6 import ICMPv6DestUnreach

from weir_replay import *

ALL = [(family, mode) for family in (4, 6) for mode in ("nat", "dsr")]
SEQ, ACK = 0xFFFFFFFE, 123456789


def nobody(family=4, mode="nat", protocol="tcp", **more):
    return config(service(family, mode=mode, protocol=protocol, backends=[], **more))


def segment(family, flags, payload=b"", tags=b"", **fields):
    frame = bytes(
        Ether(src=CLIENT_MAC, dst=WEIR_MAC) / ip_layer(family, CLIENT[family], VIP[family], **fields)
        / TCP(sport=40000, dport=80, flags=flags, seq=SEQ, ack=ACK) / Raw(payload))
    return frame[:12] + tags + frame[12:]


def back(frame, out, layers, tags=b""):
    """The frame of these layers on its way back to who sent `frame`."""
    link = Ether(src=out.scapy.src, dst=CLIENT_MAC)
    want = bytes(link / layers)
    true(out.scapy.src != CLIENT_MAC, "link address")
    same_frame(out, want[:12] + tags + want[12:])


def ip_back(family, **fields):
    if family == 4:
        return IP(src=VIP[4], dst=CLIENT[4], ttl=64, id=0, flags="DF", **fields)
    return IPv6(src=VIP[6], dst=CLIENT[6], hlim=64)


def answered(whole, frame, reason="no_backend"):
    run = replay(whole, [(0, frame)])
    equal((run.transmitted, run.dropped, run.document["originated"]), (0, {reason: 1}, 1), "counts")
    return run.only()


@case("IPv{} {}: a SYN is answered with a reset that acknowledges it", *ALL)
def syn(family, mode):
    frame = segment(family, "S")
    out = answered(nobody(family, mode), frame)
    back(frame, out, ip_back(family) / TCP(
        sport=80, dport=40000, flags="RA", seq=0, ack=(SEQ + 1) % 2**32, window=0))


@case("IPv{} {}: a SYN with data: all it takes up is acknowledged", *ALL)
def syn_data(family, mode):
    frame = segment(family, "S", b"early")
    out = answered(nobody(family, mode), frame)
    back(frame, out, ip_back(family) / TCP(
        sport=80, dport=40000, flags="RA", seq=0, ack=(SEQ + 6) % 2**32, window=0))


@case("IPv{} {}: a stray segment gets its own acknowledgement as sequence number", *ALL)
def stray(family, mode):
    for flags, payload in (("A", b""), ("PA", b"hello"), ("FA", b""), ("SA", b"")):
        frame = segment(family, flags, payload)
        out = answered(
            nobody(family, mode), frame, "no_flow" if mode == "nat" else "no_backend")
        back(frame, out, ip_back(family) / TCP(
            sport=80, dport=40000, flags="R", seq=ACK, ack=0, window=0))


@case("a segment without ACK has its data and FIN acknowledged")
def no_ack():
    frame = segment(4, "FP", b"abc")
    out = answered(nobody(), frame, "no_flow")
    back(frame, out, ip_back(4) / TCP(
        sport=80, dport=40000, flags="RA", seq=0, ack=(SEQ + 4) % 2**32, window=0))


@case("IPv4 options and IPv6 extension headers do not come back, VLAN tags do")
def plain():
    frame = segment(4, "S", tags=b"\x81\x00\x60\x2a", options=[IPOption(b"\x01" * 7 + b"\x00")])
    out = answered(nobody(), frame)
    back(frame, out, ip_back(4) / TCP(
        sport=80, dport=40000, flags="RA", seq=0, ack=(SEQ + 1) % 2**32, window=0),
        tags=b"\x81\x00\x60\x2a")


@case("a reset is answered with nothing, nor is who cannot be one host: {}", "RST", "loopback", "group")
def silent_to(who):
    source = {"loopback": "127.0.0.1", "group": "224.0.0.1"}.get(who)
    frame = client_frame(flags="R" if who == "RST" else "S", source=source)
    run = replay(nobody(), [(0, frame)])
    equal((run.frames(), sum(run.dropped.values()), run.document["originated"]), ([], 1, 0), "counts")


@case("IPv{} {}: UDP is answered with port unreachable that quotes it", *ALL)
def udp(family, mode):
    frame = client_frame(family, "udp", payload=b"question")
    out = answered(nobody(family, mode, "udp"), frame)
    if family == 4:
        back(frame, out, ip_back(4, tos=0xC0) / ICMP(type=3, code=3) / Raw(frame[14:]))
    else:
        back(frame, out, ip_back(6) / ICMPv6DestUnreach(code=4) / Raw(frame[14:]))


@case("a quoted datagram is cut: IPv4 at 576 bytes in all")
def long_quote():
    frame = client_frame(4, "udp", payload=b"q" * 1400)
    out = answered(nobody(4, "nat", "udp"), frame)
    equal(len(out.bytes), 14 + 576, "length")
    back(frame, out, ip_back(4, tos=0xC0) / ICMP(type=3, code=3) / Raw(frame[14:14 + 548]))


@case("a flood is answered at 1,000 a second with a burst of 100: {}", "tcp", "udp")
def limited(protocol):
    frames = [(0.0, f) for f in client_frames(range(1000, 3000), 4, protocol)]
    frames += [(0.5 + i / 1e4, f) for i, f in enumerate(client_frames(range(5000, 7000), 4, protocol))]
    run = replay(nobody(4, "nat", protocol), frames)
    equal(run.dropped, {"no_backend": 4000}, "dropped")
    first = sum(o.ns == 0 for o in run.frames())
    between(first, 90, 110, "answers at once")
    between(len(run.frames()) - first, 290, 320, "answers in 0.2 s")
    equal(run.document["originated"], len(run.frames()), "originated")


@case("with no-backend: drop there is silence")
def silence():
    for protocol in ("tcp", "udp"):
        run = replay(nobody(4, "nat", protocol, **{"no-backend": "drop"}),
                     [(0, client_frame(4, protocol))])
        equal((run.frames(), run.dropped), ([], {"no_backend": 1}), "what came of it")


@case("while a backend can serve, stray segments of nat are dropped in silence")
def not_down():
    run = replay(config(service()), [(0, segment(4, "A"))])
    equal((run.frames(), run.dropped), ([], {"no_flow": 1}), "what came of it")


if __name__ == "__main__":
    main()
