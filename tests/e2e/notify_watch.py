#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stand in for a service manager.

    notify_watch.py SOCKET LOG               receive what processes say of themselves, a line each with a time
    notify_watch.py --hold THREAD SECONDS    stop one thread, and that alone, for so long
"""

import ctypes
import os
import socket
import sys
import time

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


def hold(thread, seconds):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(thread, WALL)
    time.sleep(seconds)
    libc.ptrace(PTRACE_DETACH, thread, None, None)


def receive(path, log):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    s.bind(path)
    with open(log, "w", buffering=1) as out:
        while True:
            data, control, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(12))
            pid = int.from_bytes(control[0][2][:4], "little")
            for line in data.decode().splitlines():
                print(f"{time.time():.3f} {pid} {line}", file=out)


if sys.argv[1] == "--hold":
    hold(int(sys.argv[2]), float(sys.argv[3]))
else:
    receive(sys.argv[1], sys.argv[2])
