#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Replay as a tool: capture formats, clocks, errors that say what is wrong, no privileges."""

import shutil

from weir_replay import *

PACKETS = [(i * 0.000123457, client_frame(sport=7000 + i)) for i in range(20)]


def refused(whole, inputs, *words, status=1, **how):
    """The run must end with the status and one line that has these words in it."""
    with tempfile.TemporaryDirectory(prefix="weir-replay-") as folder:
        done = replay_raw(whole, inputs, folder=folder, **how)
    errors = done.stderr.decode(errors="replace")
    equal(done.returncode, status, f"exit status ({errors!r})")
    for word in words:
        true(word in errors, f"{word!r} is not in: {errors}")
    true("Traceback" not in errors and "EAL" not in errors, f"not for people: {errors}")
    return errors


@case("output frames have the input's timestamps: {}", "nanoseconds", "microseconds")
def timestamps(unit):
    run = replay(config(service()), PACKETS, nanoseconds=unit == "nanoseconds")
    grain = 1 if unit == "nanoseconds" else 1000
    want = [(START + round(t * 10**9)) // grain * grain - START for t, _ in PACKETS]
    equal([o.ns for o in run.frames()], want, "times")


@case("a capture in the other byte order is read too")
def swapped():
    plain = replay(config(service()), PACKETS)
    other = replay(config(service()), PACKETS, swapped=True)
    equal([(o.ns, o.bytes) for o in other.frames()], [(o.ns, o.bytes) for o in plain.frames()], "frames")


@case("an empty capture gives an empty result")
def empty():
    run = replay(config(service()), [])
    equal((run.received, run.transmitted, run.dropped), (0, 0, {}), "counters")


@case("the captures of two ports are merged by time")
def merged():
    whole = config(service(), ports=("front", "back"), neighbour_port="back")
    request = client_frame()
    answer = reply_frame(replay(whole, {"front": [(0, request)], "back": []}).only("back"))
    run = replay(whole, {"front": [(0.2, request)], "back": [(0.1, answer), (0.3, answer)]})
    equal(run.dropped, {"no_flow": 1}, "the reply before the request")
    equal(run.only("front").ns, 300_000_000, "time of the reply that passed")


@case("timestamps that go back do no harm")
def backwards():
    times = [5.0, 4.0, 6.0, 1.0, 7.0]
    frames = [client_frame(sport=100 + i, protocol="udp") for i in range(5)]
    run = replay(config(service(protocol="udp")), list(zip(times, frames)))
    equal(run.transmitted, 5, "frames out")
    equal([o.ns for o in run.frames()], [int(t * 10**9) for t in times], "times")


@case("frames that a snap length has cut are malformed, not forwarded cut")
def snapped():
    frames = [(0, client_frame(payload=b"x" * 500))]
    run = replay(config(service()), frames, cut=96)
    equal((run.transmitted, run.dropped), (0, {"malformed": 1}), "what became of it")


@case("a port without --out still counts what it sends")
def no_out():
    run = replay(config(service()), PACKETS, outs=[])
    equal(run.transmitted, len(PACKETS), "transmitted")


@case("not a capture: refused by name")
def not_pcap():
    refused(config(service()), {"front": b"this is no capture file at all\n" * 10}, "front-in.pcap is not a capture")


@case("an empty file is no capture")
def zero_bytes():
    refused(config(service()), {"front": b""}, "front-in.pcap is not a capture")


@case("a capture that ends within a packet is refused, not half believed")
def truncated():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.pcap")
        capture_write(path, PACKETS)
        with open(path, "rb") as file:
            whole_file = file.read()
    refused(config(service()), {"front": whole_file[:-7]}, "front-in.pcap: packet 20: truncated")


def capture_bytes(**how):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.pcap")
        capture_write(path, PACKETS[:2], **how)
        with open(path, "rb") as file:
            return file.read()


def pcapng_bytes():
    """The same in the next generation's format: section, interface, packets."""

    def block(kind, body):
        length = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + length + body + length

    blocks = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
              block(1, struct.pack("<HHI", 1, 0, 65535))]
    for _, frame in PACKETS[:2]:
        padding = bytes(-len(frame) % 4)
        blocks.append(block(6, struct.pack("<IIIII", 0, 0, 5, len(frame), len(frame)) + frame + padding))
    return b"".join(blocks)


# The file's header has 24 bytes, a packet's 16, and the packets here have 54.
@case("a capture that ends after {} bytes is refused, with where", 1, 3, 4, 12, 23, 25, 39, 41, 93, 95, 120)
def cut_off(size):
    where = " is not a capture" if size < 4 else ": truncated" if size < 24 else \
        ": packet 1: truncated" if size < 94 else ": packet 2: truncated"
    refused(config(service()), {"front": capture_bytes()[:size]}, "front-in.pcap" + where)


@case("a capture with {} is refused, and it is said why", "a packet of 4 GiB", "a packet of 300,000 bytes",
      "a version of the future", "a byte order that is none")
def contradicting(what):
    whole = bytearray(capture_bytes())
    if what.startswith("a packet"):
        length = 0xFFFFFFFF if "GiB" in what else 300_000
        whole[32:36] = struct.pack("<I", length)
        why = f": packet 1: invalid packet capture length {length}"
    elif "version" in what:
        whole[4:6] = b"\x63\0"
        why = ": unsupported pcap savefile version 99"
    else:
        whole[0:4] = b"\xa1\xb2\xc3\xd5"
        why = " is not a capture"
    refused(config(service()), {"front": bytes(whole)}, "front-in.pcap" + why)


