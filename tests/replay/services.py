#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several services, ports and prefixes: whose packet is it, and where does it leave?"""

from weir_replay import *


@case("a service of port any takes every port of its protocol, in {}", "nat", "dsr")
def any_port(mode):
    entry = service(mode=mode, port="any")
    frames = [client_frame(sport=30000 + i, dport=port, payload=b"p")
              for i, port in enumerate((1, 22, 80, 443, 8080, 65535))]
    run = replay(config(entry), [(i * 0.1, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), len(frames), f"frames out (dropped: {run.dropped})")
    for frame, out in zip(frames, run.frames()):
        if mode == "nat":
            to_backend_nat(frame, out)
        else:
            equal(out.l4().dport, Ether(frame)[TCP].dport, "destination port")
    other = client_frame(protocol="udp", dport=53)
    equal(replay(config(entry), [(0, other)]).passed, 1, "the other protocol's packet to the kernel")


@case("the reply of a service of port any comes from the port that the client used")
def any_port_reply():
    whole = config(service(port="any"))
    request = client_frame(dport=5222)
    first = replay(whole, [(0, request)]).only()
    answer = reply_frame(first)
    to_client_nat(answer, replay(whole, [(0, request), (1, answer)]).frames()[1], port=5222)


@case("an exact port goes before port any")
def exact_before_any():
    exact = service(name="exact", port=80, backends=[{"address": "10.0.0.10", "port": 8080}])
    rest = service(name="rest", port="any", backends=[{"address": "10.0.0.11", "port": 8080}])
    frames = [client_frame(dport=80), client_frame(dport=81)]
    run = replay(config(exact, rest), [(0, f) for f in frames])
    equal([o.ip().dst for o in run.frames()], ["10.0.0.10", "10.0.0.11"], "backends")
    equal([run.service(n)["packets_received"] for n in ("exact", "rest")], [1, 1], "counters")


@case("a prefix of IPv{} takes all of its addresses, and no other", 4, 6)
def prefix(family):
    address = "203.0.113.0/28" if family == 4 else "2001:db8:10::/124"
    inside = (["203.0.113.0", "203.0.113.10", "203.0.113.15"] if family == 4
              else ["2001:db8:10::", "2001:db8:10::a", "2001:db8:10::f"])
    outside = (["203.0.113.16", "203.0.112.255"] if family == 4
               else ["2001:db8:10::10", "2001:db8:f::f"])
    whole = config(service(family, address=address))
    frames = [client_frame(family, destination=d) for d in inside]
    run = replay(whole, [(i, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), len(frames), f"frames out (dropped: {run.dropped})")
    for frame, out in zip(frames, run.frames()):
        to_backend_nat(frame, out, family=family)
    run = replay(whole, [(i, client_frame(family, destination=d)) for i, d in enumerate(outside)])
    equal(run.passed, len(outside), "passed to the kernel")


@case("the reply to a prefix service comes from the address that the client used")
def prefix_reply():
    whole = config(service(address="203.0.113.0/28"))
    request = client_frame(destination="203.0.113.3")
    answer = reply_frame(replay(whole, [(0, request)]).only())
    out = replay(whole, [(0, request), (1, answer)]).frames()[1]
    to_client_nat(answer, out, vip="203.0.113.3")


@case("the longest prefix wins, also over an exact port of a shorter one's address")
def longest_prefix():
    wide = service(name="wide", address="203.0.112.0/20", backends=[{"address": "10.0.0.10", "port": 8080}])
    narrow = service(name="narrow", address="203.0.113.8/29",
                     backends=[{"address": "10.0.0.11", "port": 8080}])
    host = service(name="host", address="203.0.113.10",
                   backends=[{"address": "10.0.0.12", "port": 8080}])
    frames = [client_frame(destination=d) for d in ("203.0.113.1", "203.0.113.9", "203.0.113.10")]
    run = replay(config(wide, narrow, host), [(i, f) for i, f in enumerate(frames)])
    equal([o.ip().dst for o in run.frames()], ["10.0.0.10", "10.0.0.11", "10.0.0.12"], "backends")


@case("40 services on one address, each with its own backend and counters")
def many():
    entries = [service(name=f"s{i}", port=1000 + i, mode="dsr",
                       backends=[{"address": backend_address(4, i)}]) for i in range(40)]
    frames = [client_frame(sport=2000 + i, dport=1000 + i) for i in range(40) for _ in range(i + 1)]
    run = replay(config(*entries), [(i * 0.001, f) for i, f in enumerate(frames)])
    for i in range(40):
        equal(run.service(f"s{i}")["packets_transmitted"], i + 1, f"packets of s{i}")
    for out in run.frames():
        equal(out.scapy.dst, backend_mac(10 + out.l4().dport - 1000), "backend's link address")


@case("nat services share source addresses, and each reply finds its own service")
def shared_sources():
    entries = [service(name=f"s{i}", port=1000 + i) for i in range(5)]
    whole = config(*entries)
    requests = [client_frame(dport=1000 + i) for i in range(5)]
    firsts = replay(whole, [(0, f) for f in requests]).frames()
    equal(len({(o.ip().src, o.l4().sport) for o in firsts}), 5, "different source ports")
    answers = [reply_frame(o, payload=bytes([i])) for i, o in enumerate(firsts)]
    run = replay(whole, [(0, f) for f in requests] + [(1, f) for f in answers])
    for i, (answer, out) in enumerate(zip(answers, run.frames()[5:])):
        to_client_nat(answer, out, port=1000 + i)
    for i in range(5):
        equal(run.service(f"s{i}")["packets_received"], 2, f"packets of s{i}, both directions")


@case("backends behind different ports: each frame leaves at its backend's port")
def ports_of_backends():
    neighbours = [{"address": backend_address(4, i), "mac": backend_mac(10 + i), "port": f"p{i}"}
                  for i in range(3)]
    whole = config(service(mode="dsr"), ports=("p0", "p1", "p2"), neighbours=neighbours)
    frames = [client_frame(sport=4000 + i) for i in range(60)]
    run = replay(whole, {"p0": [(i * 0.01, f) for i, f in enumerate(frames)]})
    for i in range(3):
        true(run.frames(f"p{i}"), f"no frame left at p{i}")
        equal({o.scapy.dst for o in run.frames(f"p{i}")}, {backend_mac(10 + i)}, f"frames at p{i}")


@case("backends on other ports of one address are told apart")
def ports_of_one_address():
    backends = [{"address": "10.0.0.10", "port": 8080 + i} for i in range(3)]
    whole = config(service(backends=backends))
    frames = [client_frame(sport=4000 + i) for i in range(60)]
    packets = [(i * 0.01, f) for i, f in enumerate(frames)]
    run = replay(whole, packets)
    equal({o.l4().dport for o in run.frames()}, {8080, 8081, 8082}, "backend ports")
    answers = [reply_frame(o) for o in run.frames()]
    back = replay(whole, packets + [(1 + i * 0.01, f) for i, f in enumerate(answers)]).frames()[60:]
    for i, (answer, out) in enumerate(zip(answers, back)):
        to_client_nat(answer, out, sport=4000 + i)


if __name__ == "__main__":
    main()
