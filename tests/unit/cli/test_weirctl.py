#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run the built weirctl against a made-up daemon, and see what it prints and how it ends.

usage: test_weirctl.py WEIRCTL FAKE_DATAPLANE REFERENCE.md POLICIES
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

WEIRCTL = os.path.abspath(sys.argv[1])
FAKE = os.path.abspath(sys.argv[2])
REFERENCE = sys.argv[3]
POLICIES = os.path.abspath(sys.argv[4])

SERVICE = {
    "name": "web", "address": "203.0.113.10", "port": 80, "protocol": "tcp", "mode": "nat",
    "cores": [1, 2], "packets_received": 1234567, "packets_transmitted": 1234000,
    "bytes_received": 1, "bytes_transmitted": 2, "flows": 12, "new_flows": 345,
    "dropped": {"no_flow": 560, "fragment": 7},
    "residence": {"p50": 0.0000125, "p99": 0.0034, "p999": None},
}
BACKEND = {
    "service": "web", "address": "10.0.0.11", "port": 8080, "state": "draining", "weight": 100,
    "weight_in_force": 0, "flows": 3, "new_flows": 9, "packets": 99,
    "connect": {"p50": 0.001, "p99": 0.002}, "first_byte": {"p50": None, "p99": None},
    "health": {"type": "http", "verdict": "bad", "reason": "status 503"},
}
LIMITS = {"service": "web", "packets": {"configured": 1000000, "in_force": 1000000}, "bits": None,
          "connections": {"configured": 0, "in_force": 0}, "per_source": None}
PORT = {"name": "front", "device": "eth1", "driver": "net_af_xdp", "node": None, "link": True,
        "queues": {"receive": 1, "transmit": 1}, "steering": "dispatcher", "packets_received": 5,
        "packets_transmitted": 5, "passed_to_kernel": 0, "dropped": {}}
CORE = {"cpu": 1, "node": 0, "roles": ["receive", "worker"], "services": ["web"], "busy": 0.25,
        "packets": 10, "packets_per_burst": 2.5, "cycles_per_packet": 321.5, "stages": {},
        "wakeup": {"p50": 0.00002, "p99": 0.0001, "p999": 0.0002, "p9999": 0.0003},
        "gaps": {"count": 1, "total": 0.312, "last_minute": None, "recent": [],
                 "longest": [{"time": 1700000000.25, "length": 0.312, "during": "asleep",
                              "packets": 0}]}}
FLOW = {"service": "web", "protocol": "tcp", "client": "192.0.2.1:4000",
        "address": "203.0.113.10:80", "source": None, "backend": "10.0.0.11:8080",
        "state": "established", "bucket": 17, "idle": 1.5}
RUNNING = "version: 1\nports: [{name: front, device: no-such-if}]\nservices: []\n"
EVENTS = [{"sequence": 7, "time": 1700000000.25, "kind": "health", "object": "web 10.0.0.11:8080",
           "text": "is down: HTTP 503", "inputs": {"verdict": "bad"}},
          {"sequence": 8, "time": 1700000001.5, "kind": "config", "object": "a.yaml",
           "text": "applied by root (pid 5)", "inputs": {}}]
HISTORY = [{"number": 2, "time": 1700000000.0, "how": "apply", "of": None, "changes": 3,
            "by": {"uid": 0, "user": "root", "pid": 77}, "state": "in force", "file": "b.yaml",
            "confirm_within": None},
           {"number": 1, "time": 1600000000.0, "how": "start", "of": None, "changes": 0, "by": None,
            "state": "past", "file": "a.yaml", "confirm_within": None}]
STATUS = {"instance": "default", "generation": 7, "uptime": 125.0, "in_step": True,
          "controld": {"pid": 41, "config": "/etc/weir/weir.yaml", "spawns_dataplane": True},
          "dataplane": {"state": "running", "pid": 42, "uptime": 7200.0}, "ports": [PORT],
          "cores": [CORE], "memory": [{"node": 0, "total": 536870912, "free": 1048576}],
          "warnings": ["no hugepages: reserve some"]}


