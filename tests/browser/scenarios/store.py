"""What a store has besides its socket, over the development server; see `test_store.py`."""

from __future__ import annotations

import asyncio
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from heimdall_reactive import loop_hop, use_websocket
from heimdall_reactive.recording import record, replay

js: Any = import_module("js")


async def subjects(url: str) -> dict[str, Any]:
    """Values, commands, filters and their end."""
    told: list[Any] = []
    ended: list[str] = []
    async with use_websocket(url, message_type=int) as store:
        for name in ("is_connected", "last_message", "send"):
            getattr(store, name).subscribe(
                lambda value, name=name: told.append([name, value]),
                on_completed=lambda name=name: ended.append(name),
            )
        await store.wait_connected(timeout=8)
        answers = store.stream()
        store.send(7)
        await asyncio.wait_for(anext(answers), 8)
        store.disconnect()
        await store.wait_for(lambda state: state.status == "disconnected", timeout=8)
        store.connect()
        await store.wait_connected(timeout=8)
    return {"told": told, "ended": ended}


async def channels(url: str) -> list[Any]:
    async with use_websocket(url, reconnect_delay=0.05) as store:
        seen: asyncio.Queue[Any] = asyncio.Queue()
        subscription = store.channel("public").subscribe(seen.put_nowait)
        await store.wait_connected(timeout=8)
        await js.ask("publish")
        first = await asyncio.wait_for(seen.get(), 8)
        await js.ask("drop")
        await store.wait_for(lambda state: state.session == 2, timeout=8)
        await js.ask("publish")
        second = await asyncio.wait_for(seen.get(), 8)
        subscription.dispose()
        await asyncio.wait_for(store.send("last"), 8)
        return [first, second]


async def requests(url: str) -> list[Any]:
    async with use_websocket(url, message_type=dict[str, Any]) as store:
        await store.wait_connected(timeout=8)
        asked = {"id": 3, "question": "?"}
        answer = await store.request(asked, match=lambda message: message["id"] == 3, timeout=8)
        try:
            await store.request({"id": 4}, match=lambda _: False, timeout=0.05)
        except TimeoutError as error:
            return [answer, type(error).__name__]
    return []


async def shared(url: str) -> list[Any]:
    """Two stores of one socket; the second to leave ends it."""
    options: dict[str, Any] = {"share": True, "share_linger": 0.0, "message_type": int}
    first, second = use_websocket(url, **options), use_websocket(url, **options)
    seen: list[Any] = []
    second.messages.subscribe(seen.append)
    await second.wait_connected(timeout=8)
    await first.wait_connected(timeout=8)
    got = first.stream()
    first.send(5)
    await asyncio.wait_for(anext(got), 8)
    await first.aclose()
    still = second.connected
    attempts = second.stats.attempts
    await second.aclose()
    return [seen, still, attempts]


async def views(url: str) -> list[Any]:
    """A view in later turns, a stream and a handler."""
    async with use_websocket(url, message_type=int) as store:
        view = store.observe_on(loop_hop())
        seen: asyncio.Queue[Any] = asyncio.Queue()
        view.messages.subscribe(seen.put_nowait)
        stream = store.stream(maxsize=1, overflow="block")
        await store.wait_connected(timeout=8)
        for number in range(5):
            store.send(number)
        streamed = [await asyncio.wait_for(anext(stream), 8) for _ in range(5)]
        viewed = [await asyncio.wait_for(seen.get(), 8) for _ in range(5)]
        return [streamed, viewed]


async def recorded(url: str) -> list[Any]:
    """Record into the memory of the page, and replay that."""
    path = Path("/session.jsonl")  # in the memory of the page
    async with use_websocket(url, message_type=int) as store:
        await store.wait_connected(timeout=8)
        async with record(store, path):
            answers = store.stream()
            store.send(1)
            store.send(2)
            for _ in range(2):
                await asyncio.wait_for(anext(answers), 8)
    again: list[Any] = []
    done = asyncio.Event()
    replayed = replay(path, "instant", message_type=int, immediate=False)
    replayed.messages.subscribe(again.append, on_completed=done.set)
    replayed.connect()
    await asyncio.wait_for(done.wait(), 8)
    await replayed.aclose()
    return [path.read_text().count("\n") > 3, again]  # noqa: ASYNC240 - in memory


async def tokens(url: str) -> list[Any]:
    """Log in by a first message, a subprotocol and the query."""
    found: list[Any] = []
    for placement in ("first_message", "subprotocol", "unsafe_query"):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            store = use_websocket(url, access_token="demo-token", token_placement=placement)
        state = await store.wait_for(lambda state: state.status in ("connected", "failed"))
        await js.ask(placement)
        found.append([placement, state.status, [str(each.message) for each in warned]])
        await store.aclose()
    return found


async def too_large(url: str) -> list[Any]:
    async with use_websocket(url, max_size=100, auto_reconnect=False) as store:
        await store.wait_connected(timeout=8)
        store.send("a" * 101)
        state = await store.wait_for(lambda state: not state.is_connected, timeout=8)
        assert state.close is not None
        return [state.close.code, state.close.reason, state.close.who]
