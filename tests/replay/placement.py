#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which backend gets what: weights, consistency, seeds, determinism."""

import math

from weir_replay import *

FLOWS = 6000


def weighted(weights, mode="dsr", protocol="udp"):
    backends = []
    for i, weight in enumerate(weights):
        backend = {"address": backend_address(4, i), "weight": weight}
        if mode == "nat":
            backend["port"] = 8080
        backends.append(backend)
    return config(service(protocol=protocol, mode=mode, backends=backends))


def places(whole, seed=None, flows=FLOWS):
    """Client (address, port) -> link address of its backend."""
    frames = udp_flood(flows, flows)
    run = replay(whole, [(i * 0.0001, f) for i, f in enumerate(frames)], seed=seed)
    equal(run.transmitted, flows, f"frames out (dropped: {run.dropped})")
    return {o.bytes[26:30] + o.bytes[34:36]: o.bytes[:6].hex(":") for o in run.frames()}


@case("flows are shared out by weight: {}", "1:1", "100:200:300", "1:1:1:1:1:1:1:1:1:1", "1:100",
      "3:0:5", "65535:65535:1")
def shares(text):
    weights = [int(w) for w in text.split(":")]
    got = list(places(weighted(weights)).values())
    for i, weight in enumerate(weights):
        share = weight / sum(weights)
        # Five standard deviations of random placement, and the table's own grain of 1 in 65,537.
        slack = 5 * math.sqrt(FLOWS * share * (1 - share)) + FLOWS * 0.01 * share + 1
        between(got.count(backend_mac(10 + i)) if weight else -got.count(backend_mac(10 + i)),
                FLOWS * share - slack if weight else 0, FLOWS * share + slack if weight else 0,
                f"flows of backend {i} (weight {weight})")


@case("without one of ten backends nearly all flows of the others stay where they were")
def one_less():
    before = places(weighted([100] * 10))
    after = places(weighted([100] * 9))
    gone = backend_mac(19)
    kept = [flow for flow, place in before.items() if place != gone]
    moved = sum(before[flow] != after[flow] for flow in kept)
    between(moved, 0, len(kept) * 0.05, f"of {len(kept)} flows moved")
    true(gone not in after.values(), "a flow went to a backend that is not there")


@case("the order of backends in the file does not matter")
def order():
    whole = weighted([100, 200, 300])
    turned = json.loads(json.dumps(whole))
    turned["services"][0]["backends"].reverse()
    equal(places(whole), places(turned), "placement")


@case("two runs give the same bytes and the same report, in {} with {} worker(s)",
      ("nat", 1), ("nat", 3), ("dsr", 1), ("dsr", 3))
def determinism(mode, workers):
    entry = service(protocol="udp", mode=mode, cores=workers, limits={"packets": "5k"})
    whole = config(entry, cores=["1" if workers == 1 else f"1-{workers + 1}"])
    packets = [(i * 0.0001, f) for i, f in enumerate(udp_flood(3000, 700))]
    first, second = replay(whole, packets), replay(whole, packets)
    equal([(o.ns, o.bytes) for o in first.frames()], [(o.ns, o.bytes) for o in second.frames()],
          "frames out")
    equal(first.text, second.text, "report")


@case("the number of workers changes no byte of what goes out")
def workers_alike():
    runs = []
    for workers in (1, 3):
        whole = config(service(protocol="udp", cores=workers),
                       cores=["1" if workers == 1 else f"1-{workers + 1}"])
        packets = [(i * 0.001, f) for i, f in enumerate(udp_flood(2000, 700))]
        runs.append(sorted((o.ns, o.bytes) for o in replay(whole, packets).frames()))
    equal(runs[0], runs[1], "frames out with 1 and with 3 workers")


@case("seed 0 is the default, and another seed places otherwise")
def seeds():
    whole = weighted([100] * 4)
    default = places(whole)
    equal(default, places(whole, seed=0), "placement with --seed 0")
    other = places(whole, seed=12345)
    moved = sum(default[flow] != other[flow] for flow in default)
    between(moved, FLOWS * 0.65, FLOWS * 0.85, "flows that moved with another seed")


@case("backends count as up, so that a fallback pool gets nothing: {}", "nat", "dsr")
def fallback_rests(mode):
    port = {"port": 8080} if mode == "nat" else {}
    whole = config(service(protocol="udp", mode=mode, backends=2,
                           fallback=[dict(address=backend_address(4, 9), **port)]))
    frames = udp_flood(200, 200)
    run = replay(whole, [(i * 0.0001, f) for i, f in enumerate(frames)])
    equal(run.transmitted, 200, f"frames out (dropped: {run.dropped})")
    listed = run.service()["backends"]
    equal([b["state"] for b in listed], ["up", "up", "fallback"], "states")
    equal([b["weight_in_force"] for b in listed], [100, 100, 0], "weights in force")
    equal(listed[2]["new_flows"], 0, "flows of the fallback")


@case("backends of weight 0 cannot serve: the fallback pool gets all: {}", "nat", "dsr")
def fallback_serves(mode):
    port = {"port": 8080} if mode == "nat" else {}
    there = backend_address(4, 9)
    whole = config(service(
        protocol="udp", mode=mode, fallback=[dict(address=there, **port)],
        backends=[dict(address=backend_address(4, 0), weight=0, **port)]))
    whole["neighbours"].append({"address": there, "mac": mac_of(there), "port": "front"})
    frames = udp_flood(200, 200)
    run = replay(whole, [(i * 0.0001, f) for i, f in enumerate(frames)])
    equal({o.scapy.dst for o in run.frames()}, {mac_of(there)}, "where frames go")
    equal(run.transmitted, 200, f"frames out (dropped: {run.dropped})")
    equal([(b["state"], b["weight_in_force"]) for b in run.service()["backends"]],
          [("up", 0), ("fallback", 100)], "states and weights in force")


if __name__ == "__main__":
    main()
