"""Every notebook is stored clean, and runs from top to bottom in a fresh kernel."""

from __future__ import annotations

import base64
import re
import warnings
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from .dataflow.nats_server import BINARY, MISSING

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DATAFLOW = "05_dataflow.ipynb"  # the only one that needs a log server
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
def test_it_is_valid_and_stored_as_one_run_or_as_none(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in cells]
    assert counts in ([None] * len(cells), list(range(1, len(cells) + 1)))
    assert all(cell["id"] for cell in notebook.cells)
    assert not [cell for cell in cells if cell["outputs"] and cell["execution_count"] is None]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_is_stored_tells_nothing_of_where_it_ran(path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata.language_info == {"name": "python"}
    for cell in notebook.cells:
        assert not cell["metadata"]
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            text = output.get("text", "") + str({**output.get("data", {}), "image/png": ""})
            assert not re.search(r"/(home|root|tmp|Users|usr)/|\.py\b|127\.0\.0\.1:", text)


@pytest.mark.leaky
@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs_and_draws_a_figure(path: Path) -> None:
    if path.name == DATAFLOW:
        pytest.importorskip("nats", reason="pip install 'heimdall-reactive[nats]'")
        if BINARY is None:
            pytest.skip(MISSING)
    outputs = execute(path)
    assert not [output for output in outputs if output["output_type"] == "error"]
    figures = [output["data"] for output in outputs if "image/png" in output.get("data", {})]
    assert figures
    assert all(base64.b64decode(data["image/png"]).startswith(b"\x89PNG") for data in figures)
