#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""nat: both directions, byte for byte."""

from weir_replay import *

ALL = [(4, "tcp"), (4, "udp"), (6, "tcp"), (6, "udp")]


def request_and_reply(family, protocol, whole=None, seed=None):
    """One request; then the same again with its reply. Returns (frames in, request out, reply out)."""
    whole = whole or config(service(family, protocol=protocol))
    request = client_frame(family, protocol, payload=b"ping")
    first = replay(whole, [(0, request)], seed=seed).only()
    answer = reply_frame(first, payload=b"pong!")
    run = replay(whole, [(0, request), (0.001, answer)], seed=seed)
    equal(len(run.frames()), 2, f"frames out (dropped: {run.dropped})")
    same_frame(run.frames()[0], first.bytes, "the request in the second run")
    return request, answer, run.frames()[0], run.frames()[1]


@case("IPv{} {}: a request goes to a backend from a source address of ours", *ALL)
def request(family, protocol):
    frame = client_frame(family, protocol, payload=b"hello, backend")
    run = replay(config(service(family, protocol=protocol)), [(0, frame)])
    to_backend_nat(frame, run.only(), family=family)


@case("IPv{} {}: the reply goes back to the client from the service's address", *ALL)
def reply(family, protocol):
    _, answer, _, out = request_and_reply(family, protocol)
    to_client_nat(answer, out, family)


@case("IPv{} {}: with another seed a flow still works in both directions", *ALL)
def other_seed(family, protocol):
    for seed in (1, 2, 99):
        sent, answer, forward, out = request_and_reply(family, protocol, seed=seed)
        to_backend_nat(sent, forward, family=family)
        to_client_nat(answer, out, family)


