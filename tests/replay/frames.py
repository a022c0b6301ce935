#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frames that are not plain: options, extension headers, tags, padding, odd checksums, TTL."""

import random

from scapy.layers.inet6 import (
    IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)

from weir_replay import *


def nat_one(frame, family=4, protocol="tcp"):
    """Through a nat service and back; the request is checked, the reply's frame is returned."""
    whole = config(service(family, protocol=protocol))
    run = replay(whole, [(0, frame)])
    out = run.only()
    to_backend_nat(frame, out, family=family)
    return whole, out


@case("IPv4 options of {} bytes stay, and the ports behind them are translated", 4, 8, 20, 40)
def options(length):
    # No-operations with an end-of-list: legal, and of any length.
    frame = client_frame(options=[IPOption(b"\x01" * (length - 1) + b"\x00")], payload=b"hello")
    equal(Ether(frame)[IP].ihl, 5 + length // 4, "header length of the test's own frame")
    nat_one(frame)


@case("a TCP header with options keeps them")
def tcp_options():
    frame = bytes(
        Ether(src=CLIENT_MAC, dst=WEIR_MAC) / IP(src=CLIENT[4], dst=VIP[4])
        / TCP(sport=40000, dport=80, flags="S",
              options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("WScale", 7)]))
    nat_one(frame)


def with_extensions(*headers, protocol="tcp"):
    layer = IPv6(src=CLIENT[6], dst=VIP[6])
    for header in headers:
        layer = layer / header
    return bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC) / layer / l4_layer(protocol, 40000, 80, "S")
                 / Raw(b"payload"))


CHAINS = {
    "hop-by-hop": [IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])],
    "destination options": [IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])],
    "a used-up routing header": [IPv6ExtHdrRouting(addresses=["2001:db8::1"], segleft=0)],
    "an atomic fragment header": [IPv6ExtHdrFragment(offset=0, m=0, id=77)],
    "a chain of three": [
        IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]),
        IPv6ExtHdrRouting(addresses=["2001:db8::1"], segleft=0),
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 20)])],
}


@case("IPv6 with {}: the header stays and {} behind it is translated",
      *[(name, protocol) for name in CHAINS for protocol in ("tcp", "udp")])
def extensions(name, protocol):
    nat_one(with_extensions(*CHAINS[name], protocol=protocol), 6, protocol)


@case("IPv{} behind a VLAN tag is translated and keeps its tag", 4, 6)
def tagged(family):
    frame = client_frame(family, payload=b"tagged")
    nat_one(frame[:12] + b"\x81\x00\x60\x2a" + frame[12:], family)


@case("padding behind a short IPv{} datagram stays and is no payload", 4, 6)
def padding(family):
    frame = client_frame(family, "udp", payload=b"a")
    nat_one(frame + b"\x55" * 13, family, "udp")


@case("a UDP checksum of 0 (none) stays 0 over IPv4")
def no_checksum():
    packet = Ether(client_frame(protocol="udp", payload=b"unchecked"))
    packet[UDP].chksum = 0
    frame = bytes(packet)
    whole, out = nat_one(frame, 4, "udp")
    equal(out.l4().chksum, 0, "checksum of the request")
    answer = Ether(reply_frame(out, payload=b"also"))
    answer[UDP].chksum = 0
    answer = bytes(answer)
    run = replay(whole, [(0, frame), (0.1, answer)])
    to_client_nat(answer, run.frames()[1])
    equal(run.frames()[1].l4().chksum, 0, "checksum of the reply")


@case("a UDP checksum that comes out as 0 is sent as ffff over IPv{}", 4, 6)
def zero_checksum(family):
    whole = config(service(family, protocol="udp"))
    plain = client_frame(family, "udp", payload=b"\0\0")
    out = replay(whole, [(0, plain)]).only()
    # The same flow, with the payload that makes the translated checksum come out as 0: its sum is
    # missing as much as the checksum of the frame with an empty payload says.
    payload = struct.pack(">H", out.l4().chksum)
    frame = client_frame(family, "udp", payload=payload)
    true(Ether(frame)[UDP].chksum not in (0, 0xFFFF), "the test's own frame is no case of this")
    again = replay(whole, [(0, frame)]).only()
    equal(again.l4().chksum, 0xFFFF, "checksum")
    to_backend_nat(frame, again, family=family)


@case("a wrong {} checksum stays wrong: translation must not hide damage", "tcp", "udp")
def wrong_checksum(protocol):
    right = client_frame(protocol=protocol, payload=b"data")
    packet = Ether(right)
    l4 = packet[TCP] if protocol == "tcp" else packet[UDP]
    l4.chksum = (l4.chksum + 1) % 0xFFFF or 1
    damaged = bytes(packet)
    whole = config(service(protocol=protocol))
    out = replay(whole, [(0, damaged)]).only()
    again = Ether(rebuild(out.scapy))
    right_out = (again[TCP] if protocol == "tcp" else again[UDP]).chksum
    true(out.l4().chksum != right_out, "the damage was repaired")
    equal((out.l4().chksum - right_out) % 0xFFFF, 1, "the damage")


@case("checksums are right for {} random requests over IPv{} {}",
      (300, 4, "tcp"), (300, 4, "udp"), (300, 6, "tcp"), (300, 6, "udp"))
def random_frames(count, family, protocol):
    rng = random.Random(20240501)
    frames = []
    for _ in range(count):
        host = rng.randrange(1, 65000)
        source = f"198.18.{host >> 8}.{host & 255}" if family == 4 else f"2001:db8:99::{host:x}"
        frames.append(client_frame(
            family, protocol, sport=rng.randrange(1, 65536), source=source, ttl=rng.randrange(2, 256),
            payload=rng.randbytes(rng.randrange(0, 1200))))
    run = replay(config(service(family, protocol=protocol)),
                 [(i * 0.0001, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), count, f"frames out (dropped: {run.dropped})")
    for frame, out in zip(frames, run.frames()):
        to_backend_nat(frame, out, family=family)


@case("IPv{}: a TTL of 2 leaves as 1, and 1 and 0 are dropped as ttl_expired", 4, 6)
def ttl(family):
    for mode in ("nat", "dsr"):
        frames = [client_frame(family, sport=1000 + value, ttl=value) for value in (2, 1, 0)]
        run = replay(config(service(family, mode=mode)), [(0, f) for f in frames])
        equal(run.document["originated"], 2, "errors to the senders of the others")
        out = run.frames()[0].ip()
        equal(out.ttl if family == 4 else out.hlim, 1, "TTL")
        equal(run.dropped, {"ttl_expired": 2}, "dropped")


@case("DSCP, ECN, identification, don't-fragment and flow label stay")
def other_fields():
    nat_one(bytes(
        Ether(src=CLIENT_MAC, dst=WEIR_MAC)
        / IP(src=CLIENT[4], dst=VIP[4], tos=0xB9, id=0xBEEF, flags="DF")
        / TCP(sport=40000, dport=80, flags="SEC", urgptr=7, window=1)))
    nat_one(bytes(
        Ether(src=CLIENT_MAC, dst=WEIR_MAC) / IPv6(src=CLIENT[6], dst=VIP[6], tc=0xB9, fl=0xABCDE)
        / TCP(sport=40000, dport=80, flags="SEC")), 6)


@case("a frame of {} bytes of IP passes whole", 1500, 1499, 577)
def large(size):
    frame = client_frame(protocol="udp", payload=bytes(i & 255 for i in range(size - 28)))
    equal(len(frame), 14 + size, "the test's own frame")
    nat_one(frame, 4, "udp")


if __name__ == "__main__":
    main()
