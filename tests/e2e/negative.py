#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Messages that make no sense, to both sockets of a running Weir: each gets its reason.

usage: negative.py control CONTROL.SOCK | negative.py dataplane DATAPLANE.SOCK

Prints a line "good: NAME" or "BAD: NAME: ..." for each, and ends with 1 when one was bad.
"""

import json
import os
import re
import socket
import struct
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
bad = 0


def tell(name, got, *wanted):
    global bad
    missing = [w for w in wanted if str(w) not in got]
    print(f"BAD: {name}: {missing} not in {got[:300]!r}" if missing else f"good: {name}")
    bad += bool(missing)


# ---- the control API ---------------------------------------------------------------------------

NAME = "a" * 64
CONTROL = [  # name, line, code, words of the message
    ("no JSON at all", b"GET / HTTP/1.1", -32700, ""),
    ("an open bracket", b'{"jsonrpc": "2.0", "id": 1', -32700, ""),
    ("bytes that are no UTF-8", b'{"jsonrpc": "2.0", "id": 1, "method": "\xff\xfe"}', -32700, ""),
    ("a NUL", b'{"jsonrpc": "2.0", "id": 1, "method": "sta\0tus"}', -32700, ""),
    ("ten thousand brackets", b"[" * 10000, -32700, ""),
    ("a number", b"7", -32700, ""),
    ("a list of requests", b'[{"jsonrpc": "2.0", "id": 1, "method": "status"}]', -32600, ""),
    ("no version", b'{"id": 1, "method": "status"}', -32600, ""),
    ("another version", b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', -32600, ""),
    ("no method", b'{"jsonrpc": "2.0", "id": 1}', -32600, ""),
    ("a method that is a number", b'{"jsonrpc": "2.0", "id": 1, "method": 3}', -32600, ""),
]


def call(method, params):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


CONTROL += [
    ("an unknown method", call("service.destroy", {}), -32601, "service.destroy"),
    ("a service that is a number", call("service.show", {"service": 7}), -32602, "service"),
    ("an unknown service", call("service.show", {"service": "nobody"}), 1, "nobody"),
    ("a name of 64 characters", call("service.show", {"service": NAME}), 1, "no service"),
    ("an unknown port", call("port.show", {"port": "nowhere"}), 1, "nowhere"),
    ("a backend that is no address", call("backend.drain", {"service": "web", "backend": "b1"}),
     -32602, "ADDRESS:PORT"),
    ("an unknown backend", call("backend.drain", {"service": "web", "backend": "10.9.9.9:80"}), 1,
     "10.9.9.9:80"),
    ("a list of no flows", call("flow.list", {"service": "web", "limit": 0}), -32602, "limit"),
    ("a list of too many flows", call("flow.list", {"service": "web", "limit": 65537}), -32602, "limit"),
    ("a flow without a tuple", call("flow.find", {}), -32602, "tuple"),
    ("a flow of another protocol", call("flow.find", {"tuple": {
        "protocol": "icmp", "client": "1.2.3.4:5", "service": "198.51.100.10:80"}}), -32602, "tuple"),
    ("a configuration without text", call("config.apply", {"file": "x"}), -32602, "text"),
    ("a confirmation that is no time", call("config.apply", {"file": "x", "text": "version: 1", "confirm": "soon"}),
     -32602, "confirm"),
    ("an empty configuration", call("config.apply", {"file": "x", "text": ""}), 1, "error"),
    ("a configuration of nonsense", call("config.apply", {"file": "x", "text": "version: 1\nfoo: 2\n"}),
     1, "error"),
    ("a difference to nonsense", call("config.diff", {"file": "x", "text": "- 1"}), 1, "error"),
    ("a policy without an object", call("policy.load", {"service": "web"}), -32602, "object"),
    ("a policy by a relative path", call("policy.load", {"service": "web", "object": "a.o"}), -32602, "absolute"),
    ("a policy that is a folder", call("policy.load", {"service": "web", "object": "/tmp"}), 1, "refused"),
    ("a policy that never ends", call("policy.load", {"service": "web", "object": "/dev/zero"}), 1, "refused"),
    ("a policy with a strange mode", call("policy.load", {"service": "web", "object": "/a.o", "mode": "x"}),
     -32602, "mode"),
    ("a policy with settings that are numbers", call("policy.load", {"service": "web", "object": "/a.o",
                                                                    "set": [1]}), -32602, "set"),
    ("a policy of an unknown service", call("policy.load", {"service": NAME, "object": "/a.o"}), 1, "no service"),
    ("an end of no policy", call("policy.unload", {"service": "web"}), 1, "no policy"),
    ("a map without a name", call("policy.map.get", {"service": "web", "keys": ["1"]}), -32602, "map"),
    ("a map of no policy", call("policy.map.get", {"service": "web", "map": "m", "keys": ["1"]}), 1, "no policy"),
    ("no keys of a map", call("policy.map.get", {"service": "web", "map": "m", "keys": []}), -32602, "keys"),
    ("entries that are a text", call("policy.map.set", {"service": "web", "map": "m", "entries": "x"}),
     -32602, "entries"),
    ("a dump of nothing", call("policy.map.dump", {"service": "web", "map": "m", "limit": 0}), -32602, "limit"),
    ("a trace of nothing", call("trace.start", {}), -32602, "service or port"),
    ("a trace of a long name", call("trace.start", {"port": NAME}), -32602, "port"),
    ("a trace of an unknown port", call("trace.start", {"port": "nowhere"}), 1, "nowhere"),
    ("a filter that is a text", call("trace.start", {"service": "web", "filter": "tcp"}), -32602, "filter"),
    ("an instruction of three numbers", call("trace.start", {"service": "web", "filter": [[6, 0, 0]]}),
     -32602, "filter"),
    ("an instruction that is too large", call("trace.start", {"service": "web",
                                                            "filter": [[65536, 0, 0, 0]]}), -32602, "filter"),
    ("a filter that jumps out", call("trace.start", {"service": "web", "filter": [[5, 0, 0, 9], [6, 0, 0, 1]]}),
     1, "jumps out"),
    ("a filter that does not end", call("trace.start", {"service": "web", "filter": [[0, 0, 0, 9]]}),
     1, "return"),
    ("a filter of too many instructions", call("trace.start", {"service": "web",
                                                             "filter": [[6, 0, 0, 1]] * 1025}), -32602, "1024"),
    ("a sample of nothing", call("trace.start", {"service": "web", "sample": 0}), -32602, "sample"),
    ("a trace that is not on", call("trace.read", {"session": 4711}), 1, "ended"),
    ("a reading of no records", call("trace.read", {"session": 1, "limit": 0}), -32602, "limit"),
    ("an end of a trace that is not on", call("trace.stop", {"session": 4711}), 1, "ended"),
    ("a trace with a negative number", call("trace.stop", {"session": -1}), -32602, "session"),
    ("no backend to enable", call("backend.enable", {"service": "web"}), -32602, "backend"),
    ("a backend of port 0", call("backend.enable", {"service": "web", "backend": "10.2.0.11:0"}), 1, "10.2.0.11:0"),
    ("backends of a number", call("backend.list", {"service": 7}), -32602, "service"),
    ("a configuration without a name", call("config.apply", {"text": "version: 1"}), -32602, "file"),
    ("a confirmation before now", call("config.apply", {"file": "x", "text": "version: 1", "confirm": -5}),
     -32602, "confirm: expected a number 0..86400"),
    ("a confirmation of nothing", call("config.confirm", {}), 1, "waits to be confirmed"),
    ("back to what is no number", call("config.undo", {"number": "x"}), -32602, "number"),
    ("back to a part of a number", call("config.undo", {"number": 1.5}), -32602, "number"),
    ("back to what never was", call("config.undo", {"number": 4711}), 1, "no configuration 4711"),
    ("a core that is a text", call("core.show", {"cpu": "a"}), -32602, "cpu"),
    ("a core that is not there", call("core.show", {"cpu": 99999999999}), 1, "CPU 99999999999"),
    ("a move from nowhere", call("core.move", {"service": "web"}), -32602, "from"),
    ("a move to the same core", call("core.move", {"service": "web", "from": 0, "to": 0}), -32602, "name two"),
    ("a move to a core without work", call("core.move", {"service": "web", "from": 0, "to": 1}), 1, "CPU 1"),
    ("a move of strange buckets", call("core.move", {"service": "web", "from": 0, "to": 1, "buckets": "256"}),
     -32602, "buckets"),
    ("events from before the first", call("events.list", {"since": -1}), -32602, "since"),
    ("a wait of an hour", call("events.list", {"wait": 3600}), -32602, "wait: expected a number 0..60"),
    ("too many events", call("events.list", {"limit": 100000}), -32602, "limit"),
    ("decisions of nobody", call("explain", {"service": "nobody"}), 1, "nobody"),
    ("a negative number of decisions", call("explain", {"service": "web", "last": -1}), -32602, "last"),
    ("a histogram of no backend", call("histogram.show", {"service": "web", "backend": "x"}), 1, "no backend x"),
    ("limits of nobody", call("limit.show", {"service": "nobody"}), 1, "nobody"),
    ("a limit that is none", call("limit.set", {"service": "web", "key": "x", "value": "1"}), 1, "x is no limit"),
    ("a limit that is no number", call("limit.set", {"service": "web", "key": "packets", "value": "many"}),
     1, "many"),
    ("a limit without a value", call("limit.set", {"service": "web", "key": "packets"}), -32602, "value"),
    ("a prefix that is too long", call("limit.set", {"service": "web", "key": "per-source.prefix4", "value": "33"}),
     1, "1..32"),
    ("a pause of nobody", call("adapt.pause", {"service": "nobody"}), 1, "nobody"),
    ("going on of a number", call("adapt.resume", {"service": 7}), -32602, "service"),
    ("a controller that is none", call("adapt.set", {"service": "web", "controller": "x", "mode": "on"}),
     -32602, "controller"),
    ("a mode that is none", call("adapt.set", {"service": "web", "controller": "weights", "mode": "x"}),
     -32602, "mode"),
    ("a recording of what is not adapted", call("adapt.record", {"service": "web"}), 1, "not adapted"),
    ("adaptation of nobody", call("adapt.status", {"service": "nobody"}), 1, "nobody"),
    ("a policy of nobody", call("policy.show", {"service": "nobody"}), 1, "nobody"),
    ("keys that are a text", call("policy.map.delete", {"service": "web", "map": "m", "keys": "x"}), -32602, "keys"),
]


# Also of those to come, none may take a list for its parameters.
with open(os.path.join(TOP, "control/daemon/rpc/methods.c"), encoding="utf-8") as table:
    METHODS = re.findall(r'^\t{ "([a-z.]+)", \w+, (?:READS|CHANGES) },$', table.read(), re.M)
# All but those that nothing can be said to wrongly have a case of their own.
ASKED = {json.loads(line)["method"] for _, line, _, _ in CONTROL if line.startswith(b'{"jsonrpc": "2.0", "id": 1, "method": "')
         and line.endswith(b"}}")}
NOTHING_TO_SAY = {"config.history", "config.show", "core.list", "live.show", "policy.list", "port.list", "service.list",
                  "status"}
tell("every method is here", str(sorted(set(METHODS) - ASKED - NOTHING_TO_SAY)), "[]")
CONTROL += [(f"a list for {method}", call(method, ["web"]), -32602, "params: expected an object") for method in METHODS]


def ask(path, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(path)
        s.sendall(line + b"\n")
        return s.makefile("rb").readline()


def control(path):
    for name, line, code, words in CONTROL:
        reply = ask(path, line)
        error = json.loads(reply).get("error", {}) if reply else {}
        tell(name, f"code {error.get('code')}: {error.get('message')}", f"code {code}:", words)
    # Longer than a request may be: answered once, and cut off.
    reply = ask(path, b'{"jsonrpc": "2.0", "id": 1, "method": "' + b"x" * (16 << 20))
    tell("a request of 16 MiB", reply.decode(), "too long")


# ---- the data plane's socket -------------------------------------------------------------------

MAGIC = 0x57726D31
HELLO, CONFIG, BACKENDS, NEIGHBOURS, FLOW_LIST, FLOW_FIND, RUN, STOP, EVENT, CORE_MOVE = range(1, 11)
POLICY_STAGE, POLICY_MAP, DIRECTIVES = 16, 17, 20
TRACE_START, TRACE_READ, TRACE_STOP = 24, 25, 26
EINVAL, EPROTO, EOPNOTSUPP, ENOENT, E2BIG = 22, 71, 95, 2, 7


def message(kind, body=b"", magic=MAGIC, flags=0, length=None):
    return struct.pack("<IHHIIiI", magic, kind, flags, len(body) if length is None else length, 7, 0, 0) + body


def trace_start(service=b"web", sample=1, snaplen=0, count=None, program=()):
    program = b"".join(struct.pack("<HBBI", *i) for i in program)
    count = len(program) // 8 if count is None else count
    return message(TRACE_START, struct.pack("<64s64sQIIII", service, b"", 0, sample, snaplen, count, 0) + program)


def core_move(service=b"web", from_cpu=0, to_cpu=1, flags=0, buckets=b"\xff" * 32):
    return message(CORE_MOVE, struct.pack("<64sIIII32s", service, from_cpu, to_cpu, flags, 0, buckets))


def directives(service=b"web", flags=0, backends=0, cores=0, classes=0):
    return message(DIRECTIVES, struct.pack("<64s10QIIIBBHII", service, *[0] * 4, *[2**64 - 1] * 5, 0, flags, backends, 0,
                                           0, 0, cores, classes, 0))


def policy_stage(number=1, size=100, arrays=0):
    return message(POLICY_STAGE, struct.pack("<QQII32s", number, size, 0, arrays, bytes(32)))


def policy_map(service=b"web", position=0, op=1, count=0):
    return message(POLICY_MAP, struct.pack("<64s64sQIIIIII", service, b"m", 0, position, op, 4, 0, count, 0))


with open(os.path.join(TOP, "dataplane/api/messages.h"), encoding="utf-8") as header:
    MESSAGES = header.read()
VERSION = int(re.search(r"define WEIR_PROTOCOL_VERSION\s+(\d+)u", MESSAGES)[1])
CONFIG_HEAD = "<QIIIIIIIIII"  # struct weir_config
HELLO_GOOD = message(HELLO, struct.pack("<II", VERSION, VERSION))
NAMED = struct.pack("<64s16sHHB3x", b"nobody", bytes(16), 80, 1, 1)
DATAPLANE = [  # name, message, errno, words
    ("a greeting that is too short", message(HELLO, b"abc"), EINVAL, "HELLO of 3 bytes"),
    ("a greeting of another version", message(HELLO, struct.pack("<II", 900, 901)), EPROTO, "900 to 901"),
    ("an unknown type", message(999), EOPNOTSUPP, "unknown message type 999"),
    ("type 0", message(0), EOPNOTSUPP, "unknown message type 0"),
    ("a configuration of no bytes", message(CONFIG), EINVAL, "bytes"),
    ("a configuration of 5 bytes", message(CONFIG, b"hello"), EINVAL, "bytes"),
    ("a configuration with too many ports", message(CONFIG, struct.pack(CONFIG_HEAD, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
     E2BIG, "17 ports"),
    ("a configuration with four billion services",
     message(CONFIG, struct.pack(CONFIG_HEAD, 0, 0, 0xFFFFFFFF, 0, 0, 0, 0, 0, 0, 0, 0)), E2BIG, "services"),
    ("a configuration whose backends are missing",
     message(CONFIG, struct.pack(CONFIG_HEAD, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0)), EINVAL, "the counts in its header make"),
    ("half an update of a backend", message(BACKENDS, NAMED[:40]), EINVAL, "whole number"),
    ("no updates of backends", message(BACKENDS), EINVAL, "whole number"),
    ("an update of a service that is not there", message(BACKENDS, NAMED), ENOENT, "nobody"),
    ("an update to a state that is none", message(BACKENDS, NAMED[:84] + b"\x09\0\0\0"), EINVAL, "state 9"),
    ("half an update of a neighbour", message(NEIGHBOURS, bytes(13)), EINVAL, "whole number"),
    ("a neighbour at port 200", message(NEIGHBOURS, bytes(22) + b"\xc8\x00"), EINVAL, "port 200"),
    ("a flow query of 3 bytes", message(FLOW_LIST, b"abc"), EINVAL, "a flow query has"),
    ("flows of a service that is not there",
     message(FLOW_LIST, struct.pack("<64sIBBHHH16s16s", b"nobody", 5, 0, 0, 0, 0, 0, bytes(16), bytes(16))),
     ENOENT, "nobody"),
    ("a flow of no protocol", message(FLOW_FIND, bytes(108)), EINVAL, "protocol"),
    ("a replay", message(RUN), EOPNOTSUPP, "RUN is for replay"),
    ("a trace of 3 bytes", message(TRACE_START, b"abc"), EINVAL, "a trace begins with"),
    ("a trace of a service that is not there", trace_start(b"nobody"), ENOENT, "nobody"),
    ("a trace with a bad name", trace_start(b"we b"), EINVAL, "service name"),
    ("a trace of one packet in none", trace_start(sample=0), EINVAL, "sample"),
    ("a trace of too long frames", trace_start(snaplen=70000), EINVAL, "snaplen"),
    ("a trace whose instructions are missing", trace_start(count=5), EINVAL, "instructions make"),
    ("a filter with an unknown instruction", trace_start(program=[(0xFFFF, 0, 0, 0), (6, 0, 0, 1)]), EINVAL,
     "is unknown"),
    ("a filter that divides by zero", trace_start(program=[(0x34, 0, 0, 0), (6, 0, 0, 1)]), EINVAL, "divides"),
    ("a filter that jumps out", trace_start(program=[(0x15, 0, 200, 0), (6, 0, 0, 1)]), EINVAL, "jumps out"),
    ("a trace that is not on", message(TRACE_READ, struct.pack("<II", 4711, 1)), ENOENT, "has ended"),
    ("a reading of 5 bytes", message(TRACE_READ, b"hello"), EINVAL, "is read with"),
    ("an end of a trace that is not on", message(TRACE_STOP, struct.pack("<II", 4711, 1)), ENOENT, "has ended"),
    ("an event from the wrong side", message(EVENT, bytes(8)), EOPNOTSUPP, "unknown message type 9"),
    ("a move of 3 bytes", message(CORE_MOVE, b"abc"), EINVAL, "a move has"),
    ("a move to the same CPU", core_move(from_cpu=3, to_cpu=3), EINVAL, "from CPU 3 to the same"),
    ("a move of no buckets", core_move(buckets=bytes(32)), EINVAL, "buckets or all"),
    ("a move with unknown flags", core_move(flags=0x80), EINVAL, "flags 0x80"),
    ("a move of a service that is not there", core_move(b"nobody"), ENOENT, "nobody"),
    ("directives of 3 bytes", message(DIRECTIVES, b"abc"), EINVAL, "too short for directives"),
    ("directives of a bad name", directives(b"we b"), EINVAL, "bad service name"),
    ("directives with unknown flags", directives(flags=0x8000), EINVAL, "flags 0x8000"),
    ("directives for four billion backends", directives(backends=0xFFFFFFFF), E2BIG, "backends"),
    ("directives whose backends are missing", directives(backends=2), EINVAL, "the counts in their header make"),
    ("directives for 60,000 cores", directives(cores=60000), EINVAL, "60000 cores"),
    ("directives for 65 classes", directives(classes=65), E2BIG, "65 classes"),
    ("directives of a service that is not there", directives(b"nobody"), ENOENT, "nobody"),
    ("a policy of 3 bytes", message(POLICY_STAGE, b"abc"), EINVAL, "a policy's head has"),
    ("a policy without an id", policy_stage(number=0), EINVAL, "without an id"),
    ("a policy of no bytes", policy_stage(size=0), EINVAL, "image of 0 bytes"),
    ("a policy of 4 GiB", policy_stage(size=1 << 32), EINVAL, "image of 4294967296 bytes"),
    ("a policy of too many arrays", policy_stage(arrays=33), EINVAL, "33 arrays"),
    ("a policy whose image does not come", policy_stage(), EINVAL, "0 descriptors came"),
    ("a map request of 3 bytes", message(POLICY_MAP, b"abc"), EINVAL, "too short for a map request"),
    ("a map request of a bad name", policy_map(b"we b"), EINVAL, "bad service name"),
    ("a map request of no kind", policy_map(op=9), EINVAL, "unknown operation 9"),
    ("a map request to a far policy", policy_map(position=1000), EINVAL, "policy 1000"),
    ("a map request whose keys are missing", policy_map(count=7), EINVAL, ""),
    ("an end with something behind it", message(STOP, b"now"), EINVAL, "STOP has no body"),
]

tell("every type of message is here", str(sorted({struct.unpack_from("<IH", m)[1] for _, m, _, _ in DATAPLANE} - {0, 999})),
     str(sorted(int(n) for n in re.findall(r"^\tWEIR_MESSAGE_[A-Z_]+ =\s+(\d+),", MESSAGES, re.M))))

# What is no message ends the connection, and nothing else.
GARBAGE = [
    ("another magic", message(HELLO, b"12345678", magic=0x12345678)),
    ("a length beyond all bounds", message(HELLO, length=0xFFFFFFFF)),
    ("a web browser", b"GET / HTTP/1.1\r\nHost: weir\r\n\r\n"),
    ("zeros", bytes(100)),
]


def connected(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    return s


def reply_of(s):
    """(status, body) of the next reply; None when the connection has ended."""
    data = b""
    while len(data) < 24 or len(data) < 24 + struct.unpack_from("<I", data, 8)[0]:
        try:
            more = s.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return None
        data += more
    return struct.unpack_from("<i", data, 16)[0], data[24:]


def dataplane(path):
    with connected(path) as s:
        s.sendall(message(FLOW_FIND, bytes(108)))
        status, text = reply_of(s)
        tell("a request before the greeting", f"{status} {text!r}", f"{-EPROTO} ", "HELLO first")
    for name, wanted, errno, words in DATAPLANE:
        with connected(path) as s:
            s.sendall(HELLO_GOOD)
            tell("greeted for: " + name, str(reply_of(s)[0]), "0")
            s.sendall(wanted)
            status, text = reply_of(s)
            tell(name, f"{status} {text!r}", f"{-errno} ", words)
            # And the connection goes on.
            s.sendall(message(FLOW_FIND, b""))
            tell("after: " + name, str(reply_of(s)), "a flow query has")
    for name, garbage in GARBAGE:
        with connected(path) as s:
            s.sendall(HELLO_GOOD)
            reply_of(s)
            s.sendall(garbage)
            tell(name, str(reply_of(s)), "None")


{"control": control, "dataplane": dataplane}[sys.argv[1]](sys.argv[2])
sys.exit(bad > 0)
