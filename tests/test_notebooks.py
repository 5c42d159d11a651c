"""Every notebook is stored without outputs, and runs from top to bottom in a fresh kernel."""

from __future__ import annotations

import base64
import warnings
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT = 60  # seconds per cell; the first plot of a fresh machine builds a cache of its fonts


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def execute(path: Path) -> list[dict[str, Any]]:
    """Run a notebook in a kernel of its own; return the outputs of its cells."""
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=LIMIT, resources={"metadata": {"path": str(path.parent)}}
    )
    with warnings.catch_warnings():
        # The kernel's client libraries use what newer Pythons and platforms deprecate.
        for module in ("jupyter_client", "jupyter_core", "nbclient", "zmq"):
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
        warnings.filterwarnings("ignore", message=".*without encryption.*", category=UserWarning)
        client.execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_is_valid_and_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell["id"]
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.leaky
@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs_and_draws_a_figure(path: Path) -> None:
    outputs = execute(path)
    assert not [output for output in outputs if output["output_type"] == "error"]
    figures = [output["data"] for output in outputs if "image/png" in output.get("data", {})]
    assert figures
    assert all(base64.b64decode(data["image/png"]).startswith(b"\x89PNG") for data in figures)
