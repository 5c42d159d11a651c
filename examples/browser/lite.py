"""Build a JupyterLite with the quickstart that asks no other host for anything.

    pip install jupyterlite-core jupyterlite-pyodide-kernel jupyter-server
    python -m examples.browser.lite build/lite NODE_MODULES WHEELS

The folders are those of `examples.browser.host`; the kernel needs wheels of `ipython`, `comm` and
`micropip` beside the library's. Serve `build/lite/out` with any static server.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copy, which

from . import host

__all__ = ["build"]

NOTEBOOK = Path(__file__).parent / "quickstart.ipynb"


def build(folder: Path, modules: Path, wheels: Path, jupyter: str = "jupyter") -> Path:
    """Build the site.

    Args:
        folder: where to; it is made.
        modules: the `node_modules` with `pyodide` in it.
        wheels: a folder of wheels.
        jupyter: the program of an environment with JupyterLite.

    Returns:
        The folder to serve.
    """
    host.make(folder / "static" / "pyodide", modules, wheels)  # where JupyterLite looks for it
    (folder / "files").mkdir(exist_ok=True)
    copy(NOTEBOOK, folder / "files")
    program = which(jupyter) or jupyter
    apps = ["--apps", "notebooks", "--apps", "repl"]
    subprocess.run(
        [program, "lite", "build", "--contents", "files", "--output-dir", "out", *apps],
        cwd=folder,
        check=True,
    )
    return folder / "out"


if __name__ == "__main__":
    target, modules, wheels = map(Path, sys.argv[1:4])
    build(target, modules, wheels)
