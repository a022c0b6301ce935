#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The datagrams of weir-probe, read and made by other code than its own.

    probe_datagrams.py listen ADDRESS PORT KEY_FILE LOG    a line of JSON each, of those that are sound
    probe_datagrams.py sum LOG SENDER SERVICE_PORT         what was told of a service, added up
    probe_datagrams.py capture ADDRESS PORT FILE           keep the next one as it is
    probe_datagrams.py send ADDRESS PORT FILE              send it as it is
    probe_datagrams.py forge ADDRESS PORT KEY_FILE SENDER SERVICE PORT [FIELD=VALUE...]
        claim a hundred answers of 50 s; fields: boot, sequence, time, version, cut, service_count
"""

import hashlib
import hmac
import ipaddress
import json
import socket
import struct
import sys
import time

HEADER = struct.Struct("<IHHQQQIHH16s")
SERVICE = struct.Struct("<16sHBBHHIIIIQQ")
PAIR = struct.Struct("<HH")
MAGIC = 0x42525057
SEAL = 32


def key_of(path):
    with open(path, "rb") as f:
        return f.read().removesuffix(b"\n")


def address_text(raw):
    a = ipaddress.IPv6Address(raw)
    return str(a.ipv4_mapped or a)


def address_raw(text):
    a = ipaddress.ip_address(text)
    return a.packed if a.version == 6 else b"\0" * 10 + b"\xff\xff" + a.packed


def bucket_seconds(bucket):
    """The middle of a bucket, by the description in histogram_shape.h."""
    if bucket == 0:
        return 512e-9
    if bucket == 833:
        return 2**36 / 1e9
    octave, step = divmod(bucket - 1, 32)
    return 2 ** (10 + octave) * (1 + (step + 0.5) / 32) / 1e9


def read(data, key):
    assert hmac.compare_digest(hmac.digest(key, data[:-SEAL], "sha256"), data[-SEAL:]), "seal"
    magic, version, length, boot, sequence, when, interval, count, zero, sender = HEADER.unpack_from(data)
    assert (magic, version, length, zero) == (MAGIC, 1, len(data), 0)
    message = {"boot": boot, "sequence": sequence, "time": when / 1e9, "interval": interval / 1e3,
               "sender": address_text(sender), "services": []}
    at = HEADER.size
    for _ in range(count):
        address, port, protocol, flags, connects, first_bytes, opened, waiting, requests, syns, connect_ns, \
            first_byte_ns = SERVICE.unpack_from(data, at)
        at += SERVICE.size
        pairs = [PAIR.unpack_from(data, at + 4 * i) for i in range(connects + first_bytes)]
        at += 4 * len(pairs)
        message["services"].append({
            "address": address_text(address), "port": port, "protocol": protocol, "more": flags & 1,
            "open": opened, "waiting": waiting, "requests": requests, "syns": syns,
            "connect_sum": connect_ns / 1e9, "first_byte_sum": first_byte_ns / 1e9,
            "connect": pairs[:connects], "first_byte": pairs[connects:]})
    assert at == len(data) - SEAL, "length"
    return message


def listen(address, port, key_file, log):
    key = key_of(key_file)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s, open(log, "w", encoding="ascii", buffering=1) as out:
        s.bind((address, int(port)))
        print("ready", file=out)
        while True:
            data, source = s.recvfrom(65536)
            message = read(data, key)
            assert message["sender"] == source[0], "sender"
            print(json.dumps(message), file=out)


def quantile(counts, share):
    rank = max(1, -(-share * sum(counts.values()) // 1))
    for bucket in sorted(counts):
        rank -= counts[bucket]
        if rank <= 0:
            return bucket_seconds(bucket)
    return None


def add_up(log, sender, port):
    total = {"datagrams": 0, "requests": 0, "syns": 0, "connect_sum": 0, "first_byte_sum": 0, "boots": []}
    counts = {"connect": {}, "first_byte": {}}
    last = (0, 0)
    with open(log, encoding="ascii") as f:
        for line in f:
            if not line.endswith("}\n"):
                continue
            message = json.loads(line)
            if message["sender"] != sender:
                continue
            assert (message["boot"], message["sequence"]) > last, "order"
            last = (message["boot"], message["sequence"])
            total["datagrams"] += 1
            if message["boot"] not in total["boots"]:
                total["boots"].append(message["boot"])
            for s in message["services"]:
                if s["port"] != int(port):
                    continue
                for name in ("requests", "syns", "connect_sum", "first_byte_sum"):
                    total[name] += s[name]
                if not s["more"]:
                    total["open"], total["waiting"] = s["open"], s["waiting"]
                for name, to in counts.items():
                    for bucket, count in s[name]:
                        to[bucket] = to.get(bucket, 0) + count
    for name, of in counts.items():
        total[name] = {"count": sum(of.values()), "p50": quantile(of, 0.5), "p99": quantile(of, 0.99)}
    total["boots"] = len(total["boots"])
    print(json.dumps(total))


def capture(address, port, path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, int(port)))
        s.settimeout(5)
        with open(path, "wb") as f:
            f.write(s.recv(65536))


def send_to(address, port, data):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(data, (address, int(port)))


def forge(address, port, key_file, sender, service, service_port, *fields):
    f = {"boot": time.time_ns(), "sequence": 1, "time": time.time_ns(), "version": 1, "cut": 0,
         "service_count": 1}
    f.update((name, int(value)) for name, value in (field.split("=") for field in fields))
    body = SERVICE.pack(address_raw(service), int(service_port), 6, 0, 0, 1, 9, 9, 100, 100, 0,
                        100 * 50 * 10**9) + PAIR.pack(819, 100)
    head = HEADER.pack(MAGIC, f["version"], HEADER.size + len(body) + SEAL, f["boot"], f["sequence"],
                       f["time"], 100, f["service_count"], 0, address_raw(sender))
    data = head + body
    data += hmac.new(key_of(key_file), data, hashlib.sha256).digest()
    send_to(address, port, data[:len(data) - f["cut"]])


def main():
    command, *arguments = sys.argv[1:]
    if command == "send":
        with open(arguments[2], "rb") as f:
            send_to(arguments[0], arguments[1], f.read())
    else:
        {"listen": listen, "sum": add_up, "capture": capture, "forge": forge}[command](*arguments)


main()
