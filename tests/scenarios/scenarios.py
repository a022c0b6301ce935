#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run scenarios, off and on, and say what held. In a world that run.sh has made; see there."""

import argparse
import os
import pathlib
import shutil
import sys

import bed
import figures
from table import BY_NAME, CONTROLLERS, SCENARIOS

MODES = ("off", "on")


def adapt_of(scenario, mode):
    """controller -> off | on"""
    if scenario.only:
        return {name: "on" if mode == "on" or name != scenario.only else "off" for name in CONTROLLERS}
    return {name: mode for name in CONTROLLERS}


def run(scenario, mode, seed, out):
    folder = out / scenario.name / mode
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    world = bed.Bed(scenario, adapt_of(scenario, mode), seed, folder)
    try:
        world.run()
    finally:
        world.close()
    return figures.load(scenario, folder)


def run_trusted(scenario, mode, seed, out, tries):
    """Again when the machine was busy: what was measured then says nothing."""
    for _ in range(tries):
        one = run(scenario, mode, seed, out)
        if figures.machine(one)["trusted"]:
            break
    return one


def machine_line(mode, measured):
    text = (f"  {mode:<3}  generator late p99 {measured['late_p99'] * 1e3:.1f} ms, max {measured['late_max'] * 1e3:.0f}; "
            f"backends' timers max {measured['origin_late_max'] * 1e3:.0f}; CPU: "
            f"data plane {measured['dataplane'] * 100:.0f} %, daemon {measured['controld'] * 100:.1f} % of one")
    return text if measured["trusted"] else text + "  NOT TO BE TRUSTED: the machine was busy"


def verdict(check):
    if not check.must:
        return ""
    return "pass" if check.held else "FAIL"


def compare(scenario, runs):
    """Prints; false when something that must hold did not."""
    print(f"{scenario.name}: {scenario.title} ({scenario.capacity:.0f} requests/s, objective "
          f"{scenario.objective * 1e3:.0f} ms)")
    for mode, one in runs.items():
        print(machine_line(mode, figures.machine(one)))
    if scenario.alone and "on" in runs:
        checks = figures.judge(scenario, runs["on"], runs["on"])
        for c in checks:
            print(f"  {c.what:<46} {c.on:>12}  {c.must:<24} {verdict(c)}")
        return all(c.held for c in checks if c.must)
    if len(runs) < 2:
        start, end = scenario.event
        for mode, one in runs.items():
            print(f"  {mode}: goodput {figures.percent(figures.goodput_share(one, start, end))} of the possible, "
                  f"p99 {figures.ms(figures.p99(one.legit(start, end)))}, {figures.outcomes(one, start, end)}")
        return True
    checks = figures.judge(scenario, runs["off"], runs["on"])
    for c in checks:
        print(f"  {c.what:<46} off {c.off:>12}  on {c.on:>12}  {c.must:<24} {verdict(c)}")
    return all(c.held for c in checks if c.must)


def tap(scenario, runs):
    """The same for the test suite: a case for each thing that must hold."""
    checks = [c for c in figures.judge(scenario, runs["off"], runs["on"]) if c.must]
    trusted = all(figures.machine(one)["trusted"] for one in runs.values())
    print(f"1..{len(checks)}")
    for i, c in enumerate(checks, 1):
        # What a busy machine has measured is neither good nor bad.
        state, why = ("ok", "") if c.held else ("not ok", "") if trusted else ("ok", " # SKIP the machine was busy")
        print(f"{state} {i} - {c.what}: off {c.off}, on {c.on}, must be {c.must}{why}")
    for mode, one in runs.items():
        print("#" + machine_line(mode, figures.machine(one)))
    return all(c.held for c in checks) or not trusted


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", default=os.environ.get("SCENARIO_OUT", "build/scenarios"))
    parser.add_argument("-s", "--seed", type=int, default=int(os.environ.get("SCENARIO_SEED", "1")))
    parser.add_argument("-m", "--mode", choices=MODES, action="append")
    parser.add_argument("-t", "--tries", type=int, default=2, help="of a run during which the machine was busy")
    parser.add_argument("--tap", action="store_true", help="for the test suite, one scenario")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BY_NAME]
    if unknown:
        parser.error(f"no scenario {unknown[0]}; there are {', '.join(BY_NAME)}")
    held = True
    for scenario in [BY_NAME[name] for name in options.names] or SCENARIOS:
        try:
            runs = {mode: run_trusted(scenario, mode, options.seed, pathlib.Path(options.out), options.tries)
                    for mode in options.mode or (("on",) if scenario.alone else MODES)}
            held = (tap if options.tap else compare)(scenario, runs) and held
        except bed.Trouble as trouble:
            print(f"{scenario.name}: {trouble}")
            held = False
        sys.stdout.flush()
    return 0 if held else 1


sys.exit(main())
