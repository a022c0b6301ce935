#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Limits per source by the capture's own clock: exact for each, and a flood is nobody else's loss."""

import random
import struct

from weir_replay import *

WORKERS = [1, 3]


def limited(workers=1, mode="dsr", protocol="udp", family=4, limits=None, **per_source):
    entry = service(family=family, protocol=protocol, mode=mode, cores=workers,
                    limits=dict(limits or {}, **{"per-source": per_source}))
    return config(entry, cores=["1" if workers == 1 else f"1-{workers + 1}"])


def datagrams(source, count, flows=100):
    """Frames of one IPv4 source, over some flows."""
    head = client_frame(protocol="udp", source=source, payload=b"x" * 18)
    frames = []
    for i in range(count):
        frame = bytearray(head)
        frame[34:36] = (2048 + i % flows).to_bytes(2, "big")
        frame[40:42] = b"\0\0"  # no checksum, so that the port can be written in place
        frames.append(bytes(frame))
    return frames


def made_up(count, flags=None, seed=1):
    """Frames whose sources are random, each once: UDP, or TCP with these flags."""
    rng = random.Random(seed)
    protocol = "tcp" if flags else "udp"
    head = bytearray(client_frame(protocol=protocol, flags=flags or "S", payload=b""))
    frames = []
    for _ in range(count):
        frame = bytearray(head)
        frame[26:30] = struct.pack(">I", rng.randrange(0x0B000000, 0x60000000))
        frame[24:26] = b"\0\0"
        total = sum(struct.unpack(">10H", frame[14:34]))
        frame[24:26] = struct.pack(">H", ~(total % 0xFFFF) & 0xFFFF)
        if not flags:
            frame[40:42] = b"\0\0"
        frames.append(bytes(frame))
    return frames


def evenly(frames, seconds, start=0.0):
    return [(start + i * seconds / len(frames), f) for i, f in enumerate(frames)]


def merged(*lists):
    return sorted((pair for one in lists for pair in one), key=lambda pair: pair[0])


def passed_of(run, source):
    wanted = bytes(int(b) for b in source.split("."))
    return sum(o.bytes[26:30] == wanted for o in run.frames())


@case("sources that send 500, 1000 and 5000 a second get what 1000 are, with {} worker(s)", *WORKERS)
def packets(workers):
    a, b, c = "198.51.100.1", "198.51.100.2", "198.51.100.3"
    run = replay(limited(workers, packets="1k"), merged(
        evenly(datagrams(a, 2500), 5), evenly(datagrams(b, 5000), 5, 0.00001),
        evenly(datagrams(c, 25000), 5, 0.00002)))
    equal(passed_of(run, a), 2500, "packets of a")
    equal(passed_of(run, b), 5000, "packets of b")
    between(passed_of(run, c), 5000 * 0.98, 5000 * 1.02 + 10, "packets of c")
    equal(run.dropped, {"source_packets": 25000 - passed_of(run, c)}, "dropped")
    sources = run.service()["sources"]
    equal((sources["tracked"], sources["known"], sources["overflow"]), (3, 2, 0), "sources")


@case("a limit per source holds in every single second, with {} worker(s)", *WORKERS)
def every_second(workers):
    run = replay(limited(workers, packets="2k"), evenly(datagrams("198.51.100.1", 24000), 4))
    for second in range(4):
        passed = sum(second * 10**9 <= o.ns < (second + 1) * 10**9 for o in run.frames())
        between(passed, 1960, 2060, f"packets in second {second}")


@case("100 new flows per second and source pass within 2 %, with {} worker(s)", *WORKERS)
def connections(workers):
    a, b = "198.51.100.1", "198.51.100.2"
    run = replay(limited(workers, connections=100), merged(
        evenly(datagrams(a, 250, 250), 5), evenly(datagrams(b, 5000, 5000), 5, 0.00001)))
    equal(passed_of(run, a), 250, "flows of a")
    between(passed_of(run, b), 490, 512, "flows of b")
    equal(run.dropped, {"source_connections": 5000 - passed_of(run, b)}, "dropped")
    equal(run.service()["new_flows"], run.transmitted, "new flows counted")
    run = replay(limited(workers, connections=1), evenly(datagrams(a, 2000, 1), 1))
    equal(run.transmitted, 2000, "packets of the one flow")


@case("beside a flood of 100000 made-up sources the good one loses nothing, {}",
      "there before", "and it comes in the middle")
