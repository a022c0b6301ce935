# SPDX-License-Identifier: BSD-3-Clause
"""The scenarios: what the world does, and when. Which figures decide is in figures.py.

Loads are shares of what the pool can do. `mean` and `slots` make a pool that two cores can carry around Weir
with room to spare: the time that a request takes is waited for, not computed. Ratios are those that the
adaptation was designed with: the calm load is 0.6 of the capacity, the objective six times the mean service time.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    seconds: float
    event: tuple  # from, to: the window that is judged
    loads: tuple  # of the legitimate sources: (at, share of capacity[, ramp])
    crowd: tuple = ()  # of others as good, who come with new connections: likewise, on top
    attack: tuple = ()  # of the attackers, likewise
    changes: tuple = ()  # of backends: (at, first, last, "slow=F" | "dead" | "alive")
    daemon: tuple = ()  # (at, "kill" | "start"): the control daemon
    backends: int = 10
    slots: int = 2
    mean: float = 0.02  # seconds
    sigma: float = 0.4
    sources: int = 200
    crowders: int = 2000
    attackers: int = 2  # 1 % of the sources
    skew: float = 1.0  # sigma of what legitimate sources ask for
    keep: float = 0.3  # share of requests over kept connections
    timeout: float = 2.5
    attack_timeout: float = 0.5  # they do not wait long
    slow_start: float = 0.0  # seconds, of a backend that its health check has back
    only: str = ""  # of the controllers: compare this one on with it off, the others on
    alone: bool = False  # on only: there is nothing to compare with

    @property
    def capacity(self):
        return self.backends * self.slots / self.mean

    @property
    def objective(self):
        return 6 * self.mean

    def capacity_at(self, at):
        """Requests a second that the pool can answer inside the objective."""
        slow = [1.0] * self.backends
        for when, first, last, what in self.changes:
            if when > at:
                break
            for i in range(first, last + 1):
                slow[i] = {"dead": float("inf"), "alive": 1.0}.get(what) or float(what.partition("=")[2])
        # One whose plain service time is beyond the objective has no capacity inside it.
        return sum(self.slots / self.mean / s for s in slow if s * self.mean <= self.objective)

    def load_at(self, at):
        """Legitimate requests a second."""
        return sum(share_at(loads, at) for loads in (self.loads, self.crowd)) * self.capacity


def share_at(loads, at):
    share = before = 0.0
    for i, (when, load, *ramp) in enumerate(loads):
        if when > at:
            break
        end = loads[i + 1][0] if i + 1 < len(loads) and loads[i + 1][0] <= at else at
        share = before + (load - before) * (min(1.0, (end - when) / ramp[0]) if ramp else 1.0)
        before = share
    return share


def flaps(backend, factor, start, end, period):
    at, changes = start, []
    while at < end:
        changes += [(at, backend, backend, f"slow={factor}"), (at + period / 2, backend, backend, "slow=1")]
        at += period
    return tuple(changes)


SCENARIOS = [
    Scenario("steady", "steady load", 60, (3, 60), ((0, 0.6),)),
    Scenario("slow", "one backend ten times slower", 36, (10, 22), ((0, 0.6),),
             changes=((10, 3, 3, "slow=10"), (22, 3, 3, "slow=1"))),
    Scenario("dead", "one backend dead", 28, (10, 20), ((0, 0.6),),
             changes=((10, 4, 4, "dead"), (20, 4, 4, "alive"))),
    Scenario("flash", "flash crowd, five times the capacity", 28, (10, 20), ((0, 0.6),),
             crowd=((10, 4.4), (20, 0.0))),
    Scenario("attack", "1 % of the sources ask for 20 times the legitimate load", 30, (14, 24), ((0, 0.3),),
             attack=((14, 6.0), (24, 0.0))),
    Scenario("attack-each", "1 % of the sources ask for 20 times as much as others each", 30, (14, 24), ((0, 0.85),),
             attack=((14, 0.17), (24, 0.0))),
    Scenario("half", "half of the pool dead", 32, (10, 20), ((0, 0.6),),
             changes=((10, 0, 4, "dead"), (20, 0, 4, "alive"))),
    Scenario("flapping", "one backend four times slower, every other second", 34, (10, 30), ((0, 0.6),),
             changes=flaps(2, 4, 10, 30, 2)),
    Scenario("low", "one of three backends ten times slower at a low rate", 36, (10, 24), ((0, 0.067),),
             changes=((10, 1, 1, "slow=10"), (24, 1, 1, "slow=1")), backends=3),
    Scenario("unequal", "two backends three times slower from the start", 30, (8, 30), ((0, 0.675),),
             changes=((0, 0, 1, "slow=3"),)),
    Scenario("control", "the control daemon dies in a flash crowd", 36, (10, 24),
             ((0, 0.6),), crowd=((10, 4.4), (24, 0.0)), daemon=((14, "kill"), (28, "start"))),
    Scenario("brownout", "all backends 1.5 times slower", 32, (10, 22), ((0, 0.75),),
             changes=((10, 0, 9, "slow=1.5"), (22, 0, 9, "slow=1"))),
    Scenario("ramp", "four times the load in 15 seconds, forecast on and off", 46, (20, 42),
             ((0, 0.2), (20, 0.8, 15.0), (42, 0.2)), only="forecast"),
    Scenario("ramp-back", "the same while four backends come back, with a slow start of a minute", 50, (20, 46),
             ((0, 0.2), (20, 0.8, 15.0), (46, 0.2)), changes=((2, 6, 9, "dead"), (24, 6, 9, "alive")),
             slow_start=60, only="forecast"),
]

# For the test suite: seconds, and judged with wide bounds.
BRIEF = Scenario("brief", "one backend ten times slower, then a crowd", 12, (4, 11), ((0, 0.6),),
                 crowd=((8, 2.4), (11, 0.0)), changes=((4, 3, 3, "slow=10"),))

# By name only: too long for all the others to wait for.
LONG = float(os.environ.get("SCENARIO_SECONDS", "603"))
STEADY_LONG = Scenario("steady-long", f"steady load for {(LONG - 3) / 60:.3g} minutes", LONG, (3, LONG),
                       ((0, float(os.environ.get("SCENARIO_LOAD", "0.6"))),), alone=True)

BY_NAME = {s.name: s for s in (*SCENARIOS, BRIEF, STEADY_LONG)}
CONTROLLERS = ("weights", "shed", "sources", "forecast")
