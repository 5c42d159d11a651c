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
from .targets import ALONE, LOG_TARGETS, STORE, TARGETS, Target, Verdict, judge

__all__ = ["load", "machine_of", "refresh", "save", "table", "targets_table", "write_docs"]

PACKAGES: Final = (
    "heimdall-reactive", "websockets", "reactivex", "pydantic", "aiohttp", "picows",
    "websocket-client", "uvloop",
)  # fmt: skip
# The table at a glance: its rows, by what each is called in the cases, and its columns.
CLIENTS: Final = {
    "store": ("store",),
    "websockets": ("raw websockets",),
    "aiohttp": ("raw aiohttp",),
    "picows": ("raw picows",),
    "websocket-client": ("WebSocketApp (websocket-client)", "websocket-client"),
    "rxjs, on Node": ("rxjs webSocket on Node",),
}
COLUMNS: Final = {
    "received": ("receive", "0.1 KB"),
    "over TLS": ("tls", "0.1 KB"),
    "1 KB, compressed": ("deflate", "1 KB"),
    "sent in bursts": ("send", "0.1 KB"),
}
MARK: Final = re.compile(r"<!-- (?P<name>[\w ,.-]+) -->\n.*?<!-- end -->", re.DOTALL)


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


def save(path: Path, results: Sequence[Result], rounds: int, whole: bool = True) -> dict[str, Any]:
    """Write the results.

    Args:
        path: of results.json.
        results: what was measured now.
        rounds: of it.
        whole: it was everything; else the other cases stay as they were, with the date and the
            versions of the document, and those that were measured now say where they differ.
    """
    before, now = load(path), {**machine_of(), "rounds": rounds}
    head = now if whole or not before["cases"] else before
    cases = {} if whole else before["cases"]
    for result in results:
        cases[result.case.name] = {**result.to_json(), **_apart(now, head)}
    document = {**head, "cases": cases}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    # The rounds of a cell on one line.
    text = re.sub(r"\[\s+([^\[\]{}\"]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    path.write_text(text + "\n", encoding="utf-8")
    return document


def _apart(now: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a case says of itself, where it was measured apart from the others."""
    versions = {
        name: version
        for name, version in now["versions"].items()
        if head["versions"].get(name) != version
    }
    if not versions and all(now[key] == head[key] for key in ("date", "rounds")):
        return {}
    return {"date": now["date"], "rounds": now["rounds"], "versions": versions}


def table(case: Mapping[str, Any]) -> str:
    """Make the Markdown table of a case: medians, with their spread in percent."""
    columns = list(dict.fromkeys(c for cells in case["entries"].values() for c in cells))
    rows = [[case["unit"], *columns]]
    for entry, cells in case["entries"].items():
        cell = _count if case["unit"] == "left" else _cell
        rows.append([entry, *(cell(cells.get(column)) for column in columns)])
    return _markdown(rows)


def _cell(cell: Mapping[str, Any] | None) -> str:
    return f"{_number(cell['median'])} ±{cell['spread'] / 2:.0%}" if cell else ""


def _count(cell: Mapping[str, Any] | None) -> str:
    return f"{cell['median']:,.0f}" if cell else ""


def _number(value: float) -> str:
    """Show three digits, and whole numbers from a hundred on."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def targets_table(cases: Mapping[str, Any], targets: Sequence[Target] = TARGETS) -> str:
    """Make the table of the targets: wanted, measured, met or not."""
    rows = [["ratio", "wanted", "measured", "met"]]
    for verdict in judge(cases, targets):
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
    """Make the table at a glance: small messages, and how many times as long as a store takes."""
    rows = [["µs a message (times the store's)", *COLUMNS]]
    for name, entries in CLIENTS.items():
        cells = [_beside(cases, case, entries, column) for case, column in COLUMNS.values()]
        rows.append([name, *cells])
    return _markdown(rows)


def _beside(cases: Mapping[str, Any], case: str, entries: Sequence[str], column: str) -> str:
    found = cases.get(case, {}).get("entries", {})
    for entry, cells in found.items():
        if entry.partition(" + ")[0] in entries and column in cells:
            times = ratio(cells[column]["rounds"], found[STORE][column]["rounds"]) or 0.0
            return f"{_number(cells[column]['median'])} ({times:.2f})"
    return ""


def _small(entries: Mapping[str, Any]) -> str:
    """Make the table of the comparison: small messages received, the cheapest first."""
    medians = {name: cells["0.1 KB"]["median"] for name, cells in entries.items() if name != ALONE}
    rows = [[name, f"{medians[name]:.3g}"] for name in sorted(medians, key=lambda n: medians[n])]
    return _markdown([["", "µs a message"], *rows]).replace("|  |", "| |", 1)


def _about(document: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    about = document["machine"]
    return (
        f"{document['date']}, {about['summary']}, {about['processor']};\n"
        f"medians of {document['rounds']} rounds. {versions}."
    )


def _section(name: str, document: Mapping[str, Any]) -> str:
    cases = document["cases"]
    if name == "about":
        return _about(document)
    if name == "fast":
        return _fast(cases)
    if name == "receive, 0.1 KB":
        return _small(cases["receive"]["entries"])
    if name in ("targets", "log targets"):
        return targets_table(cases, TARGETS if name == "targets" else LOG_TARGETS)
    notes = [*cases[name]["notes"]]
    if "date" in (apart := cases[name]):
        versions = "".join(
            f", {package} {version}" for package, version in apart["versions"].items()
        )
        notes.append(f"Measured on {apart['date']}, rounds: {apart['rounds']}{versions}")
    return table(cases[name]) + "".join(f"\n\n{note}." for note in notes)


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
