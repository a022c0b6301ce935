#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Good and bad policies through `weirctl policy check`: policy_corpus.py CLANG MULTIARCH TOP WEIRCTL

Each bad one says in its first lines what the refusal must say ("refused: ..."), and marks the line that it
must name ("here"). Then damaged objects of all kinds. Needs root: the kernel's verifier is asked.
"""
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

CLANG, MULTIARCH, TOP, WEIRCTL = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
FOLDER = TOP / "tests/bpf/policies"
CASES = []


def case(name, run, *arguments):
    CASES.append((name, run, arguments))


def build(source, target, *flags):
    subprocess.run([CLANG, "-O2", "-g", "-w", "-target", "bpf", "-mcpu=v3", "-isystem", "/usr/include/" + MULTIARCH,
                    "-I", str(TOP / "ebpf/include"), *flags, "-c", str(source), "-o", str(target)], check=True)


def check(path, *options, user=None):
    p = subprocess.run([WEIRCTL, "policy", "check", str(path), "--json", *options], capture_output=True, text=True,
                       timeout=60, user=user)
    document = json.loads(p.stdout) if p.stdout else {}
    return p.returncode, document, p.stderr


def good(source, folder):
    build(source, folder / "o.o")
    status, found, err = check(folder / "o.o")
    assert (status, found["outcome"]) == (0, "admitted"), (status, found, err)
    assert found["cycles"]["median"] > 0 and found["interpreted_cycles"] is None, found
    assert found["visited"] > 0 and found["packets"] > 0 and found["verdicts"]["aborted"] == 0, found
    status, found, err = check(folder / "o.o", "--unverified")
    assert (status, found["outcome"]) == (0, "unverified") and found["cycles"] is None, (status, found, err)
    assert found["interpreted_cycles"] > 0, found


def bad(source, folder):
    text = source.read_text()
    wanted = re.search(r"refused: (.*) \*/", text).group(1)
    build(source, folder / "o.o")
    status, found, err = check(folder / "o.o")
    assert status == 1 and found["outcome"] == "refused", (status, found, err)
    assert re.search(wanted, found["reason"]), found["reason"]
    here = [n for n, line in enumerate(text.splitlines(), 1) if "/* here */" in line]
    if here:
        assert found["source"] and found["source"]["line"] == here[0], (here, found["source"])
        assert found["source"]["file"] == source.name, found["source"]
        assert f"{source.name}:{here[0]}: " in err, err
    assert err.startswith("weirctl: ") and "refused" in err, err


def damaged(name, make, wanted, folder):
    """An object that make() has changed is refused with these words."""
    source = FOLDER / "good/globals.c"
    build(source, folder / "o.o")
    path = folder / "damaged.o"
    make(folder / "o.o", path)
    status, found, err = check(path)
    assert status == 1 and re.search(wanted, found["reason"]), (name, status, found)


def cut(share):
    def make(source, path):
        whole = source.read_bytes()
        path.write_bytes(whole[:int(len(whole) * share)])
    return make


def other_abi(source, path):
    subprocess.run([TOP / "tests/bpf/other_abi.py", source, path], check=True)


def huge(source, path):
    with open(path, "wb") as f:
        f.write(source.read_bytes())
        f.truncate(300 << 20)


def without_btf(source, path):
    build(FOLDER / "good/below_context.c", path, "-g0")


def for_this_machine(source, path):
    subprocess.run(["cc", "-x", "c", "-c", "-", "-o", str(path)], input=b"int x;", check=True)


def documented(folder):
    """The first policy of the documentation, and the mistake that it shows."""
    page = (TOP / "docs/operators/policies.md").read_text()
    code = re.search(r"```c\n(.*?)```", page, re.S).group(1)
    (folder / "guard.c").write_text(code)
    build(folder / "guard.c", folder / "o.o", "-Wall", "-Werror")
    status, found, err = check(folder / "o.o", "--set", "limit=5")
    assert status == 0, (found, err)
    (folder / "guard.c").write_text(code.replace("!t || ", ""))
    build(folder / "guard.c", folder / "o.o")
    shown = re.search(r"verifier: (guard\.c:\d+: .*?) \.\.\.", page).group(1)
    assert shown in check(folder / "o.o")[2], (shown, check(folder / "o.o")[2])


def mutated(folder):
    """Whatever is in the file, weirctl says something and lives."""
    build(FOLDER / "good/globals.c", folder / "o.o")
    whole = (folder / "o.o").read_bytes()
    seed = os.environ.get("WEIR_SEED", "1")
    rng = random.Random(seed)
    refused = 0
    for n in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 12)):
            at = rng.randrange(len(data))
            data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
        (folder / "m.o").write_bytes(data)
        status, found, err = check(folder / "m.o", "--unverified")
        assert status in (0, 1) and found["outcome"] in ("unverified", "refused"), (seed, n, status, err)
        refused += status
    assert refused > 20, refused


def parameters(folder):
    build(FOLDER / "good/globals.c", folder / "o.o")
    status, found, _ = check(folder / "o.o", "--set", "shift=-7")
    assert status == 0 and {"name": "shift", "value": -7} in found["parameters"], found
    for wrong, words in (("shift=40000", "does not fit"), ("shit=1", "no parameter"), ("shift", "name=value")):
        status, found, err = check(folder / "o.o", "--set", wrong)
        assert status == 1 and words in found["reason"] and words in err, (wrong, found)


def capture(path, count):
    """SYNs from as many sources, a millisecond apart."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i in range(count):
            frame = bytes(12) + b"\x08\x00" + struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0,
                    bytes([198, 51, 100, i % 2]), bytes([203, 0, 113, 10]))
            frame += struct.pack(">HHIIBBHHH", 1000 + i, 80, 0, 0, 0x50, 2, 0, 0, 0)
            f.write(struct.pack("<IIII", 1700000000, i * 1000, len(frame), len(frame)) + frame)


