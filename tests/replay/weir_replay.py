# SPDX-License-Identifier: BSD-3-Clause
"""What the replay tests share: TAP, captures, configurations, runs of `weirctl replay`, expectations.

A test is a function with @case("a sentence"); it makes frames with scapy, calls replay() and compares
what comes out. Frames are bytes; what has to come out is built by scapy with checksums from scratch, so
nothing here knows how Weir does it. replay() itself checks after every run that the counts balance.
"""

import functools
import json
import logging
import os
import struct
import subprocess
import sys
import tempfile
import traceback

logging.getLogger("scapy").setLevel(logging.ERROR)
try:
    from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import ARP, Dot1Q, Ether
    from scapy.packet import Padding, Raw
    from scapy.utils import RawPcapReader
except ImportError as error:
    print(f"Bail out! {error}: the package python3-scapy is needed")
    sys.exit(1)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIRCTL = os.environ.get("WEIRCTL", os.path.join(TOP, "build/weirctl"))
TIMEOUT = 120

CLIENT_MAC = "02:00:00:00:01:01"
ROUTER_MAC = "02:00:00:00:01:02"
WEIR_MAC = "02:00:00:00:02:01"

# Addresses by family.
VIP = {4: "203.0.113.10", 6: "2001:db8:10::10"}
CLIENT = {4: "198.51.100.7", 6: "2001:db8:20::7"}
SOURCE = {4: "10.0.0.1", 6: "fd00::1"}
SOURCES = {4: ["10.0.0.1", "10.0.0.2"], 6: ["fd00::1", "fd00::2"]}


def backend_address(family, number):
    return f"10.0.0.{10 + number}" if family == 4 else f"fd00::{10 + number:x}"


def backend_mac(number):
    return f"02:00:00:00:03:{number:02x}"


# ---- cases and TAP -------------------------------------------------------------------------------

_cases = []


def case(name, *parameters):
    """Register a test; with parameters, one test for each, its values in the name."""

    def register(function):
        if not parameters:
            _cases.append((name, function, ()))
        for values in parameters:
            values = values if isinstance(values, tuple) else (values,)
            _cases.append((name.format(*values), function, values))
        return function

    return register


def main():
    """Run the cases (those whose name holds an argument, if there are arguments) and print TAP."""
    wanted = [c for c in _cases if len(sys.argv) < 2 or any(a in c[0] for a in sys.argv[1:])]
    print(f"1..{len(wanted)}", flush=True)
    failed = 0
    for number, (name, function, values) in enumerate(wanted, 1):
        try:
            function(*values)
            print(f"ok {number} - {name}", flush=True)
        except Exception as error:  # whatever it is, the other cases still run
            failed += 1
            print(f"not ok {number} - {name}")
            where = traceback.extract_tb(error.__traceback__)
            for frame in where[1:]:
                print(f"#   {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}")
            for line in f"{type(error).__name__}: {error}".splitlines():
                print(f"# {line}")
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


def clip(value):
    text = repr(value)
    return text if len(text) < 600 else text[:600] + "..."


