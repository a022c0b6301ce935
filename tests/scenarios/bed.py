# SPDX-License-Identifier: BSD-3-Clause
"""Run one scenario once: start the backends, Weir and the crowd, look at Weir ten times a second, gather it all."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from table import CONTROLLERS

BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", "build"))
TOOLS = BUILD / "tests/tools"
POLL = 0.1
# With real-time priority for all (run.sh): who measures goes before what is measured.
FIRST = ["chrt", "--rr", "11"] if os.sched_getscheduler(0) == os.SCHED_RR else []


class Trouble(Exception):
    """The scenario could not be run: no result, good or bad."""


def configuration(scenario, adapt):
    """adapt: controller -> off | on; all off: nothing of adaptation is in the file."""
    lines = [
        "version: 1",
        "dataplane: {cores: [0], idle: sleep, hugepages: none, memory: 256M}",
        "ports:",
        "  - {name: front, device: front}",
        "  - {name: back, device: back}",
        "services:",
        "  - name: web",
        "    address: 198.51.100.10",
        "    port: 80",
        "    protocol: tcp",
        "    mode: nat",
        "    source-addresses: [10.2.0.100, 10.2.0.101, 10.2.0.102, 10.2.0.103]",
        "    health: {type: http, path: /healthz, interval: 1s, timeout: 500ms, rise: 2, fall: 3, "
        f"slow-start: {scenario.slow_start:g}s}}",
    ]
    if any(mode == "on" for mode in adapt.values()):
        modes = ", ".join(f"{name}: {mode}" for name, mode in adapt.items())
        lines += [f"    objective: {{p99: {scenario.objective * 1e3:.0f}ms}}", f"    adapt: {{{modes}}}"]
    lines.append("    backends:")
    lines += [f"      - {{address: 10.2.0.{11 + i}, port: 8080}}" for i in range(scenario.backends)]
    return "\n".join(lines) + "\n"


def inside(namespace, *command):
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *map(str, command)]


class Control:
    """A connection to the daemon's socket, opened again when the daemon has been away."""

    def __init__(self, path):
        self.path = path
        self.stream = None

    def call(self, method, **params):
        """The result, or None when nobody answers."""
        try:
            if not self.stream:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.settimeout(1)
                self.socket.connect(self.path)
                self.stream = self.socket.makefile("rw")
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            self.stream.write(json.dumps(request) + "\n")
            self.stream.flush()
            return json.loads(self.stream.readline()).get("result")
        except (OSError, ValueError):
            self.stream = None
            return None


