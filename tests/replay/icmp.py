#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""ICMP: errors about flows go to the right end, in their language; errors that Weir sends itself."""

import random

from scapy.layers.inet6 import (
    ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop)

from weir_replay import *

ROUTER = {4: "192.0.2.33", 6: "2001:db8:99::33"}
ALL = [(f, p) for f in (4, 6) for p in ("tcp", "udp")]


def whole_config(protocol="tcp", mode="nat"):
    return config(service(protocol=protocol, mode=mode),
                  service(6, name="web6", protocol=protocol, mode=mode))


def head_of(family, kind="big", mtu=1300):
    if family == 4:
        return {"big": ICMP(type=3, code=4, nexthopmtu=mtu), "port": ICMP(type=3, code=3),
                "ttl": ICMP(type=11, code=0), "parameter": ICMP(type=12, code=0)}[kind]
    return {"big": ICMPv6PacketTooBig(mtu=mtu), "port": ICMPv6DestUnreach(code=4),
            "ttl": ICMPv6TimeExceeded(), "parameter": ICMPv6ParamProblem()}[kind]


def error(quoted, kind="big", quote=None, source=None, mac=ROUTER_MAC, ttl=60, mtu=1300, destination=None):
    """What a router says about a frame: to its source, quoting `quote` bytes of its L4 part."""
    family = 6 if quoted[12:14] == b"\x86\xdd" else 4
    ip = Ether(quoted)[IPv6 if family == 6 else IP]
    header = 40 if family == 6 else ip.ihl * 4
    data = bytes(ip)
    data = data[:header + (quote if quote is not None else len(data))]
    return bytes(Ether(src=mac, dst=WEIR_MAC)
                 / ip_layer(family, source or ROUTER[family], destination or ip.src, ttl,
                            **({"nh": 58} if family == 6 else {"proto": 1}))
                 / head_of(family, kind, mtu) / Raw(data))


def inner(frame):
    """(head of the error up to the quote, quoted bytes) of a frame; all checksums outside are checked."""
    packet = Ether(frame)
    if IPv6 in packet:
        ip, size = packet[IPv6], 40
    else:
        ip, size = packet[IP], packet[IP].ihl * 4
    data = bytes(ip)
    family = 6 if size == 40 else 4
    message = data[size:]
    if family == 4:
        equal(checksum(message), 0, "ICMP checksum")
    else:
        pseudo = data[8:40] + struct.pack(">I3xB", len(message), 58)
        equal(checksum(pseudo + message), 0, "ICMPv6 checksum")
    if family == 4:
        equal(checksum(data[:size]), 0, "checksum of the outer IP header")
    return ip, message[:8], message[8:]


@functools.lru_cache(maxsize=None)
def opened(family, protocol):
    """nat: frames of a client's request and the backend's answer, and what left for each."""
    whole = whole_config(protocol)
    payload = b"x" * 40
    request = client_frame(family, protocol, payload=payload if protocol == "udp" else b"")
    there = replay(whole, [(0, request)]).only()
    answer = reply_frame(there, payload=payload)
    back = replay(whole, [(0, request), (0.01, answer)]).frames()[1]
    return request, there, answer, back


def run_errors(whole, before, errors):
    """What left for each of the errors, which come after the frames before."""
    run = replay(whole, [(i * 0.01, f) for i, f in enumerate(before + errors)])
    equal(len(run.frames()), len(before + errors), f"frames (dropped: {run.dropped})")
    equal(run.document["originated"], 0, "originated")
    return run.frames()[len(before):]


KINDS = ("big", "port", "ttl", "parameter")


@case("IPv{} {} nat: an error about a reply reaches the backend, which finds its own packet in it", *ALL)
def to_backend(family, protocol):
    request, there, answer, back = opened(family, protocol)
    sent = [error(back.bytes, kind) for kind in KINDS]
    for frame, out in zip(sent, run_errors(whole_config(protocol), [request, answer], sent)):
        ip, head, quote = inner(out.bytes)
        equal((ip.src, ip.dst), (there.ip().src, there.ip().dst), "outer addresses")
        equal(ip.ttl if family == 4 else ip.hlim, 59, "TTL")
        equal(out.scapy.dst, there.scapy.dst, "link address")
        same_head(head, frame)
        # What the backend had sent, but for the TTL, and the IPv4 checksum with it.
        expect_quote(quote, bytes(Ether(answer)[IPv6 if family == 6 else IP]), family)


