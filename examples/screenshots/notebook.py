"""Run notebooks, and keep what they show: `python -m examples.screenshots.notebook [NAME ...]`.

Without a name it is the quickstart. `tests/test_notebooks.py` runs them in the same way, and
compares.
"""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import Any, Final

import nbclient
import nbformat

__all__ = ["FOLDER", "run", "words"]

FOLDER: Final = Path(__file__).parent.parent.parent / "notebooks"
LIMIT: Final = 60  # seconds per cell; the first plot of a fresh machine builds a cache of its fonts


def run(path: Path) -> Any:
    """Run a notebook in a kernel of its own; return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = nbclient.NotebookClient(
        notebook,
        timeout=LIMIT,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    with warnings.catch_warnings():
        # The kernel's client libraries use what newer Pythons and platforms deprecate.
        for module in ("jupyter_client", "jupyter_core", "nbclient", "zmq"):
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
        warnings.filterwarnings("ignore", message=".*without encryption.*", category=UserWarning)
        client.execute()
    notebook.metadata.language_info = {"name": "python"}  # and not of which version
    return notebook


def words(notebook: Any) -> list[list[str]]:
    """Return the texts of each cell's outputs, with `#` for each number: those may differ."""
    return [
        [
            re.sub(r"\d+(\.\d+)?", "#", output.get("text") or output["data"]["text/plain"])
            for output in cell["outputs"]
        ]
        for cell in notebook.cells
        if cell["cell_type"] == "code"
    ]


def main(names: list[str]) -> None:
    """Run notebooks and write them with their outputs."""
    for name in names or ["01_quickstart"]:
        path = FOLDER / f"{name}.ipynb"
        nbformat.write(run(path), path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1:])
