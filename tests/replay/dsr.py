#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""dsr: nothing but the link addresses and the TTL changes."""

from weir_replay import *

ALL = [(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")]


def to_backend_dsr(frame, out, backends=3, family=4):
    macs = [mac_of(backend_address(family, i)) for i in range(backends)]
    true(out.scapy.dst in macs, f"{out.scapy.dst} is no backend's link address")
    want = bytearray(frame)
    want[0:6] = bytes.fromhex(out.scapy.dst.replace(":", ""))
    want[6:12] = out.bytes[6:12]
    offset = 14
    while want[offset - 2:offset] in (b"\x81\x00", b"\x88\xa8"):
        offset += 4
    want[offset + (8 if family == 4 else 7)] -= 1
    if family == 4:
        header = (want[offset] & 15) * 4
        want[offset + 10:offset + 12] = b"\0\0"
        want[offset + 10:offset + 12] = struct.pack(">H", checksum(bytes(want[offset:offset + header])))
    same_frame(out, bytes(want))
    true(out.scapy.src != CLIENT_MAC, "the frame still has the client's link address")
    return macs.index(out.scapy.dst)


@case("IPv{} {}: only the link addresses and the TTL change", *ALL)
def only_macs(family, protocol):
    frames = [client_frame(family, protocol, sport=3000 + i, payload=b"a" * i) for i in range(64)]
    run = replay(config(service(family, protocol=protocol, mode="dsr")),
                 [(i * 0.001, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), 64, f"frames out (dropped: {run.dropped})")
    used = {to_backend_dsr(f, o, family=family) for f, o in zip(frames, run.frames())}
    equal(used, {0, 1, 2}, "backends that were used")


@case("a wrong TCP checksum goes through as it came: it is the endpoints' business")
def wrong_checksum():
    packet = Ether(client_frame(payload=b"data"))
    packet[TCP].chksum ^= 0x1234
    frame = bytes(packet)
    run = replay(config(service(mode="dsr")), [(0, frame)])
    to_backend_dsr(frame, run.only())


@case("{} behind {} VLAN tag(s): the tags stay", ("IPv4", 1), ("IPv4", 2), ("IPv6", 1))
def tagged(name, tags):
    family = int(name[-1])
    frame = client_frame(family)
    tag = b"\x81\x00\x20\x65" if tags == 1 else b"\x88\xa8\x00\x07\x81\x00\x20\x65"
    frame = frame[:12] + tag + frame[12:]
    run = replay(config(service(family, mode="dsr")), [(0, frame)])
    to_backend_dsr(frame, run.only(), family=family)


@case("padding behind a short datagram stays")
def padding():
    frame = client_frame(payload=b"")
    frame += b"\xaa" * (60 - len(frame))
    run = replay(config(service(mode="dsr")), [(0, frame)])
    to_backend_dsr(frame, run.only())


@case("a flow keeps its backend, and packets of the middle of an unknown one are placed too")
def stays():
    frames = [client_frame(sport=5000 + i % 100, flags="A") for i in range(500)]
    run = replay(config(service(mode="dsr")), [(i * 0.001, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), 500, f"frames out (dropped: {run.dropped})")
    places = {}
    for frame, out in zip(frames, run.frames()):
        places.setdefault(out.l4().sport, set()).add(to_backend_dsr(frame, out))
    equal({len(p) for p in places.values()}, {1}, "backends of one flow")


@case("the counters of the backends are those of the frames")
def counters():
    frames = [client_frame(sport=5000 + i) for i in range(300)]
    run = replay(config(service(mode="dsr")), [(i * 0.001, f) for i, f in enumerate(frames)])
    seen = [0, 0, 0]
    for frame, out in zip(frames, run.frames()):
        seen[to_backend_dsr(frame, out)] += 1
    shown = {b["address"]: b["packets"] for b in run.service()["backends"]}
    equal([shown[backend_address(4, i)] for i in range(3)], seen, "packets by backend")
    web = run.service()
    equal(web["bytes_received"], sum(len(f) for f in frames), "bytes received")
    equal(web["bytes_transmitted"], sum(len(f) for f in frames), "bytes transmitted")
    equal(web["new_flows"], 300, "new flows")


if __name__ == "__main__":
    main()