def same_head(head, sent):
    want = inner(sent)[1]
    equal(head[:2] + head[4:], want[:2] + want[4:], "type, code and MTU")


def expect_quote(quote, sent, family):
    sent = bytearray(sent)
    at = 7 if family == 6 else 8
    sent[at] = quote[at]
    if family == 4:
        sent[10:12] = quote[10:12]
        equal(checksum(quote[:20]), 0, "checksum of the quoted IP header")
    equal(quote, bytes(sent)[:len(quote)], "quoted packet")


@case("IPv{} {} nat: an error of a backend reaches the client, from the service, about its own packet", *ALL)
def to_client(family, protocol):
    request, there, _, _ = opened(family, protocol)
    sent = [error(there.bytes, kind, source=there.ip().dst, mac=there.scapy.dst) for kind in KINDS]
    for frame, out in zip(sent, run_errors(whole_config(protocol), [request], sent)):
        ip, head, quote = inner(out.bytes)
        equal((ip.src, ip.dst), (VIP[family], CLIENT[family]), "outer addresses")
        equal(out.scapy.dst, CLIENT_MAC, "link address")
        same_head(head, frame)
        expect_quote(quote, bytes(Ether(request)[IPv6 if family == 6 else IP]), family)


@case("IPv{} {} nat: 8 quoted bytes of the L4 part are enough, and any more", *ALL)
def little(family, protocol):
    request, _, answer, back = opened(family, protocol)
    counts = (8, 9, 16, 18, 19, 20)
    sent = [error(back.bytes, quote=count) for count in counts]
    for count, out in zip(counts, run_errors(whole_config(protocol), [request, answer], sent)):
        _, _, quote = inner(out.bytes)
        equal(len(quote), (40 if family == 6 else 20) + count, "bytes of the quote")
        expect_quote(quote, bytes(Ether(answer)[IPv6 if family == 6 else IP]), family)


@case("nat: a UDP checksum of 0 in a quote stays")
def no_checksum():
    whole = whole_config("udp")
    request = Ether(client_frame(4, "udp", payload=b"x"))
    request[UDP].chksum = 0
    request = bytes(request)
    there = replay(whole, [(0, request)]).only()
    out = run_errors(
        whole, [request], [error(there.bytes, "port", source=there.ip().dst, mac=there.scapy.dst)])[0]
    equal(inner(out.bytes)[2][26:28], b"\0\0", "UDP checksum in the quote")


@case("IPv{} {} dsr: an error about a reply goes to the flow's backend as it is", *ALL)
def dsr(family, protocol):
    whole = whole_config(protocol, "dsr")
    requests = [client_frame(family, protocol, sport=4000 + i) for i in range(20)]
    there = replay(whole, [(i * 0.01, f) for i, f in enumerate(requests)]).frames()
    sent = []
    for i, out in enumerate(there):
        reply = bytes(Ether(src=out.scapy.dst, dst=ROUTER_MAC)
                      / ip_layer(family, VIP[family], CLIENT[family])
                      / l4_layer(protocol, 80, 4000 + i) / Raw(b"x" * 1400))
        sent.append(error(reply, quote=8 if i % 2 else 500))
    for before in (requests, []):  # hashing finds the backend also without the flow
        for request, frame, out in zip(there, sent, run_errors(whole, before, sent)):
            same_frame(out, expected_icmp(frame, out))
            equal(out.scapy.dst, request.scapy.dst, "link address")


def expected_icmp(sent, out):
    packet = bytearray(sent)
    packet[0:12] = out.bytes[0:12]
    if packet[12:14] == b"\x86\xdd":
        packet[21] -= 1
    else:
        packet[22] -= 1
        packet[24:26] = b"\0\0"
        packet[24:26] = struct.pack(">H", checksum(bytes(packet[14:34])))
    return bytes(packet)


@case("an IPv6 quote with a fragment header in it is found")
def quoted_fragment():
    whole = whole_config("udp")
    request, there, answer, back = opened(6, "udp")
    packet = back.scapy.copy()
    quoted = (IPv6(src=packet[IPv6].src, dst=packet[IPv6].dst, nh=44)
              / IPv6ExtHdrFragment(nh=17, id=5, offset=0, m=1) / packet[UDP])
    frame = bytes(Ether(src=ROUTER_MAC, dst=WEIR_MAC) / IPv6(src=ROUTER[6], dst=VIP[6])
                  / ICMPv6PacketTooBig(mtu=1300) / Raw(bytes(quoted)))
    out = run_errors(whole, [request, answer], [frame])[0]
    _, _, quote = inner(out.bytes)
    equal(quote[48:], bytes(Ether(answer)[UDP]), "quoted UDP")


