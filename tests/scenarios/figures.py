# SPDX-License-Identifier: BSD-3-Clause
"""From what a run has left behind to the figures that decide. Pure functions, but for load()."""

import json
import math
from dataclasses import dataclass

BIN = 0.5  # seconds, where a figure is computed bin by bin
INFINITE = math.inf


@dataclass(frozen=True)
class Request:
    at: float  # when it should have begun
    kind: str  # legit | crowd | attacker
    source: int
    outcome: str
    latency: float  # to the first byte, or to the failure
    backend: int

    @property
    def legitimate(self):
        return self.kind != "attacker"


@dataclass(frozen=True)
class Check:
    what: str
    off: str
    on: str
    must: str  # empty: only stated
    held: bool = True


class Run:
    def __init__(self, scenario, requests, origin, crowd, weir):
        self.scenario, self.requests, self.origin, self.crowd, self.weir = scenario, requests, origin, crowd, weir

    def legit(self, start, end):
        return [r for r in self.requests if r.legitimate and start <= r.at < end]

    @property
    def late(self):
        """The generator's own lateness, p99, in seconds."""
        return self.crowd["late_p99_ms"] / 1e3


def load(scenario, folder):
    requests = []
    with open(folder / "records", encoding="utf-8") as lines:
        for line in lines:
            at, kind, source, outcome, latency, backend = line.split()
            requests.append(Request(int(at) / 1e6, kind, int(source), outcome, int(latency) / 1e6, int(backend)))
    origin = [json.loads(line) for line in (folder / "origin.out").read_text(encoding="utf-8").splitlines()]
    crowd = json.loads((folder / "crowd.out").read_text(encoding="utf-8").splitlines()[-1])
    weir = json.loads((folder / "weir.json").read_text(encoding="utf-8"))
    return Run(scenario, requests, origin, crowd, weir)


# --- latency and goodput -----------------------------------------------------------------------


def quantile(values, share):
    """NAN when there are none."""
    if not values:
        return math.nan
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def p99(requests):
    """Of those who were let in: one that never got an answer took for ever."""
    return quantile([r.latency if r.outcome == "ok" else INFINITE for r in requests if r.outcome != "refused"], 0.99)


def is_good(request, objective):
    return request.outcome == "ok" and request.latency <= objective


def good_share(run, start, end):
    """Of what legitimate sources asked for: answered inside the objective."""
    asked = run.legit(start, end)
    return sum(is_good(r, run.scenario.objective) for r in asked) / max(1, len(asked))


def goodput_share(run, start, end):
    """Of what the pool could have answered inside the objective, had it known all: bin by bin."""
    asked = run.legit(start, end)
    bins = {}
    for r in asked:
        bins[int(r.at / BIN)] = bins.get(int(r.at / BIN), 0) + 1
    ideal = sum(min(count, BIN * run.scenario.capacity_at((k + 0.5) * BIN)) for k, count in bins.items())
    return sum(is_good(r, run.scenario.objective) for r in asked) / max(1.0, ideal)


def failed_share(run, start, end):
    asked = run.legit(start, end)
    return sum(r.outcome != "ok" for r in asked) / max(1, len(asked))


def outcomes(run, start, end, legitimate=True):
    counts = {}
    for r in run.requests:
        if r.legitimate == legitimate and start <= r.at < end:
            counts[r.outcome] = counts.get(r.outcome, 0) + 1
    return counts


# --- fairness ----------------------------------------------------------------------------------


def water_level(demands, total):
    """r such that sum(min(demand, r)) = total; infinite when there is enough for all."""
    left, demands = total, sorted(demands)
    for i, demand in enumerate(demands):
        if demand * (len(demands) - i) >= left:
            return left / (len(demands) - i)
        left -= demand
    return INFINITE


