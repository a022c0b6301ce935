#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Has a document of `weirctl --json` the fields that its page names, and no others?

usage: documents.py SECTION <DOCUMENT     the first table of that section of json.md; of a list, its first entry
"""
import json
import pathlib
import re
import sys

page = (pathlib.Path(__file__).parents[2] / "docs/operators/json.md").read_text()
section = page.split(f"\n## {sys.argv[1]}\n", 1)[1].split("\n## ")[0]
table = re.search(r"^\|.*(?:\n\|.*)*", section, re.M).group(0)
told = {name for row in re.findall(r"^\| (.*?) \|", table, re.M) for name in re.findall(r"`([^`]+)`", row)}
document = json.load(sys.stdin)
has = set(document[0] if isinstance(document, list) else document)
for what, names in ("not in json.md", has - told), ("not in the document", told - has):
    if names:
        print(f"{sys.argv[1]}: {what}: {', '.join(sorted(names))}")
sys.exit(has != told)
