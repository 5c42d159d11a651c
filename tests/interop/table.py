"""Write the tables of `docs/servers.md`: `python -m tests.interop.table` runs all servers for them.

Names as arguments run these servers only; what was seen of the others stays.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.protocols.programs import SERVERS, program

from .catalogue import CATALOGUE, HERE, servers

ROOT: Final = HERE.parent.parent
OBSERVED: Final = HERE / "observed.json"
PAGE: Final = ROOT / "docs" / "servers.md"
BEGIN, END = "<!-- observed -->", "<!-- /observed -->"
TALKS: Final = (
    "deflate", "subprotocol", "echo", "1 MiB", "refuses", "raises before it accepts",
    "reads nothing",
)  # fmt: skip
ENDS: Final = ("returns", "raises", "too big", "SIGTERM", "kill -9")
BEHIND: Final = ", behind"
ASKED: Final = {"nginx": "-v", "haproxy": "-v", "mosquitto": "-h"}


def observed() -> dict[str, Any]:
    """Return what the last run saw."""
    found: dict[str, Any] = json.loads(OBSERVED.read_text(encoding="utf-8"))
    return found


def pinned() -> dict[str, str]:
    """Return the versions of the packages that are pinned, of Python and of npm."""
    python = re.findall(r"^([\w-]+)==(\S+)$", (HERE / "requirements.txt").read_text(), re.MULTILINE)
    npm = json.loads((SERVERS / "package.json").read_text())["dependencies"]
    return {**npm, **dict(python)}


def version(name: str) -> str:
    """Return the version of a package that is pinned, or of a program that is installed."""
    if name in ASKED:
        told = subprocess.run(
            [program(name, name), ASKED[name]], capture_output=True, text=True, check=False
        )
        return str(re.findall(r"\d+\.\d+\.\d+", told.stdout + told.stderr)[0])
    return pinned()[name]


def tables(found: Mapping[str, Any]) -> str:
    """Return the tables of what was seen."""
    seen = {name: row["seen"] for name, row in found["servers"].items()}
    versions = {name: row["version"] for name, row in found["servers"].items()}
    talks = ([name, versions[name], *_cells(row, TALKS)] for name, row in seen.items())
    ends = [[name, *_cells(row, ENDS)] for name, row in seen.items()]
    for name, row in seen.items():
        if CATALOGUE[name].behind:
            behind = [row.get(case + BEHIND, "-") for case in ENDS]
            ends.append([f"the server behind {name.split()[0]}", *behind])
    return "\n\n".join(
        [
            f"Run on {found['on']}.",
            _table(("server", "version", *TALKS), talks),
            _table(("server", *ENDS), ends),
        ]
    )


def page(found: Mapping[str, Any]) -> str:
    """Return the whole page, with other tables."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{tables(found)}\n{END}{rest.partition(END)[2]}"


def _cells(row: Mapping[str, str], cases: Iterable[str]) -> Iterator[str]:
    for case in cases:
        yield row[case]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(names: Sequence[str]) -> None:
    """Run servers, and write what was seen."""
    from .observing import observe

    found: dict[str, Any] = observed() if OBSERVED.exists() else {"servers": {}}
    for name in names or CATALOGUE:
        with tempfile.TemporaryDirectory() as folder:
            seen = asyncio.run(observe(name, Path(folder)))
        told = ", ".join(f"{each} {version(each)}" for each in CATALOGUE[name].version)
        found["servers"][name] = {"version": told, "seen": dict(sorted(seen.items()))}
        print(name, seen)
    ask = (
        "import platform as p; print(p.python_version(), p.freedesktop_os_release()['PRETTY_NAME'])"
    )
    told = subprocess.check_output([servers() / "python", "-c", ask], text=True)
    python, _, system = told.strip().partition(" ")
    found["on"] = f"{system}, with Python {python}"
    found["servers"] = {name: found["servers"][name] for name in CATALOGUE}
    OBSERVED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