def cpu_of(pid):
    """Seconds of CPU that a process has used."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


class Bed:
    def __init__(self, scenario, adapt, seed, folder):
        self.scenario, self.adapt, self.seed = scenario, adapt, seed
        self.folder = folder
        self.world = pathlib.Path(os.environ["WORLD"])
        self.run_folder = pathlib.Path(os.environ["WEIR_RUN_DIR"])
        self.control = Control(str(self.run_folder / "default/control.sock"))
        self.daemon = None
        self.children = []

    def start(self, name, namespace, *command, stdin=subprocess.DEVNULL, first=()):
        with open(self.folder / f"{name}.out", "a", encoding="utf-8") as out, \
                open(self.folder / f"{name}.err", "a", encoding="utf-8") as err:
            child = subprocess.Popen([*first, *inside(namespace, *command)], stdin=stdin, stdout=out, stderr=err)
        self.children.append(child)
        return child

    def daemon_start(self):
        self.daemon = self.start("controld", "weir", BUILD / "weir-controld", "--config",
                                 self.world / "scenario.yaml", "--spawn-dataplane")

    def until(self, what, seconds, condition):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Trouble(f"{what}: not within {seconds} s, see {self.folder}")
            time.sleep(0.05)

    def backends_are_up(self):
        listed = self.control.call("backend.list", service="web") or []
        return sum(b["state"] == "up" for b in listed) == self.scenario.backends

    def origin_start(self):
        s = self.scenario
        changes = [a for at, first, last, what in s.changes for a in ("-x", f"{at},{first}-{last},{what}")]
        return self.start("origin", "origins", TOOLS / "weir-origin", "-n", s.backends, "-c", s.slots,
                          "-m", s.mean, "-g", s.sigma, "-s", self.seed, "-S", "-", *changes, "10.2.0.11:8080",
                          stdin=subprocess.PIPE, first=FIRST)

    def crowd_start(self, start_ns):
        s = self.scenario
        arguments = ["-c", f"legit,10.16.0.1,{s.sources},{s.skew},{s.keep}"]
        classes = [("legit", s.loads)]
        if s.crowd:
            arguments += ["-c", f"crowd,10.16.64.1,{s.crowders},{s.skew},0"]
            classes.append(("crowd", s.crowd))
        if s.attack:
            arguments += ["-c", f"attacker,10.16.128.1,{s.attackers},0,0,{s.attack_timeout}"]
            classes.append(("attacker", s.attack))
        for name, loads in classes:
            for at, share, *ramp in loads:
                arguments += ["-r", ",".join(map(str, [name, at, share * s.capacity, *ramp]))]
        return self.start("crowd", "client", TOOLS / "weir-crowd", *arguments, "-t", s.seconds, "-o", s.objective,
                          "-T", s.timeout, "-s", self.seed, "-S", start_ns, "-R", self.folder / "records",
                          "198.51.100.10:80", first=FIRST)

    def daemon_act(self, what):
        if what == "kill":
            self.daemon.send_signal(signal.SIGKILL)
            self.daemon.wait()
            self.daemon = None
        else:
            self.daemon_start()

    def sample(self, at):
        live = self.control.call("live.show", backends=True, service="web")
        limits = self.control.call("limit.show", service="web")
        if not live or not live.get("services"):
            return {"t": at}
        service = live["services"][0]
        return {"t": at, "dropped": service["dropped"], "flows": service["flows"], "new_flows": service["new_flows"],
                "limits": limits, "cores": live.get("cores"),
                "backends": [{k: b.get(k) for k in ("state", "weight", "weight_in_force", "cap", "flows", "new_flows")}
                             for b in live["backends"]]}

    def watch(self, start_ns, crowd):
        """Until the crowd is done."""
        samples, todo = [], list(self.scenario.daemon)
        while crowd.poll() is None:
            at = (time.monotonic_ns() - start_ns) / 1e9
            if todo and at >= todo[0][0]:
                self.daemon_act(todo.pop(0)[1])
            if self.daemon and self.daemon.poll() is not None:
                crowd.terminate()
                raise Trouble(f"the daemon has ended with {self.daemon.returncode}, see {self.folder}/controld.err")
            samples.append(self.sample(at))
            time.sleep(max(0.0, POLL - ((time.monotonic_ns() - start_ns) / 1e9 - at)))
        if crowd.returncode:
            raise Trouble(f"the crowd failed, see {self.folder}/crowd.err")
        return samples

    def explained(self):
        """The decisions, newest first; nothing where nothing adapts."""
        return self.control.call("explain", service="web", last=2000) or []

    def run(self):
        """What the generator, the backends and Weir say of it is in the folder then."""
        (self.world / "scenario.yaml").write_text(configuration(self.scenario, self.adapt), encoding="utf-8")
        origin = self.origin_start()
        self.daemon_start()
        self.until("Weir is up with its backends", 30, self.backends_are_up)
        dataplane = (self.control.call("status") or {}).get("dataplane", {}).get("pid", 0)
        start_ns = time.monotonic_ns() + 3 * 10**8
        origin.stdin.write(f"{start_ns}\n".encode())
        origin.stdin.flush()
        crowd = self.crowd_start(start_ns)
        pids = {"crowd": crowd.pid, "origin": origin.pid, "controld": self.daemon.pid, "dataplane": dataplane}
        before = {name: cpu_of(pid) for name, pid in pids.items()}
        samples = self.watch(start_ns, crowd)
        cpu = {name: cpu_of(pid) - before[name] for name, pid in pids.items() if name != "crowd"}
        result = {"adapt": self.adapt, "seed": self.seed, "samples": samples, "explain": self.explained(),
                  "cpu": cpu}
        (self.folder / "weir.json").write_text(json.dumps(result), encoding="utf-8")

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        self.forget()

    @staticmethod
    def forget():
        """Connections that are still ending would meet those of the next run: a SYN that finds its ports taken waits 1 s."""
        for namespace in ("client", "origins"):
            subprocess.run(inside(namespace, "ss", "-K", "-H", "-t", "state", "connected"), check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
