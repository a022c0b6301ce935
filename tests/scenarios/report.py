#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""From what the scenarios left in FOLDER, write the table and the pictures: report.py FOLDER DOCS

DOCS/scenarios.md gets a table between its marks, DOCS/scenarios/NAME.svg a picture of each scenario. What was
not run is left as it is.
"""

import pathlib
import sys

import figures
import plot
from table import SCENARIOS, STEADY_LONG

BEGIN, END = "<!-- results: written by tests/scenarios/report.py -->", "<!-- end of results -->"


def rows(scenario, runs):
    machine = [figures.machine(run) for run in runs.values()]
    yield f"| **[{scenario.name}](scenarios/{scenario.name}.svg)**: {scenario.title} | | | | |"
    for c in figures.judge(scenario, runs.get("off", runs["on"]), runs["on"]):
        held = "" if not c.must else "holds" if c.held else "**does not hold**"
        yield f"| {c.what} | {c.off if 'off' in runs else '-'} | {c.on} | {c.must} | {held} |"
    late = " / ".join(f"{m['late_p99'] * 1e3:.1f} ms" for m in machine)
    cpu = [f"{m['dataplane'] * 100:.0f} % + {m['controld'] * 100:.1f} %" for m in machine]
    if len(cpu) < 2:
        cpu.insert(0, "-")
    yield f"| the generator's own lateness, p99: {late}; CPU of data plane + daemon | {cpu[0]} | {cpu[1]} | | |"


def rows_before(table):
    """Name of a scenario -> its lines in the table that there is."""
    found, name = {}, None
    for line in table.splitlines():
        if line.startswith("| **["):
            name = line.partition("[")[2].partition("]")[0]
        if name and line.startswith("|"):
            found.setdefault(name, []).append(line)
    return found


def main():
    folder, docs = map(pathlib.Path, sys.argv[1:3])
    table = ["| | off | on | must be | |", "| --- | --- | --- | --- | --- |"]
    page = docs / "scenarios.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    before, _, tail = rest.partition(END)
    kept = rows_before(before)
    (docs / "scenarios").mkdir(exist_ok=True)
    for scenario in (*SCENARIOS, STEADY_LONG):
        modes = ("on",) if scenario.alone else ("off", "on")
        if not all((folder / scenario.name / mode / "weir.json").exists() for mode in modes):
            print(f"report: no results of {scenario.name}", file=sys.stderr)
            table += kept.get(scenario.name, [])
            continue
        runs = {mode: figures.load(scenario, folder / scenario.name / mode) for mode in modes}
        table += rows(scenario, runs)
        (docs / "scenarios" / f"{scenario.name}.svg").write_text(plot.svg(scenario, runs), encoding="utf-8")
    page.write_text(head + BEGIN + "\n\n" + "\n".join(table) + "\n\n" + END + tail, encoding="utf-8")


main()
