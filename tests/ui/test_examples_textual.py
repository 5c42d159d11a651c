"""The example for Textual, driven as its user would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from heimdall_reactive import use_websocket
from heimdall_reactive.devserver import serve_in_thread

from .support import observers

pytest.importorskip("textual", reason="pip install 'heimdall-reactive[textual]'")

from textual.widgets import Input, Label, Log

from examples.textual_app import Heimdall


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is looked at is Textual's
            await asyncio.sleep(0.005)


async def test_it_sends_shows_the_echo_the_countdown_and_heals() -> None:
    with serve_in_thread(require_token=False, echo=True) as server:
        store = use_websocket(f"{server.url}/v1/ws", loop="thread", reconnect_delay=0.4)
        app = Heimdall(store, server)
        with store:
            async with app.run_test(size=(60, 15)) as pilot:
                status, box = app.query_one("#status", Label), app.query_one(Input)
                await until(lambda: str(status.visual) == "connected" and not box.disabled)
                assert status.has_class("good")
                for n in range(7):
                    box.value = f"hello {n}"
                    box.focus()
                    await pilot.press("enter")
                    assert box.value == ""
                lines = app.query_one(Log).lines
                await until(lambda: '{"text": "hello 6"}' in lines)
                await until(lambda: str(app.query_one("#fate", Label).visual) == "delivered")
                await pilot.click("Button")
                await until(lambda: str(status.visual).startswith("again in 1 s"))
                assert box.disabled
                assert status.has_class("busy")
                # Each binding has its own frames, so one may come a frame behind the other.
                await until(lambda: not box.disabled and str(status.visual) == "connected")
            assert observers(store) == 0