def reachable_by_nobody():
    return subprocess.run([WEIRCTL, "help"], capture_output=True, user=65534).returncode == 0


def runs_on_a_capture(folder):
    build(TOP / "ebpf/policies/source_limit.c", folder / "o.o")
    capture(folder / "a.pcap", 200)
    arguments = [WEIRCTL, "policy", "run", str(folder / "o.o"), "--pcap", str(folder / "a.pcap"), "--set", "rate=10",
                 "--set", "burst=5"]
    for extra, outcome in ([], "admitted"), (["--unverified"], "unverified"):
        p = subprocess.run([*arguments, "--json", *extra], capture_output=True, text=True, timeout=60)
        found = json.loads(p.stdout)
        assert p.returncode == 0 and found["outcome"] == outcome, (p, found)
        # Two sources, five at once and ten a second for 0.2 s each.
        assert found["packets"] == 200 and 12 <= found["verdicts"]["pass"] <= 14, found
        assert found["verdicts"]["drop"] == 200 - found["verdicts"]["pass"], found
        assert {"action": "drop", "argument": "1", "packets": found["verdicts"]["drop"]} in found["arguments"]
    p = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 and "cycles a packet" in p.stdout and "source_limit" in p.stdout, p
    assert "not verified" not in p.stdout, p
    p = subprocess.run([*arguments, "--unverified"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 and "not verified because" in p.stdout, p
    if reachable_by_nobody():
        os.chmod(folder, 0o755)
        p = subprocess.run([*arguments, "--json"], capture_output=True, text=True, timeout=60, user=65534, group=65534,
                           extra_groups=[])
        found = json.loads(p.stdout)
        assert p.returncode == 0 and found["outcome"] == "unverified" and "CAP_BPF" in found["reason"], (p, found)
        assert found["packets"] == 200 and 12 <= found["verdicts"]["pass"] <= 14, found
        assert found["interpreted_cycles"] > 0, found
    p = subprocess.run([*arguments[:5], str(folder / "o.o")], capture_output=True, text=True, timeout=60)
    assert p.returncode == 1 and "o.o" in p.stderr, p
    # A refusal is the same document as that of check.
    p = subprocess.run([*arguments, "--set", "nothing=1", "--json"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 1 and "weirctl: " in p.stderr, p
    assert json.loads(p.stdout) == check(folder / "o.o", *arguments[6:], "--set", "nothing=1")[1], p


def faults_are_shown(folder):
    build(FOLDER / "bad/outside_packet.c", folder / "o.o")
    capture(folder / "a.pcap", 2)
    # Shorter than what the policy reads without asking: the link header alone.
    whole = bytearray((folder / "a.pcap").read_bytes())
    struct.pack_into("<II", whole, 24 + 8, 20, 20)
    del whole[24 + 16 + 20:24 + 16 + 54]
    (folder / "a.pcap").write_bytes(whole)
    p = subprocess.run([WEIRCTL, "policy", "run", str(folder / "o.o"), "--pcap", str(folder / "a.pcap"), "--unverified",
                        "--json"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 and json.loads(p.stdout)["verdicts"]["aborted"] == 1, p
    assert "packet 1: the policy reads memory that is not its own: outside_packet.c:" in p.stderr, p.stderr


def without_rights(folder):
    build(FOLDER / "good/functions.c", folder / "o.o")
    os.chmod(folder, 0o755)
    reachable = reachable_by_nobody()
    status, found, err = check(folder / "o.o", *([] if reachable else ["--unverified"]), user=65534 if reachable else None)
    assert (status, found["outcome"]) == (0, "unverified"), (status, found, err)
    if reachable:
        assert "CAP_BPF" in found["reason"], found
    # What needs no kernel is refused all the same.
    build(FOLDER / "bad/helper.c", folder / "o.o")
    status, found, err = check(folder / "o.o", "--unverified")
    assert status == 1 and found["refused_by"] == "weir", found


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    for source in sorted(FOLDER.glob("good/*.c")):
        case(f"{source.stem} is admitted", good, source)
    for source in sorted(FOLDER.glob("bad/*.c")):
        case(f"{source.stem} is refused with its reason and line", bad, source)
    for name, make, wanted in (
            ("an object that is cut off early", cut(0.3), "cut off"),
            ("an object that is cut off late", cut(0.95), "cut off"),
            ("the beginning of an object", cut(0.004), "not an object file"),
            ("an empty file", cut(0), "not an object file"),
            ("an object of another ABI", other_abi, "version 2"),
            ("an object without BTF", without_btf, "no BTF"),
            ("an object for this machine", for_this_machine, "not for BPF"),
            ("garbage", lambda s, p: p.write_bytes(random.Random(1).randbytes(5000)), "not an object file"),
            ("a file of 300 MB", huge, "at most 4 MiB"),
            ("a folder", lambda s, p: p.mkdir(), "not a file"),
            ("what is not there", lambda s, p: None, "No such file")):
        case(f"{name} is refused", damaged, name, make, wanted)
    case("the first policy of the documentation is admitted", documented)
    case("damaged objects do no harm", mutated)
    case("parameters are set, or refused", parameters)
    case("a policy runs on a capture", runs_on_a_capture)
    case("what an unverified policy does wrong is shown", faults_are_shown)
    case("without rights all but the verifier's checks are made", without_rights)
    print(f"1..{len(CASES)}", flush=True)
    failed = 0
    for number, (name, run, arguments) in enumerate(CASES, 1):
        try:
            with tempfile.TemporaryDirectory() as folder:
                run(*arguments, pathlib.Path(folder))
            print(f"ok {number} - policy: {name}", flush=True)
        except Exception as e:  # a failed case must not hide the others
            failed = 1
            print(f"not ok {number} - policy: {name}\n# {e!r}", flush=True)
    return failed


sys.exit(main())
