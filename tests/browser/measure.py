"""Measure how long a page stands still while messages come, and write it into docs/browser.md.

    python -m tests.browser.measure

It needs what the tests of this folder need: Chromium, HEIMDALL_NODE_MODULES, HEIMDALL_PYODIDE_SITE.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

from heimdall_reactive.devserver import serve_in_thread

from .pages import ROOT, TabPage, pages

DOC: Final = ROOT / "docs" / "browser.md"
RUNS: Final = 7
COUNT: Final = 20_000


def rows(tab: TabPage) -> list[str]:
    """Return the table."""
    taken: list[dict[str, Any]] = []
    with serve_in_thread(require_token=False) as server:

        def many(_: str) -> None:
            for number in range(COUNT):
                server.send_raw(f'{{"n":{number}}}')

        def run() -> dict[str, Any]:
            return dict(tab.run("wire.frames", f"{server.url}/v1/ws#{COUNT}", many))

        taken += [run() for _ in range(RUNS)]
        _, longest, _ = tab.busy(run)  # apart: a trace takes its own time
    gaps, frames, seconds = ([each[key] for each in taken] for key in ("gap", "frames", "seconds"))
    return [
        "| | worst of the runs | median of the runs |",
        "|---|---|---|",
        f"| longest time between two frames | {max(gaps)} ms | {median(gaps):.0f} ms |",
        f"| frames painted | {min(frames)} | {median(frames):.0f} |",
        f"| messages a second | {COUNT / max(seconds):,.0f} | {COUNT / median(seconds):,.0f} |",
        f"| CPU time of the longest task, one run | {longest:.0f} ms | |",
    ]


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as folder, pages(Path(folder)) as page_of:
        tab = page_of("page")
        version = tab.tab.look("navigator.userAgent.match(/Chrome.([0-9]+)/)[1]")
        table = "\n".join(rows(tab))
    note = f"\n\n{RUNS} runs in Chromium {version}, on two cores that also serve the messages.\n"
    text = DOC.read_text(encoding="utf-8")
    measured = re.compile(r"(<!-- measured -->\n).*?(<!-- /measured -->)", re.DOTALL)
    DOC.write_text(measured.sub(rf"\g<1>{table}{note}\g<2>", text), encoding="utf-8")


if __name__ == "__main__":
    main()
