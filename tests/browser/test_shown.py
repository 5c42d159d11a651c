"""The page of the documentation that runs the library in the reader's browser."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import browser
from examples.browser.live import main
from heimdall_reactive.testing import run
from tests.protocols.programs import MODULES, program

from .static import static

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = "run-it-here.html"


def test_the_program_shows_prices_and_what_the_peer_does() -> None:
    shown: dict[str, list[Any]] = {"badge": [], "line": [], "rows": []}

    async def press() -> None:
        pressed: asyncio.Queue[str] = asyncio.Queue()
        demo = asyncio.create_task(main(lambda part, *new: shown[part].append(new), pressed))
        await asyncio.sleep(5)
        for name in ("drop", "refuse", "disconnect", "connect", "reconnect", "stop"):
            pressed.put_nowait(name)
            await asyncio.sleep(20)
        await demo

    run(press)
    assert len({name for (rows,) in shown["rows"] for name, _ in rows}) == 6
    lines = [text for (text,) in shown["line"]]
    assert "waiting: the connection ended with code 1006 (the peer hung up)" in lines
    assert sum("HTTP 503" in line for line in lines) == 2
    assert "reconnecting in 2 s (attempt 1)" in [text for text, _ in shown["badge"]]
    assert lines[-1] == "disconnected"


def test_the_tables_of_the_page_are_those_of_the_measurement() -> None:
    results = json.loads(browser.RESULTS.read_text(encoding="utf-8"))
    assert browser.tables(results) in browser.PAGE.read_text(encoding="utf-8")
    size = {part: sizes["files"] for part, sizes in results["sizes"].items()}
    assert size["the library"] < size["the library, ordinary wheel"] / 2


def build(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build the site with these variables of the demo, and no others."""
    pytest.importorskip("material")
    known = ("HEIMDALL_NODE_MODULES", "HEIMDALL_PYODIDE_WHEELS")
    rest = {name: value for name, value in os.environ.items() if name not in known}
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**rest, **variables, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip


@pytest.mark.timeout(120)
def test_a_folder_without_what_it_should_have_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = str(tmp_path / "empty")
    done = build(tmp_path / "site", HEIMDALL_NODE_MODULES=empty, HEIMDALL_PYODIDE_WHEELS=empty)
    assert done.returncode != 0
    assert f"HEIMDALL_NODE_MODULES={empty} has no npm package pyodide" in done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels = os.environ.get("HEIMDALL_PYODIDE_WHEELS")
    if wheels is None or not (MODULES / "pyodide").is_dir():
        pytest.skip("the npm package pyodide or HEIMDALL_PYODIDE_WHEELS is missing")
    program("chromium", "chromium")
    folder = tmp_path_factory.mktemp("site")
    done = build(folder, HEIMDALL_NODE_MODULES=str(MODULES), HEIMDALL_PYODIDE_WHEELS=wheels)
    assert done.returncode == 0, done.stderr
    return folder


def browser_page(url: str) -> Any:
    pytest.importorskip("nicegui")
    pytest.importorskip("playwright")
    from examples.screenshots import browser

    return browser.browser_page(url)


@pytest.mark.timeout(300)
def test_the_page_runs_a_store_without_a_server_and_without_another_host(site: Path) -> None:
    asked: list[str] = []
    with static(site) as base, browser_page("about:blank") as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{base}/{PAGE}")
        assert not [url for url in asked if "/pyodide/" in url], "loaded before the click"
        page.click(".run button")
        badge = page.locator(".run-badge")
        page.wait_for_selector(".run-badge[data-tone=good]", timeout=120_000)
        page.wait_for_function("document.querySelectorAll('.run-rows tbody tr').length == 6")
        for name, tone, text in (
            ("refuse", "busy", "(attempt "),
            ("disconnect", "idle", "disconnected"),
            ("connect", "good", "connected"),
            ("reconnect", "good", "connected"),
            ("drop", "busy", "(attempt "),
        ):
            page.locator(".run-keys").get_by_text(name, exact=True).click()
            page.wait_for_selector(f".run-badge[data-tone={tone}]", timeout=20_000)
            assert text in badge.inner_text()
        page.wait_for_selector(".run-badge[data-tone=good]", timeout=20_000)
        assert page.inner_text(".run-lines").count(" waiting: ") >= 2
    assert {url.split(":")[0] for url in asked} <= {"http", "blob", "data"}
    assert all(base in url for url in asked if url.startswith("http"))


def test_a_page_that_was_opened_as_a_file_says_what_to_do(site: Path) -> None:
    with browser_page((site / PAGE).as_uri()) as page:
        assert "python -m http.server" in page.inner_text(".run-said")
        assert page.is_disabled(".run button")
