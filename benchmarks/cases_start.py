"""The start of a program: what importing the library takes beside its dependencies."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from .measuring import LIMIT, Case, Stage, Step

__all__ = ["importing"]

PROGRAMS: Final = {
    "heimdall_reactive": "import heimdall_reactive",
    "the three, by use": (
        "from websockets.asyncio.client import connect; "
        "from reactivex.subject import BehaviorSubject; "
        "from pydantic import BaseModel, TypeAdapter"
    ),
    "the three, by name": "import websockets, reactivex, pydantic",
}
TIMED: Final = (
    "from time import process_time\nbegan = process_time()\n{}\nprint(process_time() - began)"
)


def importing(_: Stage) -> Case:
    """Build the case of imports, each in a fresh process with compiled files."""
    for program in PROGRAMS.values():
        _seconds(program)  # writes the compiled files, and warms the system's cache
    steps = [
        Step(entry, functools.partial(_import, program)) for entry, program in PROGRAMS.items()
    ]
    return Case("import", "Import time", "ms", "", steps)


def _import(program: str) -> dict[str, float]:
    return {"ms": _seconds(program) * 1e3}


def _seconds(program: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(program)], env=environment,
        capture_output=True, text=True, timeout=LIMIT, check=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    return float(done.stdout)
