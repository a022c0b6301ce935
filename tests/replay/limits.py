#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Limits by the capture's own clock: exact within 2 %, whatever the workers and the flows are."""

import random

from weir_replay import *

WORKERS = [1, 3]


def limited(workers, mode="dsr", protocol="udp", **limits):
    entry = service(protocol=protocol, mode=mode, cores=workers, limits=limits)
    return config(entry, cores=["1" if workers == 1 else f"1-{workers + 1}"])


def evenly(frames, seconds):
    return [(i * seconds / len(frames), f) for i, f in enumerate(frames)]


@case("{1} packets per second over 5 s with {0} worker(s) pass within 2 %",
      *[(w, l) for w in WORKERS for l in ("1k", "4500")])
def packets(workers, limit):
    rate = {"1k": 1000, "4500": 4500}[limit]
    run = replay(limited(workers, packets=limit), evenly(udp_flood(50000, 500), 5))
    between(run.transmitted, rate * 5 * 0.98, rate * 5 * 1.02 + rate * 0.01, "packets passed")
    equal(run.dropped, {"limit_packets": 50000 - run.transmitted}, "dropped")


@case("a limit of packets holds in every single second, with {} worker(s)", *WORKERS)
def every_second(workers):
    run = replay(limited(workers, packets="2k"), evenly(udp_flood(40000, 500), 4))
    for second in range(4):
        passed = sum(second * 10**9 <= o.ns < (second + 1) * 10**9 for o in run.frames())
        between(passed, 1960, 2060, f"packets in second {second}")


@case("with {} worker(s) and nine packets of ten in one flow the limit is still whole", *WORKERS)
def skewed(workers):
    rng = random.Random(5)
    flows = udp_flood(1000, 1000)
    frames = [flows[0] if rng.random() < 0.9 else rng.choice(flows) for _ in range(40000)]
    run = replay(limited(workers, packets="3k"), evenly(frames, 4))
    between(run.transmitted, 12000 * 0.98, 12000 * 1.02 + 30, "packets passed")


@case("a limit of 2 packets per second holds over 3 workers: no share of it becomes 0 or unlimited")
def fewer_than_workers():
    run = replay(limited(3, packets=2), evenly(udp_flood(20000, 500), 100))
    between(run.transmitted, 196, 204, "packets in 100 s")


@case("a limit of 0 lets nothing pass, with {} worker(s)", *WORKERS)
def zero(workers):
    for key in ("packets", "bits", "connections"):
        run = replay(limited(workers, **{key: 0}), evenly(udp_flood(1000, 100), 1))
        equal((run.transmitted, run.dropped), (0, {f"limit_{key}": 1000}), f"{key}: 0")


@case("8M bits per second of mixed sizes pass within 2 %, with {} worker(s)", *WORKERS)
def bits(workers):
    rng = random.Random(6)
    frames = [udp_flood(1, 1, size=rng.choice((60, 300, 1000, 1514)), first=rng.randrange(500))[0]
              for _ in range(24000)]
    run = replay(limited(workers, bits="8M"), evenly(frames, 4))
    passed = sum(len(o.bytes) * 8 for o in run.frames())
    between(passed, 32e6 * 0.98, 32e6 * 1.02 + 80000, "bits passed")
    equal(list(run.dropped), ["limit_bits"], "drop reasons")


@case("500 new flows per second pass within 2 %, and known flows are not limited, with {} worker(s)",
      *WORKERS)
def connections(workers):
    frames = udp_flood(20000, 20000)
    run = replay(limited(workers, connections=500), evenly(frames, 4))
    between(run.transmitted, 2000 * 0.98, 2000 * 1.02 + 5, "new flows passed")
    equal(list(run.dropped), ["limit_connections"], "drop reasons")
    equal(run.service()["new_flows"], run.transmitted, "new flows counted")
    known = udp_flood(1, 1) * 5000
    run = replay(limited(workers, connections=1), evenly(known, 1))
    equal(run.transmitted, 5000, "packets of the one flow that passed")


@case("what stays below the limit is not touched, with {} worker(s)", *WORKERS)
def below(workers):
    run = replay(limited(workers, packets="5k", bits="100M", connections="5k"),
                 evenly(udp_flood(9800, 300), 2))
    equal((run.transmitted, run.dropped), (9800, {}), "passed")


@case("a burst passes to the depth that was configured")
def burst():
    frames = [(1.0, f) for f in udp_flood(5000, 100)]
    run = replay(limited(1, packets="1k", burst="1s"), frames)
    between(run.transmitted, 1000, 1002, "packets at one moment with a burst of 1 s")
    run = replay(limited(1, packets="1k"), frames)
    between(run.transmitted, 10, 12, "packets at one moment with the burst of 10 ms")


@case("replies of backends are not limited")
def replies():
    whole = limited(1, mode="nat", packets=10)
    request = client_frame(protocol="udp")
    first = replay(whole, [(0, request)]).only()
    answer = reply_frame(first, payload=b"r")
    run = replay(whole, [(0, request)] + [(0.1 + i * 0.0001, answer) for i in range(1000)])
    equal(run.transmitted, 1001, "frames out")


@case("one service's limit is no other's")
def services():
    a = service(name="a", protocol="udp", mode="dsr", limits={"packets": 100})
    b = service(name="b", protocol="udp", mode="dsr", port=81)
    frames = [f for pair in zip(udp_flood(2000, 50), udp_flood(2000, 50, dport=81)) for f in pair]
    run = replay(config(a, b), evenly(frames, 1))
    between(run.service("a")["packets_transmitted"], 98, 103, "packets of a")
    equal(run.service("b")["packets_transmitted"], 2000, "packets of b")
    equal(run.service("b")["dropped"], {}, "drops of b")


if __name__ == "__main__":
    main()