def answer(method, params):
    """Result of a request, or an exception with (code, message, data)."""
    results = {
        "status": STATUS, "service.list": [SERVICE], "backend.list": [BACKEND],
        "backend.drain": BACKEND, "backend.enable": BACKEND, "flow.list": [FLOW] * 2,
        "flow.find": dict(FLOW, existing=True), "limit.show": LIMITS, "limit.set": LIMITS, "port.list": [PORT],
        "port.show": PORT, "core.list": [CORE], "core.show": CORE,
        "core.move": {"buckets": 128, "done": True},
        "config.show": {"text": RUNNING, "file": "a.yaml", "applied_at": 1},
        "events.list": EVENTS, "config.history": HISTORY,
        "config.confirm": {"number": 5, "file": "a.yaml", "confirmed": True},
        "config.undo": {"changed": True, "generation": 9, "diff": "~ services.web\n", "number": 6,
                        "confirm_within": None},
        "config.diff": {"diff": "+ services.web\n"},
        "service.show": dict(SERVICE, backends=[BACKEND], limits=LIMITS, rates=None),
    }
    if method == "service.show" and params["service"] != "web":
        raise ValueError(1, 'there is no service "%s"; see service list' % params["service"], None)
    if method == "config.apply":
        if params["text"] == "bad":
            raise ValueError(1, "refused", {"errors": ["%s:1:1: version: is missing" %
                                                       params["file"], "second"]})
        return {"changed": params["text"] != "same", "generation": 8, "diff": "~ services.web\n",
                "number": 5, "confirm_within": params.get("confirm")}
    if method == "core.list" and MODE == "old":
        raise ValueError(-32601, "method not found", None)
    return results[method]


MODE = "good"
REQUESTS = []


def serve(listener):
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            line = peer.makefile().readline()
            if MODE == "silent":
                peer.close()
                continue
            if MODE == "garbage":
                peer.sendall(b"HTTP/1.1 400 Bad Request\n")
                continue
            request = json.loads(line)
            if MODE == "once" and REQUESTS:
                REQUESTS.append(request)
                continue
            REQUESTS.append(request)
            reply = {"jsonrpc": "2.0", "id": request["id"]}
            try:
                reply["result"] = answer(request["method"], request.get("params"))
            except ValueError as e:
                code, message, data = e.args
                reply["error"] = {"code": code, "message": message}
                if data is not None:
                    reply["error"]["data"] = data
            peer.sendall(json.dumps(reply).encode() + b"\n")


def run(*args, stdin="", env=None):
    p = subprocess.run([WEIRCTL, *args], input=stdin, capture_output=True, text=True, timeout=30,
                       env=dict(os.environ, **(env or {})))
    return p.returncode, p.stdout, p.stderr


def document(*args):
    """With --json: exactly one JSON document, and nothing else."""
    status, out, err = run("--json", *args)
    assert status == 0 and err == "", (status, err)
    return json.loads(out)


CASES = []


def case(name):
    def add(function):
        CASES.append((name, function))
        return function
    return add


@case("json is exactly the daemon's document, for every command")
def _():
    assert document("status") == STATUS
    assert document("service", "list") == [SERVICE]
    assert document("backend", "list") == [BACKEND]
    assert document("backend", "list", "web") == [BACKEND]
    assert document("backend", "drain", "web", "10.0.0.11:8080") == BACKEND
    assert document("flow", "list", "web") == [FLOW, FLOW]
    assert document("flow", "find", "tcp", "192.0.2.1:4000", "203.0.113.10:80")["existing"] is True
    assert document("limit", "show", "web") == LIMITS
    assert document("port", "list") == [PORT]
    assert document("port", "show", "front") == PORT
    assert document("core", "show", "3") == CORE
    assert document("core", "list") == [CORE]
    assert document("config", "show")["text"] == RUNNING
    assert document("events") == EVENTS
    assert document("config", "history") == HISTORY
    assert document("config", "confirm")["confirmed"] is True
    assert document("config", "undo")["number"] == 6
    assert document("service", "show", "web")["backends"] == [BACKEND]


