#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pages that repeat what the code says must say the same: stages in the README, reasons in counters.md."""
import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
failed = 0
print("1..13")


def case(number, name, ok, why=""):
    global failed
    print(f"{'ok' if ok else 'not ok'} {number} - {name}")
    if not ok:
        failed = 1
        print(f"# {why}")


telemetry = (top / "dataplane/api/telemetry.h").read_text()
block = re.search(r"#define WEIR_STAGES\(X\)(.*?)\n\n", telemetry, re.S).group(1)
stages = re.findall(r'X\(\w+, "(\w+)"\)', block)
drawn = next(line for line in (top / "README.md").read_text().splitlines() if "receive ─▶" in line)
case(1, "the README draws the stages of the code in their order", re.findall(r"\w+", drawn) == stages, f"{drawn} / {stages}")

reasons = re.findall(r'X\(\w+,\s*"(\w+)",\s*"(.*?)"\)', (top / "dataplane/api/drop_reasons.h").read_text().replace("\\\n", ""))
page = (top / "docs/operators/counters.md").read_text()
rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.M)
case(2, "the drop reasons page lists the reasons of the code with their help", rows == reasons, f"{rows} / {reasons}")

ring = (top / "control/daemon/events/event_ring.h").read_text().replace("\\\n", "")
kinds = re.findall(r'X\(\w+,\s*"(\w+)",\s*"(.*?)"\)', ring)
page = (top / "docs/operators/json.md").read_text()
page = page[page.index("## events"):page.index("## config")]
rows = [row for row in re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.M) if row[0] in dict(kinds)]
case(3, "the events page lists the kinds of the code with their help", kinds and rows == kinds, f"{rows} / {kinds}")

shown = (top / "docs/operators/top.md").read_text()
view = (top / "control/cli/top/top_view.c").read_text()
help_block = re.search(r"help_lines\[\] = \{(.*?)\n\};", view, re.S).group(1)
lost = [line for line in re.findall(r'"((?:[^"\\]|\\.)*)"', help_block) if line and line not in shown]
case(4, "the page on top shows the keys of the code", not lost, f"scripts/top-captures takes them anew: {lost}")



def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower()).replace(" ", "-")


pages = {path.relative_to(top): path.read_text() for path in [*top.glob("*.md"), *top.glob("docs/**/*.md")]}
anchors = {path: {anchor(line) for line in text.splitlines() if line.startswith("#")} for path, text in pages.items()}
links, missing = 0, []
for path, text in pages.items():
    for link in re.findall(r"\]\((?!http)([^)\s]+)\)", text):
        to, _, place = link.partition("#")
        target = (top / path.parent / to).resolve().relative_to(top.resolve()) if to else path
        links += 1
        if not (top / target).exists() or place and place not in anchors[target]:
            missing.append(f"{path}: {link}")
case(5, "every place that a page links to exists", links > 100 and not missing, missing)
# Each reason has a test that provokes it: by its name in C, by its label elsewhere.
unit_tests = "".join(path.read_text() for path in (top / "tests/unit/fastpath").glob("pipeline_*.c"))
others = "".join(path.read_text() for kind in ("replay/*.py", "e2e/*.sh") for path in (top / "tests").glob(kind))
untested = [label for label, _ in reasons
            if not re.search(rf"WEIR_DROP_{label.upper()}\b", unit_tests) and not re.search(rf"\b{label}\b", others)]
case(6, "each drop reason has a test that provokes it", not untested, f"add one to tests/unit/fastpath or tests/replay: {untested}")

# The pages on what is shown name tests, and cases of them, that are there.
named, gone = 0, []
for page in sorted((top / "docs/developers/what-is-shown").glob("*.md")):
    text = page.read_text()
    files = set(re.findall(r"`(tests/[\w./-]+\.\w+)`", text))
    cases = re.findall(r"`(tests/[\w./-]+)`: ((?:\"[^\"]+\"(?:, )?)+)", text)
    named += len(files)
    gone += [f"{page.name}: {file}" for file in files if not (top / file).exists()]
    gone += [f"{page.name}: {file}: {sentence}" for file, sentences in cases for sentence in re.findall(r'"([^"]+)"', sentences)
             if (top / file).exists() and sentence not in (top / file).read_text()]
