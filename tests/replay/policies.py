#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Policies in a replay: the real stage on captures, without root; the interpreter runs them."""

from weir_replay import *

BUILD = os.environ.get("WEIR_BUILD", os.path.join(TOP, "build"))
CHOSEN = os.path.join(BUILD, "tests/replay/chosen.o")

DROP, PASS = 1, 2


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


@case("flows that a policy sends to a pool go there, and no others")
def routed():
    pools = [{"name": "canary", "backends": [{"address": backend_address(4, 9), "port": 8080}]}]
    run = replay(config(service(policy=chosen(route(1)), pools=pools)), MIX)
    equal(run.transmitted, 40, "packets")
    equal(sum(o.ip().dst == backend_address(4, 9) for o in run.frames()), 20, "packets to the pool")
    shown = [b for b in run.service()["backends"] if b["pool"] == "canary"]
    equal([b["new_flows"] for b in shown], [20], "flows of the pool")


@case("a class lets its rate pass, within 2 %")
def classed():
    whole = config(service(protocol="udp", policy=chosen(limit(1)), classes=[{"name": "slow", "packets": 500}]))
    frames = from_sources(5000, "198.51.100.7", "198.51.100.8", seconds=4, protocol="udp")
    run = replay(whole, frames)
    passed = run.transmitted - 5000
    between(passed, 2000 * 0.98, 2000 * 1.02 + 10, "packets of the class")
    equal(run.dropped, {"limit_class": 5000 - passed}, "dropped")
    equal(run.service()["classes"][0]["packets"], 5000, "packets put into the class")


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


@case("a shipped policy limits new flows of each source by the capture's clock")
def source_limit():
    whole = config(service(policy={"object": shipped("source_limit"), "set": {"rate": 10, "burst": 10}}))
    run = replay(whole, from_sources(200, "198.51.100.7", "198.51.100.8", seconds=2))
    between(run.transmitted, 2 * 25, 2 * 32, "SYNs that passed")
    equal(run.dropped, {"policy": 400 - run.transmitted}, "dropped")


@case("the same capture and seed give the same bytes and verdicts")
def same_again():
    whole = config(service(policy={"object": shipped("syn_guard"), "set": {"calm": 5, "strangers": 5}}))
    first, second = (replay(whole, MIX, seed=3) for _ in range(2))
    equal([(o.ns, o.bytes) for o in second.frames()], [(o.ns, o.bytes) for o in first.frames()], "frames")
    equal(second.document, first.document, "documents")


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