@case("parameters are those of the control API")
def _():
    sent = []
    for args in (["service", "list"], ["backend", "list", "web"],
                 ["backend", "enable", "web", "10.0.0.11:8080"], ["flow", "list", "web"],
                 ["flow", "list", "web", "--limit", "5"],
                 ["flow", "find", "udp", "192.0.2.1:4000", "[2001:db8::1]:53"],
                 ["port", "show", "front"], ["core", "show", "3"], ["events"], ["events", "--since", "41"],
                 ["config", "undo"], ["config", "undo", "3"], ["config", "confirm"]):
        REQUESTS.clear()
        assert run(*args)[0] == 0
        sent.append((REQUESTS[0]["method"], REQUESTS[0].get("params")))
    assert sent == [
        ("service.list", None),
        ("backend.list", {"service": "web"}),
        ("backend.enable", {"service": "web", "backend": "10.0.0.11:8080"}),
        ("flow.list", {"service": "web", "limit": 100}),
        ("flow.list", {"service": "web", "limit": 5}),
        ("flow.find", {"tuple": {"protocol": "udp", "client": "192.0.2.1:4000",
                                 "service": "[2001:db8::1]:53"}}),
        ("port.show", {"port": "front"}),
        ("core.show", {"cpu": 3}),
        ("events.list", {"since": 0}),
        ("events.list", {"since": 41}),
        ("config.undo", None),
        ("config.undo", {"number": 3}),
        ("config.confirm", None),
    ], sent


@case("tables are for people")
def _():
    out = run("service", "list")[1].splitlines()
    assert out[0].split()[:3] == ["NAME", "ADDRESS", "PROTO"], out
    assert "203.0.113.10:80" in out[1] and "1.23M" in out[1] and "3.40 ms" in out[1], out
    assert " 567 " in out[1] and "1,2" in out[1], out
    assert all(line == line.rstrip() for line in out), out
    out = run("backend", "list")[1]
    assert "draining" in out and "10.0.0.11:8080" in out and "status 503" in out, out
    out = run("limit", "show", "web")[1]
    assert "1.00M/s" in out and "0/s" in out, out
    out = run("service", "show", "web")[1]
    assert "no_flow 560, fragment 7" in out and "10.0.0.11:8080" in out, out
    out = run("status")[1]
    assert "warning: no hugepages: reserve some" in out, out
    assert "2 min 5 s" in out and "2 h 0 min" in out and "front" in out, out
    assert "512 MiB" in out and "receive,worker" in out, out
    out = run("core", "list")[1]
    assert "25.0 %" in out and "receive,worker" in out, out
    out = run("core", "move", "web", "0-127", "1", "2")[1]
    assert out == "web: 128 buckets moved from CPU 1 to CPU 2\n", out
    assert REQUESTS[-1]["params"] == {"service": "web", "buckets": "0-127", "from": 1, "to": 2}
    run("core", "move", "web", "--all", "1", "2")
    assert REQUESTS[-1]["params"] == {"service": "web", "buckets": None, "from": 1, "to": 2}
    for wrong in (["web", "1", "2"], ["web", "7", "1", "2", "--all"], ["web", "7", "one", "2"]):
        assert run("core", "move", *wrong)[0] == 2, wrong
    assert "10.0.0.11:8080" in run("flow", "list", "web")[1]
    assert "established" in run("flow", "find", "tcp", "1.2.3.4:5", "6.7.8.9:80")[1]
    assert "front" in run("port", "list")[1]
    assert "eth1" in run("port", "show", "front")[1]
    text = run("core", "show", "3")[1]
    assert "longest gaps since the start" in text and "312 ms  asleep" in text, text
    status, _, err = run("core", "show", "first")
    assert status == 2 and "the number of a CPU is wanted" in err, err
    assert "draining" in run("backend", "drain", "web", "10.0.0.11:8080")[1]


@case("what the daemon refuses is status 1 and its own line")
def _():
    status, out, err = run("service", "show", "lost")
    assert (status, out) == (1, ""), (status, out)
    assert err == 'weirctl: there is no service "lost"; see service list\n', err


@case("apply prints the difference and the generation")
def _():
    status, out, err = run("config", "apply", "-", stdin="new")
    assert (status, err) == (0, ""), err
    assert out == "~ services.web\napplied: generation 8\n", out
    assert REQUESTS[-1]["params"] == {"file": "<stdin>", "text": "new",
                                            "folder": os.getcwd()}
    assert "nothing to change: generation 8 stays" in run("config", "apply", "-", stdin="same")[1]
    assert run("config", "diff", "-", stdin="x")[1] == "+ services.web\n"
    assert run("config", "show")[1] == RUNNING


@case("errors of a configuration are printed as they are")
def _():
    status, out, err = run("config", "apply", "-", stdin="bad")
    assert (status, out) == (1, "")
    assert err == "<stdin>:1:1: version: is missing\nsecond\n", err