def fair_shares(run, start, end):
    """Of each legitimate source with ten requests or more: what it got of its max-min fair share, at most 1."""
    asked, good = {}, {}
    for r in run.requests:
        if start <= r.at < end:
            key = (r.kind, r.source)
            asked[key] = asked.get(key, 0) + 1
            good[key] = good.get(key, 0) + is_good(r, run.scenario.objective)
    steps = max(1, int((end - start) / BIN))
    total = sum(run.scenario.capacity_at(start + (i + 0.5) * BIN) for i in range(steps)) / steps * (end - start)
    level = water_level(list(asked.values()), total)
    return [min(1.0, good[key] / min(n, level)) for key, n in asked.items() if key[0] != "attacker" and n >= 10]


# --- what Weir was doing -----------------------------------------------------------------------


def weights(run, index):
    """(time, weight in force as a share of the configured one) of a backend."""
    series = []
    for sample in run.weir["samples"]:
        backends = sample.get("backends")
        if backends and backends[index]["weight"]:
            in_force = backends[index]["weight_in_force"]
            series.append((sample["t"], (in_force if in_force is not None else 0) / backends[index]["weight"]))
    return series


def reversals(series, step):
    """Changes of direction, of moves of `step` or more."""
    count, direction, extreme = 0, 0, None
    for _, value in series:
        if extreme is None:
            extreme = value
        elif direction >= 0 and value > extreme or direction <= 0 and value < extreme:
            if direction == 0 and abs(value - extreme) >= step:
                direction = 1 if value > extreme else -1
            if direction:
                extreme = value
        elif abs(value - extreme) >= step:
            count += direction != 0
            direction = 1 if value > extreme else -1
            extreme = value
    return count


def weight_reversals(run, start, end):
    """Per minute, of the backend that has the most."""
    minutes = (end - start) / 60
    return max(reversals([w for w in weights(run, i) if start <= w[0] < end], 0.05)
               for i in range(run.scenario.backends)) / minutes


def caps(run, index):
    """(time, logarithm of the cap in force) of a backend, where there is one."""
    return [(s["t"], math.log(s["backends"][index]["cap"])) for s in run.weir["samples"]
            if s.get("backends") and s["backends"][index].get("cap")]


def source_rates(run):
    """(time, logarithm of what a source may ask for), while sources are policed."""
    series = []
    for s in run.weir["samples"]:
        limit = ((s.get("limits") or {}).get("per_source") or {}).get("connections") or {}
        if limit.get("in_force"):
            series.append((s["t"], math.log(limit["in_force"])))
    return series


def limit_reversals(run, start, end):
    """Per minute, of the cap or the rate of a source that has the most; moves of a quarter or more. NAN: not looked at."""
    if not any("cap" in b for s in run.weir["samples"] for b in s.get("backends") or ()):
        return math.nan
    series = [caps(run, i) for i in range(run.scenario.backends)] + [source_rates(run)]
    turns = (reversals([x for x in one if start <= x[0] < end], math.log(1.25)) for one in series)
    return max(turns) / ((end - start) / 60)


def weights_equal_at(run, start):
    """Seconds from `start` until all weights are within 5 % of the configured and stay; None: never."""
    bad = [t for i in range(run.scenario.backends) for t, share in weights(run, i) if t >= start and abs(share - 1) > 0.05]
    last = max((s["t"] for s in run.weir["samples"]), default=0)
    if not bad:
        return 0.0
    return None if max(bad) > last - 0.5 else max(bad) - start


def weight_deviation(run, start, end):
    """The furthest that a weight in force was from the configured one, as a share of it."""
    return max((abs(share - 1) for i in range(run.scenario.backends)
                for t, share in weights(run, i) if start <= t < end), default=math.nan)


def new_flows(run, index, start, end):
    """Given to a backend between the first looks at or after these moments."""
    seen = [(s["t"], s["backends"][index]["new_flows"]) for s in run.weir["samples"] if s.get("backends")]
    inside = [count for t, count in seen if start <= t <= end]
    return inside[-1] - inside[0] if inside else 0


def dropped(run):
    """Reason -> packets, at the end."""
    counts = [s["dropped"] for s in run.weir["samples"] if s.get("dropped")]
    return {reason: n for reason, n in counts[-1].items() if n} if counts else {}


