#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The judges of the scenarios, on runs that are made up: a figure that is wrong would judge nothing."""

import math
import sys

import figures
import plot
from figures import Request
from table import BY_NAME, Scenario

failed = 0
count = 0


def case(sentence, ok, why=""):
    global failed, count
    count += 1
    print(f"{'ok' if ok else 'not ok'} {count} - {sentence}")
    if not ok:
        failed = 1
        print(f"# {why}")


def run_of(requests, samples=(), scenario=None):
    scenario = scenario or Scenario("made-up", "made up", 10, (2, 8), ((0, 0.6),), changes=((4, 0, 4, "dead"),))
    return figures.Run(scenario, requests, [{}], {}, {"samples": list(samples), "cpu": {}})


def request(at, outcome="ok", latency=0.02, kind="legit", source=0):
    return Request(at, kind, source, outcome, latency, 0)


def sample(at, share, flows=0):
    return {"t": at, "dropped": {"shed": 3, "malformed": 0},
            "backends": [{"weight": 100, "weight_in_force": 100 * share, "new_flows": flows}]}


one = Scenario("one", "one backend", 10, (2, 8), ((0, 0.6),), backends=1)

got = figures.quantile([float(i) for i in range(100)], 0.99)
case("a quantile is the value that so many do not exceed", got == 99.0, got)
case("a quantile of nothing is no number", math.isnan(figures.quantile([], 0.5)))

mixed = [request(1, latency=0.01)] * 98 + [request(1, "refused")] * 50 + [request(1, "timeout")] * 2
case("one without an answer took for ever, one refused is left out", math.isinf(figures.p99(mixed)), figures.p99(mixed))

run = run_of(mixed + [request(1, kind="attacker", outcome="timeout")] * 9)
case("attackers are no legitimate requests", figures.outcomes(run, 0, 2) == {"ok": 98, "refused": 50, "timeout": 2},
     figures.outcomes(run, 0, 2))

level = figures.water_level([1, 2, 100, 100], 43)
case("the water level gives the small ones all and the rest the same", level == 20, level)
case("there is no level when there is enough", math.isinf(figures.water_level([1, 2], 4)))

# Half a second: 500 possible; 1000 asked and 400 answered well before the pool halves, 250 possible and answered after.
busy = [request(2.1)] * 400 + [request(2.1, "refused")] * 600 + [request(6.1)] * 250 + [request(6.1, latency=1.0)] * 300
share = figures.goodput_share(run_of(busy), 2, 8)
case("goodput is measured against what the pool could do at the time", abs(share - 650 / 750) < 1e-9, share)

greedy = [request(2.1, kind="attacker", source=i % 2) for i in range(10000)]
modest = [request(2.1, source=1) for _ in range(20)] + [request(2.1, "refused", source=2) for _ in range(20)]
shares = figures.fair_shares(run_of(greedy + modest), 2, 3)
case("who asks for little has it all as a fair share", sorted(shares) == [0.0, 1.0], shares)

zigzag = [(i, value) for i, value in enumerate([1, 1, 0.5, 0.1, 0.12, 0.1, 0.6, 1, 0.98, 1, 0.4])]
case("small moves are no reversals", figures.reversals(zigzag, 0.05) == 2, figures.reversals(zigzag, 0.05))
case("what stands still has none", figures.reversals([(i, 1) for i in range(9)], 0.05) == 0)

weights = run_of([], [sample(0, 1), sample(5, 0.2), sample(8, 0.5), sample(9, 0.96), sample(10, 1)], one)
case("weights are equal from where they stay within 5 %", figures.weights_equal_at(weights, 6) == 2,
     figures.weights_equal_at(weights, 6))
case("the furthest weight counts", abs(figures.weight_deviation(weights, 4, 9) - 0.8) < 1e-9,
     figures.weight_deviation(weights, 4, 9))
never = run_of([], [sample(0, 1), sample(5, 0.2), sample(10, 0.5)], one)
case("weights that have not come back are never equal", figures.weights_equal_at(never, 6) is None)

capped = [sample(t, 1) for t in range(6)]
for look, cap in zip(capped, [None, 10, 20, 18, 8, 16]):
    look["backends"][0]["cap"] = cap
    look["limits"] = {"per_source": {"connections": {"in_force": 100 if cap else None}}}
case("a limit turns where its cap moves by a quarter the other way, and without one there is none",
     figures.limit_reversals(run_of([], capped, one), 0, 6) == 20, figures.limit_reversals(run_of([], capped, one), 0, 6))
capped[0]["backends"][0]["cap"] = None
case("a pool without caps has no reversals of limits", figures.limit_reversals(run_of([], capped[:1], one), 0, 6) == 0)
case("limits that nobody looked at have no figure",
     math.isnan(figures.limit_reversals(run_of([], [sample(0, 1)], one), 0, 6)))

back = next(s for s in BY_NAME.values() if s.name == "ramp-back")
ramps = [run_of([request(30, "refused")] * n + [request(30)] * 1000, [sample(0, 1)], one) for n in (10, 5, 6)]
held = [figures.judge_ramp(back, ramps[0], on)[0].held for on in ramps[1:]]
case("the forecast has to halve what is refused", held == [True, False], held)

flows = run_of([], [sample(0, 1, 10), sample(3, 1, 20), sample(3.3, 1, 21), sample(5, 1, 21)], one)
case("new flows are counted between two looks", figures.new_flows(flows, 0, 2.9, 5) == 1, figures.new_flows(flows, 0, 2.9, 5))
case("reasons without packets are no drops", figures.dropped(flows) == {"shed": 3}, figures.dropped(flows))

ramp = Scenario("ramp", "", 30, (0, 1), ((0, 0.2), (10, 0.8, 10.0), (20, 0.2)), crowd=((15, 1.0),))
loads = [round(ramp.load_at(t)) for t in (5, 15, 19.9, 20, 25)]
case("loads step, ramp and add up", loads == [200, 1500, 1794, 1200, 1200], loads)

for scenario in BY_NAME.values():
    ends = [at for at, *_ in scenario.loads + scenario.attack + scenario.crowd + scenario.changes + scenario.daemon]
    if max(ends) > scenario.seconds or scenario.event[1] > scenario.seconds:
        case(f"{scenario.name} ends after all that happens in it", False)

looks = [{"t": t, "backends": [{"weight": 1, "weight_in_force": 1, "new_flows": 0}] * 10} for t in range(10)]
drawn = plot.svg(run.scenario, {"off": run_of(busy, looks), "on": run_of(busy, looks)})
case("a picture has both columns", drawn.count("<svg") == 1 and drawn.count("requests a second") == 2)
print(f"1..{count}")
sys.exit(failed)