@case("a file that cannot be read is status 1")
def _():
    for command in ("apply", "diff", "check"):
        status, _, err = run("config", command, "/nowhere/x.yaml")
        assert status == 1 and "/nowhere/x.yaml" in err and err.count("\n") == 1, err
    assert run("config", "apply", "-", stdin="")[0] == 0


@case("check needs no daemon and prints all errors")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/bad.yaml"
        with open(path, "w") as f:
            f.write("version: 1\nnonsense: 1\nports: 5\n")
        env = {"WEIR_RUN_DIR": folder}
        status, out, err = run("config", "check", path, env=env)
        assert (status, out) == (1, ""), (status, out)
        assert len(err.splitlines()) >= 2, err
        assert all(line.startswith(path + ":") for line in err.splitlines()), err
        status, out, _ = run("config", "check", path, "--json", env=env)
        found = json.loads(out)
        assert status == 1 and found["valid"] is False and found["errors"] == err.splitlines()


@case("a good configuration is called valid")
def _():
    good = ("version: 1\nports:\n  - {name: front, device: eth1}\nservices:\n"
            "  - {name: web, address: 203.0.113.10, port: 80, protocol: tcp, mode: nat,\n"
            "     source-addresses: [10.0.0.1], backends: [{address: 10.0.0.2, port: 80}]}\n")
    status, out, err = run("config", "check", "-", stdin=good)
    assert status == 0 and err == "", err
    assert out == "<stdin>: valid: 1 port, 1 service, 1 backend\n", out
    assert json.loads(run("config", "check", "-", "--json", stdin=good)[1])["valid"] is True


@case("check judges the policies that a configuration names, and says where it names them")
def _():
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(POLICIES + "/ipv6_headers.o", folder + "/good.o")
        with open(folder + "/garbage.o", "w") as f:
            f.write("no object\n")

        def check(first, outside):
            path = folder + "/a.yaml"
            with open(path, "w") as f:
                f.write("version: 1\nports:\n  - {name: front, device: eth1}\nservices:\n"
                        "  - {name: web, address: 203.0.113.10, port: 80, protocol: tcp, mode: nat,\n"
                        "     source-addresses: [10.0.0.1], backends: [{address: 10.0.0.2, port: 80}],\n"
                        "     policy: %s}\npolicy: {object: %s, budget: 1000000000}\n" % (first, outside))
            status, out, err = run("config", "check", path, "--json")
            found = json.loads(out)
            assert found["errors"] + found["warnings"] == err.splitlines(), (found, err)
            assert found["valid"] == (status == 0), found
            return status, [line[len(path) + 1:] for line in found["errors"]], found["warnings"]

        good = "{object: good.o, budget: 1000000000}"
        status, errors, warnings = check(good, "good.o")
        assert (status, errors) == (0, []), errors
        # Who may not ask the kernel is told so, for each place.
        assert len(warnings) in (0, 2), warnings
        assert all("good.o: cannot be verified here: " in line for line in warnings), warnings
        # A file that is for another machine is not wrong because of what is not on this one.
        status, errors, warnings = check("{object: garbage.o}", "none.o")
        assert (status, len(errors)) == (1, 1), errors
        assert errors[0].startswith("7:23: services[0].policy.object: garbage.o: refused: "), errors
        status, errors, warnings = check(good, "none.o")
        assert (status, errors) == (0, []), errors
        assert warnings[-1].startswith(folder + "/a.yaml:8:18: policy.object: none.o: is not on this machine, "), warnings
        status, errors, _ = check("{object: .}", "good.o")
        assert status == 1 and errors[0].startswith("7:23: services[0].policy.object: .: refused: "), errors
        errors = check("[%s, %s]" % (good, good), "good.o")[1]
        assert len(errors) == 1 and errors[0].startswith("7:62: services[0].policy[1].object: good.o: stands"), errors
        errors = check("{object: good.o, set: {nothing: 1}}", "good.o")[1]
        assert len(errors) == 1 and "refused by --set: " in errors[0], errors
        os.symlink(POLICIES + "/tls_route.o", folder + "/long.o")
        status, errors, _ = check("{object: %s/long.o, budget: 1}" % folder, "good.o")
        assert status == 1 and "the budget is 1" in errors[0], errors