case(7, "each test that the pages on what is shown name is there", named > 50 and not gone, gone)

# What developers are told to look at is there: files, by their path or the end of it, and functions.
sources = [path.relative_to(top) for folder in ("control", "dataplane", "ebpf", "tests", "scripts", "config")
           for path in (top / folder).rglob("*") if path.is_file()]
code = "".join((top / path).read_text() for path in sources if path.suffix in (".c", ".h"))
ends = {"/".join(path.parts[i:]) for path in sources for i in range(len(path.parts))}
named, gone = 0, []
for path, text in pages.items():
    if path.parts[:2] != ("docs", "developers") and path.name != "CONTRIBUTING.md":
        continue
    files = [file for file in re.findall(r"`([\w./-]+\.(?:c|h|py|sh))`", text) if "NAME" not in file]
    functions = re.findall(r"`(\w+)\([^`]*\)`", text)
    named += len(files) + len(functions)
    gone += [f"{path}: {file}" for file in files if file not in ends]
    gone += [f"{path}: {name}()" for name in functions if not re.search(rf"\b{name}\(", code)]
case(8, "files and functions that pages for developers name are there", named > 200 and not gone, gone)

methods = re.findall(r'\{ "([\w.]+)", \w+, (?:READS|CHANGES) \}', (top / "control/daemon/rpc/methods.c").read_text())
rows = re.findall(r"^\| (`[a-z].*?) \|", pages[pathlib.Path("docs/developers/control-api.md")], re.M)
told = sorted(name for row in rows for name in re.findall(r"`([\w.]+)`", row))
case(9, "the page on the control API has the methods of the code", methods and told == sorted(methods), f"{told} / {methods}")

keys = dict.fromkeys(re.findall(r"^\| `([\w-]+)` \|", pages[pathlib.Path("docs/operators/configuration.md")], re.M))
full = (top / "config/full.yaml").read_text()
lost = [key for key in keys if not re.search(rf"(?<![\w-]){key}:", re.sub(r"#.*", "", full))]
case(10, "config/full.yaml has every key of the reference", len(keys) > 60 and not lost, lost)

known = set(re.findall(r'"(weir_\w+)"', "".join(path.read_text() for path in (top / "control").rglob("*.c"))))
told = {name for path, text in pages.items() if path.parts[:2] == ("docs", "operators")
        for name in re.findall(r"`(weir_\w+)`", text)} - set(re.findall(r"weir_\w+", "".join(
            path.read_text() for path in (top / "ebpf/include").rglob("*.h"))))
case(11, "metrics that pages for operators name are served", len(told) > 20 and told <= known, told - known)

manuals = {"weir-controld": "control/daemon/options.c", "weir-dataplane": "dataplane/process/arguments.c",
           "weir-probe": "control/probe/host/options.c"}
wrong = []
for program, source in manuals.items():
    taken = set(re.findall(r'\{ "([a-z-]+)", (?:no|required)_argument', (top / source).read_text()))
    page = (top / f"docs/man/{program}.8").read_text().replace("\\-", "-")
    told = set(re.findall(r"--([a-z-]+)", page[page.index(".SH OPTIONS"):page.index(".SH EXIT STATUS")]))
    wrong += [f"{program}: {taken ^ told}"] if len(taken) < 8 or taken != told else []
case(12, "manual pages have the options that the programs take", not wrong, wrong)

# What scripts read of `make test` is its last line, whatever was skipped.
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("scripts_test", str(top / "scripts/test"))
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("scripts_test", loader))
loader.exec_module(module)
results = module.Results()
results.add_tap("some", "ok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no NIC\nok 4 - d\n", True)
with contextlib.redirect_stdout(io.StringIO()) as said:
    results.print_summary()
case(13, "make test ends with passed and failed, and tells of the skipped before", said.getvalue().splitlines() ==
     ["test: 1 skipped", "2 passed, 1 failed"], said.getvalue())
sys.exit(failed)
