"""The live example in Streamlit's server, in Chromium; and an edited script replaces its store."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from heimdall_reactive.devserver import DevServer, Peer, serve_in_thread

from .support import wait_until
from .test_live import keeps_up

if find_spec("streamlit") is None:  # not imported: that sets MPLBACKEND for whatever runs here
    pytest.skip("pip install streamlit", allow_module_level=True)
pytest.importorskip("playwright", reason="pip install playwright")
if shutil.which("chromium") is None:
    pytest.skip("a browser is missing: apt install chromium", allow_module_level=True)

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.leaky  # a browser, and Streamlit in a process of its own

SCRIPT = """
import streamlit as st
from heimdall_reactive import use_websocket

@st.cache_resource
def the_store():
    "edited 0 times"
    return use_websocket("{url}/v1/ws", loop="thread", key="the store")

@st.fragment(run_every=0.1)
def live():
    st.text(the_store().state.value.status.value)

live()
"""


@contextmanager
def page_of(url: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_context().new_page()
        tab.goto(url)
        yield tab
        browser.close()


@contextmanager
def served(script: Path) -> Iterator[tuple[str, int]]:
    """Run a script in Streamlit's server; yield the address and the process's number."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "server.port": port, "server.address": "127.0.0.1", "server.headless": "true",
        "browser.gatherUsageStats": "false", "server.fileWatcherType": "poll",
        "server.runOnSave": "true",
    }  # fmt: skip
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += [f"--{name}={value}" for name, value in options.items()]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/_stcore/health"), lambda: time.sleep(0.1), 60)
        yield url, process.pid
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def is_replaced(server: DevServer, old: Peer) -> bool:
    """Return whether there is one connection, and another one than before."""
    return len(server.connections) == 1 and server.connections[0] is not old


@pytest.mark.skipif(not Path("/proc").exists(), reason="counts threads in /proc")
def test_the_live_page_keeps_up_and_no_thread_is_left_of_a_closed_tab() -> None:
    with (
        served(ROOT / "examples/live/streamlit_app.py") as (url, process),
        page_of(url) as first,
    ):
        keeps_up(
            first, within=30_000
        )  # the browser asks for each look, late when the machine is busy
        counts = list[int]()
        for _ in range(3):
            tab = first.context.new_page()
            tab.goto(url)
            tab.locator(".market tbody tr").first.wait_for(state="attached", timeout=30_000)
            tab.close()
            first.wait_for_timeout(500)
            counts.append(threads(process))
        most = counts[0]
        wait_until(lambda: threads(process) <= most, lambda: first.wait_for_timeout(100), 20)


def test_an_edited_script_replaces_its_store(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    with serve_in_thread(require_token=False) as server:
        text = SCRIPT.format(url=server.url)
        script.write_text(text)
        with served(script) as (url, _), page_of(url) as tab:
            tab.get_by_text("connected", exact=True).wait_for(timeout=30_000)
            for edit in range(1, 4):
                (before,) = server.connections
                script.write_text(text.replace("edited 0", f"edited {edit}"))
                # The page runs it by itself. One that is loaded again may get the script as it was:
                # Streamlit keeps that until it has seen the edit, or the last page go.
                server.call(server.wait_until(partial(is_replaced, server, before), 60))
                tab.get_by_text("connected", exact=True).wait_for(timeout=30_000)