@case("what is wrong with a file as a whole is told in the same form")
def _():
    services = "".join(
        f"  - {{name: s{i}, address: 203.0.{i // 250}.{i % 250 + 1}, port: 80, protocol: tcp, mode: nat,\n"
        "     source-addresses: [10.0.0.1], backends: [{address: 10.0.0.2}]}\n" for i in range(300))
    text = "version: 1\nports:\n  - {name: front, device: eth1}\nservices:\n" + services
    status, out, err = run("config", "check", "-", stdin=text)
    assert (status, out) == (1, ""), out
    assert re.fullmatch(r"<stdin>:1:1: file: service s\d+: all ports of 10\.0\.0\.1 .*add a source address\n", err), err


@case("without a daemon the status is 3, with the socket and what to do")
def _():
    status, out, err = run("status", "--socket", "/nowhere/control.sock")
    assert (status, out) == (3, "")
    assert "/nowhere/control.sock" in err and "weir-controld --config" in err, err
    status, _, err = run("status", "--instance", "blue", env={"WEIR_RUN_DIR": "/nowhere"})
    assert status == 3 and "/nowhere/blue/control.sock" in err and "--instance blue" in err, err
    assert run("status", "--socket", "/" + "x" * 200)[0] == 3


@case("a daemon that hangs up or is none is status 3")
def _():
    global MODE
    for MODE in ("silent", "garbage"):
        status, out, err = run("status")
        assert (status, out) == (3, "") and err.count("\n") == 1, (MODE, status, err)


@case("a daemon that does not know a method is status 1")
def _():
    global MODE
    MODE = "old"
    status, _, err = run("core", "list")
    assert status == 1 and "core.list" in err, err


@case("wrong usage is status 2 and says how it is right")
def _():
    for args in ([], ["service"], ["service", "show"], ["lost"], ["status", "--lost"],
                 ["flow", "list", "web", "--limit", "0"], ["flow", "find", "icmp", "1", "2"],
                 ["flow", "find", "tcp", "1.2.3.4", "1.2.3.4:80"],
                 ["backend", "drain", "web", "10.0.0.11"], ["backend", "enable", "web", "x:1"]):
        status, out, err = run(*args)
        assert (status, out) == (2, "") and "weirctl" in err, (args, status, err)
    assert "usage: weirctl service show SERVICE" in run("service", "show")[2]


@case("a trace or capture that makes no sense is wrong usage")
def _():
    for args, word in ((["trace"], "--port"), (["trace", "web", "--sample", "0"], "1/N"),
                       (["trace", "web", "--count", "0"], "--count"), (["capture", "web"], "--write"),
                       (["trace", "web", "--for", "10"], "--for"),
                       (["trace", "web", "--match", "tcp and and"], "pcap-filter"),
                       (["capture", "web", "--write", "x", "--snaplen", "70000"], "--snaplen")):
        status, out, err = run(*args)
        assert (status, out) == (2, "") and word in err, (args, status, err)


@case("doctor tells findings, of the daemon's configuration or of a file")
def _():
    with tempfile.TemporaryDirectory() as folder:
        # Ports that are not there, so that there is a problem on any machine.
        good, bad = folder + "/good.yaml", folder + "/bad.yaml"
        with open(good, "w") as f:
            f.write("version: 1\nports: [{name: front, device: no-such-if}]\nservices: []\n")
        with open(bad, "w") as f:
            f.write("version: 2\n")
        status, out, err = run("doctor", good, "--json")
        found = json.loads(out)
        assert status == 1 and err == "" and found["problems"] >= 1, (status, out, err)
        assert found["configuration"] == good and found["instance"] == "default", found
        assert any(f["level"] == "problem" and f["check"] == "port" and f["object"] == "front"
                   and "no-such-if" in f["text"] and f["mend"] for f in found["findings"]), found
        assert any(f["check"] == "daemon" and "pid 41" in f["text"] and f["level"] == "ok"
                   for f in found["findings"]), found
        levels = [f["level"] for f in found["findings"]]
        assert [levels.count(n) for n in ("problem", "warning", "note", "ok")] == [
            found[n] for n in ("problems", "warnings", "notes", "ok")], found
        status, out, _ = run("doctor", good)
        assert status == 1 and "problem  port front: there is no interface no-such-if" in out, out
        status, out, err = run("doctor", bad)
        assert (status, out) == (1, "") and err.startswith(bad + ":1:"), (status, err)
        status, out, err = run("doctor", "/nowhere/weir.yaml")
        assert status == 1 and err.count("\n") == 1 and "/nowhere/weir.yaml" in err, err
    found = json.loads(run("doctor", "--json")[1])
    assert found["configuration"] == "the running configuration", found
    # Without a daemon it goes on, and says so.
    _, out, err = run("doctor", "--json", "--socket", "/nowhere/control.sock")
    found = json.loads(out)
    assert err == "" and found["configuration"] is None, (found, err)
    assert any(f["check"] == "daemon" and f["level"] == "note" for f in found["findings"]), found
