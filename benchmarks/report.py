"""What the measurements say: results.json, tables, and the figures of the documents."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from . import machine
from .measuring import Result, ratio
from .targets import AIOHTTP, BY_HAND, PICOWS, STORE, WEBSOCKETS, Verdict, judge

__all__ = ["load", "machine_of", "refresh", "save", "table", "targets_table", "write_docs"]

PACKAGES: Final = (
    "heimdall-reactive", "websockets", "reactivex", "pydantic", "aiohttp", "picows",
    "websocket-client", "uvloop",
)  # fmt: skip
MARK: Final = re.compile(r"<!-- (?P<name>[\w ,-]+) -->\n.*?<!-- end -->", re.DOTALL)


def machine_of() -> dict[str, Any]:
    """Return the versions and the machine."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"summary": machine.describe(), "processor": _processor()},
        "versions": {"python": platform.python_version(), **versions},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor()


def load(path: Path) -> dict[str, Any]:
    """Read results.json; an empty one where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cases": {}}


def save(path: Path, results: Sequence[Result], rounds: int) -> dict[str, Any]:
    """Write the results; cases that were not measured now stay as they were."""
    cases = load(path).get("cases", {})
    for result in results:
        cases[result.case.name] = result.to_json()
    document = {**machine_of(), "rounds": rounds, "cases": cases}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    # The rounds of a cell on one line.
    text = re.sub(r"\[\s+([^\[\]{}\"]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    path.write_text(text + "\n", encoding="utf-8")
    return document


def table(case: Mapping[str, Any]) -> str:
    """Make the Markdown table of a case: medians, with their spread in percent."""
    columns = list(dict.fromkeys(c for cells in case["entries"].values() for c in cells))
    rows = [[case["unit"], *columns]]
    for entry, cells in case["entries"].items():
        rows.append([entry, *(_cell(cells.get(column)) for column in columns)])
    return _markdown(rows)


def _cell(cell: Mapping[str, Any] | None) -> str:
    return f"{_number(cell['median'])} ±{cell['spread'] / 2:.0%}" if cell else ""


def _number(value: float) -> str:
    """Show three digits, and whole numbers from a hundred on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def targets_table(cases: Mapping[str, Any]) -> str:
    """Make the table of the targets: wanted, measured, met or not."""
    rows = [["ratio", "wanted", "measured", "met"]]
    for verdict in judge(cases):
        target = verdict.target
        wanted = f"{'≥' if target.floor else '≤'} {target.bound:g}"
        measured = "" if verdict.measured is None else f"{verdict.measured:.2f}"
        rows.append([target.name, wanted, measured, _met(verdict)])
    return _markdown(rows)


def _met(verdict: Verdict) -> str:
    return {True: "yes", False: "**no**", None: "not measured"}[verdict.met]


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|" + "---:|" * (len(rows[0]) - 1))
    return "\n".join(lines)


def _fast(cases: Mapping[str, Any]) -> str:
    """Make the README's table: small messages, and how many times faster than each rival."""
    entries = cases["receive"]["entries"]
    ours = entries[STORE]["0.1 KB"]
    rows = [["0.1 KB messages, typed", "µs a message", f"times {STORE}"]]
    for name in (STORE, WEBSOCKETS, BY_HAND, AIOHTTP, PICOWS):
        if name in entries:
            cell = entries[name]["0.1 KB"]
            times = ratio(cell["rounds"], ours["rounds"]) or 0.0
            rows.append([name, _number(cell["median"]), f"{times:.2f}"])
    return _markdown(rows)


def _about(document: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    about = document["machine"]
    return (
        f"{document['date']}, {about['summary']}, {about['processor']};\n"
        f"medians of {document['rounds']} rounds. {versions}."
    )


def _section(name: str, document: Mapping[str, Any]) -> str:
    cases = document["cases"]
    if name in ("about", "targets", "fast"):
        make = {"about": _about, "targets": targets_table, "fast": _fast}[name]
        return make(document if name == "about" else cases)
    notes = "".join(f"\n\n{note}." for note in cases[name]["notes"])
    return table(cases[name]) + notes


def refresh(text: str, document: Mapping[str, Any]) -> str:
    """Return a page whose marked sections say what the results say."""

    def section(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- {name} -->\n{_section(name, document)}\n<!-- end -->"

    return MARK.sub(section, text)


def write_docs(document: Mapping[str, Any], pages: Sequence[Path]) -> None:
    """Refresh the figures of the pages."""
    for page in pages:
        page.write_text(refresh(page.read_text(encoding="utf-8"), document), encoding="utf-8")
