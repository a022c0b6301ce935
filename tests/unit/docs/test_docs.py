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
print("1..8")


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

links = re.findall(r"\]\((?!http)([^)#]+)\)", (top / "README.md").read_text())
missing = [link for link in links if not (top / link).exists()]
case(5, "every page that the README links to exists", not missing, missing)
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

# What scripts read of `make test` is its last line, whatever was skipped.
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("scripts_test", str(top / "scripts/test"))
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("scripts_test", loader))
loader.exec_module(module)
results = module.Results()
results.add_tap("some", "ok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no NIC\nok 4 - d\n", True)
with contextlib.redirect_stdout(io.StringIO()) as said:
    results.print_summary()
case(8, "make test ends with passed and failed, and tells of the skipped before", said.getvalue().splitlines() ==
     ["test: 1 skipped", "2 passed, 1 failed"], said.getvalue())
sys.exit(failed)
