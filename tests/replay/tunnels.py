#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""ipip and gue: the client's packet, its TTL less one, inside a packet to the backend."""

from scapy.layers.inet import fragment
from scapy.layers.inet6 import (
    IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, fragment6)

from weir_replay import *

MODES = [(f, m) for f in (4, 6) for m in ("ipip", "gue")]
ALL = [(f, m, p) for f, m in MODES for p in ("tcp", "udp")]
GUE_PORT = 6080


def tunnel(family=4, mode="ipip", **more):
    return service(family, mode=mode, **{"source-addresses": SOURCES[family], **more})


class Outer:
    """An encapsulated frame, taken apart by hand: every field is looked at."""

    def __init__(self, out, family, mode):
        data = out.bytes[14:]
        protocol = data[9] if family == 4 else data[6]
        header = 20 if family == 4 else 40
        inner_protocol = 4 if family == 4 else 41
        equal(out.bytes[12:14], b"\x08\x00" if family == 4 else b"\x86\xdd", "type of the frame")
        if family == 4:
            equal(data[0], 0x45, "version and header length")
            equal(checksum(data[:20]), 0, "checksum of the outer header")
            equal(data[4:8], b"\0\0\x40\0", "identification, don't fragment")
            equal(data[8], 64, "outer TTL")
            length = struct.unpack(">H", data[2:4])[0]
        else:
            equal(data[7], 64, "outer hop limit")
            length = 40 + struct.unpack(">H", data[4:6])[0]
        packet = out.scapy[IP if family == 4 else IPv6]
        self.src, self.dst = packet.src, packet.dst
        self.traffic_class = data[1] if family == 4 else struct.unpack(">I", data[:4])[0] >> 20 & 255
        self.label = 0 if family == 4 else struct.unpack(">I", data[:4])[0] & 0xFFFFF
        self.padding = data[length:]
        data = data[:length]
        self.sport = None
        if mode == "gue":
            equal(protocol, 17, "outer protocol")
            self.sport, dport, size, check = struct.unpack(">4H", data[header:header + 8])
            equal(dport, GUE_PORT, "GUE port")
            between(self.sport, 49152, 65535, "source port of the tunnel")
            equal(size, length - header, "UDP length")
            equal(data[header + 8:header + 12], bytes([0, inner_protocol, 0, 0]), "GUE header")
            if family == 4:
                equal(check, 0, "UDP checksum in IPv4")
            else:
                pseudo = data[8:40] + struct.pack(">I3xB", size, 17)
                true(check != 0 and checksum(pseudo + data[header:]) == 0, "UDP checksum in IPv6")
            header += 12
        else:
            equal(protocol, inner_protocol, "outer protocol")
        self.inner = data[header:]


def inner_expected(frame):
    """A client's IP packet with its TTL less one, without what pads the frame."""
    packet = Ether(frame)
    ip = packet[IPv6] if IPv6 in packet else packet[IP]
    if IPv6 in packet:
        data = bytearray(bytes(ip)[:40 + ip.plen])
        data[7] -= 1
        return bytes(data)
    data = bytearray(bytes(ip)[:ip.len])
    data[8] -= 1
    size = (data[0] & 15) * 4
    data[10:12] = b"\0\0"
    data[10:12] = struct.pack(">H", checksum(bytes(data[:size])))
    return bytes(data)


