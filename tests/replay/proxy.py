#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The PROXY protocol: what exactly a backend and a client get, byte for byte."""

import ipaddress

from weir_replay import *

BOTH = [4, 6]
ISN = 0xFFFFFFF0  # so that numbers wrap on the way
ANSWER = 7000


def header(family, sport=40000):
    """The PROXY header of the client's connection, by the specification and not by our code."""
    ends = b"".join(ipaddress.ip_address(a).packed for a in (CLIENT[family], VIP[family]))
    body = ends + struct.pack(">HH", sport, 80)
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11 if family == 4 else 0x21])
            + struct.pack(">H", len(body)) + body)


def segment(family, flags, seq=0, ack=0, payload=b"", **fields):
    """From the client; numbers count from its first byte and from the backend's."""
    return bytes(
        Ether(src=CLIENT_MAC, dst=WEIR_MAC) / ip_layer(family, CLIENT[family], VIP[family])
        / TCP(sport=40000, dport=80, flags=flags, seq=(ISN + 1 + seq) % 2**32,
              ack=(ANSWER + 1 + ack) % 2**32 if "A" in flags else 0, **fields) / Raw(payload))


def answer(request, flags, seq=0, ack=0, payload=b"", **fields):
    """From the backend that got this frame of ours."""
    family = 6 if IPv6 in request.scapy else 4
    return bytes(
        Ether(src=request.scapy.dst, dst=request.scapy.src)
        / ip_layer(family, request.ip().dst, request.ip().src)
        / TCP(sport=8080, dport=request.l4().sport, flags=flags, seq=(ANSWER + 1 + seq) % 2**32,
              ack=(ISN + 1 + ack) % 2**32, **fields) / Raw(payload))


SYN = {"seq": -1, "options": [("MSS", 1460), ("SAckOK", b""), ("WScale", 7)]}


def run(family, *steps, proxy="v2"):
    """Replay a SYN and steps; a step is a frame, or a function of the SYN as the backend got it."""
    whole = config(service(family, backends=1, **{"proxy-protocol": proxy}))
    syn = segment(family, "S", **SYN)
    first = replay(whole, [(0, syn)]).only()
    frames = [syn] + [step(first) if callable(step) else step for step in steps]
    done = replay(whole, [(i * 0.001, f) for i, f in enumerate(frames)])
    equal(len(done.frames()), len(frames), f"frames out (dropped: {done.dropped})")
    return frames, done.frames()


def changed(frame, out, want=None, to_client=False):
    """out must be frame with the ends changed, and its TCP part as want() makes it."""
    packet = Ether(frame)
    if want:
        want(packet[TCP])
        if IPv6 in packet:
            packet[IPv6].plen = None
        else:
            packet[IP].len = None
        packet[TCP].dataofs = None
        packet = Ether(rebuild(packet))
    frame = bytes(packet)
    family = 6 if IPv6 in packet else 4
    if to_client:
        to_client_nat(frame, out, family)
    else:
        to_backend_nat(frame, out, backends=1, family=family)


def with_header(family):
    def want(tcp):
        payload = bytes(tcp.payload)
        tcp.remove_payload()
        tcp.add_payload(header(family) + payload)
    return want


def shifted(family):
    def want(tcp):
        tcp.seq = (tcp.seq + len(header(family))) % 2**32
    return want


@case("IPv{}: the packet that ends the handshake brings the header, and so do its repeats", *BOTH)
def handshake(family):
    ack = segment(family, "A")
    frames, out = run(family, ack, ack)
    changed(frames[0], out[0])
    for i in (1, 2):
        changed(frames[i], out[i], with_header(family))


@case("IPv{}: data that begins the stream comes behind the header, later data is shifted", *BOTH)
def data(family):
    frames, out = run(
        family, segment(family, "A"), segment(family, "PA", payload=b"GET / HTTP/1.0\r\n\r\n"),
        segment(family, "PA", seq=18, payload=b"more"), segment(family, "FA", seq=22))
    changed(frames[2], out[2], with_header(family))
    changed(frames[3], out[3], shifted(family))
    changed(frames[4], out[4], shifted(family))


