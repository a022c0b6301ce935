#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long a daemon takes to answer, from outside: it is asked every few milliseconds until SIGTERM.

usage: answers.py CONTROL.SOCK

What is asked is a method that does not exist: refused at once, so all that it takes is the loop's turn before it.
Prints a line of JSON: how often, and the median, the 99th percentile and the worst in milliseconds.
"""

import json
import signal
import socket
import sys
import time

EVERY = 0.005  # seconds between questions
QUESTION = b'{"jsonrpc": "2.0", "id": 1, "method": "no such method"}\n'


def main(path):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    daemon = socket.socket(socket.AF_UNIX)
    daemon.connect(path)
    took = []
    while not ended:
        start = time.monotonic()
        daemon.sendall(QUESTION)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = daemon.recv(4096)
            if not piece:
                sys.exit("answers.py: the daemon has closed the connection")
            answer += piece
        if b"-32601" not in answer:
            sys.exit(f"answers.py: not the answer that was expected: {answer!r}")
        took.append((time.monotonic() - start) * 1000)
        time.sleep(EVERY)
    took.sort()
    print(json.dumps({"asked": len(took), "median": round(took[len(took) // 2], 1),
                      "p99": round(took[len(took) * 99 // 100], 1), "worst": round(took[-1], 1)}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
