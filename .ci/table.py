#!/usr/bin/env python3
"""Print one table of the test runs in the logs of `.ci/run`, why tests were skipped, and the sum.

A test run is a line that closes with pytest's counts. What it ran with is said before the counts,
or else by the last line before it that begins with `==> `, or by the last of all.
"""

import re
import sys
from collections import Counter
from pathlib import Path

CLOSING = re.compile(r"^(?P<label>.*?)\W*\b(?P<counts>\d+ [a-z]+(?:, \d+ [a-z]+)*) in [\d.]+s\b")
SKIPPED = re.compile(r"^SKIPPED \[(\d+)\] (?:\S+ SKIPPED \[\d+\] )?\S+: (.*)")
TESTS = ("passed", "failed", "skipped")

total: Counter[str] = Counter()
failed = []
for stage in Path(sys.argv[1]).read_text().splitlines():
    name, code, seconds, log = stage.split("\t")
    print(f"{name}: {'ok' if code == '0' else f'FAILED ({code})'}, {int(seconds)} s")
    if code != "0":
        failed.append(name)
    label, runs, reasons = "", [], Counter[str]()
    for line in Path(log).read_text(errors="replace").splitlines():
        if line.startswith("==> "):
            label = line[4:]
        elif line.startswith("!!! "):
            print(f"    {line}")
        elif skip := SKIPPED.match(line):
            reasons[skip[2]] += int(skip[1])
        elif closing := CLOSING.match(line):
            run = Counter(
                {kind: int(n) for n, kind in re.findall(r"(\d+) (\w+)", closing["counts"])}
            )
            run["failed"] += run["error"] + run["errors"]
            if label.startswith("again:") and runs:  # what failed before, once more and alone
                runs[-1][1]["failed"] = run["failed"]
                runs[-1][1]["passed"] += run["passed"]
                continue
            if any(run[kind] for kind in TESTS):
                runs.append((closing["label"].strip(" =") or label, run))
    for what, run in runs:
        total.update({kind: run[kind] for kind in TESTS})
        counts = ", ".join(f"{run[kind]} {kind}" for kind in TESTS)
        print(f"    {counts}: {what or label}")
    for reason, count in reasons.most_common():
        print(f"        {count} skipped: {reason}")
print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'every stage passed'}")
print(", ".join(f"{total[kind]} {kind}" for kind in TESTS))
sys.exit(bool(failed))