@case("IPv{} {}: all packets of a flow go to one backend from one port", *ALL)
def same_flow(family, protocol):
    frames = [
        client_frame(family, protocol, flags="S" if i == 0 else "PA", payload=bytes([i]) * i)
        for i in range(50)
    ]
    run = replay(config(service(family, protocol=protocol)), [(i * 0.01, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), 50, "frames out")
    places = {to_backend_nat(f, o, family=family) for f, o in zip(frames, run.frames())}
    equal(len(places), 1, "places that the flow went to")


@case("IPv{} {}: 2000 flows get translated ports that tell them apart", *ALL)
def distinct(family, protocol):
    whole = config(service(family, protocol=protocol))
    frames = client_frames(range(10000, 12000), family, protocol)
    run = replay(whole, [(i * 0.0001, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), 2000, f"frames out (dropped: {run.dropped})")
    places = [to_backend_nat(f, o, family=family) for f, o in zip(frames, run.frames())]
    equal(len(set(places)), 2000, "different translations")
    # And every reply finds its own client port.
    replies = [reply_frame(out, payload=bytes(str(i), "ascii")) for i, out in enumerate(run.frames())]
    packets = [(i * 0.0001, f) for i, f in enumerate(frames)]
    packets += [(1 + i * 0.0001, f) for i, f in enumerate(replies)]
    back = replay(whole, packets).frames()[2000:]
    equal(len(back), 2000, "replies out")
    for i, (answer, out) in enumerate(zip(replies, back)):
        to_client_nat(answer, out, family, sport=10000 + i)


@case("a conversation: handshake, request, response, close, all of it translated")
def conversation():
    whole = config(service())
    opening = client_frame(flags="S")
    first = replay(whole, [(0, opening)]).only()
    script = [("S", b""), ("reply SA", b""), ("A", b""), ("PA", b"GET / HTTP/1.0\r\n\r\n"),
              ("reply A", b""), ("reply PA", b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1000),
              ("A", b""), ("FA", b""), ("reply FA", b""), ("A", b"")]
    frames = []
    for flags, payload in script:
        if flags.startswith("reply "):
            frames.append(reply_frame(first, flags[6:], payload))
        else:
            frames.append(client_frame(flags=flags, payload=payload))
    run = replay(whole, [(i * 0.001, f) for i, f in enumerate(frames)])
    equal(len(run.frames()), len(frames), "frames out")
    for (flags, _), frame, out in zip(script, frames, run.frames()):
        if flags.startswith("reply "):
            to_client_nat(frame, out)
        else:
            to_backend_nat(frame, out)
    web = run.service()
    equal(web["new_flows"], 1, "new flows")
    backends = [b for b in web["backends"] if b["packets"]]
    equal([b["packets"] for b in backends], [6], "packets to the one backend that was used")


@case("latency in the report: connect is SYN to SYN-ACK, first byte is request to response")
def latency():
    whole = config(service())
    first = replay(whole, [(0, client_frame(flags="S"))]).only()
    run = replay(whole, [
        (0.0, client_frame(flags="S")),
        (0.020, reply_frame(first, "SA")),
        (0.040, client_frame(flags="A")),
        (0.100, client_frame(flags="PA", payload=b"GET")),
        (0.101, reply_frame(first, "A")),
        (0.150, reply_frame(first, "PA", b"200")),
    ])
    used = [b for b in run.service()["backends"] if b["packets"]]
    equal(len(used), 1, "backends with traffic")
    between(used[0]["connect"]["p50"], 0.0194, 0.0206, "connect time in seconds")
    between(used[0]["first_byte"]["p50"], 0.0485, 0.0515, "first-byte time in seconds")


@case("the client's link address is followed when its router changes")
def router_changes():
    whole = config(service())
    opening = client_frame(flags="S")
    first = replay(whole, [(0, opening)]).only()
    moved = client_frame(flags="A", mac=ROUTER_MAC)
    answer = reply_frame(first, "PA", b"x")
    run = replay(whole, [(0, opening), (0.01, answer), (0.02, moved), (0.03, answer)])
    equal(len(run.frames()), 4, "frames out")
    to_client_nat(answer, run.frames()[1])
    to_client_nat(answer, run.frames()[3], mac=ROUTER_MAC)


@case("a reply that nobody asked for is dropped as no_flow")
def unasked():
    whole = config(service())
    first = replay(whole, [(0, client_frame())]).only()
    answer = reply_frame(first)
    run = replay(whole, [(0, answer)])
    equal((run.transmitted, run.dropped), (0, {"no_flow": 1}), "what became of it")


@case("a reply from another backend, or from another port of it, finds no flow")
def wrong_backend():
    whole = config(service())
    first = replay(whole, [(0, client_frame())]).only()
    answers = []
    for change in ("address", "port"):
        packet = Ether(reply_frame(first))
        if change == "address":
            packet[IP].src = next(
                a for a in map(lambda i: backend_address(4, i), range(3)) if a != packet[IP].src)
        else:
            packet[TCP].sport = 8081
        answers.append(rebuild(packet))
    run = replay(whole, [(0, client_frame()), (0.1, answers[0]), (0.2, answers[1])])
    equal((run.transmitted, run.dropped), (1, {"no_flow": 2}), "what became of them")


@case("a packet to a source address at a port outside our blocks is the kernel's")
def outside_blocks():
    frames = [client_frame(dport=port, destination=SOURCE[4], flags=flags)
              for port in (22, 80, 1023) for flags in ("S", "SA", "A")]
    run = replay(config(service()), [(0, f) for f in frames])
    equal(run.passed, len(frames), "passed to the kernel")


@case("two-armed: replies come in at one port and leave at the other")
def two_arms():
    whole = config(service(), ports=("front", "back"), neighbour_port="back")
    request = client_frame(payload=b"x")
    first = replay(whole, {"front": [(0, request)], "back": []})
    equal(len(first.frames("front")), 0, "frames out of front")
    out = first.only("back")
    to_backend_nat(request, out)
    answer = reply_frame(out, payload=b"yy")
    run = replay(whole, {"front": [(0, request)], "back": [(0.001, answer)]})
    same_frame(run.only("back"), out.bytes)
    to_client_nat(answer, run.only("front"))
    true(run.only("front").scapy.src != run.only("back").scapy.src,
         "both ports send from the same link address")


@case("the kernel's own checksum verdict (tshark): every frame out is right")
def tshark():
    frames = []
    for family, protocol in ALL:
        frames += [(family, protocol, client_frame(family, protocol, sport=20000 + i, payload=b"z" * i))
                   for i in range(40)]
    services = [service(f, name=f"{p}{f}", protocol=p) for f, p in ALL]
    whole = config(*services)
    firsts = replay(whole, [(i * 0.001, f[2]) for i, f in enumerate(frames)]).frames()
    equal(len(firsts), len(frames), "frames out")
    replies = [reply_frame(out, payload=b"y" * i) for i, out in enumerate(firsts)]
    packets = [(i * 0.001, f[2]) for i, f in enumerate(frames)]
    packets += [(1 + i * 0.001, f) for i, f in enumerate(replies)]
    run = replay(whole, packets)
    equal(len(run.frames()), 2 * len(frames), "frames out")
    with tempfile.TemporaryDirectory(prefix="weir-replay-") as folder:
        path = os.path.join(folder, "out.pcap")
        capture_write(path, [(o.ns / 10**9, o.bytes) for o in run.frames()])
        fields = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"]
        # HOME: tshark reads no settings of whoever runs this.
        shown = subprocess.run(
            ["tshark", "-r", path, "-n", "-o", "ip.check_checksum:TRUE",
             "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields"]
            + [word for field in fields for word in ("-e", field)],
            env={**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder}, check=True, timeout=TIMEOUT,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    lines = [line.split("\t") for line in shown.splitlines()]
    equal(len(lines), 2 * len(frames), "frames that tshark saw")
    good = ("1", "Good")
    bad = [i for i, (ip, tcp, udp) in enumerate(lines)
           if ip not in ("",) + good or tcp not in ("",) + good or udp not in ("",) + good
           or not (tcp or udp)]
    equal(bad, [], "frames with a wrong or unchecked checksum")
    equal(sum(ip in good for ip, _, _ in lines), len(frames), "IPv4 headers that were checked")


if __name__ == "__main__":
    main()