def equal(got, want, what="value"):
    if got != want:
        raise AssertionError(f"{what}: got {clip(got)}, want {clip(want)}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def between(got, low, high, what):
    if not low <= got <= high:
        raise AssertionError(f"{what}: got {got}, want {low}..{high}")


# ---- captures ------------------------------------------------------------------------------------

MAGIC_MICROSECONDS = 0xA1B2C3D4
MAGIC_NANOSECONDS = 0xA1B23C4D
START = 1_700_000_000 * 10**9  # capture time 0, in nanoseconds since 1970


def capture_write(path, packets, nanoseconds=True, swapped=False, linktype=1, cut=None):
    """Write (seconds since START, frame) pairs as a pcap file.

    cut: keep at most that many bytes of a frame (a snap length), the record says how long it was.
    """
    order = ">" if swapped else "<"
    unit = 1 if nanoseconds else 1000
    with open(path, "wb") as file:
        magic = MAGIC_NANOSECONDS if nanoseconds else MAGIC_MICROSECONDS
        file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, cut or 262144, linktype))
        for time, frame in packets:
            ns = START + round(time * 10**9)
            kept = frame[:cut] if cut else frame
            file.write(struct.pack(
                order + "IIII", ns // 10**9, ns % 10**9 // unit, len(kept), len(frame)))
            file.write(kept)


class Out:
    """One frame of an output capture."""

    def __init__(self, ns, frame):
        self.ns = ns  # since START
        self.bytes = frame

    @functools.cached_property
    def scapy(self):
        return Ether(self.bytes)

    def ip(self):
        return self.scapy[IPv6] if IPv6 in self.scapy else self.scapy[IP]

    def l4(self):
        return self.scapy[TCP] if TCP in self.scapy else self.scapy[UDP]


def capture_read(path):
    reader = RawPcapReader(path)
    try:
        return [
            Out(meta.sec * 10**9 + (meta.usec if reader.nano else meta.usec * 1000) - START, frame)
            for frame, meta in reader
        ]
    finally:
        reader.close()


# ---- configurations ------------------------------------------------------------------------------


def service(family=4, name="web", protocol="tcp", mode="nat", backends=3, **more):
    """A service as in the configuration file; backends: a number, or a list of mappings."""
    entry = {
        "name": name,
        "address": VIP[family],
        "port": 80,
        "protocol": protocol,
        "mode": mode,
        "backends": backends,
        "health": {"type": "none"},
    }
    port = 8080 if mode == "nat" else None
    if isinstance(backends, int):
        entry["backends"] = [
            dict({"address": backend_address(family, i)}, **({"port": port} if port else {}))
            for i in range(backends)
        ]
    if mode == "nat":
        entry["source-addresses"] = SOURCES[family]
    entry.update(more)
    return {key: value for key, value in entry.items() if value is not None}


def config(*services, ports=("front",), neighbours=None, neighbour_port=None, **dataplane):
    """A whole configuration; the neighbours of all backends are known unless they are given."""
    if neighbours is None:
        addresses = []
        for entry in services:
            pools = [b for pool in entry.get("pools", []) for b in pool["backends"]]
            for backend in entry["backends"] + pools:
                if backend["address"] not in addresses:
                    addresses.append(backend["address"])
        neighbours = [
            {"address": a, "mac": mac_of(a), "port": neighbour_port or ports[0]} for a in addresses
        ]
    whole = {
        "version": 1,
        "ports": [{"name": name, "device": f"eth{i}"} for i, name in enumerate(ports)],
        "services": list(services),
        "neighbours": neighbours,
    }
    if dataplane:
        whole["dataplane"] = dataplane
    return whole


def mac_of(address):
    """The link address that config() gives a backend."""
    number = int(address.split(".")[-1]) if "." in address else int(address.split(":")[-1], 16)
    return backend_mac(number)


# ---- runs ----------------------------------------------------------------------------------------


class Run:
    """What a replay gave: the document and the output frames by port, in order."""

    def __init__(self, document, out, text):
        self.document = document
        self.out = out
        self.text = text
        self.received = document["received"]
        self.transmitted = document["transmitted"]
        self.passed = document["passed_to_kernel"]
        self.dropped = document["dropped"]

    def frames(self, port="front"):
        return self.out[port]

    def service(self, name="web"):
        for entry in self.document["services"]:
            if entry["name"] == name:
                return entry
        raise AssertionError(f"no service {name} in {self.document['services']}")

    def only(self, port="front"):
        equal(len(self.out[port]), 1, f"frames out of {port} (dropped: {self.dropped})")
        return self.out[port][0]


def command(config_path, *arguments, prefix=()):
    return subprocess.run(
        [*prefix, WEIRCTL, "replay", config_path, *arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT, check=False)


def replay_raw(whole, inputs, outs=(), arguments=(), prefix=(), folder=None, **how):
    """Run without looking at the result. inputs: {port: packets, or bytes of a whole file}."""
    path = os.path.join(folder, "weir.yaml")
    with open(path, "w", encoding="utf-8") as file:
        # JSON is YAML.
        file.write(whole if isinstance(whole, str) else json.dumps(whole, indent=1))
    words = []
    for port, packets in inputs.items():
        capture = os.path.join(folder, f"{port}-in.pcap")
        if isinstance(packets, bytes):
            with open(capture, "wb") as file:
                file.write(packets)
        else:
            capture_write(capture, packets, **how)
        words += ["--in", f"{port}={capture}"]
    for port in outs:
        words += ["--out", f"{port}={os.path.join(folder, port + '-out.pcap')}"]
    return command(path, *words, "--json", *arguments, prefix=prefix)


def replay(whole, inputs, seed=None, arguments=(), prefix=(), outs=None, **how):
    """Replay packets, check that every one is accounted for, and return a Run.

    inputs  a list of (time, frame) for the port `front`, or {port: list}
    """
    if not isinstance(inputs, dict):
        inputs = {"front": inputs}
    if outs is None:
        outs = [p["name"] for p in whole["ports"]]
    arguments = list(arguments) + (["--seed", str(seed)] if seed is not None else [])
    with tempfile.TemporaryDirectory(prefix="weir-replay-") as folder:
        os.chmod(folder, 0o777)
        done = replay_raw(whole, inputs, outs, arguments, prefix, folder, **how)
        errors = done.stderr.decode(errors="replace")
        if done.returncode != 0:
            raise AssertionError(f"weirctl replay ended with {done.returncode}:\n{errors}")
        true("AddressSanitizer" not in errors and "runtime error" not in errors, errors)
        try:
            document = json.loads(done.stdout)
        except ValueError as error:
            raise AssertionError(f"not JSON ({error}): {done.stdout[:500]!r}") from error
        out = {p: capture_read(os.path.join(folder, p + "-out.pcap")) for p in outs}
    run = Run(document, out, done.stdout)
    balance(run, inputs, outs, whole)
    return run


def balance(run, inputs, outs, whole):
    """received = transmitted + passed to the kernel + dropped, in all and by service; files agree."""
    dropped = sum(run.dropped.values())
    shown = json.dumps(run.document)[:2000]
    equal(run.received, sum(len(p) for p in inputs.values()), f"received; {shown}")
    equal(run.received, run.transmitted + run.passed + dropped, f"balance; {shown}")
    if len(outs) == len(whole["ports"]):
        equal(sum(len(f) for f in run.out.values()),
              run.transmitted + run.document.get("originated", 0), "frames in the output files")
    for entry in run.document["services"]:
        equal(entry["packets_received"],
              entry["packets_transmitted"] + sum(entry["dropped"].values()),
              f"balance of the service {entry['name']}; {shown}")
    for reason, count in run.dropped.items():
        services = sum(e["dropped"].get(reason, 0) for e in run.document["services"])
        true(services <= count, f"services dropped more for {reason} than all: {shown}")


# ---- frames --------------------------------------------------------------------------------------


def ip_layer(family, source, destination, ttl=64, **fields):
    if family == 4:
        return IP(src=source, dst=destination, ttl=ttl, **fields)
    return IPv6(src=source, dst=destination, hlim=ttl, **fields)


def l4_layer(protocol, sport, dport, flags="PA", **fields):
    if protocol == "tcp":
        return TCP(sport=sport, dport=dport, flags=flags, seq=1000, ack=2000, **fields)
    return UDP(sport=sport, dport=dport, **fields)


def as_bytes(packet):
    """bytes(packet) without scapy's search for fields that stand for several values: half the time."""
    layer = packet
    while layer:
        layer.explicit = 1
        layer = layer.payload
    return bytes(packet)


def client_frame(family=4, protocol="tcp", sport=40000, dport=80, flags="S", payload=b"", ttl=64,
                 source=None, destination=None, mac=CLIENT_MAC, **fields):
    """From a client to the service."""
    return as_bytes(
        Ether(src=mac, dst=WEIR_MAC)
        / ip_layer(family, source or CLIENT[family], destination or VIP[family], ttl, **fields)
        / l4_layer(protocol, sport, dport, flags)
        / Raw(payload))


def client_frames(ports, family=4, protocol="tcp", **more):
    """client_frame() from each port, fast: in all but the first the port and the sum are written (RFC 1624)."""
    first = client_frame(family, protocol, sport=ports[0], **more)
    l4 = 54 if family == 6 else 34
    at = l4 + (16 if protocol == "tcp" else 6)
    rest = (~int.from_bytes(first[at:at + 2], "big") & 0xFFFF) + (~ports[0] & 0xFFFF)
    frames = []
    for port in ports:
        total = rest + port
        total = (total & 0xFFFF) + (total >> 16)
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        frame = bytearray(first)
        frame[l4:l4 + 2] = port.to_bytes(2, "big")
        frame[at:at + 2] = (total if protocol == "tcp" else total or 0xFFFF).to_bytes(2, "big")
        frames.append(bytes(frame))
    return frames


def reply_frame(request, flags="SA", payload=b"", ttl=64):
    """The answer of the backend that got this frame of ours (an Out)."""
    family = 6 if IPv6 in request.scapy else 4
    protocol = "tcp" if TCP in request.scapy else "udp"
    ip, l4 = request.ip(), request.l4()
    return as_bytes(
        Ether(src=request.scapy.dst, dst=request.scapy.src)
        / ip_layer(family, ip.dst, ip.src, ttl)
        / l4_layer(protocol, l4.dport, l4.sport, flags)
        / Raw(payload))


def checksum(data):
    """The Internet checksum of some bytes, as a number; 0 where a right one is among them."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def rebuild(packet):
    """The frame again with all checksums and lengths from scratch; a UDP checksum of 0 stays."""
    return rebuild_in_place(packet.copy())


def rebuild_in_place(packet):
    layer = packet
    while layer:
        if isinstance(layer, (IP, TCP)) or isinstance(layer, UDP) and layer.chksum != 0:
            del layer.chksum
        layer = layer.payload
    return as_bytes(packet)


def expected(frame, macs, source=None, destination=None, sport=None, dport=None):
    """The frame as it has to leave us: link addresses, TTL, and what is given, is changed.

    macs: (destination, source)
    """
    packet = Ether(frame)
    packet.dst, packet.src = macs
    if IPv6 in packet:
        ip = packet[IPv6]
        ip.hlim -= 1
    else:
        ip = packet[IP]
        ip.ttl -= 1
    ip.src = source or ip.src
    ip.dst = destination or ip.dst
    l4 = packet[TCP] if TCP in packet else packet[UDP]
    l4.sport = sport or l4.sport
    l4.dport = dport or l4.dport
    return rebuild_in_place(packet)


def same_frame(out, want, what="frame"):
    got = out.bytes if isinstance(out, Out) else out
    if got != want:
        raise AssertionError(
            f"{what} differs\ngot:  {got.hex()}\nwant: {want.hex()}\n"
            f"got:  {Ether(got)!r}\nwant: {Ether(want)!r}")


def to_backend_nat(frame, out, backends=3, family=4, sources=None, backend_port=8080):
    """Check a translated request and return (backend number, source address, source port)."""
    addresses = [backend_address(family, i) for i in range(backends)]
    true(out.ip().dst in addresses, f"{out.ip().dst} is no backend")
    true(out.ip().src in (sources or SOURCES[family]), f"{out.ip().src} is no source address")
    number = addresses.index(out.ip().dst)
    port = out.l4().sport
    true(port >= 1024, f"translated to the reserved port {port}")
    want = expected(frame, (mac_of(out.ip().dst), out.scapy.src), source=out.ip().src,
                    destination=out.ip().dst, sport=port, dport=backend_port)
    same_frame(out, want)
    true(out.scapy.src != CLIENT_MAC, "the frame still has the client's link address")
    return number, out.ip().src, port


def to_client_nat(reply, out, family=4, client=None, sport=40000, mac=CLIENT_MAC, vip=None, port=80):
    """Check a reply that was translated back."""
    want = expected(reply, (mac, out.scapy.src), source=vip or VIP[family],
                    destination=client or CLIENT[family], sport=port, dport=sport)
    same_frame(out, want)


# ---- many frames ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def udp_head(host, size, destination, dport):
    return bytes(Ether(src=CLIENT_MAC, dst=WEIR_MAC)
                 / IP(src=f"198.18.{host >> 8}.{host & 255}", dst=destination)
                 / UDP(sport=1, dport=dport, chksum=0) / Raw(b"\0" * (size - 42)))


def udp_flood(count, flows, size=60, destination=None, dport=80, first=0):
    """`count` UDP frames over IPv4 of `flows` clients in turn, fast: only the last part is scapy's.

    The UDP checksum is 0 (none), so that a client's port can be written in place.
    """
    frames = []
    for i in range(count):
        flow = first + i % flows
        host, port = flow >> 14, 2048 + (flow & 0x3FFF)
        frame = bytearray(udp_head(host, size, destination or VIP[4], dport))
        frame[34:36] = port.to_bytes(2, "big")
        frames.append(bytes(frame))
    return frames