@case("IPv{} {} {}: the whole packet arrives inside one to its backend", *ALL)
def arrives(family, mode, protocol):
    frames = [client_frame(family, protocol, sport=3000 + i, payload=bytes(range(i)))
              for i in range(100)]
    run = replay(config(tunnel(family, mode, protocol=protocol)),
                 [(i * 0.001, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), 100, f"frames out (dropped: {run.dropped})")
    used, sources, ports = set(), set(), set()
    for frame, out in zip(frames, run.frames()):
        outer = Outer(out, family, mode)
        same_frame(outer.inner, inner_expected(frame), "inner packet")
        equal(out.scapy.dst, mac_of(outer.dst), "link address of the backend")
        used.add(outer.dst)
        sources.add(outer.src)
        ports.add(outer.sport)
    equal(used, {backend_address(family, i) for i in range(3)}, "backends that were used")
    equal(sources, set(SOURCES[family]), "outer sources that were used")
    if mode == "gue":
        true(len(ports) > 90, f"{len(ports)} source ports for 100 flows")


@case("IPv{} {}: all packets of a flow have one outer source, port and backend", *MODES)
def keeps_together(family, mode):
    frames = [client_frame(family, flags="A", sport=5000 + i % 20) for i in range(200)]
    run = replay(config(tunnel(family, mode)), [(i * 0.001, f) for i, f in enumerate(frames)])
    ways = {}
    for frame, out in zip(frames, run.frames()):
        outer = Outer(out, family, mode)
        ways.setdefault(Ether(frame)[TCP].sport, set()).add((outer.src, outer.sport, outer.dst))
    equal({len(w) for w in ways.values()}, {1}, "ways of a flow")
    equal(len(ways), 20, "flows")


@case("IPv{} {}: traffic class and ECN are the inner packet's", *MODES)
def traffic_class(family, mode):
    fields = {"tos": 0xB9} if family == 4 else {"tc": 0xB9, "fl": 0x12345}
    outer = Outer(replay(config(tunnel(family, mode)), [(0, client_frame(family, **fields))]).only(),
                  family, mode)
    equal(outer.traffic_class, 0xB9, "outer traffic class")
    equal(outer.label, 0 if family == 4 else 0x12345, "outer flow label")


@case("IPv{} {}: padding of a short frame stays outside, tags stay in front", *MODES)
def padded(family, mode):
    frame = client_frame(family)
    padded_frame = frame + b"\xaa" * 8
    outer = Outer(replay(config(tunnel(family, mode)), [(0, padded_frame)]).only(), family, mode)
    same_frame(outer.inner, inner_expected(frame), "inner packet")
    tagged = frame[:12] + b"\x81\x00\x20\x65" + frame[12:]
    out = replay(config(tunnel(family, mode)), [(0, tagged)]).only()
    equal(out.bytes[12:16], b"\x81\x00\x20\x65", "tag")
    outer = Outer(Out(0, out.bytes[:12] + out.bytes[16:]), family, mode)
    same_frame(outer.inner, inner_expected(frame), "inner packet behind a tag")


@case("IPv{} {}: fragments go to the backend of the first one", *MODES)
def fragments(family, mode):
    if family == 4:
        whole = Ether(client_frame(4, "udp", payload=b"z" * 3000))
        parts = [bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC) / p)
                 for p in fragment(whole[IP], fragsize=1000)]
    else:
        packet = (IPv6(src=CLIENT[6], dst=VIP[6]) / IPv6ExtHdrFragment(id=77)
                  / UDP(sport=40000, dport=80) / Raw(b"z" * 3000))
        parts = [bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC) / p) for p in fragment6(packet, 1100)]
    run = replay(config(tunnel(family, mode, protocol="udp")),
                 [(i * 0.001, f) for i, f in enumerate(parts)])
    outers = [Outer(out, family, mode) for out in run.frames()]
    equal(len(outers), len(parts), f"frames out (dropped: {run.dropped})")
    for part, outer in zip(parts, outers):
        same_frame(outer.inner, inner_expected(part), "inner fragment")
    equal(len({(o.src, o.sport, o.dst) for o in outers}), 1, "ways of one datagram")


@case("IPv6 {}: the outer checksum is right whatever the inner one covers", "gue")
def covered(mode):
    options = (IPv6(src=CLIENT[6], dst=VIP[6]) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\1\2\3\4")])
               / UDP(sport=1, dport=80) / Raw(b"odd"))
    none = IPv6(src=CLIENT[6], dst=VIP[6]) / UDP(sport=2, dport=80, chksum=0) / Raw(b"none")
    frames = [bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC) / p) for p in (options, none)]
    run = replay(config(tunnel(6, mode, protocol="udp")), [(0, f) for f in frames])
    for frame, out in zip(frames, run.frames()):
        same_frame(Outer(out, 6, mode).inner, inner_expected(frame), "inner packet")
    equal(len(run.frames()), 2, f"frames out (dropped: {run.dropped})")


@case("IPv{} {}: the service's counters are of the packets, the balance holds", *MODES)
def counted(family, mode):
    frames = [client_frame(family, sport=7000 + i, payload=b"c" * 100) for i in range(50)]
    run = replay(config(tunnel(family, mode)), [(i * 0.001, f) for i, f in enumerate(frames)])
    web = run.service()
    equal(web["mode"], mode, "mode")
    equal(web["packets_transmitted"], 50, "packets transmitted")
    equal(sum(b["packets"] for b in web["backends"]), 50, "packets of the backends")
    equal(web["bytes_transmitted"], sum(len(o.bytes) for o in run.frames()), "bytes transmitted")


main()
