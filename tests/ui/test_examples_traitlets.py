"""The example in widgets, driven in a loop of this process as a notebook's kernel would."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

pytest.importorskip("ipywidgets", reason="pip install ipywidgets 'heimdall-reactive[traitlets]'")
pytest.importorskip("IPython", reason="pip install ipykernel")

from examples.traitlets_app import build
from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import DevServer, serve_in_thread

from .support import observers

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq"),
]


@pytest.fixture
def echo() -> Iterator[DevServer]:
    with serve_in_thread(require_token=False, echo=True) as server:
        yield server


async def until(condition: Callable[[], bool], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - of another thread or of traitlets
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("loop", ["auto", "thread"])
def test_it_lives_through_all_of_it(echo: DevServer, loop: Literal["auto", "thread"]) -> None:
    async def work() -> None:
        async with use_websocket(f"{echo.url}/v1/ws", loop=loop, reconnect_delay=0.5) as store:
            before = observers(store)
            view = build(store, echo)
            status, newest, row, word = view.children
            box, send, drop = row.children
            await until(lambda: "connected" in status.value and not box.disabled)
            box.value = "hello <b>"
            send.click()
            await until(lambda: newest.value == "hello &lt;b&gt;")
            assert box.value == ""
            await until(lambda: word.value == "delivered")
            for n in range(6):
                box.value = f"{n}"
                send.click()
            await until(lambda: newest.value == "1<br>2<br>3<br>4<br>5")
            drop.click()
            await until(
                lambda: "reconnecting in 1 s" in status.value and box.disabled and send.disabled
            )
            await until(lambda: "connected" in status.value and not box.disabled)
            for widget in (status, newest, box, send, word):
                widget.close()
            assert observers(store) == before

    asyncio.run(work())
    gc.collect()


@pytest.mark.leaky
def test_without_a_notebook_it_says_where_it_runs() -> None:
    program = [sys.executable, "-m", "examples.traitlets_app"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "%run -m examples.traitlets_app" in done.stderr
