"""Measure the download and the start of a store in a page.

    python -m benchmarks.browser NODE_MODULES WHEELS

Writes browser.json and the tables of docs/run-it-here.md. Each round is cold: a new process of
Node, or a new Chromium without a cache, that loads from a server on this machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from examples.browser import host
from heimdall_reactive.devserver import serve_in_thread

from . import machine

__all__ = ["RESULTS", "main", "tables"]

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = Path(__file__).with_suffix(".json")
PAGE: Final = ROOT / "docs" / "run-it-here.md"
SCRIPT: Final = Path(__file__).with_name("browser_start.mjs")
BUSY: Final = 1.5  # others' work beside ours, as the load of the last five minutes
STEPS: Final = ("Python", "packages", "import", "connected")
# What is loaded, and which files are of it.
PARTS: Final[Mapping[str, Sequence[str]]] = {
    "Pyodide": ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm"),
    "Python's library": ("python_stdlib.zip",),
    "pydantic and what it needs": (
        "pydantic-", "pydantic_core-", "annotated_types-", "typing_extensions-",
        "typing_inspection-",
    ),
    "RxPY": ("reactivex-",),
    "the library": ("heimdall_reactive-",),
}  # fmt: skip
IN_PAGE: Final = """async ([folder, url]) => {
    const { loadPyodide } = await import(`${folder}/pyodide.mjs`);
    const { start } = await import("/browser_start.mjs");
    return await start(loadPyodide, { indexURL: `${folder}/` }, url);
}"""


def sizes(folder: Path) -> dict[str, dict[str, int]]:
    """Return bytes of each part: as files, and as a server that compresses sends them."""
    found = {}
    for part, names in PARTS.items():
        data = [
            path.read_bytes() for path in folder.iterdir() if path.name.startswith(tuple(names))
        ]
        packed = [min(len(each), len(gzip.compress(each, 9))) for each in data]
        found[part] = {"files": sum(map(len, data)), "compressed": sum(packed)}
    found["the library, ordinary wheel"] = dict.fromkeys(("files", "compressed"), _ordinary())
    return found


def _ordinary() -> int:
    """Return the bytes of an ordinary wheel, as the build backend makes it."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder]
        subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return next(Path(folder).glob("*.whl")).stat().st_size


def in_node(folder: Path, url: str) -> list[float]:
    """Return the milliseconds of the steps in a new process of Node."""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    flags = ["--experimental-websocket"] if int(version.stdout[1:].split(".")[0]) < 22 else []
    done = subprocess.run(
        ["node", "--no-warnings", *flags, str(SCRIPT), f"{folder}/", url],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return list(json.loads(done.stdout.splitlines()[-1]))


def in_chromium(folder: Path, url: str) -> list[float]:
    """Return the milliseconds of the steps in a new Chromium."""
    from examples.screenshots.browser import browser_page
    from tests.browser.static import static

    shutil.copy(SCRIPT, folder)
    (folder / "index.html").write_text("<!doctype html><title>start</title>", encoding="utf-8")
    with static(folder) as base, browser_page(f"{base}/index.html") as page:
        return list(page.evaluate(IN_PAGE, [base, url]))


def measure(modules: Path, wheels: Path, rounds: int) -> dict[str, Any]:
    """Return what browser.json has."""
    with tempfile.TemporaryDirectory() as temporary, serve_in_thread(require_token=False) as server:
        folder = Path(temporary)
        needed = folder / "needed"  # without what only the scripted peer needs
        needed.mkdir()
        for prefix in (name for names in PARTS.values() for name in names if name.endswith("-")):
            for wheel in wheels.glob(f"{prefix}*.whl"):
                shutil.copy(wheel, needed)
        host.make(folder / "site", modules, needed)
        url = f"{server.url}/v1/ws/updates"
        taken: dict[str, list[list[float]]] = {"Chromium": [], "Node": []}
        for _ in range(rounds):
            taken["Chromium"].append(in_chromium(folder / "site", url))
            taken["Node"].append(in_node(folder / "site", url))
        measured = sizes(folder / "site")
    package = json.loads((modules / "pyodide" / "package.json").read_text(encoding="utf-8"))
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        "load": round(os.getloadavg()[1], 1),
        "pyodide": package["version"],
        "rounds": rounds,
        "sizes": measured,
        "starts": {name: _summed(rows) for name, rows in taken.items()},
    }


def _summed(rows: list[list[float]]) -> dict[str, dict[str, float]]:
    """Return median and least seconds of each step, and of all of them."""
    columns = {step: [row[at] / 1000 for row in rows] for at, step in enumerate(STEPS)}
    columns["all"] = [sum(row) / 1000 for row in rows]
    return {
        step: {"median": round(statistics.median(each), 2), "least": round(min(each), 2)}
        for step, each in columns.items()
    }


def tables(results: Mapping[str, Any]) -> str:
    """Return the tables of the page."""
    lines = ["| what | files, MB | compressed, MB |", "|---|---|---|"]
    parts = {name: results["sizes"][name] for name in PARTS}
    for name, size in parts.items():
        lines.append(f"| {name} | {size['files'] / 1e6:.2f} | {size['compressed'] / 1e6:.2f} |")
    whole = [sum(size[kind] for size in parts.values()) / 1e6 for kind in ("files", "compressed")]
    lines.append(f"| all | {whole[0]:.2f} | {whole[1]:.2f} |")
    ordinary = results["sizes"]["the library, ordinary wheel"]["files"]
    lines.append(f"| for comparison: the ordinary wheel of the library | {ordinary / 1e6:.2f} | |")
    lines += ["", "| seconds, median (least) | Chromium | Node |", "|---|---|---|"]
    titles = {
        "Python": "load Pyodide and Python",
        "packages": "load the wheels",
        "import": "import the library",
        "connected": "connect",
        "all": "all",
    }
    for step, title in titles.items():
        cells = [results["starts"][name][step] for name in ("Chromium", "Node")]
        shown = " | ".join(f"{cell['median']:.2f} ({cell['least']:.2f})" for cell in cells)
        lines.append(f"| {title} | {shown} |")
    words = f"{results['rounds']} cold starts, Pyodide {results['pyodide']}, {results['machine']}"
    if results["load"] > BUSY:
        words += (
            f"; the machine was busy (load {results['load']}): the least is nearer to the truth"
        )
    return "\n".join([*lines, "", f"{words}. All files come from the same machine."])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the results and the page."""
    parser = argparse.ArgumentParser(prog="benchmarks.browser", description=__doc__)
    parser.add_argument("modules", type=Path, help="a node_modules with pyodide in it")
    parser.add_argument("wheels", type=Path, help="what pip downloaded for Pyodide")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args(arguments)
    results = measure(given.modules, given.wheels, given.rounds)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- start -->\n")
    after = rest.partition("<!-- end -->")[2]
    text = f"{before}<!-- start -->\n{tables(results)}\n<!-- end -->{after}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
