"""Every notebook is stored clean, and runs from top to bottom in a fresh kernel.

The quickstart is stored with what it shows, which has to be what it shows today.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from examples.screenshots.notebook import FOLDER, run, words

from .dataflow.nats_server import BINARY, MISSING

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
DATAFLOW = "05_dataflow.ipynb"  # the only one that needs a log server
KEPT = "01_quickstart.ipynb"  # what whoever opens it sees, before they can run it


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


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
    done = run(path)
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error"]
    figures = [output["data"] for output in outputs if "image/png" in output.get("data", {})]
    assert figures
    assert all(base64.b64decode(data["image/png"]).startswith(b"\x89PNG") for data in figures)
    if path.name == KEPT:  # but for numbers, and the times in the picture
        advice = "python -m examples.screenshots.notebook keeps what it shows now"
        assert words(read(path)) == words(done), advice
