# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams that say what they are, and who gets them.

    datagrams.py serve ADDRESS PORT FILE     counts by the first word of each; writes them to FILE, as JSON, often
    datagrams.py send ADDRESS PORT WORD COUNT [--from ADDRESS:PORT] [--rate PER_SECOND] [--options]

send prints when it began and when it ended.
--options: IPv4 options (two no-operations and an end), which is a packet that the kernel leaves to Weir.
"""

import argparse
import json
import os
import random
import socket
import time


def serve(a):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((a.address, a.port))
    s.settimeout(0.05)
    counts, written = {}, None
    while True:
        try:
            word = s.recv(2048).split()[0].decode(errors="replace")
            counts[word] = counts.get(word, 0) + 1
            if sum(counts.values()) % 64:
                continue
        except socket.timeout:
            pass
        if counts != written:
            with open(a.file + ".new", "w") as f:
                json.dump(counts, f)
            os.rename(a.file + ".new", a.file)
            written = dict(counts)


def send(a):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if a.source:
        address, port = a.source.split(":")
        s.bind((address, int(port)))
    if a.options:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00")
    s.connect((a.address, a.port))
    start = due = time.monotonic()
    for i in range(a.count):
        try:
            s.send(f"{a.word} {i}".encode().ljust(60))
        except ConnectionRefusedError:
            pass
        # At random, so that no sender always comes just before another.
        due += random.expovariate(a.rate)
        ahead = due - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    print(f"{start:.4f} {time.monotonic():.4f}")


def main():
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(required=True)
    server = sub.add_parser("serve")
    server.add_argument("address")
    server.add_argument("port", type=int)
    server.add_argument("file")
    server.set_defaults(run=serve)
    client = sub.add_parser("send")
    client.add_argument("address")
    client.add_argument("port", type=int)
    client.add_argument("word")
    client.add_argument("count", type=int)
    client.add_argument("--from", dest="source")
    client.add_argument("--rate", type=float, default=2000)
    client.add_argument("--options", action="store_true")
    client.set_defaults(run=send)
    a = p.parse_args()
    a.run(a)


main()