@case("a wrong ICMP checksum stays wrong: it is for the end to see")
def wrong_checksum():
    whole = whole_config("udp")
    request, there, answer, back = opened(4, "udp")
    sent = bytearray(error(back.bytes))
    sent[36] ^= 0x55
    out = run_errors(whole, [request, answer], [bytes(sent)])[0]
    true(checksum(bytes(out.scapy[IP])[20:]) != 0, "the checksum became right")


def fate(whole, frames):
    run = replay(whole, [(i * 0.001, f) for i, f in enumerate(frames)])
    return run.transmitted, run.passed, run.dropped, run.document["originated"]


@case("nat: errors about a flow that is not known are dropped as no_flow")
def no_flow():
    errors = [error(client_frame(f, source=VIP[f], destination=CLIENT[f], sport=80, dport=40000))
              for f in (4, 6)]
    equal(fate(whole_config(), errors), (0, 0, {"no_flow": 2}, 0), "(transmitted, passed, dropped, originated)")


KERNELS = {
    "about another port of the service's address": error(client_frame(
        source=VIP[4], destination=CLIENT[4], sport=81, dport=40000)),
    "about another protocol": error(client_frame(
        protocol="udp", source=VIP[4], destination=CLIENT[4], sport=80, dport=40000)),
    "that was sent to another address than the quoted source": error(client_frame(
        source=VIP[4], destination=CLIENT[4], sport=80, dport=40000), destination="203.0.113.11"),
    "that quotes 7 bytes": error(client_frame(
        source=VIP[4], destination=CLIENT[4], sport=80, dport=40000), quote=7),
    "that quotes a later fragment": error(client_frame(
        source=VIP[4], destination=CLIENT[4], sport=80, dport=40000, frag=5)),
    "about a ping": error(bytes(Ether() / IP(src=VIP[4], dst=CLIENT[4]) / ICMP())),
    "about a packet of the host itself": error(client_frame(
        source=SOURCE[4], destination=CLIENT[4], sport=22, dport=40000)),
    "about an IPv6 packet of the host itself": error(client_frame(
        6, source=SOURCE[6], destination=CLIENT[6], sport=22, dport=40000)),
    "a redirect": bytes(Ether(src=ROUTER_MAC, dst=WEIR_MAC) / IP(src=ROUTER[4], dst=VIP[4])
                        / ICMP(type=5) / IP(src=VIP[4], dst=CLIENT[4]) / TCP(sport=80, dport=40000)),
    "itself in fragments": bytes(
        Ether(src=ROUTER_MAC, dst=WEIR_MAC) / IP(src=ROUTER[4], dst=VIP[4], flags="MF") / ICMP(type=3, code=4)
        / IP(src=VIP[4], dst=CLIENT[4]) / TCP(sport=80, dport=40000)),
}


@case("what else there is of ICMP is the kernel's")
def kernels():
    run = replay(whole_config(), [(i * 0.01, f) for i, f in enumerate(KERNELS.values())])
    equal((run.passed, run.dropped), (len(KERNELS), {}), "(passed, dropped)")


@case("an error whose own TTL ends here is dropped, without another error")
def expired_error():
    whole = whole_config("udp")
    request, there, answer, back = opened(4, "udp")
    equal(fate(whole, [request, answer, error(back.bytes, ttl=1)]), (2, 0, {"ttl_expired": 1}, 0),
          "(transmitted, passed, dropped, originated)")


# ---- errors that Weir sends -----------------------------------------------------------------------


def check_expired(frame, out, family):
    """A time exceeded about a frame of a client, from the address that it was sent to."""
    ip, head, quote = inner(out.bytes)
    packet = Ether(frame)[IPv6 if family == 6 else IP]
    equal((ip.src, ip.dst), (packet.dst, packet.src), "addresses")
    equal(head[:2], b"\x03\0" if family == 6 else b"\x0b\0", "type and code")
    equal(head[4:], b"\0\0\0\0", "rest of the header")
    equal((out.scapy.dst, out.scapy.src != CLIENT_MAC), (CLIENT_MAC, True), "link addresses")
    true(bytes(packet).startswith(quote) and len(quote) >= min(len(bytes(packet)), 500), "quote")
    true(len(bytes(ip)) <= (1280 if family == 6 else 576), f"{len(bytes(ip))} bytes")