@case("apply --confirm says what it waits for, and takes a time with its unit")
def _():
    REQUESTS.clear()
    status, out, err = run("config", "apply", "-", "--confirm", "90s", stdin="version: 1")
    assert status == 0 and 'goes back in 90.0 s unless "weirctl config confirm"' in out, (out, err)
    assert REQUESTS[0]["params"]["confirm"] == 90, REQUESTS
    assert "goes back" not in run("config", "apply", "-", stdin="version: 1")[1]
    for bad in ("60", "0s", "x", "25h", "-1s"):
        status, out, err = run("config", "apply", "-", "--confirm=" + bad, stdin="version: 1")
        assert status == 2 and "such as 60s" in err, (bad, status, err)
    for bad in ("x", "0", "-1", "1.5"):
        assert run("config", "undo", "--", bad)[0] == 2, bad
    out = run("config", "history", env={"TZ": "UTC"})[1].splitlines()
    assert out[1].split() == ["2", "2023-11-14", "22:13:20", "apply", "-", "root", "77", "3", "in",
                              "force", "b.yaml"], out
    assert run("config", "confirm")[1] == "confirmed: configuration 5 stays\n"


@case("events are lines, and a follower goes on behind the last one")
def _():
    global MODE
    out = run("events", env={"TZ": "UTC"})[1].splitlines()
    assert out[0] == ("2023-11-14 22:13:20.250  health     web 10.0.0.11:8080 is down: HTTP 503"), out
    assert len(out) == 2
    REQUESTS.clear()
    MODE = "once"
    status, out, err = run("--json", "events", "--follow", "--since", "3")
    MODE = "good"
    assert [json.loads(line) for line in out.splitlines()] == EVENTS, out
    assert status == 3 and "closed the connection" in err, (status, err)
    asked = [(r["method"], r["params"]["since"]) for r in REQUESTS]
    assert asked == [("events.list", 3), ("events.list", 8)], asked
    for bad in ("x", "-1", "1.5"):
        assert run("events", "--since", bad)[0] == 2


@case("a daemon that may not be asked is asked by its read-only socket")
def _():
    if os.getuid() != 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(folder + "/default")
        os.chmod(folder, 0o755)
        for name, mode in (("control.sock", 0o600), ("control-ro.sock", 0o666)):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(folder + "/default/" + name)
            listener.listen()
            os.chmod(folder + "/default/" + name, mode)
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        p = subprocess.run([*as_nobody, WEIRCTL, "--json", "port", "list"], capture_output=True,
                           text=True, timeout=30, env=dict(os.environ, WEIR_RUN_DIR=folder))
        assert p.returncode == 0 and json.loads(p.stdout) == [PORT], p
        p = subprocess.run([*as_nobody, WEIRCTL, "--socket", folder + "/default/control.sock",
                            "port", "list"], capture_output=True, text=True, timeout=30)
        assert p.returncode == 3 and "may not open" in p.stderr, p