# --- verdicts ----------------------------------------------------------------------------------


def ms(seconds):
    if seconds is None or math.isnan(seconds):
        return "-"
    return "no end" if math.isinf(seconds) else f"{seconds * 1e3:.0f} ms"


def percent(share):
    return "-" if math.isnan(share) else f"{share * 100:.1f} %"


def goodput_check(off, on, start, end, least=None):
    a, b = goodput_share(off, start, end), goodput_share(on, start, end)
    if least is not None:
        return Check("goodput inside the objective, of the possible", percent(a), percent(b), f">= {percent(least)}",
                     b >= least)
    return Check("goodput inside the objective, of the possible", percent(a), percent(b), ">= 0.95 x off",
                 b >= 0.95 * a)


def reversals_check(off, on, start, end):
    def text(run):
        limits = limit_reversals(run, start, end)
        return f"{weight_reversals(run, start, end):.1f} / " + ("-" if math.isnan(limits) else f"{limits:.1f}")
    return Check("reversals a minute, of a weight / of a limit, at most", text(off), text(on), "")


def p99_check(off, on, start, end, limit=None, what="p99 of those let in"):
    a, b = p99(off.legit(start, end)), p99(on.legit(start, end))
    if limit is None:
        return Check(what, ms(a), ms(b), "")
    return Check(what, ms(a), ms(b), f"<= {ms(limit)}", b <= limit)


def outcome_check(off, on, start, end):
    def text(run):
        counts = outcomes(run, start, end)
        return " ".join(f"{k} {counts[k]}" for k in sorted(counts)) or "-"
    return Check("legitimate requests", text(off), text(on), "")


def judge_steady(s, off, on):
    start, end = s.event
    counts = outcomes(on, 0, s.seconds)
    bad = {k: n for k, n in counts.items() if k != "ok"}
    deviation = weight_deviation(on, start, end)
    drops = dropped(on)
    return [
        Check("requests not answered", str(len(off.requests) - outcomes(off, 0, s.seconds).get("ok", 0)),
              str(sum(bad.values())), "0", not bad),
        Check("packets dropped", str(sum(dropped(off).values())), str(sum(drops.values())), "0", not drops),
        Check("weights, furthest from configured", percent(weight_deviation(off, start, end)), percent(deviation),
              "<= 2.0 %", deviation <= 0.02),
        p99_check(off, on, start, end, s.objective),
    ]


def judge_slow(s, off, on):
    start, end = s.event
    before = p99(on.legit(3, start))
    a, b = p99(off.legit(start + 2, end)), p99(on.legit(start + 2, end))
    equal = weights_equal_at(on, end)
    return [
        Check("p99 before", ms(p99(off.legit(3, start))), ms(before), ""),
        Check("p99 from 2 s after the change on", ms(a), ms(b), f"<= {ms(1.5 * before)}; off above {ms(s.objective)}",
              b <= 1.5 * before and a > s.objective),
        Check("weights equal again after", "-", "never" if equal is None else f"{equal:.1f} s", "<= 10 s",
              equal is not None and equal <= 10),
        goodput_check(off, on, start, end),
    ]


def judge_dead(s, off, on):
    start, end = s.event
    index = s.changes[0][1]
    a, b = failed_share(off, start, end), failed_share(on, start, end)
    late = new_flows(on, index, start + 0.3, end)
    return [
        Check("failed requests", percent(a), percent(b), "<= 1/4 of off", b <= a / 4),
        Check("new flows to it after 300 ms", str(new_flows(off, index, start + 0.3, end)), str(late), "0", late == 0),
        goodput_check(off, on, start, end),
        outcome_check(off, on, start, end),
    ]


