"""The quickstart as a notebook: in a kernel of its own, and in JupyterLite without a network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("nbclient", reason="pip install 'heimdall-reactive[notebook]'")

from examples.browser import lite
from examples.screenshots.notebook import run
from tests.protocols.programs import MODULES, program
from tests.test_notebooks import read

from .static import static
from .test_pyscript import page_of

PRINTED: Final = """connected in session 1
Quote(symbol='tea', price=4.5)
{'subscribe': 'cocoa'} written
the connection ended with code 1006 (the socket ended without a close frame)
written in session 2
attempt 2
session 3 after 5 dials
disconnected 1 message
"""


@pytest.mark.leaky
def test_it_runs_in_any_jupyter() -> None:
    outputs = [output for cell in run(lite.NOTEBOOK).cells for output in cell.get("outputs", [])]
    assert "".join(each["text"] for each in outputs if each.get("name") == "stdout") == PRINTED
    assert all(cell["id"] and not cell.get("outputs") for cell in read(lite.NOTEBOOK).cells)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    jupyter = os.environ.get("HEIMDALL_JUPYTERLITE")
    wheels = os.environ.get("HEIMDALL_PYODIDE_WHEELS")
    if jupyter is None or wheels is None or not (MODULES / "pyodide").is_dir():
        pytest.skip("pyodide, HEIMDALL_PYODIDE_WHEELS or HEIMDALL_JUPYTERLITE is missing")
    if not list(Path(wheels).glob("ipython-*.whl")):
        pytest.skip("HEIMDALL_PYODIDE_WHEELS has no wheel of ipython")
    program("chromium", "chromium")
    try:
        return lite.build(tmp_path, MODULES, Path(wheels), jupyter)
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"JupyterLite was not built: {error}") from None


@pytest.mark.timeout(280)  # Python starts in a page, on a machine that may be busy
def test_it_runs_in_jupyterlite_which_asks_no_other_host(site: Path) -> None:
    asked: list[str] = []
    with static(site) as base, page_of("about:blank") as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{base}/notebooks/index.html?path={lite.NOTEBOOK.name}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
        page.click("text=Run >> nth=0")
        page.click("text=Run All Cells >> nth=0")
        page.wait_for_function(
            "document.body.innerText.includes('disconnected 1')", timeout=150_000
        )
        assert "".join(map(text, page.query_selector_all(".jp-OutputArea-output"))) == PRINTED
    assert all(url.startswith((base, "blob:", "data:")) for url in asked)


def text(output: Any) -> str:
    """Return what an output says; what went to stderr has a look of its own."""
    kind = output.get_attribute("data-mime-type") or ""
    return "" if "stderr" in kind else str(output.inner_text())