def flood(when):
    good = "198.51.100.7"
    start = 0.0 if when == "there before" else 2.5
    whole = limited(packets=200, entries=4096)
    frames = merged(evenly(datagrams(good, 500), 5, start), evenly(made_up(100000), 5, 0.5))
    run = replay(whole, frames)
    late = [o for o in run.frames()
            if o.bytes[26:30] == bytes([198, 51, 100, 7]) and o.ns >= (start + 2) * 10**9]
    if when == "there before":
        equal(passed_of(run, good), 500, "packets of the good one")
    equal(len(late), 300, "packets of the good one, from its third second on")
    others = run.transmitted - passed_of(run, good)
    between(others, 4096, 4096 + 16 * (200 * 5 + 4), "packets of the flood")
    sources = run.service()["sources"]
    equal((sources["entries"], sources["tracked"]), (4096, 4096), "places")
    between(sources["overflow"], 90000, 100000, "packets judged together")


@case("beside a flood of SYNs of 50000 made-up sources a client's connections are opened")
def flood_of_syns():
    good = "198.51.100.7"
    whole = limited(protocol="tcp", mode="nat", connections=50, entries=1024,
                    limits={"connections": "2k"})
    syn = client_frame(source=good, sport=3000)
    first = replay(whole, [(0, syn)]).only()
    ack = client_frame(source=good, sport=3000, flags="PA", payload=b"GET")
    opening = [(0, syn), (0.01, reply_frame(first)), (0.02, ack),
               (0.03, reply_frame(first, flags="PA", payload=b"200"))]
    later = [client_frame(source=good, sport=10000 + i, ttl=99) for i in range(200)]
    run = replay(whole, merged(opening, evenly(made_up(50000, "S"), 5, 0.5), evenly(later, 5, 0.5)))
    # The flood takes free places faster than the service's own limit allows flows: that hits the flood.
    true(run.dropped["limit_connections"] > 500, "the service's own limit was not reached")
    equal(sum(o.bytes[22] == 98 for o in run.frames()), 200, "connections of the client")
    equal(run.service()["sources"]["known"], 1, "known sources")
    others = run.service()["new_flows"] - 201
    between(others, 2000 * 0.01, 1023 + 16 * (50 * 5 + 4), "flows of the flood")
    refused = run.dropped["source_connections"] + run.dropped["limit_connections"]
    equal(refused, 50000 - others, "refused")


@case("hosts of one IPv4 /24 are one source where prefix4 is 24")
def prefix4():
    frames = [datagrams(f"198.51.100.{i % 250 + 1}", 1)[0] for i in range(4000)]
    run = replay(limited(packets=500, prefix4=24), evenly(frames, 2))
    between(run.transmitted, 980, 1025, "packets of the /24")
    run = replay(limited(packets=500), evenly(frames, 2))
    equal(run.transmitted, 4000, "packets of 250 hosts")


@case("addresses of one IPv6 /64 are one source, and /128 makes them many")
def prefix6():
    frames = [client_frame(6, "udp", source=f"2001:db8:20::{i % 200 + 1:x}") for i in range(2000)]
    run = replay(limited(family=6, packets=200), evenly(frames, 2))
    between(run.transmitted, 392, 412, "packets of the /64")
    run = replay(limited(family=6, packets=200, prefix6=128), evenly(frames, 2))
    equal(run.transmitted, 2000, "packets of 200 addresses")


@case("a burst of one source passes to the depth that was configured")
def burst():
    frames = [(1.0, f) for f in datagrams("198.51.100.1", 3000)]
    run = replay(limited(packets="1k", burst="1s"), frames)
    between(run.transmitted, 1000, 1002, "packets at one moment with a burst of 1 s")
    run = replay(limited(packets="1k"), frames)
    between(run.transmitted, 10, 12, "packets at one moment with the service's burst of 10 ms")


@case("the same capture and seed give the same bytes and counts")
def repeatable():
    frames = merged(evenly(datagrams("198.51.100.7", 500), 2), evenly(made_up(20000), 2))
    whole = limited(packets=100, entries=1024)
    first, second = replay(whole, frames), replay(whole, frames)
    equal([o.bytes for o in first.frames()], [o.bytes for o in second.frames()], "frames")
    equal(first.document, second.document, "documents")


if __name__ == "__main__":
    main()
