#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long after the kernel's message a change of routes is in force.

    route_timing.py WEIR_NS OLD_NS NEW_NS INTERFACE PREFIX COMMAND...

Runs COMMAND, which takes PREFIX from the router in OLD_NS to the one in NEW_NS, while traffic to PREFIX
flows. Prints milliseconds from the kernel's route message in WEIR_NS to the last packet on INTERFACE of
OLD_NS, by the kernel's own time stamps, as one line of JSON.
"""

import ctypes
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

ETH_P_IP = 0x0800
RTMGRP_IPV4_ROUTE = 0x40
SO_TIMESTAMPNS = 35
libc = ctypes.CDLL(None, use_errno=True)


def enter(name):
    """This process moves to a network namespace; sockets stay where they were made."""
    with open(f"/run/netns/{name}") as f:
        if libc.setns(f.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


def sniffer(name, interface):
    enter(name)
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    s.bind((interface, ETH_P_IP))
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    s.setblocking(False)
    return s


def routes(name):
    enter(name)
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    s.bind((0, RTMGRP_IPV4_ROUTE))
    s.setblocking(False)
    return s


def arrivals(s, network):
    """Times of the packets to the network that came in."""
    while True:
        try:
            data, control, _, source = s.recvmsg(64, 256)
        except BlockingIOError:
            return
        if source[2] == socket.PACKET_OUTGOING or len(data) < 20:
            continue
        if ipaddress.ip_address(data[16:20]) not in network:
            continue
        seconds, nanoseconds = struct.unpack("qq", control[0][2][:16])
        yield seconds + nanoseconds / 1e9


def main():
    weir, old, new, interface, prefix = sys.argv[1:6]
    network = ipaddress.ip_network(prefix)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    before, after, told = sniffer(old, interface), sniffer(new, interface), routes(weir)
    libc.setns(home, 0)
    list(arrivals(before, network))
    subprocess.run(sys.argv[6:], check=True)
    if not select.select([told], [], [], 5)[0]:
        sys.exit("the kernel told of no change")
    start = time.time()
    # Long enough to see what comes too late.
    deadline = start + 1
    last, count = start, 0
    while time.time() < deadline:
        select.select([before], [], [], 0.05)
        for at in arrivals(before, network):
            last = max(last, at)
    for at in arrivals(after, network):
        count += at >= start
    print(json.dumps({"ms": round((last - start) * 1000, 1), "packets_by_new": count}))


main()
