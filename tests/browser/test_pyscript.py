"""The page of PyScript, and the folder that it has Python from, without any other host."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import copy, copytree
from typing import Any, Final

import pytest

from examples.browser import host
from heimdall_reactive.devserver import serve_in_thread
from tests.protocols.programs import MODULES, program

from .static import static

PAGE: Final = Path(host.__file__).parent / "pyscript.html"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the page, PyScript, Pyodide and the wheels."""
    wheels = os.environ.get("HEIMDALL_PYODIDE_WHEELS")
    if wheels is None or not all((MODULES / name).is_dir() for name in ("pyodide", "@pyscript")):
        pytest.skip("pyodide, @pyscript/core or HEIMDALL_PYODIDE_WHEELS is missing")
    program("chromium", "chromium")
    host.make(tmp_path / "pyodide", MODULES, Path(wheels))
    copytree(MODULES / "@pyscript" / "core" / "dist", tmp_path / "pyscript")
    copy(PAGE, tmp_path)
    return tmp_path


def page_of(url: str) -> Any:
    pytest.importorskip("nicegui")
    pytest.importorskip("playwright")
    from examples.screenshots.browser import browser_page

    return browser_page(url)


def test_the_page_has_40_lines_at_most() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.timeout(150)
def test_the_page_connects_sends_and_comes_back_after_a_drop(folder: Path) -> None:
    is_connected = "document.querySelector('#status').textContent == 'connected'"
    asked: list[str] = []
    with (
        static(folder) as base,
        serve_in_thread(require_token=False, echo=True) as server,
        page_of("about:blank") as page,
    ):
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{base}/{PAGE.name}?server={server.url}")
        page.wait_for_function(is_connected, timeout=110_000)
        page.click("#send")
        page.wait_for_selector("#messages li")
        assert page.inner_text("#messages li") == 'Note {"text": "hello"}'
        server.drop()
        page.wait_for_function(f"!({is_connected})")
        page.wait_for_function(is_connected, timeout=20_000)
        assert len(server.dials) == 2
        assert page.query_selector(".py-error") is None
    assert all(url.startswith((base, "blob:", "data:")) for url in asked)
