"""The example in widgets, driven in a loop of this process as a notebook's kernel would."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

pytest.importorskip("ipywidgets", reason="pip install ipywidgets 'heimdall-reactive[traitlets]'")
pytest.importorskip("IPython", reason="pip install ipykernel")

from examples.first.notebook_app import chat
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
            status, log, row, word = chat(store).children
            box, send = row.children
            await until(lambda: "connected" in status.value and not send.disabled)
            box.value = "hello <b>"
            send.click()
            await until(lambda: log.value == "{&quot;text&quot;: &quot;hello &lt;b&gt;&quot;}")
            assert box.value == ""
            await until(lambda: word.value == "delivered")
            echo.refuse(503, times=2)
            echo.drop()
            await until(lambda: "reconnecting in 1 s" in status.value and send.disabled)
            await until(lambda: "connected" in status.value and not send.disabled)
            box.value = "again"
            send.click()
            await until(lambda: "<br>" in log.value)
            for widget in (status, log, box, send, word):
                widget.close()
            assert observers(store) == before

    asyncio.run(work())
    gc.collect()