@case("a full disk is not a success")
def _():
    with open("/dev/full", "w") as full:
        p = subprocess.run([WEIRCTL, "status"], stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert p.returncode == 1, p.returncode


@case("watch prints again and again")
def _():
    p = subprocess.Popen([WEIRCTL, "service", "list", "--watch", "0.1"], stdout=subprocess.PIPE,
                         text=True)
    seen = 0
    for line in p.stdout:
        seen += line.startswith("NAME")
        if seen == 3:
            break
    p.terminate()
    p.stdout.close()
    p.wait(timeout=10)
    assert seen == 3


@case("completion offers the names that the daemon knows")
def _():
    assert run("--complete", "service", "show", "")[1] == "web\n"
    assert run("--complete", "backend", "drain", "web", "10")[1] == "10.0.0.11:8080\n"
    assert run("--complete", "port", "show", "fr")[1] == "front\n"
    assert run("--complete", "--instance", "d")[1] == "default\n"


REPLAY_CONFIG = ("version: 1\nports:\n  - {name: front, device: eth1}\nservices:\n"
                 "  - {name: web, address: 203.0.113.10, port: 80, protocol: tcp, mode: dsr,\n"
                 "     backends: [{address: 10.0.0.2, port: 80}]}\n"
                 "neighbours: [{address: 10.0.0.2, mac: \"02:00:00:00:00:02\", port: front}]\n")


@case("replay refuses what cannot work before it starts anything")
def _():
    with tempfile.TemporaryDirectory() as folder:
        config, capture, text = (folder + "/" + name for name in ("c.yaml", "a.pcap", "text"))
        with open(config, "w") as f:
            f.write(REPLAY_CONFIG)
        with open(capture, "wb") as f:
            f.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        with open(text, "w") as f:
            f.write("not a capture")
        env = {"WEIR_DATAPLANE": folder + "/never"}
        for args, status, said in (
                (["--in", "lost=" + capture], 1, "lost"),
                (["--in", "front=" + folder + "/nowhere"], 1, "nowhere"),
                (["--in", "front=" + text], 1, "not a capture"),
                (["--in", "front=" + folder], 1, "not a file"),
                (["--in", "front"], 2, "PORT=FILE"),
                (["--in", "front=" + capture, "--in", "front=" + capture], 2, "twice"),
                (["--in", "front=" + capture, "--out", "front=/nowhere/x"], 1, "/nowhere/x"),
                (["--in", "front=" + capture, "--out", "front=" + capture], 1, "both"),
                (["--in", "front=" + capture, "--seed", "x"], 2, "--seed"),
                (["--in", "front=" + capture], 1, "never")):
            found, out, err = run("replay", config, *args, env=env)
            assert (found, out) == (status, ""), (args, found, out)
            assert said in err, (args, err)
        found, _, err = run("replay", text, "--in", "front=" + capture)
        assert found == 1 and text + ":" in err, err


def replay(*args, program=FAKE, **env):
    """Run a replay with a small configuration and an empty capture."""
    with tempfile.TemporaryDirectory() as folder:
        config, capture = folder + "/c.yaml", folder + "/a.pcap"
        with open(config, "w") as f:
            f.write(REPLAY_CONFIG)
        with open(capture, "wb") as f:
            f.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        return run("replay", config, "--in", "front=" + capture, *args,
                   env=dict(env, WEIR_DATAPLANE=program))


@case("replay prints what came of it")
def _():
    figures = {"FAKE_RECEIVED": "100", "FAKE_TRANSMITTED": "60", "FAKE_TO_KERNEL": "33",
               "FAKE_DROPPED": "7"}
    status, out, err = replay("--json", **figures)
    assert (status, err) == (0, ""), (status, err)
    found = json.loads(out)
    assert found["received"] == 100 and found["transmitted"] == 60, found
    assert found["passed_to_kernel"] == 33 and found["dropped"] == {"no_service": 7}, found
    assert found["services"][0]["backends"][0]["address"] == "10.0.0.2", found
    status, out, err = replay(**figures)
    assert (status, err) == (0, ""), (status, err)
    assert "no_service 7" in out and "10.0.0.2:80" in out, out


@case("replay fails loudly when packets are missing")
def _():
    status, out, err = replay("--json", FAKE_RECEIVED="100", FAKE_TRANSMITTED="60")
    assert status == 1 and "do not balance" in err and "100" in err, (status, err)
    assert json.loads(out)["received"] == 100


@case("replay hands its options to the data plane")
def _():
    with tempfile.NamedTemporaryFile("r") as arguments:
        status, _, err = replay("--seed", "7", "--out", "front=/tmp/out.pcap",
                                FAKE_ARGUMENTS=arguments.name)
        assert status == 0, err
        found = arguments.read().split()
        assert found[:5] == ["--instance", "replay", "--replay", "--api-fd", "3"], found
        assert found[5] == "--in" and found[6].startswith("front="), found
        assert found[7:] == ["--out", "front=/tmp/out.pcap", "--seed", "7"], found


@case("replay tells why the data plane refused or ended")
def _():
    status, out, err = replay(FAKE_REFUSES="1")
    assert (status, out) == (1, "") and "not to its taste" in err, (status, err)
    with tempfile.TemporaryDirectory() as folder:
        program = folder + "/dataplane"
        with open(program, "w") as f:
            f.write("#!/bin/sh\necho 'there is no memory left' >&2\nexit 1\n")
        os.chmod(program, 0o755)
        status, out, err = replay(program=program)
        assert (status, out) == (1, ""), (status, out)
        assert "there is no memory left" in err, err


@case("the reference in the documentation is current")
def _():
    with open(REFERENCE) as f:
        assert f.read() == run("--generate", "reference")[1], (
            "make it anew: weirctl --generate reference > docs/operators/cli.md")


def keys_of(value):
    """All keys of a document, but those of counters by reason."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys_of(v) for k, v in value.items() if k != "dropped"))


@case("every field of the documents is explained")
def _():
    with open(os.path.join(os.path.dirname(REFERENCE), "json.md")) as f:
        words = set(f.read().replace("`", " ").replace("{", " ").replace("}", " ")
                    .replace(",", " ").replace(":", " ").split())
    status, out, _ = replay("--json")
    assert status == 0
    missing = keys_of([json.loads(out), STATUS, json.loads(run("doctor", "--json")[1])]) - words
    assert not missing, missing


@case("the manual pages of the other programs name all their options")
def _():
    manuals = os.path.join(os.path.dirname(REFERENCE), "..", "man")
    for program in ("weir-dataplane", "weir-controld"):
        p = subprocess.run([os.path.join(os.path.dirname(WEIRCTL), program), "--help"],
                           capture_output=True, text=True, timeout=30)
        options = set(re.findall(r"--[a-z-]+", p.stdout)) - {"--help", "--version"}
        assert p.returncode == 0 and len(options) >= 4, p
        with open(os.path.join(manuals, program + ".8")) as f:
            text = f.read().replace("\\-", "-")
        missing = {o for o in options if o not in text}
        assert not missing, (program, missing)


@case("every manual page is rendered without a warning")
def _():
    manuals = os.path.join(os.path.dirname(REFERENCE), "..", "man")
    pages = [os.path.join(manuals, f) for f in os.listdir(manuals) if f[-2:] in (".1", ".5", ".8")]
    assert len(pages) >= 3, pages
    with tempfile.TemporaryDirectory() as folder:
        own = folder + "/weirctl.1"
        with open(own, "w") as f:
            f.write(run("--generate", "manual")[1])
        for page in pages + [own]:
            p = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                               timeout=30, env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80"))
            assert p.returncode == 0 and p.stderr == "" and "NAME" in p.stdout, (page, p.stderr)


@case("the completion works in a shell")
def _():
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(WEIRCTL, folder + "/weirctl")
        with open(folder + "/some.yaml", "w"):
            pass
        script = run("--generate", "bash")[1] + """
            try() {
                COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$' \\t\\n"><=;|&(:'
                _weirctl
                echo "$1 -> ${COMPREPLY[*]}"
            }
            cd %s
            try 'weirctl serv'
            try 'weirctl service '
            try 'weirctl config apply so'
            try 'weirctl backend drain web 10.0.0.11:8'
            """ % folder
        p = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30,
                           env=dict(os.environ, PATH=folder + ":" + os.environ["PATH"]))
        assert p.stdout.splitlines() == [
            "weirctl serv -> service", "weirctl service  -> list show",
            "weirctl config apply so -> some.yaml",
            "weirctl backend drain web 10.0.0.11:8 -> 8080"], (p.stdout, p.stderr)


def main():
    global MODE
    failed = 0
    print("1..%d" % len(CASES), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WEIR_RUN_DIR"] = folder
        os.mkdir(folder + "/default")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(folder + "/default/control.sock")
        listener.listen(16)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        for number, (name, function) in enumerate(CASES, 1):
            MODE = "good"
            try:
                function()
                print("ok %d - weirctl: %s" % (number, name), flush=True)
            except Exception as e:  # a failed case must not hide the others
                failed += 1
                print("not ok %d - weirctl: %s\n# %r" % (number, name, e), flush=True)
        listener.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
