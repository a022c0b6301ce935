#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stand in for a service manager.

    notify_watch.py SOCKET LOG               receive what processes say of themselves, a line each with a time
    notify_watch.py --hold THREAD SECONDS [TIMES]
        stop one thread, and that alone, for so long, with 0.3 s in between; prints when each began
    notify_watch.py --loop THREAD SECONDS [TIMES]
        the same, but have it loop where it is (x86-64)
"""

import ctypes
import errno
import os
import socket
import sys
import time

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
PTRACE_GETREGS, PTRACE_SETREGS = 12, 13
RAX, ORIG_RAX, RIP = 10, 15, 16  # of the registers that PTRACE_GETREGS has
JUMP_TO_ITSELF = b"\xeb\xfe"
WALL = 0x40000000


def seize(thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(thread, WALL)
    return libc


def hold(thread, seconds):
    libc = seize(thread)
    print(f"{time.time():.4f}", flush=True)
    time.sleep(seconds)
    libc.ptrace(PTRACE_DETACH, thread, None, None)


def registers(libc, thread, request, values=None):
    values = values or (ctypes.c_uint64 * 27)()
    libc.ptrace(request, thread, None, values)
    return values


def beginning(thread):
    """Where the program began: nobody comes there again."""
    executable = os.readlink(f"/proc/{thread}/exe")
    with open(executable, "rb") as program:
        entry = int.from_bytes(program.read(64)[24:32], "little")
    maps = (line.split() for line in open(f"/proc/{thread}/maps"))
    return int(next(m[0].split("-")[0] for m in maps if m[-1] == executable), 16) + entry


def loop(thread, seconds):
    place = beginning(thread)
    with open(f"/proc/{thread}/mem", "r+b", buffering=0) as memory:
        memory.seek(place)
        memory.write(JUMP_TO_ITSELF)
    libc = seize(thread)
    before = registers(libc, thread, PTRACE_GETREGS)
    if before[ORIG_RAX] < 1 << 63:  # a system call, which ends as interrupted
        before[RAX] = ctypes.c_uint64(-errno.EINTR).value
        before[ORIG_RAX] = ctypes.c_uint64(-1).value
    looping = (ctypes.c_uint64 * 27)(*before)
    looping[RIP] = place
    registers(libc, thread, PTRACE_SETREGS, looping)
    libc.ptrace(PTRACE_DETACH, thread, None, None)
    print(f"{time.time():.4f}", flush=True)
    time.sleep(seconds)
    try:
        libc = seize(thread)
    except OSError:
        return  # the process has ended
    registers(libc, thread, PTRACE_SETREGS, before)
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


if sys.argv[1] in ("--hold", "--loop"):
    stop = hold if sys.argv[1] == "--hold" else loop
    for _ in range(int(sys.argv[4]) if len(sys.argv) > 4 else 1):
        stop(int(sys.argv[2]), float(sys.argv[3]))
        time.sleep(0.3)
else:
    receive(sys.argv[1], sys.argv[2])
