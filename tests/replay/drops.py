#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is not forwarded: each reason that a capture can provoke, and what is the kernel's."""

import random

from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6ExtHdrRouting
from scapy.layers.l2 import LLC, STP

from weir_replay import *


def fate(frames, whole=None):
    run = replay(whole or config(service(), service(6, name="web6")),
                 [(i * 0.001, f) for i, f in enumerate(frames)])
    return run.transmitted, run.passed, run.dropped


def ether(*layers, **fields):
    packet = Ether(src=CLIENT_MAC, dst=WEIR_MAC, **fields)
    for layer in layers:
        packet = packet / layer
    return bytes(packet)


# ---- the kernel's --------------------------------------------------------------------------------

KERNELS = {
    "ARP for the service's address": bytes(
        Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=CLIENT[4], pdst=VIP[4])),
    "ping to the service's address": ether(IP(src=CLIENT[4], dst=VIP[4]), ICMP(), Raw(b"ping")),
    "IPv6 ping": ether(IPv6(src=CLIENT[6], dst=VIP[6]), ICMPv6EchoRequest()),
    "neighbour discovery": bytes(
        Ether(src=CLIENT_MAC, dst="33:33:ff:00:00:10")
        / IPv6(src=CLIENT[6], dst="ff02::1:ff00:10", hlim=255) / ICMPv6ND_NS(tgt=VIP[6])),
    "another port of the service's address": client_frame(dport=81),
    "another protocol on the service's port": client_frame(protocol="udp"),
    "another address": client_frame(destination="203.0.113.11"),
    "another IPv6 address": client_frame(6, destination="2001:db8:10::11"),
    "ssh to a source address of ours": client_frame(destination=SOURCE[4], dport=22),
    "ping to a source address of ours": ether(IP(src=CLIENT[4], dst=SOURCE[4]), ICMP()),
    "broadcast": bytes(Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff")
                       / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)),
    "multicast": bytes(Ether(src=CLIENT_MAC, dst="01:00:5e:00:00:05")
                       / IP(src=CLIENT[4], dst="224.0.0.5", proto=89, ttl=1) / Raw(b"ospf")),
    "spanning tree": bytes(Ether(src=CLIENT_MAC, dst="01:80:c2:00:00:00", type=38) / LLC() / STP()),
    "another protocol number": ether(IP(src=CLIENT[4], dst=VIP[4], proto=47), Raw(b"\0" * 8)),
    "LLDP": bytes(Ether(src=CLIENT_MAC, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(b"\0" * 30)),
    "a fragment to the host": ether(
        IP(src=CLIENT[4], dst="203.0.113.11", frag=100, proto=17), Raw(b"x" * 64)),
    "a fragment of a ping to the service": ether(
        IP(src=CLIENT[4], dst=VIP[4], flags="MF", proto=1), ICMP(), Raw(b"x" * 64)),
    "a fragment of UDP, which no service of the address has": ether(
        IP(src=CLIENT[4], dst=VIP[4], flags="MF", proto=17), UDP(sport=1, dport=80),
        Raw(b"x" * 64)),
    "IPv4 of an unknown version": client_frame()[:14] + b"\x75" + client_frame()[15:],
    "a frame that ends behind the link header": client_frame()[:14],
    "a frame that ends within the IP header": client_frame()[:30],
    "an IPv4 header length under 20 bytes": client_frame()[:14] + b"\x44" + client_frame()[15:],
    "an IPv6 routing header with segments left": ether(
        IPv6(src=CLIENT[6], dst=VIP[6]), IPv6ExtHdrRouting(addresses=["2001:db8::1"], segleft=1),
        TCP(sport=40000, dport=80, flags="S")),
}


@case("the kernel's: {}", *KERNELS)
def kernels(name):
    equal(fate([KERNELS[name]]), (0, 1, {}), "(transmitted, passed to the kernel, dropped)")


@case("the host's own connections out of a source address are the kernel's")
def host_replies():
    # The kernel's ephemeral range may overlap a reply's port; ports below 1024 never are ours.
    frames = [client_frame(destination=SOURCE[4], source="192.0.2.9", sport=443, dport=port, flags="SA")
              for port in (25, 53, 443, 1023)]
    equal(fate(frames), (0, len(frames), {}), "(transmitted, passed, dropped)")


# ---- drops ---------------------------------------------------------------------------------------


def changed(frame, offset, data):
    return frame[:offset] + data + frame[offset + len(data):]


