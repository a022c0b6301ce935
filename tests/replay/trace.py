#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Traces of a replay: what became of single packets, compared with the packets themselves."""

from scapy.layers.inet6 import ICMPv6EchoRequest

from weir_replay import *

STAGES = ["receive", "parse", "service", "dispatch", "limit", "flow", "balance", "rewrite",
          "neighbour", "transmit"]


def traced(whole, packets, *arguments, service_name="web"):
    run = replay(whole, packets, arguments=["--trace", service_name, *arguments])
    return run, run.document["trace"]


def stage(record, name):
    found = [s for s in record["stages"] if s["stage"] == name]
    equal(len(found), 1, f"stages {name} of {record}")
    return found[0]


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@case("nat, IPv{}: both ways of a flow are told as they were", 4, 6)
def both_ways(family):
    whole = config(service(family), ports=("front", "back"), neighbour_port="back")
    syn = client_frame(family)
    sent = replay(whole, {"front": [(0, syn)], "back": []}).only("back")
    answer = reply_frame(sent)
    run, records = traced(whole, {"front": [(0, syn)], "back": [(0.5, answer)]})
    equal(len(records), 2, "records")
    there, back = records
    backend = endpoint(sent.ip().dst, 8080)
    source = endpoint(sent.ip().src, sent.l4().sport)
    client, address = endpoint(CLIENT[family], 40000), endpoint(VIP[family], 80)
    equal([s["stage"] for s in there["stages"]], STAGES, "stages")
    equal((there["verdict"], there["reason"], there["service"], there["direction"]),
          ("transmitted", None, "web", "from_client"), "what became of it")
    equal((there["from"], there["to"], there["backend"]), (client, address, backend), "ends")
    equal(there["time_ns"], START, "time")
    equal((there["port"], there["port_out"]), ("front", "back"), "ports")
    equal(stage(there, "parse")["tcp_flags"], ["syn"], "flags")
    equal((stage(there, "flow")["flow"], stage(there, "flow")["state"]), ("none", "new"), "flow")
    equal(stage(there, "balance")["why"], "new_flow", "why")
    equal((stage(there, "rewrite")["from"], stage(there, "rewrite")["to"]), (source, backend),
          "rewritten")
    equal(stage(there, "neighbour")["mac"], sent.scapy.dst, "link address")
    equal((there["length"], there["left_length"]), (len(syn), len(sent.bytes)), "lengths")
    equal((back["direction"], back["from"], back["to"]), ("from_backend", backend, source), "reply")
    equal(stage(back, "balance")["why"], "reply", "why")
    equal((stage(back, "rewrite")["from"], stage(back, "rewrite")["to"]), (address, client),
          "rewritten back")
    equal(stage(back, "neighbour")["mac"], CLIENT_MAC, "link address of the client")
    equal(back["time_ns"], START + 500_000_000, "time")


@case("the way of a dropped packet ends where it was dropped, with the reason")
def dropped():
    whole = config(service(limits={"packets": 0}), service(name="other", port=81, backends=[]))
    run, records = traced(whole, [(0, client_frame())])
    equal((records[0]["verdict"], records[0]["stage"], records[0]["reason"]),
          ("dropped", "limit", "limit_packets"), "end")
    equal(stage(records[0], "limit"),
          {"stage": "limit", "verdict": "dropped", "reason": "limit_packets", "limits": ["packets"]},
          "limit")
    equal([s["stage"] for s in records[0]["stages"]], STAGES[:5], "stages")
    equal(records[0]["port_out"], None, "port")
    run, records = traced(whole, [(0, client_frame(dport=81))], service_name="other")
    equal((records[0]["stage"], records[0]["reason"], records[0]["backend"]),
          ("balance", "no_backend", None), "end")


@case("malformed packets and fragments of a service are told too")
def broken():
    bad = client_frame(payload=b"x" * 20)
    fragment = bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC)
                     / IP(src=CLIENT[4], dst=VIP[4], flags="MF", frag=100, proto=6) / Raw(b"x" * 40))
    run, records = traced(config(service()), [(0, bad[:44]), (1, fragment)])
    equal(run.dropped.get("malformed"), 1, "malformed ones")
    equal((records[0]["reason"], stage(records[0], "parse")["result"]), ("malformed", "malformed"),
          "the first")
    equal((records[0]["from"], records[0]["to"]), (CLIENT[4], VIP[4]), "its ends")
    equal(stage(records[1], "parse")["fragment"], True, "the second")


@case("--match chooses by the packet as it came or as it left")
def match():
    whole = config(service())
    frames = [client_frame(sport=40000 + i) for i in range(20)]
    run, records = traced(whole, [(i, f) for i, f in enumerate(frames)], "--match",
                          "tcp src port 40007 or src port 40009")
    equal([r["from"] for r in records], [f"{CLIENT[4]}:40007", f"{CLIENT[4]}:40009"], "matched")
    number, source, port = to_backend_nat(frames[3], run.frames()[3])
    run, records = traced(whole, [(i, f) for i, f in enumerate(frames)], "--match",
                          f"src host {source} and src port {port}", "--count", "500")
    equal([r["from"] for r in records], [f"{CLIENT[4]}:40003"], "by the translated source")


@case("no more are told than were asked for, and the captures come out the same")
def count():
    packets = [(i * 0.001, client_frame(sport=1024 + i)) for i in range(300)]
    plain = replay(config(service()), packets)
    run, records = traced(config(service()), packets)
    equal(len(records), 10, "by default")
    equal([o.bytes for o in run.frames()], [o.bytes for o in plain.frames()], "frames")
    run, records = traced(config(service()), packets, "--count", "250")
    equal([r["from"] for r in records], [f"{CLIENT[4]}:{1024 + i}" for i in range(250)], "in order")


@case("packets of others are not told")
def others():
    frames = [(0, client_frame()), (1, client_frame(dport=81)),
              (2, bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC) / IPv6(src=CLIENT[6], dst=VIP[6])
                        / ICMPv6EchoRequest()))]
    run, records = traced(config(service(), service(name="other", port=81)), frames)
    equal([r["to"] for r in records], [f"{VIP[4]}:80"], "packets")


def refused(words, status, *arguments):
    with tempfile.TemporaryDirectory(prefix="weir-replay-") as folder:
        done = replay_raw(config(service()), {"front": [(0, client_frame())]}, (), arguments,
                          folder=folder)
    equal(done.returncode, status, f"exit status ({done.stderr!r})")
    true(words.encode() in done.stderr, f"{words!r} is not in {done.stderr!r}")


@case("a trace that makes no sense is refused")
def nonsense():
    refused("there is no service nobody", 1, "--trace", "nobody")
    refused("--match", 2, "--trace", "web", "--match", "tcp and and")
    refused("--count", 2, "--trace", "web", "--count", "none")
    refused("--trace", 2, "--count", "3")


if __name__ == "__main__":
    main()