@case("IPv{}: once the backend has acknowledged it, the header is sent no more", *BOTH)
def acknowledged(family):
    size = len(header(family))
    frames, out = run(
        family, segment(family, "A"), lambda syn: answer(syn, "A", ack=size),
        segment(family, "A"), segment(family, "PA", payload=b"hello"),
        lambda syn: answer(syn, "PA", ack=size + 5, payload=b"world"),
        segment(family, "A", seq=5, ack=5), segment(family, "R", seq=5))
    for i in (3, 4, 6, 7):
        changed(frames[i], out[i], shifted(family))

    def less(tcp):
        tcp.ack = (tcp.ack - size) % 2**32
    changed(frames[2], out[2], less, to_client=True)
    changed(frames[5], out[5], less, to_client=True)


@case("IPv{}: a part of the header that is acknowledged is nothing to the client", *BOTH)
def partly(family):
    frames, out = run(family, segment(family, "A"), lambda syn: answer(syn, "A", ack=9),
                      segment(family, "A"))

    def none(tcp):
        tcp.ack = (ISN + 1) % 2**32
    changed(frames[2], out[2], none, to_client=True)
    changed(frames[3], out[3], with_header(family))


@case("IPv{}: MSS and window of the SYN-ACK leave room for the header", *BOTH)
def room(family):
    size = len(header(family))
    frames, out = run(family, lambda syn: answer(
        syn, "SA", seq=-1, window=5000, options=[("NOP", None), ("MSS", 1460), ("WScale", 7)]))

    def less(tcp):
        tcp.window = 5000 - size
        tcp.options = [("NOP", None), ("MSS", 1460 - size), ("WScale", 7)]
    changed(frames[1], out[1], less, to_client=True)


@case("IPv{}: SACK blocks of the backend are the client's numbers", *BOTH)
def sack(family):
    size = len(header(family))

    def blocks(by):
        return [("NOP", None), ("NOP", None),
                ("SAck", tuple((ISN + 1 + by + edge) % 2**32 for edge in (100, 200, 300, 350)))]
    frames, out = run(
        family, segment(family, "A"), lambda syn: answer(syn, "A", ack=size, options=blocks(size)))

    def less(tcp):
        tcp.ack = (tcp.ack - size) % 2**32
        tcp.options = blocks(0)
    changed(frames[2], out[2], less, to_client=True)


@case("IPv{}: data on a SYN is taken off", *BOTH)
def fast_open(family):
    frames, out = run(family, segment(family, "S", **SYN, payload=b"early"))
    changed(frames[1], out[1], lambda tcp: tcp.remove_payload())


@case("IPv{}: a reset before the header is acknowledged goes as it is", *BOTH)
def reset(family):
    frames, out = run(family, segment(family, "A"), segment(family, "RA"))
    changed(frames[2], out[2])


@case("a fragment cannot take the header: dropped as proxy_header")
def fragmented():
    frame = bytes(
        Ether(src=CLIENT_MAC, dst=WEIR_MAC) / IP(src=CLIENT[4], dst=VIP[4], flags="MF", id=7)
        / TCP(sport=40000, dport=80, flags="A", seq=(ISN + 1) % 2**32) / Raw(b"x" * 60))
    whole = config(service(4, backends=1, **{"proxy-protocol": "v2"}))
    done = replay(whole, [(0, segment(4, "S", **SYN)), (0.001, frame)])
    equal((len(done.frames()), done.dropped), (1, {"proxy_header": 1}), "frames out and dropped")


@case("without the key a stream stays as it is")
def without():
    frames, out = run(4, segment(4, "A"), segment(4, "PA", payload=b"hello"),
                      lambda syn: answer(syn, "A", ack=5), proxy="none")
    changed(frames[1], out[1])
    changed(frames[2], out[2])
    changed(frames[3], out[3], to_client=True)


if __name__ == "__main__":
    main()
