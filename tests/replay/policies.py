#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Policies in a replay: the real stage on captures, without root; the interpreter runs them."""

from weir_replay import *

BUILD = os.environ.get("WEIR_BUILD", os.path.join(TOP, "build"))
CHOSEN = os.path.join(BUILD, "tests/replay/chosen.o")
SAY = os.environ["WEIR_TEST_POLICY"]
WORKERS = [1, 3]

DROP = 1


def limit(number):
    return 3 | number << 8


def route(number):
    return 4 | number << 8


def drop_as(reason):
    return DROP | reason << 8


def shipped(name):
    return os.path.join(BUILD, f"ebpf/policies/{name}.o")


def chosen(verdict, source=7, **more):
    """The verdict for what comes from an address that ends in `source`."""
    return dict({"object": CHOSEN, "set": {"verdict": verdict, "source": source}}, **more)


def from_sources(count, *sources, seconds=1.0, **fields):
    """`count` frames of each, evenly spread."""
    return [(i * seconds / count, client_frame(source=s, sport=20000 + i, **fields))
            for i in range(count) for s in sources]


def say(mode="enforce", on_error="pass", **parameters):
    """Says the same of every packet that it is asked about."""
    return {"object": SAY, "mode": mode, "on-error": on_error, "set": parameters}


def judged(policies, workers=1, **more):
    more = {"protocol": "udp", "mode": "dsr", **more}
    return config(service(cores=workers, policy=policies, **more),
                  cores=["1" if workers == 1 else f"1-{workers + 1}"])


def evenly(frames, seconds):
    return [(i * seconds / len(frames), f) for i, f in enumerate(frames)]


def policy(run, position=0):
    return run.service()["policies"][position]


MIX = from_sources(20, "198.51.100.7", "198.51.100.8")


@case("what a policy drops is counted for the policy, and by its reason")
def dropped():
    run = replay(config(service(policy=chosen(drop_as(5)))), MIX)
    equal((run.transmitted, run.dropped), (20, {"policy": 20}), "packets")
    true(all(o.ip().dst.startswith("10.0.0.") for o in run.frames()), "who passed")
    equal(policy(run)["verdicts"], {"aborted": 0, "drop": 20, "pass": 20, "limit": 0, "route": 0}, "verdicts")
    equal(policy(run)["reasons"], {"5": 20}, "reasons")
    equal((policy(run)["name"], policy(run)["state"], policy(run)["compiled"]), ("chosen", "running", False), "policy")


@case("a policy that is only observed counts its verdicts and carries out none")
def observed():
    run = replay(config(service(policy=chosen(DROP, mode="observe"))), MIX)
    equal((run.transmitted, run.dropped), (40, {}), "packets")
    equal((policy(run)["verdicts"]["drop"], policy(run)["state"]), (20, "observed"), "verdicts")


@case("on-error: {} decides about a verdict that means nothing here", "pass", "drop")
def on_error(action):
    run = replay(config(service(policy=chosen(limit(1), **{"on-error": action}))), MIX)
    equal(run.dropped, {"policy_error": 20} if action == "drop" else {}, "dropped")
    equal((policy(run)["verdicts"]["aborted"], policy(run)["no_class"]), (20, 20), "aborted")


@case("policies run in their order, and the first that drops ends it")
def in_order():
    run = replay(config(service(policy=[chosen(DROP, 7), chosen(DROP, 8), chosen(drop_as(3), 256)])), MIX)
    equal((run.transmitted, run.dropped), (0, {"policy": 40}), "packets")
    equal([policy(run, i)["packets"] for i in range(3)], [40, 20, 0], "packets judged")


@case("the policy at the top is for packets that are no service's")
def outside():
    frames = [(i * 0.01, client_frame(source=s, dport=81, sport=1000 + i))
              for i in range(10) for s in ("198.51.100.7", "198.51.100.8")]
    whole = dict(config(service()), policy=chosen(DROP))
    run = replay(whole, frames)
    equal((run.passed, run.dropped), (10, {"policy": 10}), "packets")


@case("what a policy drops is counted, with {} worker(s), and nothing else is lost", *WORKERS)
def drops(workers):
    run = replay(judged(say(odd=1, verdict=drop_as(3)), workers),
                 evenly(udp_flood(2000, 200), 1))
    equal((run.transmitted, run.dropped), (1000, {"policy": 1000}), "passed and dropped")
    equal({o.l4().sport & 1 for o in run.frames()}, {0}, "ports that passed")


@case("the same capture gives the same bytes twice, with {} worker(s)", *WORKERS)
def repeatable(workers):
    whole = judged([say(odd=1, verdict=DROP), say(new_only=1, mark=7)], workers)
    frames = evenly(udp_flood(2000, 300), 1)
    first, second = replay(whole, frames), replay(whole, frames)
    equal(first.text, second.text, "documents")
    equal([o.bytes for o in first.frames()], [o.bytes for o in second.frames()], "frames")


@case("packets of a policy that loops on pass or are dropped, as on-error says")
def on_loop():
    frames = evenly(udp_flood(100, 10), 1)
    run = replay(judged(say(loops=100000)), frames)
    equal((run.transmitted, run.dropped), (100, {}), "on-error: pass")
    run = replay(judged(say(on_error="drop", loops=100000)), frames)
    equal((run.transmitted, run.dropped), (0, {"policy_error": 100}), "on-error: drop")


@case("1k packets per second of a class pass within 2 % over 2 s, with {} worker(s)", *WORKERS)
def classes(workers):
    run = replay(judged(say(odd=1, verdict=limit(1)), workers,
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
    run = replay(judged(say(odd=1, verdict=route(1)), protocol="tcp", mode=mode,
                        pools=[{"name": "replicas", "backends": [replica]}]),
                 [(i / 100, client_frame(sport=40000 + i)) for i in range(64)])
    equal(run.transmitted, 64, "packets passed")
    replica_mac = mac_of(replica["address"])
    equal(sum(o.scapy.dst == replica_mac for o in run.frames()), 32, "packets to the replica")


@case("a shipped policy limits new flows of each source by the capture's clock")
def source_limit():
    whole = config(service(policy={"object": shipped("source_limit"), "set": {"rate": 10, "burst": 10}}))
    run = replay(whole, from_sources(200, "198.51.100.7", "198.51.100.8", seconds=2))
    between(run.transmitted, 2 * 25, 2 * 32, "SYNs that passed")
    equal(run.dropped, {"policy": 400 - run.transmitted}, "dropped")


@case("a policy that cannot be had is told with its place in the file: {}", "missing", "parameter", "garbage")
def refused(what):
    with tempfile.TemporaryDirectory(prefix="weir-replay-") as folder:
        if what == "garbage":
            with open(os.path.join(folder, "bad.o"), "wb") as file:
                file.write(b"\x7fELF" + bytes(500))
        entry = {"object": CHOSEN, "set": {"nothing": 1}} if what == "parameter" else {"object": "bad.o"}
        done = replay_raw(config(service(policy=entry)), {"front": MIX}, folder=folder)
        errors = done.stderr.decode()
        equal(done.returncode, 1, f"exit status ({errors})")
        true(errors.startswith(os.path.join(folder, "weir.yaml") + ":"), errors)
        true("refused" in errors and ("nothing" if what == "parameter" else "bad.o") in errors, errors)


main()
