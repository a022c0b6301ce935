#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Policies on captures: without a kernel that verifies them, by the capture's clock, the same each time."""

import os

from weir_replay import *

SAY = os.environ["WEIR_TEST_POLICY"]
WORKERS = [1, 3]
DROP, LIMIT, ROUTE = 1, 3, 4


def verdict(action, argument=0):
    return action | argument << 8


def policy(mode="enforce", on_error="pass", **parameters):
    return {"object": SAY, "mode": mode, "on-error": on_error, "set": parameters}


def judged(policies, workers=1, **more):
    more = {"protocol": "udp", "mode": "dsr", **more}
    entry = service(cores=workers, policy=policies, **more)
    return config(entry, cores=["1" if workers == 1 else f"1-{workers + 1}"])


def evenly(frames, seconds):
    return [(i * seconds / len(frames), f) for i, f in enumerate(frames)]


@case("what a policy drops is counted, with {} worker(s), and nothing else is lost", *WORKERS)
def drops(workers):
    run = replay(judged(policy(odd=1, verdict=verdict(DROP, 3)), workers),
                 evenly(udp_flood(2000, 200), 1))
    equal((run.transmitted, run.dropped), (1000, {"policy": 1000}), "passed and dropped")
    equal({o.l4().sport & 1 for o in run.frames()}, {0}, "ports that passed")


@case("the same capture gives the same bytes twice, with {} worker(s)", *WORKERS)
def repeatable(workers):
    whole = judged([policy(odd=1, verdict=verdict(DROP)), policy(new_only=1, mark=7)], workers)
    frames = evenly(udp_flood(2000, 300), 1)
    first, second = replay(whole, frames), replay(whole, frames)
    equal(first.text, second.text, "documents")
    equal([o.bytes for o in first.frames()], [o.bytes for o in second.frames()], "frames")


@case("a policy that is observed changes nothing, with {} worker(s)", *WORKERS)
def observed(workers):
    frames = evenly(udp_flood(1000, 100), 1)
    run = replay(judged(policy("observe", verdict=verdict(DROP)), workers), frames)
    equal((run.transmitted, run.dropped), (1000, {}), "passed and dropped")


@case("on an error a policy's packets pass or are dropped, as configured")
def errors():
    frames = evenly(udp_flood(100, 10), 1)
    run = replay(judged(policy(loops=100000)), frames)
    equal((run.transmitted, run.dropped), (100, {}), "on-error: pass")
    run = replay(judged(policy(on_error="drop", loops=100000)), frames)
    equal((run.transmitted, run.dropped), (0, {"policy_error": 100}), "on-error: drop")


@case("1k packets per second of a class pass within 2 % over 2 s, with {} worker(s)", *WORKERS)
def classes(workers):
    run = replay(judged(policy(odd=1, verdict=verdict(LIMIT, 1)), workers,
                        classes=[{"name": "slow", "packets": "1k"}]),
                 evenly(udp_flood(20000, 400), 2))
    odd = sum(o.l4().sport & 1 for o in run.frames())
    between(odd, 1960, 2060, "packets of the class")
    equal(run.transmitted - odd, 10000, "packets of no class")
    equal(run.dropped, {"limit_class": 10000 - odd}, "dropped")


@case("new flows that a policy routes go to its pool, in {}", "nat", "dsr")
def pools(mode):
    port = {"port": 8080} if mode == "nat" else {}
    replica = {"address": backend_address(4, 9), **port}
    run = replay(judged(policy(odd=1, verdict=verdict(ROUTE, 1)), protocol="tcp", mode=mode,
                        pools=[{"name": "replicas", "backends": [replica]}]),
                 [(i / 100, client_frame(sport=40000 + i)) for i in range(64)])
    equal(run.transmitted, 64, "packets passed")
    replica_mac = mac_of(replica["address"])
    equal(sum(o.scapy.dst == replica_mac for o in run.frames()), 32, "packets to the replica")


@case("packets that are no service's have a policy of their own")
def outside():
    whole = config(service(protocol="udp", mode="dsr"))
    whole["policy"] = policy(odd=1, verdict=verdict(DROP))
    run = replay(whole, evenly(udp_flood(200, 20, dport=81), 1))
    equal((run.passed, run.dropped), (100, {"policy": 100}), "passed on and dropped")


if __name__ == "__main__":
    main()
