#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Whatever `make bench` prints is a row with a name, cycles a packet, their floor, and the ratio of both.

usage: test_rows.py PROGRAM [ARGUMENT...], a benchmark that writes its rows to standard output
"""
import json
import subprocess
import sys

run = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True, check=True)
rows = [json.loads(line) for line in run.stdout.splitlines()]
print(f"1..{len(rows) + 1}")
bad = not rows
print(f"{'not ok' if bad else 'ok'} 1 - there are rows")
for number, row in enumerate(rows, 2):
    cycles, floor = row.get("cycles_per_packet"), row.get("floor_cycles_per_packet")
    # All three are rounded for printing.
    good = isinstance(row.get("bench"), str) and cycles and floor and abs(row["ratio"] * floor / cycles - 1) < 0.02
    bad = bad or not good
    print(f"{'ok' if good else 'not ok'} {number} - {row.get('bench')} has its cycles, their floor and the ratio")
    if not good:
        print(f"# {row}")
sys.exit(bad)
