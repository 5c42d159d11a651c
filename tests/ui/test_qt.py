"""The tests of `heimdall_reactive.bindings.qt`, in a process of its own for each binding of Qt.

PySide6 and PyQt6 bring libraries of the same names, which cannot share a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTHING_COLLECTED = 5


BOTH = [
    (cases, api)
    for cases in ("qt", "qt_life", "qt_loop", "qt_example")
    for api in ("PySide6", "PyQt6")
]


@pytest.mark.leaky
@pytest.mark.parametrize(("cases", "api"), BOTH)
def test_cases(cases: str, api: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-n0", "-p", "no:cacheprovider",
         "-p", "no:pytest-qt", str(ROOT / "tests" / "ui" / f"{cases}_cases.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=55,
        env={**os.environ, "QT_API": api.lower(), "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    if done.returncode == NOTHING_COLLECTED:
        pytest.skip(next(line for line in done.stdout.splitlines() if "SKIPPED" in line))
    assert done.returncode == 0, done.stdout + done.stderr