@case("a pcapng capture is read, and when it is cut off refused, with where")
def next_generation():
    whole = pcapng_bytes()
    with tempfile.TemporaryDirectory() as folder:
        done = replay_raw(config(service()), {"front": whole}, folder=folder)
        equal(done.returncode, 0, f"exit status ({done.stderr!r})")
        equal(json.loads(done.stdout)["transmitted"], 2, "transmitted")
    for size, why in ((5, "unknown file format"), (27, "truncated"), (31, "truncated"),
                      (len(whole) - 80, "packet 2: truncated"), (len(whole) - 5, "packet 2: truncated")):
        refused(config(service()), {"front": whole[:size]}, "front-in.pcap: " + why)


@case("a capture of another link type is refused")
def linktype():
    refused(config(service()), PACKETS_IN, "Ethernet", linktype=101)


PACKETS_IN = {"front": PACKETS}


@case("a port that the configuration has not got is refused by name, with --in and with --out")
def unknown_port():
    refused(config(service()), {"side": PACKETS}, "side")
    refused(config(service()), {"front": PACKETS}, "side", outs=["side"])


@case("a capture that is not there is refused by name")
def missing():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weir.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config(service()), file)
        done = command(path, "--in", f"front={folder}/nothing.pcap", "--json")
    equal(done.returncode, 1, "exit status")
    true(b"nothing.pcap" in done.stderr, f"not named: {done.stderr!r}")


@case("an output that cannot be written is refused by name")
def unwritable():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weir.yaml")
        capture_write(os.path.join(folder, "in.pcap"), PACKETS)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config(service()), file)
        done = command(path, "--in", f"front={folder}/in.pcap", "--out", f"front={folder}/no/out.pcap")
    equal(done.returncode, 1, "exit status")
    true(b"no/out.pcap" in done.stderr, f"not named: {done.stderr!r}")


@case("without --in it is wrong usage")
def no_input():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weir.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config(service()), file)
        equal(command(path).returncode, 2, "exit status")


@case("an invalid configuration is refused with file, line and column")
def invalid():
    text = json.dumps(config(service()), indent=1).replace('"mode"', '"mod"')
    errors = refused(text, PACKETS_IN, "weir.yaml:", "mod")
    true(any(line.split(":")[1].isdigit() and line.split(":")[2].isdigit()
             for line in errors.splitlines() if "weir.yaml:" in line), f"no line and column: {errors}")


@case("without --json there is a table for people")
def table():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weir.yaml")
        capture_write(os.path.join(folder, "in.pcap"), PACKETS)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config(service()), file)
        done = command(path, "--in", f"front={folder}/in.pcap")
    equal(done.returncode, 0, f"exit status ({done.stderr!r})")
    true(b"web" in done.stdout and not done.stdout.lstrip().startswith(b"{"), f"{done.stdout!r}")


@case("it needs no privileges: the same as nobody, in a folder that is all that nobody has")
def unprivileged():
    plain = replay(config(service()), PACKETS)
    if os.geteuid() != 0:
        return  # all of these tests have just shown it
    global WEIRCTL
    here = os.path.dirname(os.path.abspath(WEIRCTL))
    with tempfile.TemporaryDirectory(prefix="weir-replay-bin-") as folder:
        os.chmod(folder, 0o755)
        for name in ("weirctl", "weir-dataplane"):
            shutil.copy(os.path.join(here, name), folder)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                  "--inh-caps=-all", "--bounding-set=-all")
        import weir_replay
        weir_replay.WEIRCTL = os.path.join(folder, "weirctl")
        try:
            run = replay(config(service()), PACKETS, prefix=nobody)
        finally:
            weir_replay.WEIRCTL = WEIRCTL
    equal([(o.ns, o.bytes) for o in run.frames()], [(o.ns, o.bytes) for o in plain.frames()], "frames")


@case("nothing is left behind: no process, no file in the run folder, no shared memory")
def nothing_left():
    with tempfile.TemporaryDirectory() as run_dir:
        before = set(os.listdir("/dev/shm")), set(os.listdir("/tmp"))
        os.environ["WEIR_RUN_DIR"] = run_dir
        try:
            replay(config(service()), PACKETS)
        finally:
            del os.environ["WEIR_RUN_DIR"]
        equal(os.listdir(run_dir), [], "files in the run folder")
        left = {n for n in set(os.listdir("/dev/shm")) - before[0] if "weir" in n or "rte" in n}
        equal(left, set(), "left in /dev/shm")


@case("no folder is made for DPDK, so none is left by one that is killed while it starts")
def no_folder_made():
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TMPDIR=folder, XDG_RUNTIME_DIR=folder, RUNTIME_DIRECTORY=folder)
        before = os.stat(folder).st_mtime_ns  # changes with each name that comes or goes
        try:
            replay(config(service()), PACKETS)
        finally:
            for name in ("TMPDIR", "XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"):
                del os.environ[name]
        equal(os.stat(folder).st_mtime_ns, before, "time of the last change of the folder")


if __name__ == "__main__":
    main()
