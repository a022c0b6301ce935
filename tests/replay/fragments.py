#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams in fragments: all of one go where the first one decides, and put together they are right."""

import itertools
import random
import socket

from scapy.layers.inet6 import IPv6ExtHdrFragment

from weir_replay import *

PAYLOAD = bytes(i * 31 % 251 for i in range(4000))
HOLD, LIFE = 0.5, 2.0  # seconds: how long a fragment waits for its first one, and what that one says is good
HELD, HELD_EACH = 128, 32


def l4_bytes(family, layer, source, destination):
    """TCP or UDP with a right checksum, as bytes."""
    packet = ip_layer(family, source, destination) / layer
    return bytes(packet)[40 if family == 6 else 20:]


def fragment(family, source, destination, datagram, offset, more, proto, ident, mac=CLIENT_MAC, ttl=64):
    ether = Ether(src=mac, dst=WEIR_MAC)
    if family == 4:
        return bytes(ether / IP(src=source, dst=destination, id=ident, flags="MF" if more else "",
                                frag=offset // 8, proto=proto, ttl=ttl) / Raw(datagram))
    return bytes(ether / IPv6(src=source, dst=destination, hlim=ttl)
                 / IPv6ExtHdrFragment(id=ident, offset=offset // 8, m=int(more), nh=proto) / Raw(datagram))


def fragments(family=4, protocol="udp", sport=40000, dport=80, payload=PAYLOAD, size=1480, ident=77,
              source=None, destination=None, flags="S", **more):
    """A client's datagram, cut into pieces of at most `size` bytes."""
    source, destination = source or CLIENT[family], destination or VIP[family]
    size -= size % 8
    layer = l4_layer(protocol, sport, dport, flags) / Raw(payload)
    whole = l4_bytes(family, layer, source, destination)
    proto = 17 if protocol == "udp" else 6
    return [fragment(family, source, destination, whole[i:i + size], i, i + size < len(whole), proto,
                     ident, **more) for i in range(0, len(whole), size)]


def parts(out):
    """(offset, bytes, more) of a frame that left."""
    packet = out.scapy
    if IPv6 in packet:
        head = packet[IPv6ExtHdrFragment]
        return head.offset * 8, bytes(head.payload), head.m
    return packet[IP].frag * 8, bytes(packet[IP].payload), int(packet[IP].flags.MF)


def together(outs):
    """Put fragments together and return the whole packet, with its L4 checksum as it came."""
    data = bytearray()
    last = False
    for offset, piece, more in sorted(parts(o) for o in outs):
        equal(offset, len(data), "offset of a fragment")
        data += piece
        last = not more
    true(last, "the last fragment is missing")
    ips = {(o.ip().src, o.ip().dst) for o in outs}
    equal(len(ips), 1, f"ends {ips}")
    source, destination = ips.pop()
    family = 6 if ":" in source else 4
    proto = outs[0].scapy[IPv6ExtHdrFragment].nh if family == 6 else outs[0].ip().proto
    ip = ip_layer(family, source, destination, **({"nh": proto} if family == 6 else {"proto": proto}))
    return (IPv6 if family == 6 else IP)(bytes(ip / Raw(bytes(data))))


def right(packet):
    """The same bytes as scapy makes them: so the checksum over all fragments is right."""
    copy = packet.copy()
    l4 = copy[UDP] if UDP in copy else copy[TCP]
    del l4.chksum
    equal(bytes(packet), bytes(copy.__class__(bytes(copy))), "the datagram with its checksum")
    return packet[UDP] if UDP in packet else packet[TCP]


def timed(frames, step=0.0001, start=0.0):
    return [(start + i * step, f) for i, f in enumerate(frames)]


def whole_config(protocol="udp", mode="nat", **more):
    return config(service(protocol=protocol, mode=mode, **more),
                  service(6, name="web6", protocol=protocol, mode=mode, **more))


ORDERS = [(f, m, o) for f in (4, 6) for m in ("nat", "dsr") for o in ("order", "reverse", "disorder")]


@case("IPv{} {}: fragments in {} reach one backend, and are right when put together", *ORDERS)
def orders(family, mode, order):
    frames = []
    for flow in range(20):
        some = fragments(family, sport=4000 + flow, ident=900 + flow, payload=PAYLOAD[flow:])
        if order == "reverse":
            some.reverse()
        elif order == "disorder":
            random.Random(flow).shuffle(some)
        frames.append(some)
    mixed = [f for group in itertools.zip_longest(*frames) for f in group if f]
    run = replay(whole_config(mode=mode), timed(mixed))
    equal((run.transmitted, run.dropped), (60, {}), "(transmitted, dropped)")
    ids = {}
    for out in run.frames():
        ident = out.scapy[IPv6ExtHdrFragment].id if family == 6 else out.ip().id
        ids.setdefault(ident, []).append(out)
    equal(len(ids), 20, "datagrams")
    backends = set()
    for ident, outs in ids.items():
        equal(len({o.scapy.dst for o in outs}), 1, "link addresses of a datagram's fragments")
        equal({o.ip().ttl if family == 4 else o.ip().hlim for o in outs}, {63}, "TTL")
        for out in outs if family == 4 else []:
            head = out.scapy[IP].copy()
            del head.chksum
            equal(bytes(head)[:20], out.bytes[14:34], "IP header with its checksum")
        packet = together(outs)
        l4 = right(packet)
        equal(bytes(l4.payload), PAYLOAD[ident - 900:], "payload")
        if mode == "nat":
            equal(l4.dport, 8080, "port")
            true(packet.src in SOURCES[family], "source")
        else:
            equal((l4.sport, l4.dport, packet.dst), (4000 + ident - 900, 80, VIP[family]), "ends")
        backends.add(outs[0].scapy.dst)
    equal(len(backends), 3, "backends in use")


@case("IPv{} nat: a backend's reply in fragments in {} reaches the client", *[
    (f, o) for f in (4, 6) for o in ("order", "reverse")])
def replies(family, order):
    request = client_frame(family, "udp", payload=b"?")
    there = replay(whole_config(), [(0, request)]).only()
    back = fragments(family, sport=8080, dport=there.l4().sport, source=there.ip().dst,
                     destination=there.ip().src, mac=there.scapy.dst)
    if order == "reverse":
        back.reverse()
    run = replay(whole_config(), [(0, request)] + timed(back, start=0.01))
    equal(run.dropped, {}, "dropped")
    outs = run.frames()[1:]
    packet = together(outs)
    l4 = right(packet)
    equal((packet.src, packet.dst, l4.sport, l4.dport), (VIP[family], CLIENT[family], 80, 40000), "ends")
    equal(bytes(l4.payload), PAYLOAD, "payload")
    equal({o.scapy.dst for o in outs}, {CLIENT_MAC}, "link address")
    name = "web" if family == 4 else "web6"
    equal(run.service(name)["packets_received"], 4, "packets of the service")
    backend = [b for b in run.service(name)["backends"] if b["packets"]]
    equal([b["packets"] for b in backend], [1], "packets to the backend")


@case("TCP in fragments, with the SYN in the first one: {}", "nat", "dsr")
def tcp(mode):
    frames = fragments(4, "tcp", payload=b"data" * 100, size=104)
    run = replay(whole_config("tcp", mode), timed(frames))
    equal((run.transmitted, run.dropped), (len(frames), {}), "(transmitted, dropped)")
    l4 = right(together(run.frames()))
    equal(bytes(l4.payload), b"data" * 100, "payload")


@case("two clients with the same identification are told apart")
def same_ident():
    one = fragments(4, sport=1111, ident=5)
    two = fragments(4, sport=2222, ident=5, source="198.51.100.8", payload=PAYLOAD[::-1])
    run = replay(whole_config(mode="dsr"), timed([f for pair in zip(one[::-1], two) for f in pair]))
    equal((run.transmitted, run.dropped), (6, {}), "(transmitted, dropped)")
    for address, payload in ((CLIENT[4], PAYLOAD), ("198.51.100.8", PAYLOAD[::-1])):
        equal(bytes(right(together([o for o in run.frames() if o.ip().src == address])).payload), payload,
              "payload")


@case("an identification that is used again follows its new first fragment")
def ident_again():
    frames = []
    for sport in (1000, 2000, 3000):
        frames += fragments(4, sport=sport, ident=9)
    run = replay(whole_config(), timed(frames))
    equal(run.dropped, {}, "dropped")
    outs = run.frames()
    ports = {right(together(outs[i:i + 3])).sport for i in (0, 3, 6)}
    equal(len(ports), 3, "translated ports")


@case("a fragment whose first one never comes is dropped as fragment: {}", "IPv4", "IPv6")
def orphans(name):
    family = int(name[-1])
    run = replay(whole_config(), timed(fragments(family)[1:]))
    equal((run.transmitted, run.dropped), (0, {"fragment": 2}), "(transmitted, dropped)")
    equal(run.service("web" if family == 4 else "web6")["dropped"]["fragment"], 2, "drops of the service")


@case("a fragment waits {} s for its first one, and is {}", (0.45, "forwarded"), (0.55, "dropped"))
def hold(seconds, fate):
    frames = fragments(4)
    run = replay(whole_config(), [(0, frames[2]), (seconds, frames[0]), (seconds + 0.01, frames[1])])
    late = fate == "dropped"
    equal((run.transmitted, run.dropped), (2 if late else 3, {"fragment": 1} if late else {}),
          "(transmitted, dropped)")


@case("what a first fragment said is good for {} s, and then {}", (1.9, "good"), (2.1, "not"))
def life(seconds, fate):
    frames = fragments(4)
    run = replay(whole_config(), [(0, frames[0]), (seconds, frames[1]), (seconds + 0.01, frames[2])])
    equal(run.dropped, {} if fate == "good" else {"fragment": 2}, "dropped")


@case("only so many fragments of a datagram are held, and only so many in all")
def bounded():
    long = fragments(4, payload=b"x" * 8 * (HELD_EACH + 10), size=8)
    run = replay(whole_config(), timed(long[1:] + long[:1]))
    equal(run.dropped, {"fragment": len(long) - 1 - HELD_EACH}, "dropped of a long datagram")
    frames = [fragments(4, sport=i, ident=i)[::-1] for i in range(1, 101)]
    early = [f for some in frames for f in some[:2]]
    run = replay(whole_config(), timed(early + [some[2] for some in frames], step=0.00001))
    equal(run.dropped, {"fragment": 200 - HELD}, "dropped of many datagrams")


@case("a flood of first fragments does not stop datagrams that are in order")
def flood():
    first = fragments(4, payload=b"x" * 64, size=48)[0]
    head = sum(struct.unpack(">10H", first[14:34])) - int.from_bytes(first[24:26], "big")
    head -= int.from_bytes(first[18:20], "big") + int.from_bytes(first[26:28], "big")
    head -= int.from_bytes(first[28:30], "big")
    mixed = []
    for i in range(20000):
        if i % 200 == 0:
            mixed += fragments(4, sport=5000 + i, ident=i, payload=PAYLOAD[:600], size=256)
            continue
        total = head + i + 0xC612 + i
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        mixed.append(first[:18] + struct.pack(">H", i) + first[20:24] + struct.pack(
            ">HHH", ~total & 0xFFFF, 0xC612, i) + first[30:])
    run = replay(whole_config(mode="dsr"), timed(mixed, step=0.000005))
    equal(run.dropped, {}, "dropped")
    source = socket.inet_aton(CLIENT[4])
    equal(len([o for o in run.frames() if o.bytes[26:30] == source]), 300, "fragments of the good ones")


# ---- attacks: RFC 1858, RFC 3128, RFC 5722 --------------------------------------------------------

UDP_DATA = l4_bytes(4, l4_layer("udp", 40000, 80) / Raw(PAYLOAD), CLIENT[4], VIP[4])
TCP_DATA = l4_bytes(4, l4_layer("tcp", 40000, 80, "S") / Raw(PAYLOAD), CLIENT[4], VIP[4])


def piece(data, offset, size, more=True, proto=17, ident=3):
    return fragment(4, CLIENT[4], VIP[4], data[offset:offset + size], offset, more, proto, ident)


ATTACKS = {
    "a first fragment too small for the TCP header": ("tcp", [piece(TCP_DATA, 0, 16, proto=6)], "malformed"),
    "a first fragment that holds only the ports": ("tcp", [piece(TCP_DATA, 0, 8, proto=6)], "malformed"),
    "a TCP header that goes on behind the first fragment": (
        "tcp", [piece(TCP_DATA[:12] + b"\xf0" + TCP_DATA[13:], 0, 24, proto=6)], "malformed"),
    "a later fragment over the flags of the TCP header": (
        "tcp", [piece(TCP_DATA, 8, 800, proto=6)], "malformed"),
    "an empty fragment": ("udp", [piece(UDP_DATA, 800, 0)], "malformed"),
    "a fragment of a length that is not a multiple of 8, but the last": (
        "udp", [piece(UDP_DATA, 800, 99)], "malformed"),
    "a fragment that ends beyond 65,535": (
        "udp", [fragment(4, CLIENT[4], VIP[4], b"x" * 800, 65528, False, 17, 3)], "malformed"),
    "a later fragment over the first one's end": (
        "udp", [piece(UDP_DATA, 0, 800), piece(UDP_DATA, 792, 800)], "fragment_overlap"),
    "a later fragment over the first one's end, held before": (
        "udp", [piece(UDP_DATA, 792, 800), piece(UDP_DATA, 0, 800)], "fragment_overlap"),
}


@case("refused: {}", *ATTACKS)
def attacks(name):
    protocol, frames, reason = ATTACKS[name]
    run = replay(whole_config(protocol), timed(frames))
    equal((run.transmitted, run.dropped), (len(frames) - 1, {reason: 1}), "(transmitted, dropped)")


# ---- whose they are -------------------------------------------------------------------------------


@case("a datagram to the host's own port on a service's address is the kernel's, {}", "in order", "reversed")
def host_on_service(order):
    frames = fragments(4, dport=53)
    run = replay(whole_config(), timed(frames if order == "in order" else frames[::-1]))
    equal((run.passed, run.dropped), (3, {}), "(passed, dropped)")


@case("a datagram to the host's own port on a source address is the kernel's, {}", "in order", "reversed")
def host_on_source(order):
    frames = fragments(4, dport=53, destination=SOURCE[4])
    run = replay(whole_config(), timed(frames if order == "in order" else frames[::-1]))
    equal((run.passed, run.dropped), (3, {}), "(passed, dropped)")


@case("fragments that nobody waits for, to a source address, count at the port")
def orphans_to_source():
    run = replay(whole_config(), timed(fragments(4, destination=SOURCE[4])[1:]))
    equal(run.dropped, {"fragment": 2}, "dropped")
    equal(run.service()["dropped"].get("fragment", 0), 0, "drops of the service")


@case("nat: fragments of a reply that belongs to no flow are dropped as no_flow")
def no_flow():
    frames = fragments(4, sport=8080, dport=30000, source="10.0.0.10", destination=SOURCE[4])
    run = replay(whole_config(), timed(frames))
    equal((run.transmitted, run.dropped), (0, {"no_flow": 3}), "(transmitted, dropped)")


@case("nat: what follows a first fragment that was refused opens no flow")
def refused_first():
    whole = config(service(protocol="udp", limits={"connections": 0}))
    run = replay(whole, timed(fragments(4)))
    equal((run.transmitted, run.dropped), (0, {"limit_connections": 1, "no_flow": 2}),
          "(transmitted, dropped)")
    equal(run.service()["flows"], 0, "flows")


@case("random fragments: everything is accounted for")
def fuzz():
    rng = random.Random(5)
    frames = []
    for _ in range(3000):
        frame = bytearray(rng.choice(fragments(rng.choice((4, 6)), rng.choice(("udp", "tcp")),
                                               ident=rng.randrange(4), payload=PAYLOAD[:700], size=200)))
        if rng.random() < 0.5:
            frame[rng.randrange(14, min(len(frame), 80))] ^= 1 << rng.randrange(8)
        frames.append(bytes(frame))
    for mode in ("nat", "dsr"):
        replay(config(service(mode=mode, protocol="udp"), service(6, name="web6", mode=mode)),
               timed(frames, step=0.01))


if __name__ == "__main__":
    main()
