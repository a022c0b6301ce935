# SPDX-License-Identifier: BSD-3-Clause
"""One SVG for a scenario: requests a second, p99 and weights over time; off on the left, on on the right."""

import math
from xml.sax.saxutils import escape

import figures

BIN = 0.5
WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 130, 56, 40, 34
COLOURS = ("#1f5fa8", "#c2571a", "#3a8f4b", "#8a4fa3", "#7a6a2a", "#b0325a", "#2a8a92", "#666666", "#9aa32a", "#4a4ab8")


class Panel:
    """One pair of axes; x in seconds, y linear or (log) in decades."""

    def __init__(self, x, y, title, seconds, low, high, log=False):
        self.x, self.y, self.seconds, self.low, self.high, self.log = x, y, seconds, low, high, log
        self.parts = [f'<text x="{x}" y="{y - 6}" class="t">{escape(title)}</text>',
                      f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" class="f"/>']
        for value, label in self.ticks():
            at = self.to_y(value)
            self.parts.append(f'<path d="M{x} {at:.1f}h{WIDTH}" class="g"/>'
                              f'<text x="{x - 4}" y="{at + 3:.1f}" class="r">{label}</text>')
        for second in range(0, int(seconds) + 1, 5):
            self.parts.append(f'<text x="{self.to_x(second):.1f}" y="{y + HEIGHT + 12}" class="m">{second}</text>')

    def ticks(self):
        if self.log:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [(10 ** p, f"{10 ** p * 1e3:g} ms") for p in powers]
        step = 10 ** math.floor(math.log10(self.high))
        step = next(s for s in (step / 5, step / 2, step, step * 2) if self.high / s <= 6)
        return [(i * step, f"{i * step:g}") for i in range(int(self.high / step) + 1)]

    def to_x(self, second):
        return self.x + WIDTH * second / self.seconds

    def to_y(self, value):
        value = min(self.high, max(self.low, value))
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.y + HEIGHT * (1 - share)

    def window(self, start, end):
        self.parts.insert(2, f'<rect x="{self.to_x(start):.1f}" y="{self.y}" width="{self.to_x(end) - self.to_x(start):.1f}" '
                             f'height="{HEIGHT}" class="w"/>')

    def line(self, points, colour, dashed=False):
        points = [(t, v) for t, v in points if v is not None and not math.isnan(v)]
        if points:
            path = "L".join(f"{self.to_x(t):.1f} {self.to_y(v):.1f}" for t, v in points)
            self.parts.append(f'<path d="M{path}" stroke="{colour}" class="{"d" if dashed else "l"}"/>')


def bins(run, wanted, weight=lambda r: 1):
    """(time, count a second) of the requests that are wanted."""
    counts = [0.0] * (int(run.scenario.seconds / BIN) + 1)
    for r in run.requests:
        if wanted(r):
            counts[min(len(counts) - 1, int(r.at / BIN))] += weight(r)
    return [((i + 0.5) * BIN, n / BIN) for i, n in enumerate(counts[:-1])]


def p99_line(run):
    by_bin = {}
    for r in run.requests:
        if r.legitimate:
            by_bin.setdefault(int(r.at / BIN), []).append(r)
    return [((k + 0.5) * BIN, figures.p99(requests)) for k, requests in sorted(by_bin.items())]


def rates(panel, run):
    s = run.scenario
    if s.attack:
        panel.line(bins(run, lambda r: True), COLOURS[5])
    panel.line(bins(run, lambda r: r.legitimate), COLOURS[0])
    panel.line(bins(run, lambda r: r.legitimate and r.outcome not in ("refused", "timeout")), COLOURS[1])
    panel.line(bins(run, lambda r: r.legitimate and figures.is_good(r, s.objective)), COLOURS[2])


def thinned(series):
    """Only where it turns: most weights stand still."""
    return [p for i, p in enumerate(series)
            if i in (0, len(series) - 1) or series[i - 1][1] != p[1] or series[i + 1][1] != p[1]]


def column(x, name, run, top_rate):
    s = run.scenario
    y = [TOP + i * (HEIGHT + GAP) for i in range(3)]
    one = Panel(x, y[0], f"adaptation {name}: requests a second", s.seconds, 0, top_rate)
    two = Panel(x, y[1], "p99 of those let in (top: no answer)", s.seconds, s.mean, 10, log=True)
    three = Panel(x, y[2], "weights in force, of the configured", s.seconds, 0, 1.2)
    for panel in (one, two, three):
        panel.window(*s.event)
    rates(one, run)
    two.line([(0, s.objective), (s.seconds, s.objective)], "#888888", dashed=True)
    two.line(p99_line(run), COLOURS[0])
    for i in range(s.backends):
        three.line(thinned(figures.weights(run, i)), COLOURS[i % len(COLOURS)])
    return [part for panel in (one, two, three) for part in panel.parts]


STYLE = """text{font:10px sans-serif;fill:#222}.t{font-weight:bold}.r{text-anchor:end}.m{text-anchor:middle}
.f{fill:none;stroke:#888}.g{stroke:#ddd;fill:none}.w{fill:#f4ecd8}.l{fill:none;stroke-width:1.4}
.d{fill:none;stroke-dasharray:5 4}"""


def svg(scenario, runs):
    # The legitimate requests and the pool's capacity fit; what attackers ask for beyond that is cut off.
    top_rate = 1.2 * max(scenario.capacity, *(scenario.load_at(t) for t in range(int(scenario.seconds))))
    legend = [(COLOURS[0], "offered"), (COLOURS[1], "let in and answered"), (COLOURS[2], "inside the objective")]
    if scenario.attack:
        legend.append((COLOURS[5], "with the attack"))
    width, height = 2 * (WIDTH + LEFT) + 20, TOP + 3 * (HEIGHT + GAP) + 6
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
             f"<!-- SPDX-License-Identifier: BSD-3-Clause; drawn by tests/scenarios/report.py -->",
             f"<style>{STYLE}</style>", f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             f'<text x="{LEFT}" y="14" class="t">{escape(scenario.title)}</text>']
    at = LEFT + 380
    for colour, text in legend:
        parts.append(f'<path d="M{at} 11h16" stroke="{colour}" class="l"/><text x="{at + 20}" y="14">{text}</text>')
        at += 34 + 6 * len(text)
    for i, (mode, run) in enumerate(runs.items()):
        parts += column(LEFT + i * (WIDTH + LEFT), mode, run, top_rate)
    return "\n".join(parts + ["</svg>"]) + "\n"