def judge_flash(s, off, on):
    start, end = s.event
    return [
        goodput_check(off, on, start, end, 0.85),
        p99_check(off, on, start, end, s.objective),
        # What comes before the first tick has seen the crowd finds the caps of calm weather.
        p99_check(off, on, start, start + 1, what="p99 of those let in, in the first second"),
        outcome_check(off, on, start, end),
        Check("good again, from 2 s after", percent(good_share(off, end + 2, s.seconds)),
              percent(good_share(on, end + 2, s.seconds)), ">= 95.0 %", good_share(on, end + 2, s.seconds) >= 0.95),
    ]


def judge_attack(s, off, on):
    start, end = s.event
    a, b = good_share(off, start, end), good_share(on, start, end)
    fair_off, fair_on = fair_shares(off, start, end), fair_shares(on, start, end)
    return [
        Check("legitimate requests inside the objective", percent(a), percent(b), ">= 95.0 %", b >= 0.95),
        Check("worst source's part of its fair share", percent(min(fair_off)), percent(min(fair_on)), ">= 50.0 %",
              min(fair_on) >= 0.5),
        outcome_check(off, on, start, end),
        Check("attackers' requests answered", str(outcomes(off, start, end, False).get("ok", 0)),
              str(outcomes(on, start, end, False).get("ok", 0)), ""),
    ]


def judge_others(s, off, on):
    start, end = s.event
    return [
        goodput_check(off, on, start, end),
        p99_check(off, on, start, end),
        outcome_check(off, on, start, end),
    ]


def judge_ramp(s, off, on):
    """On and off are the forecast alone."""
    start, end = s.event
    a = outcomes(off, start, end).get("refused", 0)
    b = outcomes(on, start, end).get("refused", 0)
    if s.changes:
        refused = Check("refused", str(a), str(b), "<= 1/2 of off", a > 0 and 2 * b <= a)
    else:
        # Nothing is late that a forecast could hasten: it does no harm.
        asked = len(on.legit(start, end))
        refused = Check("refused", str(a), str(b), "<= off + 1/1000 of all", b <= a + asked / 1000)
    late = 1.1 * p99(off.legit(start, end))
    return [refused, goodput_check(off, on, start, end), p99_check(off, on, start, end, late),
            outcome_check(off, on, start, end)]


def judge_brief(_, off, on):
    slow_off, slow_on = (1 - good_share(run, 5.5, 8) for run in (off, on))
    crowd_off, crowd_on = (goodput_share(run, 8.5, 11) for run in (off, on))
    controllers = {d["controller"] for d in on.weir["explain"]}
    return [
        Check("requests beyond the objective beside a slow backend", percent(slow_off), percent(slow_on),
              "<= 0.6 x off", slow_on <= 0.6 * slow_off),
        Check("goodput in a crowd, of the possible", percent(crowd_off), percent(crowd_on), ">= 40 %, 2 x off",
              crowd_on >= max(0.4, 2 * crowd_off)),
        Check("controllers that explain what they did", "-", " ".join(sorted(controllers)), "weights and shed",
              {"weights", "shed"} <= controllers),
    ]


JUDGES = {"brief": judge_brief, "steady": judge_steady, "steady-long": judge_steady, "slow": judge_slow,
          "dead": judge_dead, "flash": judge_flash, "attack": judge_attack, "attack-each": judge_attack, "ramp": judge_ramp,
          "ramp-back": judge_ramp}


def judge(scenario, off, on):
    checks = JUDGES.get(scenario.name, judge_others)(scenario, off, on)
    # No oscillation: what happened while it was going on, and on the way back.
    return checks + [reversals_check(off, on, scenario.event[0], scenario.seconds)]


def machine(run):
    """Was it the machine? A generator or timers that were late measured themselves."""
    origin_late = run.origin[-1].get("late_max_ms", 0)
    cpu = run.weir["cpu"]
    seconds = run.scenario.seconds
    return {"late_p99": run.late, "late_max": run.crowd["late_max_ms"] / 1e3, "origin_late_max": origin_late / 1e3,
            "dataplane": cpu["dataplane"] / seconds, "controld": max(0.0, cpu["controld"]) / seconds,
            "trusted": run.late < 0.1 * run.scenario.objective and not any(r.outcome == "local" for r in run.requests)}
