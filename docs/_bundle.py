"""Python for the page "Run it here": what the reader's browser loads from the site itself.

With the environment variables `HEIMDALL_NODE_MODULES`, a folder with the npm package `pyodide`,
and `HEIMDALL_PYODIDE_WHEELS`, a folder of wheels, the site gets a folder `pyodide`. Without them
the page says how to build it in.
"""

from __future__ import annotations

import gzip
import json
import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
MARK = "<!-- run it here -->"
PROGRAM = ROOT / "examples" / "browser" / "live.py"
VARIABLES = ("HEIMDALL_NODE_MODULES", "HEIMDALL_PYODIDE_WHEELS")
NEEDED = ("annotated_types", "pydantic", "pydantic_core", "reactivex", "typing_extensions",
          "typing_inspection")  # fmt: skip
RUN = """<div class="run" data-parts='{parts}'>
<button class="md-button md-button--primary">Run it here, {size:.1f} MB</button>
<p class="run-said">Nothing is loaded before you press it, and nothing from another host.</p>
</div>
<script src="javascripts/run.js" defer></script>"""
ABSENT = """!!! note "The demo is not part of this build of the site"
    It needs {missing}, see [Build it in](#build-it-in)."""

_parts: dict[str, int] = {}  # bytes of each file that the reader's browser loads


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add Pyodide, the wheels and the program, if they were given."""
    _parts.clear()
    if not _missing():
        for name, content in _content():
            _parts[name] = len(content)
            files.append(File.generated(config, f"pyodide/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the demo, or the words in its place, into the page that has the mark."""
    if MARK not in markdown:
        return markdown
    if missing := _missing():
        return markdown.replace(MARK, ABSENT.format(missing=" and ".join(missing)))
    size = sum(_parts.values()) / 1e6
    return markdown.replace(MARK, RUN.format(parts=json.dumps(_parts), size=size))


def _missing() -> list[str]:
    return [f"`{name}`" for name in VARIABLES if not os.environ.get(name)]


def _content() -> Iterator[tuple[str, bytes]]:
    """Yield the files, in the order in which they are loaded."""
    modules, wheels = (Path(os.environ[name]) for name in VARIABLES)
    yield from _pyodide(modules / "pyodide")
    for name in NEEDED:
        found = sorted(wheels.glob(f"{name}-*.whl"))
        if not found:
            raise PluginError(f"{VARIABLES[1]}={wheels} has no wheel of {name}")
        yield found[-1].name, found[-1].read_bytes()
    make: Any = runpy.run_path(str(ROOT / "examples" / "browser" / "wheel.py"))["make"]
    with TemporaryDirectory() as folder:
        own: Path = make(Path(folder))
        yield own.name, own.read_bytes()
    yield PROGRAM.name, PROGRAM.read_bytes()


def _pyodide(folder: Path) -> Iterator[tuple[str, bytes]]:
    if not (folder / "pyodide.mjs").is_file():
        raise PluginError(f"{VARIABLES[0]}={folder.parent} has no npm package pyodide")
    for name in ("pyodide.mjs", "python_stdlib.zip"):
        yield name, (folder / name).read_bytes()
    # Packed here, as many static servers do not: the worker unpacks them.
    for name in ("pyodide.asm.mjs", "pyodide.asm.wasm"):
        yield f"{name}.packed", gzip.compress((folder / name).read_bytes(), 9, mtime=0)
    lock = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))
    yield "pyodide-lock.json", json.dumps({"info": lock["info"], "packages": {}}).encode()