@case("IPv{} {}: a packet whose TTL ends here is answered with time exceeded: {}", *[
    (f, p, m) for f, p in ALL for m in ("nat", "dsr")])
def expired(family, protocol, mode):
    frames = [client_frame(family, protocol, payload=b"p" * size, ttl=1)
              for size in (0, 1, 100, 530, 1200, 3000)]
    run = replay(whole_config(protocol, mode), [(i * 0.001, f) for i, f in enumerate(frames)])
    equal((run.transmitted, run.dropped, run.document["originated"]), (0, {"ttl_expired": 6}, 6),
          "(transmitted, dropped, originated)")
    for frame, out in zip(frames, run.frames()):
        check_expired(frame, out, family)


@case("a reply whose TTL ends here is answered to the backend")
def expired_reply():
    whole = whole_config()
    request, there, answer, _ = opened(4, "tcp")
    answer = reply_frame(there, ttl=1)
    run = replay(whole, [(0, request), (0.1, answer)])
    equal(run.document["originated"], 1, "originated")
    ip, _, quote = inner(run.frames()[1].bytes)
    equal((ip.src, ip.dst, quote), (there.ip().src, there.ip().dst, bytes(Ether(answer)[IP])), "error")


@case("tags stay, and the error goes back with them")
def tagged():
    frame = client_frame(ttl=1)
    frame = frame[:12] + b"\x81\x00\x20\x65" + frame[12:]
    out = replay(whole_config(), [(0, frame)]).only()
    equal(out.bytes[12:18], b"\x81\x00\x20\x65\x08\x00", "tag")
    equal(out.scapy[IP].proto, 1, "protocol")


@case("no error is sent {}", "about later fragments", "to 0.0.0.0", "to multicast", "to ::", "to ff02::1")
def silent(why):
    frames = {
        "about later fragments": [
            bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC) / IP(src=CLIENT[4], dst=VIP[4], id=3, flags="MF")
                  / UDP(sport=5, dport=80, len=100) / Raw(b"x" * 40)),
            bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC)
                  / IP(src=CLIENT[4], dst=VIP[4], id=3, frag=6, proto=17, ttl=1) / Raw(b"x" * 40))],
        "to 0.0.0.0": [client_frame(4, "udp", source="0.0.0.0", ttl=1)],
        "to multicast": [client_frame(4, "udp", source="224.0.0.9", ttl=1)],
        "to ::": [client_frame(6, "udp", source="::", ttl=1)],
        "to ff02::1": [client_frame(6, "udp", source="ff02::1", ttl=1)],
    }[why]
    equal(fate(whole_config("udp"), frames), (len(frames) - 1, 0, {"ttl_expired": 1}, 0),
          "(transmitted, passed, dropped, originated)")


@case("errors have a limit: a burst of a hundred, a thousand a second")
def limited():
    frames = [(i * 0.00005, f) for i, f in enumerate(client_frames(range(1000, 21000), ttl=1))]
    run = replay(whole_config(), frames)
    equal(run.dropped, {"ttl_expired": 20000}, "dropped")
    between(run.document["originated"], 1095, 1105, "errors in a second")


@case("random ICMP errors: everything is accounted for")
def fuzz():
    rng = random.Random(9)
    seeds = []
    for family, protocol in ALL:
        _, there, _, back = opened(family, protocol)
        seeds += [error(there.bytes, source=there.ip().dst), error(back.bytes, quote=8), error(back.bytes)]
    frames = []
    for _ in range(3000):
        frame = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(4)):
            frame[rng.randrange(14, len(frame))] = rng.randrange(256)
        if rng.random() < 0.2:
            del frame[rng.randrange(14, len(frame)):]
        frames.append(bytes(frame))
    for mode in ("nat", "dsr"):
        replay(config(service(mode=mode), service(6, name="web6", mode=mode),
                      service(name="u4", protocol="udp", mode=mode),
                      service(6, name="u6", protocol="udp", mode=mode)),
               [(i * 0.001, f) for i, f in enumerate(frames)])


if __name__ == "__main__":
    main()