def checked(frame):
    """The same with a right IPv4 header checksum, whatever else is wrong."""
    length = (frame[14] & 15) * 4
    header = bytearray(frame[14:14 + length])
    header[10:12] = b"\0\0"
    total = sum(struct.unpack(f">{length // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return changed(frame, 24, struct.pack(">H", ~total & 0xFFFF))


def udp_service(whole=None):
    return config(service(protocol="udp"), service(6, name="web6", protocol="udp"))


TCP4, TCP6 = client_frame(payload=b"x" * 20), client_frame(6, payload=b"x" * 20)
UDP4, UDP6 = client_frame(4, "udp", payload=b"x" * 20), client_frame(6, "udp", payload=b"x" * 20)
MALFORMED = {
    "TCP header cut off by the frame": (TCP4[:44], False),
    "IPv6 TCP header cut off by the frame": (TCP6[:64], False),
    "only the ports of TCP are there": (checked(changed(TCP4[:38], 16, struct.pack(">H", 24))), False),
    "not even the ports are there": (checked(changed(TCP4[:36], 16, struct.pack(">H", 22))), False),
    "the datagram is longer than the frame": (TCP4[:-5], False),
    "the IPv6 datagram is longer than the frame": (TCP6[:-5], False),
    "the IPv4 header checksum is wrong": (changed(TCP4, 24, b"\x12\x34"), False),
    "TCP data offset under 20 bytes": (changed(TCP4, 46, b"\x40"), False),
    "TCP data offset behind the end": (changed(TCP4, 46, b"\xf0"), False),
    "UDP length under 8 bytes": (changed(UDP4, 38, b"\0\x07"), True),
    "UDP length behind the end": (changed(UDP4, 38, b"\x01\x00"), True),
    "IPv6 UDP length behind the end": (changed(UDP6, 58, b"\x01\x00"), True),
    "UDP header cut off": (checked(changed(UDP4[:40], 16, struct.pack(">H", 26))), True),
}


@case("malformed: {}", *MALFORMED)
def malformed(name):
    frame, udp = MALFORMED[name]
    equal(fate([frame], udp_service() if udp else None), (0, 0, {"malformed": 1}),
          "(transmitted, passed, dropped)")


@case("the same malformed things to an address that is no service's are the kernel's")
def malformed_elsewhere():
    frames = []
    for frame, _ in MALFORMED.values():
        # The last byte of the destination, and the checksum with it so that only the old error stays.
        if frame[12:14] == b"\x08\x00":
            frame = changed(frame, 33, b"\x63")
            frame = checked(frame) if frame[24:26] != b"\x12\x34" else frame
        else:
            frame = changed(frame, 53, b"\x63")
        frames.append(frame)
    equal(fate(frames), (0, len(frames), {}), "(transmitted, passed, dropped)")


@case("without a backend that can take it a packet is dropped as no_backend: {}",
      "none is configured", "all have weight 0")
def no_backend(why):
    backends = [] if why.startswith("none") else [{"address": "10.0.0.10", "port": 8080, "weight": 0}]
    entry = service(backends=backends)
    equal(fate([client_frame()], config(entry, neighbours=[])), (0, 0, {"no_backend": 1}),
          "(transmitted, passed, dropped)")


@case("a backend whose link address nobody knows: neighbour_unresolved")
def unresolved():
    for mode in ("nat", "dsr"):
        whole = config(service(mode=mode, backends=1), neighbours=[])
        equal(fate([client_frame()], whole), (0, 0, {"neighbour_unresolved": 1}),
              "(transmitted, passed, dropped)")


@case("when every translated port towards a backend is in use: no_translation_port, counted")
def no_port():
    entry = service(protocol="udp", backends=1, **{"source-addresses": [SOURCE[4]]})
    whole = config(entry)
    count = 70000
    run = replay(whole, [(i * 0.00001, f) for i, f in enumerate(udp_flood(count, count))])
    # Blocks 4..255 of 256 ports; the first plan may keep a part of them for a later service.
    between(run.transmitted, 20000, 252 * 256, "flows that got a port")
    equal(run.dropped, {"no_translation_port": count - run.transmitted}, "dropped")
    equal(len({o.l4().sport for o in run.frames()[::50]}), len(run.frames()[::50]),
          "different ports in a sample")


@case("a sweep of {} random mutations of good frames: everything is accounted for", 3000)
def mutations(count):
    rng = random.Random(77)
    seeds = [TCP4, TCP6, UDP4, UDP6, *KERNELS.values(), *(f for f, _ in MALFORMED.values())]
    frames = []
    for _ in range(count):
        frame = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            action = rng.random()
            if action < 0.6 and frame:
                frame[rng.randrange(len(frame))] = rng.randrange(256)
            elif action < 0.8:
                del frame[rng.randrange(14, max(15, len(frame))):]
            else:
                frame += rng.randbytes(rng.randrange(64))
        frames.append(bytes(frame))
    services = [service(4, "tcp4"), service(4, "udp4", "udp"), service(6, "tcp6"),
                service(6, "udp6", "udp")]
    for mode in ("nat", "dsr"):
        for entry in services:
            entry["mode"] = mode
            if mode == "dsr":
                entry.pop("source-addresses", None)
                entry["backends"] = [{"address": b["address"]} for b in entry["backends"]]
        transmitted, passed, dropped = fate(frames, config(*services))
        true(transmitted > 0 and passed > 0 and dropped.get("malformed", 0) > 0,
             f"the sweep reaches all ends: {transmitted}, {passed}, {dropped}")


@case("frames of {} bytes: nothing breaks, and they are not forwarded", 0, 1, 13, 14, 33)
def tiny(size):
    frame = client_frame()[:size]
    run = replay(config(service()), [(0, frame)])
    equal((run.received, run.transmitted), (1, 0), "(received, transmitted)")


if __name__ == "__main__":
    main()
